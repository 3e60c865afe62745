"""Reading packages in a limited process: what senders deliver is parsed there, one package at a time, and nowhere else.

supervisor.py   this side: opens the files, asks, judges every answer by its types, replaces a process that died
questions.py    what it is asked, and how much of it may wait there at once
worker.py       the limited process: lists an archive, reads the report; it can open no file and write none
wire.py         what goes over the channel: JSON, with a type for every field
"""
