from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.audio.waveform import Waveform
from engine.clips.fingerprints import recognise, remember_voice
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from tests.engine.library.songs import analysis

RATE = 22050


def voice(seed: int, seconds: float = 24.0) -> Waveform:
    """A wandering tone with overtones and pauses; another melody for every seed."""
    rng = np.random.default_rng(seed)
    notes = rng.integers(48, 76, int(seconds * 3)).repeat(RATE // 3)
    phase = 2 * np.pi * np.cumsum(440 * 2 ** ((notes - 69) / 12)) / RATE
    loud = rng.uniform(0.2, 1.0, int(seconds * 3)).repeat(RATE // 3)
    sound = loud * sum(np.sin(k * phase) / k for k in range(1, 9))
    hiss = 0.02 * rng.standard_normal(sound.size)
    return Waveform((0.1 * (sound + hiss)).astype(np.float32)[None], RATE)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    opened = Library.open(tmp_path / "library")
    for seed in range(3):
        sung = voice(seed)
        song = opened.add_song(
            NewSong(
                title=f"Song {seed}",
                kind="multitrack",
                stems=(NewStem("vocals", sung),),
                analysis=analysis(seed, roles=("vocals",), bars=8),
            )
        )
        remember_voice(opened, song.id, {"vocals": sung})
    return opened


@pytest.mark.parametrize("start_s", [0.0, 3.1234, 11.005])
def test_an_excerpt_is_found_to_the_sample(library: Library, start_s: float) -> None:
    whole = voice(1)
    start = round(start_s * RATE)
    excerpt = Waveform(0.3 * whole.samples[:, start : start + 9 * RATE], RATE)
    found = recognise(library, excerpt)
    assert found is not None
    assert library.song(found.song_id).title == "Song 1"
    assert found.offset_s == pytest.approx(start / RATE, abs=2e-4 if start else 0.012)
    assert not found.exact


def test_lost_fingerprints_are_made_again(library: Library) -> None:
    for path in (library.folder / "index" / "fingerprints").iterdir():
        path.unlink()
    found = recognise(library, voice(2))
    assert found is not None
    assert library.song(found.song_id).title == "Song 2"


def test_a_stranger_is_not_recognised(library: Library) -> None:
    assert recognise(library, voice(77)) is None


def test_silence_is_not_recognised(library: Library) -> None:
    assert recognise(library, Waveform(np.zeros((1, 10 * RATE), dtype=np.float32), RATE)) is None
