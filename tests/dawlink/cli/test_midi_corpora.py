"""MIDI songs as ``--data`` of train and evaluate."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engine.training import deadline
from engine.training.midi_audio.listing import read_listing
from engine.training.requests import Tell, TrainReport, TrainRequest
from tests.dawlink.cli.running import Command, refused
from tests.engine.training.midi_audio.midi import needs_fluidsynth, quick_rendering, write_corpus


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
    quick_rendering(tmp_path / "fonts", monkeypatch)
    monkeypatch.setenv("DAWLINK_JOBS", "1")
    return tmp_path / "corpus"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainRequest]:
    """What trainers were asked for, who answer at once; songs are rendered below ``cache``."""
    requests: list[TrainRequest] = []

    def run(request: TrainRequest, _tell: Tell) -> TrainReport:
        requests.append(request)
        return TrainReport(request.out, True, 1)

    monkeypatch.setattr("engine.training.mix_nets.run.run", run)
    monkeypatch.setattr("engine.training.fit.run.run", run)
    monkeypatch.setattr(
        "engine.training.midi_audio.training._user_cache", lambda: tmp_path / "cache"
    )
    return requests


@needs_fluidsynth
def test_a_trainer_gets_a_library_of_train_and_val_songs(
    dawlink: Command, corpus: Path, tmp_path: Path, asked: list[TrainRequest]
) -> None:
    out = ("--out", tmp_path / "x.safetensors")
    ran = dawlink("train", "premixnet", "--data", corpus, "--limit-songs", 2, *out)
    assert ran.code == 0, ran.err
    (library,) = asked[0].data
    assert library.parent == tmp_path / "cache"
    assert sorted(song.split for song in read_listing(library)) == ["train", "train", "val"]
    assert dawlink("train", "fit", "--data", corpus, *out).code == 0
    assert asked[1].data == (corpus,)
    for few in (0, 1):
        ran = dawlink("train", "premixnet", "--data", corpus, "--limit-songs", few, "--json")
        refused(ran, 2, "usage", "2 or more")


@needs_fluidsynth
@pytest.mark.usefixtures("asked")
def test_a_corpus_without_songs_to_validate_trains_all_the_same(
    dawlink: Command, corpus: Path, tmp_path: Path
) -> None:
    index = corpus / "index.csv"
    index.write_text(index.read_text(encoding="utf-8").replace(",val,", ",test,"), encoding="utf-8")
    command = ("train", "premixnet", "--data", corpus, "--out", tmp_path / "x.safetensors")
    ran = dawlink(*command, "--json")
    assert ran.code == 0, ran.err
    assert any("no songs to validate on" in note for note in ran.document["notes"])


@needs_fluidsynth
def test_minutes_count_from_the_beginning(
    dawlink: Command,
    corpus: Path,
    tmp_path: Path,
    asked: list[TrainRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rendering is a part of them; what was rendered is found again."""

    def now_s() -> float:
        """Every song takes 50 s."""
        return 50.0 * sum(len(read_listing(library)) for library in (tmp_path / "cache").glob("*"))

    monkeypatch.setattr(deadline, "Deadline", partial(deadline.Deadline, clock=now_s))
    command = ("train", "premixnet", "--data", corpus, "--limit-songs", 2, "--json")
    out = ("--out", tmp_path / "x.safetensors")
    ran = dawlink(*command, *out, "--minutes", 1.5)
    refused(ran, 3, "out_of_time", "rendered 2 of 2", "Run the same command again")
    assert not asked
    ran = dawlink(*command, *out, "--minutes", 1.5)  # one song is left
    assert ran.code == 0, ran.err
    assert asked[0].minutes == pytest.approx(1.5 - 50 / 60)


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
    refused(ran, 2, "bad_split", "Leave --split out")
