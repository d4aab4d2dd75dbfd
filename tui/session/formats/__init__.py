"""Results of other tools, one module each: read as grids without requests; some are written, too."""
