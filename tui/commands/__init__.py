"""Groups of commands of the command line; as `tui/cli.py`, words and options only."""
