from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine.training.fit.library as fit_library
from engine.analysis.records import BEAT_ROW
from engine.theory import Role
from engine.training.fit.library import (
    AnalysedSong,
    AnalysedStem,
    LibraryWindows,
    analysed_songs,
    song_pairs,
    split_by_lot,
    useful,
    whole_songs,
)
from engine.training.fit.windows import CONTEXT_BEATS, WINDOW_BEATS
from engine.training.material import LibrarySongs
from engine.training.midi_corpus import Split
from tests.engine.training.heard import ROLES, heard_song, write_library, write_splits
from tests.engine.training.scores import made_up_song


def stem(number: int, active: np.ndarray) -> AnalysedStem:
    """Every beat says which beat of which stem it is."""
    rows = np.zeros(active.size, BEAT_ROW)
    rows["chroma"][:, 0] = np.arange(active.size)
    rows["chroma"][:, 1] = number
    rows["bands"] = 0.1
    return AnalysedStem(rows, active, f"{number:03d}")


def counted(number: int, *, beats: int = 64, split: Split | None = None) -> AnalysedSong:
    """A song whose voice sings from beat 16 on and whose bass plays in the first half."""
    sounds = np.ones(beats, np.bool_)
    beat = np.arange(beats)
    roles: dict[Role, np.ndarray] = {
        "vocals": beat >= 16,
        "harmonic": sounds,
        "drums": sounds,
        "bass": beat < beats // 2,
        "other": sounds,
    }
    stems = {role: stem(5 * number + i, active) for i, (role, active) in enumerate(roles.items())}
    return AnalysedSong(f"g{number}", f"song {number}", f"group {number}", split, 4, stems)


def test_a_window_is_silent_where_the_stem_is_and_beyond_its_ends() -> None:
    one = counted(1).stems["vocals"]
    rows = one.beats(12, 8)
    assert rows["chroma"][:, 0].tolist() == [0, 0, 0, 0, 16, 17, 18, 19]
    assert rows["bands"].any(axis=1).tolist() == [False] * 4 + [True] * 4
    assert one.beats(-8, 4)["bands"].max() == 0
    late = one.beats(60, 8)
    assert late["chroma"][:4, 0].tolist() == [60, 61, 62, 63]
    assert late["bands"][4:].max() == 0


def test_windows_begin_on_bars_where_voice_and_bed_sound() -> None:
    song = counted(1)
    # from beat 0 the voice sings in half of 32 beats, the bass plays in all of them
    assert song.starts("vocals", "harmonic").tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    assert song.starts("vocals", "bass").tolist() == [0, 4, 8, 12, 16]
    assert not song.starts("vocals", "percussion").size


def test_a_bank_holds_every_song_equally_often_and_voice_over_its_own_bed() -> None:
    songs = [counted(number) for number in range(3)]
    bank = LibraryWindows(songs).bank(30, seed=1)
    assert np.bincount(bank.song).tolist() == [10, 10, 10]
    np.testing.assert_array_equal(bank.group, bank.song)
    assert bank.voice.active.shape == (30, WINDOW_BEATS)
    assert bank.stem.active.shape == bank.drums.active.shape == (30, WINDOW_BEATS + 16)
    chroma = bank.voice.chroma.reshape(30, WINDOW_BEATS, 12, -1)[..., 0]
    bed = bank.stem.chroma.reshape(30, WINDOW_BEATS + 16, 12, -1)[..., 0]
    last_sung, last_played = chroma[:, -1, 0], bed[:, CONTEXT_BEATS + WINDOW_BEATS - 1, 0]
    kept = (last_played > 0) & (last_sung > 0)  # the bass may have ended
    assert kept.sum() > 15
    np.testing.assert_array_equal(last_sung[kept], last_played[kept])
    again = LibraryWindows(songs).bank(30, seed=1)
    np.testing.assert_array_equal(again.stem.chroma, bank.stem.chroma)
    other = LibraryWindows(songs).bank(30, seed=2)
    assert not np.array_equal(other.stem.chroma, bank.stem.chroma)


@pytest.mark.parametrize(("no_bass", "bass_only", "role"), [(1, 0, 4), (0, 1, 3), (0, 0, 1)])
def test_a_bed_may_be_half_of_the_harmony(
    monkeypatch: pytest.MonkeyPatch, no_bass: float, bass_only: float, role: int
) -> None:
    monkeypatch.setattr(fit_library, "_PARTS", 0.0)
    monkeypatch.setattr(fit_library, "_NO_BASS", no_bass)
    monkeypatch.setattr(fit_library, "_BASS_ONLY", bass_only)
    bank = LibraryWindows([counted(2)]).bank(40, seed=3)
    marks = bank.stem.chroma.reshape(40, -1, 12, 3)[:, :, 1, 0].max(axis=1)
    assert 10 + role in marks
    assert set(marks.tolist()) <= {10.0 + role, 11.0}  # harmony where the half does not sound


def test_bass_and_the_other_parts_ask_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_library, "_PARTS", 1.0)
    song = counted(2)
    bassless = replace(song, stems={r: s for r, s in song.stems.items() if r != "bass"})
    for heard, wanted in ((song, {(14, 13), (13, 14)}), (bassless, {(10, 11), (10, 14)})):
        bank = LibraryWindows([heard]).bank(20, seed=4)
        marks = [
            part.chroma.reshape(20, -1, 12, 3)[:, :, 1, 0].max(axis=1).astype(int).tolist()
            for part in (bank.voice, bank.stem)
        ]
        assert set(zip(*marks, strict=True)) == wanted


def test_pairs_put_other_beds_of_a_song_behind_those_that_are_asked_for() -> None:
    songs = [counted(1), counted(2, beats=160)]
    mute = replace(songs[1], stems={"harmonic": songs[1].stems["harmonic"]}, group="bed only")
    pairs = song_pairs([*songs, mute])
    assert len(pairs.queries) == 3 + 9
    assert pairs.groups == ("group 1",) * 3 + ("group 2",) * 9 + ("bed only",) * 9
    first = [int(rows["chroma"][0, 0]) for rows in pairs.stems]
    assert first == [0, 16, 32, *range(0, 144, 16), *range(0, 144, 16)]
    few = song_pairs(songs, per_song=2)
    assert [int(rows["chroma"][0, 0]) for rows in few.stems] == [0, 32, 0, 128]


def test_songs_without_a_word_are_split_by_name_and_others_as_listed() -> None:
    songs = [counted(number) for number in range(20)]
    found = split_by_lot(songs)
    assert sum(song.split == "val" for song in found) == 4
    assert {song.split for song in found} == {"train", "val"}
    assert [song.split for song in split_by_lot(songs[::-1])][::-1] == [s.split for s in found]
    versions = [replace(song, group="one") for song in songs[:5]] + songs[5:10]
    by_group = {}
    for song in split_by_lot(versions):
        by_group.setdefault(song.group, set()).add(song.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert sum(splits == {"val"} for splits in by_group.values()) == 2
    assert [song.split for song in split_by_lot([counted(1, split="test"), *songs[2:5]])] == [
        "test",
        *["train"] * 3,
    ]


def test_a_library_is_read_with_its_list_and_useless_songs_are_named(tmp_path: Path) -> None:
    new = [heard_song(made_up_song(seed)) for seed in range(3)]
    new.append(heard_song(made_up_song(3), roles=("vocals", "harmonic"), title="Drumless"))
    quiet = made_up_song(4)
    quiet = replace(quiet, notes={**quiet.notes, "vocals": quiet.notes["vocals"][:8]})
    new.append(heard_song(quiet, title="Quiet"))
    rows = write_library(tmp_path / "library", new)
    write_splits(tmp_path / "library", rows[:2], [("a", "train"), ("b", "test")])
    every = analysed_songs(LibrarySongs(tmp_path / "library"))
    assert len(every) == 5
    songs, notes = useful(every)
    assert {(song.group, song.split) for song in songs} == {
        ("a", "train"),
        ("b", "test"),
        ("2.mid", None),
    }
    assert notes == [
        "Drumless is left out: it has no drums.",
        "Quiet is left out: nowhere does its voice sing over its harmony for eight bars.",
    ]
    features = new[0].analysis.stems[1].features
    found = next(song for song in songs if song.group == "a")
    np.testing.assert_array_equal(
        found.stems["harmonic"].beats(0, 96)["chroma"], features["chroma"]
    )
    some = analysed_songs(LibrarySongs(tmp_path / "library", frozenset({rows[2].id})))
    assert [song.id for song in some] == [rows[2].id]
    whole = whole_songs(songs)
    assert [set(song.rows) for song in whole] == [set(ROLES)] * 3
    assert all(len(table) == 96 for song in whole for table in song.rows.values())
    asking = [(holds, table) for song in whole for holds, table in song.mixes]
    assert {"bass", "other"} in [set(holds) for holds, _ in asking]
    assert all(len(table) == 96 for _, table in asking)
    assert found.sha != replace(found, split="val").sha
