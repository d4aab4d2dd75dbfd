"""Sessions as one HTML page that needs nothing else: to read, to print, to pass on."""
