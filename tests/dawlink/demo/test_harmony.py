from __future__ import annotations

import itertools

import pytest

from dawlink.demo.harmony import Chord, chords_of, lead_voices, melody_scale, nearest_pitch
from engine.theory import Key


def test_chords_are_counted_from_the_tonic() -> None:
    chords = chords_of("0m 8 5:7", Key(9, "minor"))
    assert [chord.pitch_classes for chord in chords] == [(9, 0, 4), (5, 9, 0), (2, 6, 9, 0)]


@pytest.mark.parametrize("text", ["x", "0dim", "-1"])
def test_an_unreadable_chord_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no chord"):
        chords_of(text, Key(0, "major"))


def test_voices_hold_the_chord_stay_in_range_and_move_little() -> None:
    chords = chords_of("0 5 7 9m 2m7 7:7", Key(0, "major"))
    layouts = lead_voices(chords, lowest=52, highest=72)
    for chord, layout in zip(chords, layouts, strict=True):
        assert {pitch % 12 for pitch in layout} == set(chord.pitch_classes)
        assert 52 <= layout[0] <= layout[-1] <= 72
    for before, after in itertools.pairwise(layouts):
        assert max(min(abs(pitch - old) for old in before) for pitch in after) <= 3


def test_a_melody_avoids_the_notes_that_rub() -> None:
    c_major = Chord(0, (0, 4, 7))
    assert melody_scale(c_major, Key(0, "major")) == (0, 2, 4, 7, 9)


def test_the_nearest_pitch() -> None:
    assert nearest_pitch((0, 4, 7), 65.4) == 64
    assert nearest_pitch((0,), 65.0) == 60
