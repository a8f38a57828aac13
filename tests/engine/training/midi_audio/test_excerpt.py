from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnusableInput
from engine.theory import Key
from engine.training.midi_audio.excerpt import Stretch, SungNote, choose_stretch
from engine.training.midi_audio.keys import key_of
from engine.training.midi_audio.score import Score, read_score
from tests.engine.training.midi_audio.midi import BARS, write_song


def score_of(tmp_path: Path, *, transpose: int = 0, sung: range = range(BARS)) -> Score:
    write_song(tmp_path / "a.mid", transpose=transpose, sung_bars=sung)
    return read_score(tmp_path / "a.mid", melody=(1, 0))


def test_a_stretch_begins_on_its_first_bar_line(tmp_path: Path) -> None:
    stretch = Stretch(score_of(tmp_path), 2, 8, 1.25)
    assert stretch.grid.bars == 8
    assert stretch.grid.beats_s[0] == 0.0
    np.testing.assert_allclose(np.diff(stretch.grid.beats_s), 0.625)
    assert stretch.duration_s == pytest.approx(20.0)
    sung = stretch.melody()
    assert [note.pitch for note in sung[:4]] == [72, 76, 79, 76]
    np.testing.assert_allclose([note.start_s for note in sung], stretch.grid.beats_s[:-1])
    kicks = [
        timed.time_s
        for part in stretch.parts("drums")
        for timed in part.events
        if timed.event.kind == "note_on"
    ]
    np.testing.assert_allclose(kicks, stretch.grid.beats_s[:-1])


def test_a_stretch_is_drawn_where_every_role_sounds(tmp_path: Path) -> None:
    score = score_of(tmp_path, sung=range(8, BARS))
    rng = np.random.default_rng(0)
    starts = {choose_stretch(score, rng, seconds=16.0).first_bar for _ in range(40)}
    assert starts == {4}  # 8 of 12 bars, of which half are sung only there
    assert choose_stretch(score, rng).bars == BARS
    assert choose_stretch(score, rng, seconds=500.0).bars == BARS


def test_a_short_song_is_refused(tmp_path: Path) -> None:
    score = score_of(tmp_path)
    short = Score((), score.ticks_per_beat, score.tempo_ticks, score.tempo_s, score.beat_s)
    with pytest.raises(UnusableInput):
        choose_stretch(short, np.random.default_rng(0))


def test_one_voice_sings_one_note_at_a_time(tmp_path: Path) -> None:
    notes = Stretch(score_of(tmp_path), 0, 8, 1.0).melody()
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(notes))
    assert SungNote(0.0, 1.0, 60, 90).moved(-3).pitch == 57


def test_the_stated_key_holds_unless_the_notes_say_otherwise(tmp_path: Path) -> None:
    stretch = Stretch(score_of(tmp_path, transpose=2), 0, 8, 1.0)
    stated = key_of(stretch, Key.parse("D"), -2)
    assert (stated.key, stated.method, stated.confidence) == (Key.parse("C"), "score", 1.0)
    relative = key_of(stretch, Key.parse("Bm"), 0)
    assert (relative.key, relative.method) == (Key.parse("Bm"), "score")
    moved = key_of(stretch, Key.parse("Ab"), 0)
    assert moved.method == "notes"
    assert moved.key == Key.parse("D")
    assert key_of(stretch, None, 1).key == Key.parse("Eb")
