"""What is seen in the terminal: the only importer of textual."""
