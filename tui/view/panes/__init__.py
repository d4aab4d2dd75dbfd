"""The panes of the live screen, one file each; `catalogue` lists them. A pane composes lines from a snapshot."""
