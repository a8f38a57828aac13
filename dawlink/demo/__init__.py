"""A dozen short songs made by code, so that dawlink can be tried with nothing prepared.

Everything is computed: drums, bass, chords and a voice. The songs carry no one's rights.
"""

from dawlink.demo.songs import DEMO_SONGS, DEMO_VOCAL, DemoSong
from dawlink.demo.synthesis import synthesise, write_demo_songs, write_demo_vocal

__all__ = [
    "DEMO_SONGS",
    "DEMO_VOCAL",
    "DemoSong",
    "synthesise",
    "write_demo_songs",
    "write_demo_vocal",
]
