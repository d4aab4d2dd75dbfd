"""What is measured, as values and pure functions: requests, histograms, windows, cells, snapshots."""
