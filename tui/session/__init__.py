"""What is kept of a run: one SQLite file per session, its replay and its exports."""
