from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from engine.errors import UnusableInput
from engine.training.midi_audio.score import read_score
from tests.engine.training.midi_audio.midi import BARS, UNREADABLE, write_song


def test_channels_become_roles(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid")
    score = read_score(tmp_path / "a.mid", melody=(1, 0))
    assert {part.role: part.program for part in score.parts} == {
        "vocals": 68,
        "bass": 33,
        "other": 0,
        "drums": 0,
    }
    assert [note.pitch for note in score.of("bass")[0].notes()[:4]] == [36, 36, 43, 43]
    assert score.beats == 4 * BARS
    without = read_score(tmp_path / "a.mid", melody=None)
    assert not without.of("vocals")
    assert len(without.of("other")) == 2


def test_times_follow_every_tempo_change(tmp_path: Path) -> None:
    midi = mido.MidiFile(ticks_per_beat=100)
    tempi = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    tempi.append(mido.MetaMessage("set_tempo", tempo=1_000_000, time=200))
    notes = mido.MidiTrack([mido.Message("note_on", note=60, velocity=1)])
    notes.append(mido.Message("note_off", note=60, time=400))
    midi.tracks += [tempi, notes]
    midi.save(tmp_path / "t.mid")
    score = read_score(tmp_path / "t.mid", melody=None)
    ticks = np.array([0, 100, 200, 250, 400])
    np.testing.assert_allclose(score.seconds(ticks), [0, 0.5, 1.0, 1.5, 3.0])


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.mid").write_bytes(b"MThd\0\0\0\6nothing")
    with pytest.raises(UnusableInput, match=r"x\.mid"):
        read_score(tmp_path / "x.mid", melody=None)


@pytest.mark.parametrize("fault", UNREADABLE)
def test_whatever_is_wrong_with_a_file_it_is_one_error(tmp_path: Path, fault: str) -> None:
    (tmp_path / "x.mid").write_bytes(UNREADABLE[fault])
    with pytest.raises(UnusableInput, match=r"x\.mid is no usable MIDI file: .+\w\W?\.$") as caught:
        read_score(tmp_path / "x.mid", melody=None)
    assert caught.value.hint
    assert caught.value.code == "no_midi"


def test_a_beat_of_no_length_is_refused(tmp_path: Path) -> None:
    tempo = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=0)])
    mido.MidiFile(tracks=[tempo]).save(tmp_path / "t.mid")
    with pytest.raises(UnusableInput, match="a beat of 0 s"):
        read_score(tmp_path / "t.mid", melody=None)
