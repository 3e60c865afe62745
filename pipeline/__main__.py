"""`python -m pipeline` is `triage`."""

from pipeline.cli import main

main()
