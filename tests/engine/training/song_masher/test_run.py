from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.checkpoints import load_checkpoint
from engine.errors import MissingDependency, SomeItemsFailed, UsageError
from engine.library.library import Library
from engine.mashup.database import MashupDB
from engine.mashup.generation import MashupExample
from engine.models.song_masher.checkpoint import load_song_masher
from engine.models.song_masher.mask_checkpoint import load_mask_network
from engine.models.song_masher.mask_network import MaskConfig
from engine.models.song_masher.network import Defects, MasherConfig
from engine.theory import Role
from engine.training.requests import TrainRequest
from engine.training.song_masher.data import mashup_sets
from engine.training.song_masher.mask_training import MaskTraining
from engine.training.song_masher.run import MasherPlan, run
from engine.training.song_masher.training import MasherTraining
from engine.training.song_masher.triples import planned_triples
from tests.engine.library.songs import RATE, analysis, song
from tests.engine.training.heard import list_songs

TINY = MasherPlan(
    magnitude=MasherTraining(MasherConfig(width=4), epochs=2),
    phase=MasherTraining(MasherConfig("phase", width=4), epochs=2),
    mask=MaskTraining(MaskConfig(width=4, dilations=(1,)), steps=2, batch=1, crop_s=0.3),
)

LOADERS: dict[str, Callable[[Path], object]] = {
    "": load_song_masher,
    "-phase": load_song_masher,
    "-mask": load_mask_network,
}


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


def unheard(_text: str) -> None:
    """Nobody listens."""


def test_from_folders_to_three_checkpoints(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors", device="cpu")
    report = run(request, told.append, plan=TINY)
    assert report.finished
    assert report.steps == 6
    assert load_song_masher(tmp_path / "m.safetensors").config.part == "magnitude"
    assert load_song_masher(tmp_path / "m-phase.safetensors").config.part == "phase"
    assert load_mask_network(tmp_path / "m-mask.safetensors").config.width == 4
    assert {"magnitude_test_loss", "phase_test_loss", "mask_train_loss"} <= report.metrics.keys()
    for name in ("magnitude", "phase", "mask"):
        steps = [text for text in told if text.startswith(f"training the {name} network: step")]
        made = [text.split("step ")[1].split(", loss ")[0] for text in steps]
        assert made == ["1 of 2", "2 of 2"]
        assert all(float(text.split("loss ")[1]) > 0.0 for text in steps)
    assert len(told) == 2 + 1 + 3 * (1 + 2)


def test_all_three_go_on_from_the_middle_as_if_they_had_not_stopped(
    data: Path, tmp_path: Path
) -> None:
    def request(name: str) -> TrainRequest:
        return TrainRequest("song-masher", (data,), tmp_path / name, device="cpu", epochs=3)

    straight = run(request("straight.safetensors"), unheard, plan=TINY)
    ticks = itertools.count()
    stopped = dataclasses.replace(request("parts.safetensors"), minutes=0.1)
    report = run(stopped, unheard, plan=TINY, clock=lambda: float(next(ticks)))
    assert (report.finished, report.steps) == (False, 3)  # one of each
    for part, load in LOADERS.items():
        load(tmp_path / f"parts{part}.safetensors")
        with pytest.raises(MissingDependency, match="-run, not a ") as caught:
            load(tmp_path / f"parts{part}.resume.safetensors")
        assert caught.value.code == "checkpoint_kind"
    resumed = run(dataclasses.replace(stopped, minutes=None, resume=True), unheard, plan=TINY)
    assert dict(resumed.metrics) == dict(straight.metrics)
    kinds = {"": "song-masher", "-phase": "song-masher", "-mask": "mash-mask"}
    for part, kind in kinds.items():
        whole, parts = (
            load_checkpoint(tmp_path / f"{name}{part}.safetensors", kind).tensors
            for name in ("straight", "parts")
        )
        assert whole.keys() == parts.keys()
        for name, tensor in whole.items():
            np.testing.assert_array_equal(tensor, parts[name], err_msg=name)
    assert not list(tmp_path.glob("*.resume.safetensors"))
    assert not any("already finished" in note for note in resumed.notes)
    again = run(dataclasses.replace(stopped, resume=True), unheard, plan=TINY)
    assert any("already finished" in note for note in again.notes)


def test_networks_of_another_run_follow_the_first_one(data: Path, tmp_path: Path) -> None:
    """Begun anew with another seed and stopped in its first network, it can be gone on with."""
    out = tmp_path / "m.safetensors"
    old = TrainRequest("song-masher", (data,), out, device="cpu", epochs=1)
    run(old, unheard, plan=TINY)
    new = dataclasses.replace(old, seed=1)

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.training.song_masher.run.train_mash_mask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(new, unheard, plan=TINY)
    report = run(dataclasses.replace(new, resume=True), unheard, plan=TINY)
    assert report.finished
    assert any("mask network is trained anew" in note for note in report.notes)
    for part, kind in (("", "song-masher"), ("-phase", "song-masher"), ("-mask", "mash-mask")):
        info = load_checkpoint(tmp_path / f"m{part}.safetensors", kind).info
        assert info.settings["seed"] == 1
    with pytest.raises(UsageError, match="seed"):
        run(dataclasses.replace(old, resume=True), unheard, plan=TINY)


def test_given_and_generated_mashups_are_learned_from_together(
    data: Path, songs: Path, tmp_path: Path
) -> None:
    request = TrainRequest("song-masher", (songs,), tmp_path / "m.safetensors")
    made = mashup_sets(request, unheard)
    both = mashup_sets(dataclasses.replace(request, data=(data, songs)), unheard)
    given = mashup_sets(dataclasses.replace(request, data=(data,)), unheard)
    assert len(given.train) == 2
    assert len(both.train) == len(made.train) + 2
    assert len({sets.data_sha for sets in (made, both, given)}) == 3


def test_mended_is_without_any_defect(data: Path, tmp_path: Path) -> None:
    request = TrainRequest("song-masher", (data,), tmp_path / "m.safetensors", device="cpu")
    run(dataclasses.replace(request, mended=True), unheard, plan=TINY)
    for name in ("m", "m-phase"):
        network = load_song_masher(tmp_path / f"{name}.safetensors")
        assert network.config.defects == Defects.none()
    run(request, unheard, plan=TINY)
    assert load_song_masher(tmp_path / "m.safetensors").config.defects == Defects()


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of five songs of noise, six bars each."""
    folder = tmp_path_factory.mktemp("songs") / "library"
    roles: tuple[Role, ...] = ("vocals", "harmonic", "drums")
    with Library.open(folder, create=True) as library:
        for number in range(5):
            made = song(number, roles=roles, frames=12 * RATE)
            library.add_song(
                dataclasses.replace(made, analysis=analysis(number, roles=roles, bars=6))
            )
    return folder


def test_mashups_are_generated_of_songs(songs: Path, tmp_path: Path) -> None:
    told: list[str] = []
    request = TrainRequest(
        "song-masher", (songs,), tmp_path / "m.safetensors", device="cpu", epochs=1
    )
    report = run(request, told.append, plan=TINY)
    assert report.finished
    assert report.metrics["mask_train_loss"] > 0.0
    made = sorted(path.name for path in (tmp_path / ".m-mashups").iterdir())
    assert len(made) >= 3
    assert any(text.startswith("made 1 of") for text in told)
    again = run(dataclasses.replace(request, resume=True), unheard, plan=TINY)
    assert again.finished
    assert sorted(path.name for path in (tmp_path / ".m-mashups").iterdir()) == made


def test_mashups_are_generated_of_songs_as_their_list_says(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    shutil.copytree(songs, library)
    with Library.open(library, create=False) as opened:
        names = sorted(row.id for row in opened.songs())
    splits = dict(zip(names, ("train", "val", "test", "train", "train"), strict=True))
    list_songs(library, splits)
    seen: list[list[str]] = []

    def planned(db: MashupDB, count: int, *, seed: int) -> tuple[MashupExample, ...]:
        seen.append(sorted(db.by_id))
        return planned_triples(db, count, seed=seed)

    monkeypatch.setattr("engine.training.song_masher.data.planned_triples", planned)
    request = TrainRequest("song-masher", (library,), tmp_path / "m.safetensors")
    sets = mashup_sets(request, unheard)
    assert seen == [[n for n in names if splits[n] == part] for part in ("train", "val")]
    assert "1 song is listed for tests and left out" in sets.notes


def test_no_time_to_generate_is_said(songs: Path, tmp_path: Path) -> None:
    request = TrainRequest(
        "song-masher", (songs,), tmp_path / "m.safetensors", device="cpu", minutes=1e-9
    )
    with pytest.raises(SomeItemsFailed, match="0 of"):
        run(request, unheard, plan=TINY)
    assert not (tmp_path / "m.safetensors").exists()
