from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import SomeItemsFailed, UnusableInput
from engine.training.deadline import Deadline
from engine.training.requests import TrainRequest
from engine.training.song_masher.data import TripleFiles, find_mashups, mashup_sets


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(2):
        folder = tmp_path / "data" / f"mashup {number}"
        folder.mkdir(parents=True)
        one, two = rng.uniform(-0.3, 0.3, (2, 4000)).astype(np.float32)
        for name, samples in (("first", one), ("second", two), ("mix", one + two)):
            soundfile.write(folder / f"{name}.wav", samples, 8000)
    return tmp_path / "data"


def test_mashups_are_read_when_asked_for(data: Path) -> None:
    (data / "notes").mkdir()
    (data / "notes" / "first.wav").write_bytes(b"no mashup without the others")
    folders = find_mashups([data])
    assert [folder.name for folder in folders] == ["mashup 0", "mashup 1"]
    triples = TripleFiles(folders)
    assert len(triples) == 2
    assert triples[1].mix.frames == 8000
    assert triples[1] is triples[1]
    assert len(triples[:1]) == 1
    total = triples[0].first.samples + triples[0].second.samples
    np.testing.assert_allclose(triples[0].mix.samples, total, atol=1e-3)


def test_what_was_generated_is_never_a_given_mashup(data: Path) -> None:
    (data / "mashup 1").rename(data / ".part of one")
    made = data / ".m-mashups"
    made.mkdir()
    (data / "mashup 0").rename(made / "0")
    assert find_mashups([data]) == []
    assert find_mashups([made]) == [made / "0"]  # unless they are named
    with pytest.raises(UnusableInput):  # nor are they songs to make mashups of
        mashup_sets(TrainRequest("song-masher", (data,), data / "m.safetensors"), silent)


def test_mashups_that_cannot_be_heard_are_passed_over(data: Path, tmp_path: Path) -> None:
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors")
    assert len(mashup_sets(request, silent).train) == 2
    soundfile.write(data / "mashup 0" / "mix.wav", np.zeros(300, np.float32), 8000)
    sets = mashup_sets(request, silent)
    assert len(sets.train) == 1
    assert "mix.wav is shorter than" in sets.notes[0]
    (data / "mashup 1" / "first.wav").write_bytes(b"RIFF")
    with pytest.raises(UnusableInput):
        mashup_sets(request, silent)


def test_damage_far_into_a_file_is_found_before_the_training(data: Path, tmp_path: Path) -> None:
    """All is heard that will be learned from; the other mashup still is."""
    samples = soundfile.read(data / "mashup 1" / "mix.wav", dtype="float32")[0]
    samples[-100] = np.nan
    soundfile.write(data / "mashup 1" / "mix.wav", samples, 8000, subtype="FLOAT")
    told: list[str] = []
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors")
    sets = mashup_sets(request, told.append)
    assert len(sets.train) == 1
    assert "mix.wav holds samples that are not numbers" in sets.notes[0]
    assert told == ["reading mashup 1 of 2", "reading mashup 2 of 2"]


def test_minutes_are_those_of_reading_mashups_too(data: Path, tmp_path: Path) -> None:
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors")
    with pytest.raises(SomeItemsFailed, match="reading mashup 1") as caught:
        mashup_sets(request, silent, deadline=Deadline(1e-9))
    assert caught.value.code == "out_of_time"


def test_a_mix_of_another_length_is_named(data: Path, tmp_path: Path) -> None:
    """With the published defects it is replaced by noise."""
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors")
    assert not any("noise" in note for note in mashup_sets(request, silent).notes)
    mix = data / "mashup 1" / "mix.wav"
    samples, rate = soundfile.read(mix, dtype="float32")
    soundfile.write(mix, samples[: samples.size // 2], rate)
    sets = mashup_sets(request, silent)
    assert len(sets.train) == 2
    assert any("1 of the mashups" in n and "mashup 1" in n and "--mended" in n for n in sets.notes)


def silent(_text: str) -> None:
    """Nobody listens."""


def test_neither_mashups_nor_songs_is_said(tmp_path: Path) -> None:
    assert find_mashups([tmp_path]) == []
    request = TrainRequest("song-masher", (tmp_path,), tmp_path / "m.safetensors")
    with pytest.raises(UnusableInput, match="no "):
        mashup_sets(request, lambda _text: None)
    with pytest.raises(UnusableInput, match="no folder"):
        find_mashups([tmp_path / "nowhere"])
