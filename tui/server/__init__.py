"""The server under test: launched under a guardian, watched, diagnosed, stopped with its whole tree."""
