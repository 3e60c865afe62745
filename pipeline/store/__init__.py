"""The case store: tables, migrations, transactions that carry their audit entries, who acts and under which rules.

SQL is SQLAlchemy's, so that SQLite and PostgreSQL run the same.
"""
