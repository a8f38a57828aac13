"""MIDI songs as ``--data`` of train and evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.training.midi_audio.listing import read_listing
from engine.training.midi_audio.synth import find_soundfonts
from engine.training.requests import Tell, TrainReport, TrainRequest
from tests.dawlink.cli.running import Command, refused
from tests.engine.training.midi_audio.midi import needs_fluidsynth, write_corpus


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two compositions to train on, one to validate with, two to test with, one of them twice."""
    rows = [
        ("a.mid", "one", "train"),
        ("b.mid", "two", "train"),
        ("c.mid", "three", "val"),
        ("d.mid", "four", "test"),
        ("e.mid", "four", "test"),
        ("f.mid", "five", "test"),
    ]
    write_corpus(tmp_path / "corpus", rows)
    smallest = min(find_soundfonts(), key=lambda font: font.stat().st_size)
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / smallest.name).symlink_to(smallest)
    monkeypatch.setenv("DAWLINK_SOUNDFONTS", str(tmp_path / "fonts"))
    monkeypatch.setenv("DAWLINK_JOBS", "1")
    return tmp_path / "corpus"


@needs_fluidsynth
def test_a_trainer_gets_a_library_of_train_and_val_songs(
    dawlink: Command, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainRequest] = []

    def run(request: TrainRequest, _tell: Tell) -> TrainReport:
        asked.append(request)
        return TrainReport(request.out, True, 1)

    cache = tmp_path / "cache"
    monkeypatch.setattr("engine.training.mix_run.run", run)
    monkeypatch.setattr("engine.training.fit_run.run", run)
    monkeypatch.setattr("engine.training.midi_audio.training._user_cache", lambda: cache)
    out = ("--out", tmp_path / "x.safetensors")
    ran = dawlink("train", "premixnet", "--data", corpus, "--limit-songs", 1, *out)
    assert ran.code == 0, ran.err
    (library,) = asked[0].data
    assert library.parent == cache
    assert sorted(song.split for song in read_listing(library)) == ["train", "val"]
    assert dawlink("train", "fit", "--data", corpus, *out).code == 0
    assert asked[1].data == (corpus,)
    refused(
        dawlink("train", "premixnet", "--data", corpus, "--limit-songs", 0, "--json"), 2, "usage"
    )


@needs_fluidsynth
def test_the_test_split_is_compared_one_variant_of_each_composition(
    dawlink: Command, corpus: Path, tmp_path: Path
) -> None:
    arguments = ("--data", corpus, "--models", "random,chroma", "--cache", tmp_path / "kept")
    ran = dawlink("evaluate", *arguments, "--json")
    assert ran.code == 0, ran.err
    listed = read_listing(dawlink.library)
    assert sorted(song.group for song in listed) == ["five", "four"]
    assert ran.document["items"] == 2 * 4
    ran = dawlink("evaluate", "--models", "random", "--split", "val", "--json")
    assert ran.code == 6, ran.out
