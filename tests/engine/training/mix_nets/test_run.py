from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import engine.training.mix_nets.run as mix_run
from engine.checkpoints import load_checkpoint
from engine.errors import SomeItemsFailed, UnusableInput, UsageError
from engine.ingest.corrections import correct_song
from engine.library.library import Library
from engine.library.rows import Correction, NewSong
from engine.mashup.database import MashupDB
from engine.mashup.generation import generate
from engine.models.mix_nets.network import NetKind, NetSettings
from engine.theory import Role
from engine.training.material import SplitSongs, open_material, split_songs
from engine.training.midi_audio.index import corpus_notes
from engine.training.mix_nets.crops import make_crops
from engine.training.requests import TrainRequest, pick_device
from tests.engine.library.songs import song
from tests.engine.mashup.songs import made_db
from tests.engine.training.heard import list_songs, outdate, write_splits
from tests.engine.training.scores import made_up_song, write_corpus, write_named

ALL: tuple[Role, ...] = ("drums", "harmonic", "vocals")


def in_three(new: NewSong) -> NewSong:
    """The same, counted in three."""
    grid = replace(new.analysis.grid, beats_per_bar=3)
    return replace(new, analysis=replace(new.analysis, grid=grid))


def silent(_text: str) -> None:
    """Nobody listens."""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Five songs of two bars with a voice, and one without anything to sing over."""
    folder = tmp_path / "library"
    with Library.open(folder) as opened:
        for seed in range(5):
            opened.add_song(song(seed, roles=ALL, frames=8000 * 5))
        opened.add_song(song(9, roles=("vocals",)))
    return folder


@pytest.fixture
def request_(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainRequest:
    monkeypatch.setattr(mix_run, "BARS", 1)
    monkeypatch.setattr(mix_run, "CROP_BARS", 1)
    monkeypatch.setattr(mix_run, "EACH_PER_SONG", 1)
    monkeypatch.setattr(mix_run, "CPU_WIDTH", 1 / 32)
    monkeypatch.setattr(mix_run, "CPU_BOTTLENECK", 2)
    out = tmp_path / "out" / "pre.safetensors"
    return TrainRequest("premixnet", (library,), out, epochs=1, device="cpu")


def test_notes_are_learned_from_without_an_index_and_without_what_is_held_out(
    library: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "midi"
    write_corpus(corpus, [made_up_song(seed) for seed in range(6)], val=0)
    (corpus / "index.csv").unlink()
    write_named(corpus)
    request = TrainRequest(
        "premixnet", (library,), tmp_path / "pre.safetensors", device="cpu", notes=(corpus,)
    )
    db = open_material([library], tmp_path / "work", tell=silent).db
    held_out = replace(db.songs[0], group="4")
    parts = SplitSongs(MashupDB(db.songs[1:]), MashupDB((held_out,)), ())
    (recorded, drawn), _ = mix_run._material(request, parts, silent)
    assert len(recorded.songs) == 4
    training = {song.group for song in corpus_notes(corpus).songs if song.split == "train"}
    assert "4" in training
    assert {song.group for song in drawn.songs} == training - {"4"}


def test_notes_of_what_a_library_lists_for_tests_are_not_learned_from(
    library: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "midi"
    write_corpus(corpus, [made_up_song(seed) for seed in range(5)], val=0)
    with Library.open(library) as opened:
        rows = sorted(opened.songs(), key=lambda row: row.title)
    said = [("a", "train"), ("b", "train"), ("g3", "test"), ("g4", "val"), ("c", "train")]
    said.append(("g1", "test"))  # the one without anything to sing over
    write_splits(library, rows, said)
    request = TrainRequest(
        "premixnet", (library,), tmp_path / "pre.safetensors", device="cpu", notes=(corpus,)
    )
    db = open_material([library], tmp_path / "work", tell=silent).db

    def learned() -> set[str]:
        parts = split_songs(db, [library], share=0.2, seed=0)
        (_, drawn), _ = mix_run._material(request, parts, silent)
        return {song.group for song in drawn.songs}

    assert learned() == {"g0", "g2"}
    write_splits(library, rows, [*said[:-1], ("g1", "val")])
    assert learned() == {"g0", "g2"}
    outdate(library, rows[2].id)  # its file was edited
    assert learned() == {"g0", "g2", "g3"}


def test_from_a_library_to_a_checkpoint(request_: TrainRequest) -> None:
    told: list[str] = []
    report = mix_run.run(request_, told.append)
    info = load_checkpoint(report.checkpoint, "premixnet").info
    assert report.finished
    assert report.steps == 1
    assert info.settings["lsro"] is False
    assert info.metrics == report.metrics
    assert report.metrics["held_out_examples"] >= 1
    assert (info.settings["net_joint_width"], info.settings["net_bottleneck"]) == (0.5, 2)
    assert any(text.startswith("reading held-out example 1 of") for text in told)
    assert any(text.startswith("training: step 1 of 1, loss") for text in told)
    # one song is held out, so nothing can be laid under it
    assert any("held-out" in note and "matched: no other song" in note for note in report.notes)
    assert "1 song left out: neither harmony nor drums" in report.notes
    again = mix_run.run(replace(request_, resume=True), silent)
    assert again.notes == (*report.notes, "The run was already finished; nothing was done.")


def test_songs_that_teach_nothing_are_told_of(library: Path, request_: TrainRequest) -> None:
    with Library.open(library) as opened:
        waltzes = [in_three(song(seed, roles=ALL, frames=8000 * 5)) for seed in (10, 11)]
        added = [opened.add_song(waltz).id for waltz in waltzes]
        added.append(opened.add_song(song(12, roles=("drums", "harmonic"))).id)
        rows = opened.songs()
    list_songs(library, {row.id: "train" for row in rows} | {rows[0].id: "val"})
    assert rows[0].id not in added
    notes = mix_run.run(request_, silent).notes
    assert "2 songs left out of training: 3 beats to the bar, not 4" in notes
    assert "1 song left out of training: no 1 bars of vocals" in notes


def test_music_in_another_metre_is_too_little_and_said_so(
    request_: TrainRequest, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "waltzes") as opened:
        for seed in range(4):
            opened.add_song(in_three(song(seed, roles=ALL, frames=8000 * 5)))
    with pytest.raises(UnusableInput, match="3 songs left out of training: 3 beats") as caught:
        mix_run.run(replace(request_, data=(tmp_path / "waltzes",)), silent)
    assert caught.value.code == "no_examples"
    assert caught.value.hint is not None
    assert "4/4" in caught.value.hint


@pytest.mark.parametrize("has_melody", [True, False])
def test_notes_of_a_tiny_corpus_stop_nothing(
    request_: TrainRequest, tmp_path: Path, has_melody: bool
) -> None:
    corpus = tmp_path / "midi"
    write_corpus(corpus, [made_up_song(0)], val=0)
    index = corpus / "index.csv"
    if not has_melody:
        index.write_text(index.read_text().replace("0:1:0:M", ""))
    report = mix_run.run(replace(request_, notes=(corpus,)), silent)
    assert report.finished
    assert has_melody != any("names no usable song" in note for note in report.notes)
    assert (
        f"no notes of MIDI songs are learned from: {int(has_melody)} of their compositions can be "
        "used, and 2 or more are needed"
    ) in report.notes


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("train", Correction("downbeat", 0.25)),
        ("train", Correction("key", "F# major")),
        ("val", Correction("key", "F# major")),
    ],
)
def test_a_run_is_not_gone_on_with_after_a_song_was_corrected(
    library: Path, request_: TrainRequest, part: str, said: Correction
) -> None:
    ids = sorted(open_material([library], library / "work", tell=silent).db.by_id)
    list_songs(library, {name: "val" if name == ids[0] else "train" for name in ids})
    began = False
    ticks = count(0.0, 30.0)

    def tell(text: str) -> None:
        nonlocal began
        began = began or text.startswith("training: ")

    stopping = replace(request_, epochs=6, minutes=0.5)
    stopped = mix_run.run(stopping, tell, clock=lambda: next(ticks) if began else 0.0)
    assert not stopped.finished
    with Library.open(library) as opened:
        correct_song(opened, ids[0] if part == "val" else ids[-1], [said])
    with pytest.raises(UsageError, match="changed: the data") as caught:
        mix_run.run(replace(request_, epochs=6, resume=True), silent)
    assert caught.value.code == "resume_mismatch"


def made(request: TrainRequest) -> dict[str, int]:
    """The examples on disk and when each was written."""
    folder = request.out.with_name("mix-crops")
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}


def test_a_second_run_makes_nothing_and_gives_the_same(request_: TrainRequest) -> None:
    first = mix_run.run(request_, silent)
    examples = made(request_)
    second = mix_run.run(replace(request_, out=request_.out.with_name("b.safetensors")), silent)
    assert made(request_) == examples
    assert second.metrics == first.metrics
    with_unlabeled = mix_run.run(replace(request_, lsro=True), silent)
    assert made(request_) == examples
    assert with_unlabeled.metrics != first.metrics


def test_time_may_end_while_reading_and_the_next_run_goes_on(
    request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mix_run, "EACH_PER_SONG", 3)
    ticks = count(0.0, 10.0)
    with pytest.raises(SomeItemsFailed, match="were read") as caught:
        mix_run.run(replace(request_, minutes=0.5), silent, clock=lambda: next(ticks))
    assert caught.value.code == "out_of_time"
    assert not request_.out.exists()
    some = made(request_)
    assert some
    assert mix_run.run(request_, silent).finished
    assert some.items() < made(request_).items()


def test_a_listed_corpus_is_split_as_its_list_says(
    library: Path, request_: TrainRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted(open_material([library], library / "work", tell=silent).db.by_id)
    splits = dict(zip(ids, ("train", "train", "val", "test", "train"), strict=True))
    list_songs(library, splits)
    seen: list[SplitSongs] = []
    real = mix_run.split_songs

    def spy(*args, **more) -> SplitSongs:
        seen.append(real(*args, **more))
        return seen[-1]

    monkeypatch.setattr(mix_run, "split_songs", spy)
    report = mix_run.run(request_, silent)
    (parts,) = seen
    used = [sorted(song.id for song in part.songs) for part in (parts.train, parts.held_out)]
    assert used == [[i for i in ids if splits[i] == name] for name in ("train", "val")]
    assert "1 song is listed for tests and left out" in report.notes


def test_too_little_music(request_: TrainRequest, tmp_path: Path) -> None:
    with Library.open(tmp_path / "small") as opened:
        opened.add_song(song(1, roles=("drums", "bass")))
    small = replace(request_, data=(tmp_path / "small",))
    with pytest.raises(UnusableInput, match="too few"):
        mix_run.run(small, silent)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableInput):
        mix_run.run(replace(request_, data=(tmp_path / "empty",)), silent)


def test_a_library_counts_once_and_says_who_is_left_out(library: Path, tmp_path: Path) -> None:
    material = open_material([library, library], tmp_path / "work", tell=silent)
    assert len(material.db.songs) == 5
    assert not (tmp_path / "work").exists()
    with Library.open(library) as opened:
        left_out = MashupDB.of_library(opened).left_out
        groups = {row.id: "one" for row in opened.songs()}
        assert {s.group for s in MashupDB.of_library(opened, groups=groups).songs} == {"one"}
    assert list(left_out.values()) == ["neither harmony nor drums"]


def test_what_cannot_be_read_is_left_out_and_jobs_change_nothing(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    examples = generate(db, {"original": 3}, seed=0, bars=1).examples
    broken = db.by_id[examples[1].stems[2].song_id].stems["drums"].path
    broken.write_bytes(b"no audio")
    good = sum(db.by_id[e.stems[0].song_id].stems["drums"].path != broken for e in examples)
    one, two = (make_crops(db, examples, tmp_path / f"{jobs}", jobs=jobs) for jobs in (1, 2))
    assert (len(one), one.unusable, one.complete) == (good, 3 - good, True)
    assert one.data_sha == two.data_sha == db.data_sha
    for first, second in zip(one.paths, two.paths, strict=True):
        np.testing.assert_array_equal(np.load(first), np.load(second))
        assert np.load(first).dtype == np.uint8


def test_damaged_examples_are_made_again(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    examples = generate(db, {"original": 3}, seed=0, bars=1).examples
    made = make_crops(db, examples, tmp_path / "crops")
    before = [path.read_bytes() for path in made.paths]
    np.save(tmp_path / "other.npy", made.planes(0))
    for damaged in (b"", before[0][:-1], b"PK\3\4", (tmp_path / "other.npy").read_bytes()):
        made.paths[1].write_bytes(damaged)
        again = make_crops(db, examples, tmp_path / "crops")
        assert again.paths == made.paths
        assert [path.read_bytes() for path in again.paths] == before
    made.paths[1].write_bytes(b"")
    assert not make_crops(db, examples, tmp_path / "crops", stop=lambda: True).complete


@pytest.mark.parametrize(
    "values",
    [
        {"data": ()},
        {"epochs": 0},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_requests_that_cannot_be_meant(values: dict[str, object], tmp_path: Path) -> None:
    good = TrainRequest("premixnet", (tmp_path,), tmp_path / "a.safetensors")
    with pytest.raises(UsageError):
        replace(good, **values)  # type: ignore[arg-type]


def test_the_cpu_is_always_there() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("model", ["premixnet", "postmixnet"])
def test_off_the_cpu_the_published_network_learns_at_the_published_rate(
    model: NetKind, tmp_path: Path
) -> None:
    request = TrainRequest(model, (tmp_path,), tmp_path / "a.safetensors", lsro=True)
    settings = mix_run.settings_for(request, "cuda")
    assert settings.net == NetSettings(model)
    assert (settings.learning_rate, settings.epochs, settings.decaying) == (1e-4, 30, False)
    assert settings.lsro
    assert mix_run.settings_for(replace(request, epochs=3), "cuda").epochs == 3
    assert mix_run.settings_for(request, "cpu").net == mix_run.small_net(model)
