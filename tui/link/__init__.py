"""The link between front ends and bench: what they say to each other, both ends of the socket, how a bench starts."""
