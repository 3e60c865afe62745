"""The analysts' web pages and the HTTP API.

The figures of the dashboard are SQL files in `dashboard/reports/`; the pages' own index composes its statements by
`pipeline/sql.py`.
"""
