"""The panes of the live screen, one file each: a pane composes lines from a snapshot and knows nothing else."""
