"""Sources as clips: passes, and what lies outside the recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from dawlink.daw.project import AudioFile
from dawlink.daw.rendered import passes
from engine.mashup.placement import WarpPoint
from engine.rendering.renderer import Session, Track

SESSION = Session(tempo_bpm=120.0, beats_per_bar=4, bars=4, sample_rate=44100)
AUDIO = AudioFile(Path("song.wav"), "song.wav", 441000, 44100, 2)  # ten seconds


def track(first_s: float, beats: int, *, seconds_per_beat: float = 0.6, **more: object) -> Track:
    warp = tuple(WarpPoint(first_s + n * seconds_per_beat, float(n)) for n in range(beats + 1))
    return Track(Path("song.wav"), "harmonic", warp, **more)  # type: ignore[arg-type]


def test_a_loop_becomes_one_clip_per_pass_and_the_last_is_cut() -> None:
    clips = list(passes("Bed", track(1.0, 6), AUDIO, SESSION))
    assert [(clip.start_beat, clip.beats) for clip in clips] == [(0, 6), (6, 6), (12, 4)]
    for clip in clips:
        assert clip.source_at(0.0) == pytest.approx(1.0)
        assert clip.source_at(clip.beats) == pytest.approx(1.0 + 0.6 * clip.beats)


def test_pitch_and_gain_go_along() -> None:
    source = track(1.0, 16, semitones=-3, tuning_cents=-20.0, gain_db=2.0, storage_gain_db=1.5)
    (clip,) = passes("Bed", source, AUDIO, SESSION)
    assert clip.semitones == pytest.approx(-2.8)
    assert clip.gain_db == pytest.approx(3.5)


def test_what_would_begin_before_the_file_begins_with_it() -> None:
    (clip,) = passes("Bed", track(-0.9, 16), AUDIO, SESSION)
    assert clip.start_beat == pytest.approx(1.5)
    assert clip.source_at(0.0) == pytest.approx(0.0)
    assert clip.source_at(2.5) == pytest.approx(1.5)
    assert clip.start_beat + clip.beats == pytest.approx(16)


def test_what_would_end_after_the_file_ends_with_it() -> None:
    (clip,) = passes("Bed", track(4.0, 16), AUDIO, SESSION)
    assert clip.beats == pytest.approx(10)
    assert clip.source_at(clip.beats) == pytest.approx(10.0)


def test_a_part_of_a_file_stays_inside_its_bounds() -> None:
    (clip,) = passes("Vox", track(1.0, 16, bounds_s=(1.3, 4.0)), AUDIO, SESSION)
    assert clip.source_at(0.0) == pytest.approx(1.3)
    assert clip.source_at(clip.beats) == pytest.approx(4.0)


def test_a_source_without_sound_there_makes_no_clip() -> None:
    assert list(passes("Bed", track(20.0, 16), AUDIO, SESSION)) == []
