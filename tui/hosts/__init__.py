"""Other hosts whose users load the server: an agent on each, and the ways to it."""
