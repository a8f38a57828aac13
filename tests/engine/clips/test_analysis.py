"""What a clip's beats rest on when the voice does not tell them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import engine.analysis.clip
from engine.analysis.beats import TrackedBeats
from engine.audio.waveform import Waveform
from engine.clips.analysis import analyse_clip
from engine.clips.clip import ClipRequest
from engine.library.library import Library
from tests.engine.analysis.music import as_tracked
from tests.recordings import needs_recordings, recordings_dir
from tests.sounds import RATE, clicks

SECONDS = 16.0


class Unsure:
    """Counts a voice without a pulse in three, a little beside any tempo that it is told."""

    name = "unsure"

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        bpm = 0.98 * (tempo_hint_bpm or 90.0)
        heard = as_tracked(np.arange(0.0, SECONDS, 60 / bpm), metre=3, seconds=SECONDS)
        heard.activation[:] += np.random.default_rng(0).random(heard.activation.shape) > 0.4
        return heard


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine.analysis.clip, "default_tracker", Unsure)
    sound = clicks(np.arange(0.0, SECONDS, 0.71), SECONDS)
    soundfile.write(tmp_path / "voice.wav", sound.samples.T, RATE)
    return tmp_path / "voice.wav"


def test_an_unclear_voice_has_the_sessions_tempo_in_four(voice: Path, library: Library) -> None:
    """Not a tempo near it, and not the metre that a tracker guessed."""
    found = analyse_clip(ClipRequest(voice), library, session_tempo_bpm=180.0)
    assert found.tempo_bpm == pytest.approx(180.0)
    assert (found.grid.beats_per_bar, found.metre_known) == (4, False)
    assert "the session's 180 BPM, 4 beats in a bar" in found.notes[0]


def test_a_guess_says_how_it_is_mended(voice: Path, library: Library) -> None:
    found = analyse_clip(ClipRequest(voice), library)
    assert (found.grid.beats_per_bar, found.metre_known) == (4, False)
    assert f"({found.tempo_bpm:.1f} BPM, 4 beats in a bar) is a guess" in found.notes[0]
    assert all(option in found.notes[0] for option in ("--clip-tempo", "--clip-metre"))


def test_a_stated_metre_is_no_guess(voice: Path, library: Library) -> None:
    request = ClipRequest(voice, beats_per_bar=3)
    found = analyse_clip(request, library, session_tempo_bpm=180.0)
    assert (found.grid.beats_per_bar, found.metre_known) == (3, True)
    assert "beats in a bar" not in found.notes[0]
    stated = ClipRequest(voice, tempo_bpm=180.0, downbeat_s=0.0)
    assert not analyse_clip(stated, library).metre_known


@pytest.fixture
def nearby(voice: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A voice whose pulse lies 2 % under any tempo that is stated."""

    class Nearby:
        name = "nearby"

        def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
            assert tempo_hint_bpm is not None
            beats_s = np.arange(0.0, SECONDS, 60 / (0.98 * tempo_hint_bpm))
            return as_tracked(beats_s, metre=4, seconds=SECONDS)

    monkeypatch.setattr(engine.analysis.clip, "default_tracker", Nearby)
    return voice


def test_a_stated_tempo_is_the_clips_though_its_beats_lie_apart(
    nearby: Path, library: Library
) -> None:
    found = analyse_clip(ClipRequest(nearby, tempo_bpm=100.0, bars=4), library)
    assert (found.tempo_bpm, found.method) == (100.0, "person")
    assert found.grid.tempo_bpm == pytest.approx(98.0, abs=0.1)  # and they are warped from there
    (note,) = found.notes
    assert "found at 98.0 BPM" in note
    assert "the stated 100 BPM" in note
    exact = analyse_clip(ClipRequest(nearby, tempo_bpm=100.0, downbeat_s=0.0, bars=4), library)
    assert (exact.grid.tempo_bpm, exact.notes) == (pytest.approx(100.0), ())


def test_a_stated_tempo_is_counted_in_the_sessions_octave(nearby: Path, library: Library) -> None:
    request = ClipRequest(nearby, tempo_bpm=60.0, bars=4)
    assert analyse_clip(request, library, session_tempo_bpm=118.0).tempo_bpm == 120.0


@needs_recordings
@pytest.mark.slow
@pytest.mark.parametrize(("number", "tempo_bpm"), [(1, 180.0), (10, 120.0), (10, 100.0)])
def test_real_voices_alone_go_with_the_session(
    number: int, tempo_bpm: float, library: Library
) -> None:
    folder = recordings_dir() / "real_stems" / f"acapella_vocadito_{number}"
    path = folder / f"vocals_lead__vocadito_{number}.wav"
    found = analyse_clip(ClipRequest(path), library, session_tempo_bpm=tempo_bpm)
    assert found.tempo_bpm == pytest.approx(tempo_bpm)
    assert found.grid.beats_per_bar == 4
