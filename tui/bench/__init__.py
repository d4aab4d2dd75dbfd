"""The bench: a process of its own that owns the server, the load, the sampling and the session. No terminal."""
