"""Serving systems: how each is started, asked and read. Pure: no sockets, no processes.

A new one is a module here that offers an `Engine` (see `base`) and one line in `catalogue`.
"""
