from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from engine.analysis.chords import Chord
from engine.audio.waveform import Waveform
from engine.delivery.midi_guide import MidiGuide, session_chords, write_guide
from engine.rendering.renderer import Session
from engine.theory import Key

SESSION = Session(tempo_bpm=97.5, beats_per_bar=3, bars=4, sample_rate=22050)
CHORDS = (Chord(0, 3, 9, True), Chord(6, 6, 5, False))


def test_tempo_metre_bars_and_chords(tmp_path: Path) -> None:
    path = tmp_path / "guide.mid"
    write_guide(path, MidiGuide("Väx 絆", SESSION, Key(6, "minor"), CHORDS))
    file = mido.MidiFile(path)
    tempo_track, chord_track = file.tracks
    by_type = {message.type: message for message in tempo_track}
    assert by_type["set_tempo"].tempo == round(60e6 / 97.5)
    assert by_type["time_signature"].numerator == 3
    assert by_type["key_signature"].key == "F#m"
    assert [m.text for m in tempo_track if m.type == "marker"] == [f"Bar {n}" for n in range(1, 5)]
    now, heard = 0, []
    for message in chord_track:
        now += message.time
        if message.type == "note_on":
            heard.append((now / file.ticks_per_beat, message.note % 12))
    assert heard == [(0, 9), (0, 0), (0, 4), (6, 5), (6, 9), (6, 0)]
    assert [m.text for m in chord_track if m.type == "text"] == ["Am", "F"]
    assert file.length == pytest.approx(12 * 60 / 97.5, abs=1e-3)


def test_every_key_can_be_stated_and_the_bytes_repeat(tmp_path: Path) -> None:
    for tonic in range(12):
        for mode in ("major", "minor"):
            guide = MidiGuide("x", SESSION, Key(tonic, mode), ())  # type: ignore[arg-type]
            made = []
            for name in ("a.mid", "b.mid"):
                write_guide(tmp_path / name, guide)
                made.append((tmp_path / name).read_bytes())
            assert made[0] == made[1]
            assert len(mido.MidiFile(tmp_path / "a.mid").tracks) == 2


def test_chords_are_read_from_what_was_rendered() -> None:
    session = Session(tempo_bpm=120.0, beats_per_bar=4, bars=2, sample_rate=22050)
    time_s = np.arange(session.frames) / session.sample_rate
    samples = np.zeros((1, session.frames), dtype=np.float32)
    for bar, pitches in enumerate([(57, 60, 64), (53, 57, 60)]):
        inside = (time_s >= 2 * bar) & (time_s < 2 * bar + 2)
        for pitch in pitches:
            tone = 0.1 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time_s)
            samples[0] += (tone * inside).astype(np.float32)
    found = session_chords([Waveform(samples, session.sample_rate)], session)
    assert [(chord.start_beat, chord.name) for chord in found] == [(0, "Am"), (4, "F")]
    assert session_chords([], session) == ()
