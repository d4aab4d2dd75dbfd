"""What each ink looks like: one table for each kind of terminal and theme, each chosen for itself."""
