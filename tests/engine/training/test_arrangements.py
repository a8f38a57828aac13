from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.training.arrangements import agreement, beat_chroma, contradicting
from engine.training.midi_corpus import NOTE, MidiSong

from .scores import made_up_song


def in_another_key(song: MidiSong, semitones: int) -> MidiSong:
    """The same voice over the same bed, transposed."""
    notes = dict(song.notes)
    for role in ("bass", "other"):
        notes[role] = song.notes[role].copy()
        notes[role]["pitch"] += semitones
    return replace(song, file=f"other-{song.file}", notes=notes)


def test_the_arrangement_whose_bed_is_in_a_wrong_key_is_found() -> None:
    song = made_up_song(1)
    wrong = in_another_key(song, 4)
    fine = [made_up_song(2, group="two"), replace(made_up_song(2, group="two"), file="two.mid")]
    assert contradicting([song, wrong, *fine]) == (wrong,)
    assert contradicting([wrong, song]) == (wrong,)


def test_other_tunes_of_a_group_are_no_arrangements_of_each_other() -> None:
    one = made_up_song(1, group="both")
    other = in_another_key(made_up_song(2, group="both"), 1)
    assert contradicting([one, other]) == ()


@pytest.mark.parametrize("semitones", [0, 3, 11])
def test_agreement_is_highest_where_the_transposition_is_taken_back(semitones: int) -> None:
    song = made_up_song(3)
    bed = beat_chroma(song.harmonic)
    shared = agreement(bed, beat_chroma(in_another_key(song, semitones).harmonic))
    assert int(shared.argmax()) == -semitones % 12
    assert shared.max() == pytest.approx(1.0, abs=1e-6)


def test_a_beat_holds_its_notes_by_how_long_they_sound() -> None:
    notes = np.array([(0.5, 1.5, 60, 90, 0), (1.0, 2.0, 67, 90, 0), (1.2, 1.2, 62, 90, 0)], NOTE)
    chroma = beat_chroma(notes)
    assert chroma.shape == (2, 12)
    assert chroma[0].tolist() == [1.0] + 11 * [0.0]
    np.testing.assert_allclose(chroma[1][[0, 7]], np.array([0.5, 1.0]) / np.hypot(0.5, 1.0))
    assert agreement(chroma, np.zeros((5, 12))).tolist() == 12 * [0.0]
    assert beat_chroma(notes[:0]).shape == (0, 12)
