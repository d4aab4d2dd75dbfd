"""Profiles: TOML files, one file = one way to serve and to load a model; read, checked, found by name."""
