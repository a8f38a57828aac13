from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.chords import Chord, chords_of


def chroma(names: list[tuple[int, bool] | None], beats_each: int) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(3)
    rows = []
    for name in names:
        row = 0.15 * rng.random((beats_each, 12))
        if name is not None:
            root, minor = name
            row[:, [root, (root + (3 if minor else 4)) % 12, (root + 7) % 12]] += 1.0
        else:
            row = np.zeros((beats_each, 12))
        rows.append(row)
    return np.concatenate(rows).astype(np.float32)


def test_a_progression_is_found() -> None:
    names = [(9, True), (5, False), (0, False), (7, False)]
    found = chords_of(chroma(list(names), 4), 4)
    assert found == tuple(
        Chord(4 * number, 4, root, minor) for number, (root, minor) in enumerate(names)
    )
    assert [chord.name for chord in found] == ["Am", "F", "C", "G"]


def test_half_bars_and_gaps() -> None:
    found = chords_of(chroma([(2, True), (7, False), None, (0, False)], 2), 4)
    assert [(chord.start_beat, chord.beats, chord.name) for chord in found] == [
        (0, 2, "Dm"),
        (2, 2, "G"),
        (6, 2, "C"),
    ]


@pytest.mark.parametrize("metre", [3, 5])
def test_odd_metres_are_not_halved(metre: int) -> None:
    found = chords_of(chroma([(4, True), (9, False)], metre), metre)
    assert [(chord.start_beat, chord.beats) for chord in found] == [(0, metre), (metre, metre)]


def test_silence_and_nothing_hold_no_chord() -> None:
    assert chords_of(np.zeros((8, 12), np.float32), 4) == ()
    assert chords_of(np.zeros((0, 12), np.float32), 4) == ()


def test_a_passing_note_makes_no_chord() -> None:
    rows = chroma([(0, False)] * 4, 2)
    rows[2:4, 9] += 0.4
    assert [chord.name for chord in chords_of(rows, 4)] == ["C"]
