"""Small libraries of songs whose features are those of made-up notes, for tests of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from engine.analysis.records import StemAnalysis
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem, SongRow
from engine.theory import Role
from engine.training.fit.check import sounding
from engine.training.fit.windows import draw_song
from engine.training.midi_audio.listing import ListedSong, update_listing, write_listing
from engine.training.midi_corpus import MidiSong, Split
from tests.engine.library.songs import analysis, song, tone

ROLES: tuple[Role, ...] = ("vocals", "harmonic", "drums")


def heard_song(notes: MidiSong, *, roles: Sequence[Role] = ROLES, title: str = "") -> NewSong:
    """A song as if it had been analysed; its audio is only noise."""
    seed = int(notes.file.split(".")[0])
    drawn = draw_song(notes, np.random.default_rng(seed))
    assert drawn is not None
    rows = {role: drawn.rows["harmonic" if role == "other" else role] for role in roles}
    beats = len(drawn.rows["harmonic"])
    stems = tuple(
        StemAnalysis(role, table, -14.0, -1.0, sounding(table)) for role, table in rows.items()
    )
    plain = analysis(seed, bars=beats // 4)
    named = song(seed, title=title or notes.file, roles=tuple(roles))
    audio = tuple(NewStem(role, tone(10 * seed + i)) for i, role in enumerate(roles))
    return replace(named, stems=audio, analysis=replace(plain, stems=stems))


def write_library(folder: Path, songs: Sequence[NewSong]) -> list[SongRow]:
    """A library of these songs."""
    with Library.open(folder) as library:
        return [library.add_song(new) for new in songs]


def write_splits(folder: Path, rows: Sequence[SongRow], said: Sequence[tuple[str, str]]) -> None:
    """Say the composition and the split of each song, as a rendered corpus does."""
    write_listing(
        folder,
        [
            ListedSong(row.id, row.title, "set", group, cast("Split", split), "r", "sung", "")
            for row, (group, split) in zip(rows, said, strict=True)
        ],
    )


def outdate(folder: Path, *song_ids: str) -> None:
    """List songs as a corpus does whose files were edited since, or are gone."""

    def word(row: ListedSong) -> ListedSong:
        old = replace(row, split="test", is_current=False)
        return old if row.song_id in song_ids else row

    update_listing(folder, change=word)


def list_songs(folder: Path, splits: Mapping[str, str]) -> None:
    """Say the split of each song by id, each a composition of its own."""
    write_listing(
        folder,
        [
            ListedSong(name, f"{name}.mid", "set", name, cast("Split", split), "r", "sung", "")
            for name, split in splits.items()
        ],
    )
