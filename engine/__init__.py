"""The music side of dawlink: decoding, analysis, the library, ranking and rendering.

Nothing here imports from ``dawlink``; a notebook or another program can use this package
without the command line, the daemon or any DAW.
"""
