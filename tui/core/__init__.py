"""What every layer may use and what knows nothing of the rest: errors, paths, the clock, units, safe text."""
