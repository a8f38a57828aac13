"""The doors of dawlink: command line, OSC daemon and DAW writers. Imports ``engine``."""

__version__ = "0.1.0"
