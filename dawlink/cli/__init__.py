"""The command line: one file per command; ``main`` turns every error into text and exit code."""
