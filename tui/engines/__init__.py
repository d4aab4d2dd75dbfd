"""Serving systems: how each is started, asked and read. Pure: no sockets, no processes.

Each is a module or a package of its name here, with an `ENGINE` (see `engine`), of `parts` to choose from; nothing but
`base`, `engine`, `catalogue`, `command_line` and `parts` stands beside them. docs/adding-an-engine.md shows how.
"""
