"""A rendered song as a folder of files named by role, for other programs and for listening.

``song.json`` says what the score knows: every beat, the metre, the key, and where the song comes
from. The folder is a multitrack song to ``dawlink add``, which tracks its beats anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from engine.audio.encode import write_audio
from engine.files import write_whole
from engine.training.midi_audio.songs import CorpusSong, RenderedSong

__all__ = ["TRUTH_NAME", "write_folder"]

TRUTH_NAME: Final = "song.json"


def write_folder(folder: Path, rendered: RenderedSong, song: CorpusSong) -> None:
    """Write stems (FLAC, 24 bit) and truth; the truth last, so that it marks a whole folder.

    Raises:
        UnwritableOutput: the disk refuses.
    """
    for role, stem in rendered.stems.items():
        write_audio(folder / f"{role}.flac", stem, file_format="flac", overwrite=True)
    truth = {
        "schema": 1,
        "file": song.source.name,
        "set": song.set_name,
        "group": song.group,
        "split": song.split,
        "beats_s": [round(float(beat), 6) for beat in rendered.grid.beats_s],
        "beats_per_bar": rendered.grid.beats_per_bar,
        "key": None if rendered.key.key is None else str(rendered.key.key),
        "key_method": rendered.key.method,
        "voice": rendered.voice,
        "soundfonts": dict(rendered.soundfonts),
    }
    write_whole(folder / TRUTH_NAME, json.dumps(truth, ensure_ascii=False, indent=2) + "\n")
