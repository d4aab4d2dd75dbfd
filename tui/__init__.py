"""vramp: see, live and in a terminal, how many users a GPU server for language models can carry."""

__version__ = "0.1.0"
