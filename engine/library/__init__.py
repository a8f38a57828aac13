"""The stem database: rows in a database, audio and feature arrays in content-addressed files.

A library is a folder::

    library.sqlite          songs, stems, sources and a person's corrections
    audio/ab/ab12….flac     24-bit audio, named by the hash of its samples
    features/ab/ab12….npy   one array of BEAT_ROW per stem, named by the hash of its bytes
    index/                  derived arrays; may be deleted at any time

Files are put in place before the row that names them, and taken away after it is gone, so a
process killed at any moment leaves at most files that no row refers to. ``Library.sweep`` removes
those. On a server (:mod:`engine.library.place`) the rows lie in PostgreSQL, ``audio`` and
``features`` in a folder that machines share, ``index`` on each machine.
:class:`~engine.library.library.Library` is the way in.
"""
