from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio.loudness import integrated_lufs
from engine.audio.stretch import default_stretcher
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.mashup.database import MashupDB
from engine.training.song_masher.data import TripleFiles
from engine.training.song_masher.triples import (
    BARS,
    SAMPLE_RATE,
    make_triples,
    planned_triples,
    render_parts,
)
from tests.engine.mashup.songs import made_db, made_song


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> MashupDB:
    return made_db(tmp_path_factory.mktemp("songs"))


def read(path: Path) -> Waveform:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return Waveform(np.ascontiguousarray(samples.T), rate)


def test_plans_are_mashups_of_two_compositions(db: MashupDB) -> None:
    plans = planned_triples(db, 12, seed=3)
    assert len(plans) == 12
    assert plans == planned_triples(db, 12, seed=3)
    assert plans != planned_triples(db, 12, seed=4)
    for plan in plans:
        sung, played = plan.stems[:2]
        assert plan.condition == "matched"
        assert sung.song_id != played.song_id
        assert abs(played.semitones) <= 3
        assert plan.bars == BARS


def test_parts_lie_on_one_grid_and_the_bed_is_as_loud_as_the_voice(db: MashupDB) -> None:
    (plan,) = planned_triples(db, 1, seed=0)
    parts = render_parts(plan, db, default_stretcher())
    tempo_bpm = db.by_id[plan.stems[0].song_id].tempo_bpm
    frames = round(BARS * 4 * 60 / tempo_bpm * SAMPLE_RATE)
    everything = (parts.voice, parts.own_bed, parts.other_voice, parts.bed)
    assert {part.samples.shape for part in everything} == {(1, frames)}
    assert integrated_lufs(parts.bed) == pytest.approx(integrated_lufs(parts.voice), abs=0.1)
    triple = parts.triple
    gain = np.abs(triple.mix.samples).max() / np.abs(parts.voice.samples + parts.bed.samples).max()
    for got, sources in (
        (triple.first, (parts.voice, parts.own_bed)),
        (triple.second, (parts.other_voice, parts.bed)),
        (triple.mix, (parts.voice, parts.bed)),
    ):
        total = sum(part.samples for part in sources)
        np.testing.assert_allclose(got.samples, gain * total, atol=1e-5)
    assert max(np.abs(part.samples).max() for part in (triple.first, triple.second)) < 1.0


def test_made_once_found_again_and_stoppable(db: MashupDB, tmp_path: Path) -> None:
    plans = planned_triples(db, 2, seed=0)
    stretcher = default_stretcher()
    assert make_triples(db, plans, tmp_path, stretcher=stretcher, stop=lambda: True) is None
    assert not list(tmp_path.iterdir())
    told: list[int] = []
    made = make_triples(db, plans, tmp_path, stretcher=stretcher, made_one=lambda: told.append(1))
    assert made is not None
    assert len(made) == len(told) == 2
    assert sorted(tmp_path.iterdir()) == sorted(made)
    before = {path: path.read_bytes() for folder in made for path in folder.iterdir()}
    assert {path.name for path in before} == {"first.flac", "second.flac", "mix.flac"}
    again = make_triples(db, plans, tmp_path, stretcher=stretcher, stop=lambda: True)
    assert again == made
    assert {path: path.read_bytes() for path in before} == before
    in_three = MashupDB(
        tuple(replace(song, grid=replace(song.grid, beats_per_bar=3)) for song in db.songs)
    )
    assert make_triples(in_three, plans, tmp_path, stretcher=stretcher, stop=lambda: True) is None
    triple = TripleFiles(made)[0]
    assert triple.first.frames == triple.second.frames == triple.mix.frames


def test_a_song_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    songs = [made_song(name, folder=tmp_path, seed=n) for n, name in enumerate(("one", "two"))]
    for path in tmp_path.glob("two-*.wav"):
        path.unlink()
    broken = MashupDB(tuple(songs))
    plans = planned_triples(broken, 2, seed=0)
    assert len(plans) == 2
    made = make_triples(broken, plans, tmp_path / "made", stretcher=default_stretcher())
    assert made == []


def test_a_bed_too_quiet_to_be_measured_is_passed_over(tmp_path: Path) -> None:
    songs = [made_song(name, folder=tmp_path, seed=n) for n, name in enumerate(("one", "two"))]
    for path in tmp_path.glob("*.wav"):
        samples, rate = soundfile.read(path, dtype="float32")
        quiet = 3e-4 * samples / np.abs(samples).max()  # -70 dBFS at its loudest
        soundfile.write(path, quiet, rate, subtype="FLOAT")
    quiet_db = MashupDB(tuple(songs))
    (plan,) = planned_triples(quiet_db, 1, seed=0)
    with pytest.raises(UnusableInput, match="silent"):
        render_parts(plan, quiet_db, default_stretcher())
    made = make_triples(quiet_db, [plan], tmp_path / "made", stretcher=default_stretcher())
    assert made == []
