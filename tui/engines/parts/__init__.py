"""What serving systems are made of, to choose from: framings, dialects, questions, auth, rules for logs.

`dialect`, `framing` and `openai_stream` are imported by the load workers and import nothing heavy.
"""
