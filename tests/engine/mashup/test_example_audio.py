from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from engine.audio.stretch import StretchJob, default_stretcher
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.mashup.database import MashupDB
from engine.mashup.example_audio import (
    FULL_DETOUR,
    SAMPLE_RATE,
    Detour,
    render_example,
    stages,
)
from engine.mashup.generation import CONDITIONS, MashupExample, StemUse, generate
from tests.engine.mashup.songs import made_db, made_song


class Recorder:
    """Stretches, and notes what it was asked for."""

    def __init__(self) -> None:
        self.jobs: list[StretchJob] = []

    def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
        self.jobs.append(job)
        rng = np.random.default_rng(len(self.jobs))
        noise = rng.standard_normal((waveform.channels, job.frames_out)) * 0.1
        return Waveform(noise.astype(np.float32), waveform.sample_rate)

    def travelled(self) -> list[tuple[float, float]]:
        """Semitones and octaves of stretch that the two passes of each stem go together."""
        made = []
        for first, second in zip(self.jobs[::2], self.jobs[1::2], strict=True):
            pair = (first, second)
            octaves = [_octaves(job) for job in pair]
            made.append((sum(abs(j.semitones) for j in pair), sum(map(abs, octaves))))
        return made


def _octaves(job: StretchJob) -> float:
    (s0, t0), (s1, t1) = job.anchors[0], job.anchors[-1]
    return math.log2((t1 - t0) / (s1 - s0))


def test_every_stem_of_every_condition_travels_as_far(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    plan = generate(db, dict.fromkeys(CONDITIONS, 2), seed=1, bars=1)
    assert len(plan.examples) == 10
    for example in plan.examples:
        recorder = Recorder()
        render_example(example, db, recorder)
        assert len(recorder.jobs) == 6
        for role, (semitones, octaves) in zip(
            ("vocals", "harmonic", "drums"), recorder.travelled(), strict=True
        ):
            expected = 0.0 if role == "drums" else FULL_DETOUR.semitones
            assert semitones == pytest.approx(expected, abs=0.11), example.condition
            assert octaves == pytest.approx(FULL_DETOUR.octaves, abs=0.002), example.condition


@pytest.mark.parametrize(("up", "longer"), list(product([True, False], repeat=2)))
def test_stages_add_up_to_what_is_asked(up: bool, longer: bool) -> None:
    for semitones, octaves in product((-3.5, -1, 0, 2), (-0.32, 0, 0.26)):
        first, second = stages(semitones, octaves, FULL_DETOUR, up_first=up, longer_first=longer)
        assert first.semitones + second.semitones == pytest.approx(semitones)
        assert first.octaves + second.octaves == pytest.approx(octaves)
        assert abs(first.semitones) + abs(second.semitones) == pytest.approx(7.0)
        assert (first.semitones > second.semitones) == up


def test_lot_decides_which_stage_goes_up(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    ups = set()
    for example in generate(db, {"original": 6}, seed=1, bars=1).examples:
        recorder = Recorder()
        render_example(example, db, recorder)
        ups |= {recorder.jobs[0].semitones > 0}
    assert ups == {True, False}


def original(db: MashupDB, song: str, bars: int = 1) -> MashupExample:
    stems = tuple(StemUse(song, role, 2) for role in ("vocals", "harmonic", "drums"))  # type: ignore[arg-type]
    assert song in db.by_id
    return MashupExample("original", bars, stems, 5)  # type: ignore[arg-type]


def test_a_round_trip_gives_back_the_music(tmp_path: Path) -> None:
    db = MashupDB((made_song("a", folder=tmp_path),))
    example, stretcher = original(db, "a"), default_stretcher()
    bare = render_example(example, db, stretcher, detour=Detour(0.0, 0.0))
    round_trip = render_example(example, db, stretcher)
    assert bare.shape == round_trip.shape == (3, 2 * SAMPLE_RATE)
    rms = np.sqrt(np.square(round_trip).mean(axis=1))
    np.testing.assert_allclose(rms, 0.1, rtol=1e-3)
    for one, other in zip(bare[1:], round_trip[1:], strict=True):
        assert np.corrcoef(_levels(one), _levels(other))[0, 1] > 0.9
    assert not np.allclose(bare, round_trip, atol=1e-2)


def _levels(samples: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(samples[: samples.size // 320 * 320].reshape(-1, 320)).mean(axis=1))


@pytest.mark.parametrize("offset_s", [-0.4, 0.25])
def test_offsets_move_the_sound_and_nothing_else(tmp_path: Path, offset_s: float) -> None:
    db = MashupDB((made_song("a", folder=tmp_path), made_song("b", tempo_bpm=100, folder=tmp_path)))
    vocals, harmonic, drums = original(db, "a").stems

    def onsets(offset: float) -> np.ndarray:
        use = StemUse("b", "drums", 2, 0, False, offset)
        example = MashupExample("unmatched-tempo", 1, (vocals, harmonic, use), 5)
        bare = Detour(0.0, 0.0)  # an unstretched stem is then copied, so this is quick
        levels = _levels(render_example(example, db, default_stretcher(), detour=bare)[2])
        return np.maximum(np.diff(levels), 0)

    still, moved = onsets(0.0), onsets(offset_s)
    lag = round(offset_s * 100)
    kept = slice(max(lag, 0), still.size + min(lag, 0))
    assert np.corrcoef(np.roll(still, lag)[kept], moved[kept])[0, 1] > 0.8
    assert drums.role == "drums"


def test_a_silent_stem_is_refused(tmp_path: Path) -> None:
    class Silencer(Recorder):
        def stretch(self, waveform: Waveform, job: StretchJob) -> Waveform:
            frames = np.zeros((waveform.channels, job.frames_out), dtype=np.float32)
            frames[:, 0] = 1e-4 if len(self.jobs) == 0 else 0.0
            self.jobs.append(job)
            return Waveform(frames, waveform.sample_rate)

    db = MashupDB((made_song("a", folder=tmp_path),))
    with pytest.raises(UnusableInput, match="silent"):
        render_example(original(db, "a"), db, Silencer())
