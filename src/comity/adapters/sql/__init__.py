"""The database: SQLite by default, PostgreSQL when it grows; one schema, one writer thread."""
