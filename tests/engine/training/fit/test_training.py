from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoints import load_checkpoint, save_checkpoint
from engine.errors import MissingDependency, SomeItemsFailed, UnusableInput, UsageError
from engine.models.fit.checkpoint import FitModel, load_fit
from engine.models.fit.curves import ASKED, CURVE_BARS, FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import (
    PITCH_INPUTS,
    dense_weights,
    pitch_tower,
    rhythm_tower,
)
from engine.training.fit import training, windows
from engine.training.fit.calibration import calibrated, drawn_songs, reliability
from engine.training.fit.check import bootstrap, midi_pairs, ranks
from engine.training.fit.data import FitBank, make_bank
from engine.training.fit.loss import similarities
from engine.training.fit.material import FitMaterial, RollWindows, open_fit_material
from engine.training.fit.run import run
from engine.training.fit.steps import Batches, FitSettings, train_towers
from engine.training.fit.teachers import teacher_path
from engine.training.fit.towers import FitTowers
from engine.training.fit.training import recalibrate, train_fit
from engine.training.midi_corpus import MidiSong, load_corpus
from engine.training.requests import TrainRequest
from engine.training.resuming import Job, Outcome, run_job
from tests.engine.training.scores import made_up_song, write_corpus
from tests.engine.training.tiny_fit import FEW, TINY

QUICK = FitSettings(
    sizes=TINY, steps=40, judge_steps=1, schedule=40, batch=16, bank=120, bank_passes=3, threads=1
)


def opened(folder: Path, *data: Path) -> FitMaterial:
    """Material with everything it stores below ``folder``."""
    return open_fit_material(data, folder / "songs", cache_dir=folder / "cache")


@pytest.fixture(scope="module")
def bank() -> FitBank:
    return make_bank([made_up_song(seed) for seed in range(6)], 8, seed=1)


def test_numpy_and_torch_towers_agree(bank: FitBank) -> None:
    towers = FitTowers(TINY, seed=3)
    weights = dense_weights(towers.weights())
    part = bank.stem
    with torch.no_grad():
        tensors = [torch.from_numpy(a) for a in (part.chroma, part.context, part.active)]
        patterns = [torch.from_numpy(a) for a in (part.pattern, part.active)]
        pitch = {name: towers.pitch(name, *tensors).numpy() for name in ("voice", "stem")}
        names = ("stem_rhythm", "drum_rhythm")
        rhythm = {name: towers.rhythm(name, *patterns).numpy() for name in names}
    for number in range(3):
        one = type(part)(
            part.chroma[number], part.context[number], part.pattern[number], part.active[number]
        )
        for name, values in pitch.items():
            np.testing.assert_allclose(pitch_tower(weights, name, one), values[number], atol=1e-4)
        for name, values in rhythm.items():
            np.testing.assert_allclose(rhythm_tower(weights, name, one), values[number], atol=1e-4)


@pytest.mark.parametrize("semitones", [1, 5, 11])
@pytest.mark.parametrize("tower", ["voice", "stem"])
def test_transposing_rolls_the_embedding(bank: FitBank, tower: str, semitones: int) -> None:
    weights = dense_weights(FitTowers(TINY, seed=4).weights())
    part = bank.stem
    one = type(part)(part.chroma[0], part.context[0], part.pattern[0], part.active[0])
    by_class = part.chroma[0].reshape(-1, 12, PITCH_INPUTS)
    rolled = np.roll(by_class, semitones, axis=1).reshape(part.chroma[0].shape)
    moved = type(part)(rolled, one.context, one.pattern, one.active)
    plain = pitch_tower(weights, tower, one)
    np.testing.assert_allclose(
        pitch_tower(weights, tower, moved), np.roll(plain, semitones, axis=1), atol=1e-5
    )
    assert np.abs(plain - np.roll(plain, semitones, axis=1)).max() > 0.01


def test_similarity_of_a_transposed_stem_is_that_of_its_roll() -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn((3, 5, 12, 2), generator=generator)
    stems = torch.nn.functional.normalize(
        torch.randn((4, 5, 24), generator=generator), dim=2
    ).reshape(4, 5, 12, 2)
    found = similarities(query, stems)
    moved = similarities(query, torch.roll(stems, 3, dims=2))
    torch.testing.assert_close(found[:, :, 3], moved[:, :, 0])
    own = similarities(stems, stems)[:, :, 0]
    torch.testing.assert_close(own.diagonal(), torch.ones(4))


def test_no_two_windows_of_a_batch_share_a_composition() -> None:
    songs = [made_up_song(seed, group=f"g{seed // 2}") for seed in range(8)]
    few = FitSettings(sizes=TINY, batch=16, bank=40, bank_passes=1)
    batches = Batches(RollWindows(songs), few)
    drawn = [batches.at(step)[0] for step in range(3)]
    assert all(np.unique(batch.group).size == batch.group.size == 4 for batch in drawn)
    again = Batches(RollWindows(songs), few).at(1)[0]
    np.testing.assert_array_equal(again.stem.chroma, drawn[1].stem.chroma)
    assert not np.array_equal(drawn[0].song, drawn[1].song)


def test_a_little_training_beats_chance_on_songs_never_seen() -> None:
    train = [made_up_song(seed) for seed in range(40)]
    unseen = midi_pairs([made_up_song(1000 + seed) for seed in range(24)], 1, seed=2)
    towers = train_towers(RollWindows(train), settings=QUICK)
    plain = FitModel(dense_weights(towers.weights()), TINY, FitCurves.plain(rules=0.1))
    curves = calibrated(plain, drawn_songs(train[:8], seed=1), seed=1)
    assert set(curves.asked) == set(ASKED)
    assert all(slope > 0 for curve in curves.asked.values() for slope in curve.slopes)
    assert min(curves.asked["harmonic"].places) < 0
    assert all(-0.7 < price <= 0 for curve in curves.asked.values() for price in curve.places)
    assert curves.groove.places == (0.0,) * len(CURVE_BARS)
    ranker = FitRanker(replace(plain, curves=curves))
    found = ranks(ranker, unseen, semitones=range(-6, 6))
    assert bootstrap(found, unseen.groups).high < 0.4


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    songs = [made_up_song(seed) for seed in range(9)]
    write_corpus(tmp_path / "corpus", songs, val=2)
    material = opened(tmp_path, tmp_path / "corpus")

    def trained(name: str, **options: float | bool) -> dict[str, np.ndarray]:
        out = tmp_path / name
        outcome = train_fit(material, out, settings=FEW, **options)
        assert outcome.finished == ("minutes" not in options)
        assert outcome.steps_done == (1 if "minutes" in options else 2 * 3 + 2 + 2)
        return dict(load_fit(out).weights)

    whole = trained("whole.safetensors")
    trained("parts.safetensors", minutes=1e-9)
    parts = trained("parts.safetensors", resume=True)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name])
    other = train_towers(RollWindows(songs), settings=replace(FEW, seed=1)).weights()
    assert not np.array_equal(other["stem_rhythm.out"], whole["stem_rhythm.out"])
    left = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert left == ["parts.safetensors", "whole.safetensors"]


def test_a_run_that_goes_on_makes_a_step_whatever_the_minutes(tmp_path: Path) -> None:
    """Where the first teacher is done and the time is up at once, too."""
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    out = tmp_path / "fit.safetensors"
    few = replace(FEW, steps=1, schedule=1, lessons=1, judge_steps=1)
    runs = []
    for number in range(5):
        if number == 2:
            teacher_path(out, 0).unlink()  # is made again
        runs.append(train_fit(material, out, settings=few, minutes=1e-9, resume=number > 0))
    assert [run.steps_done for run in runs] == [1, 2, 2, 3, 4]
    assert [run.finished for run in runs] == [False, False, False, False, True]


def test_a_run_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    out = tmp_path / "fit.safetensors"
    told: list[str] = []
    first = train_fit(material, out, settings=FEW, report=told.append)
    for steps in ("teacher 2 of 2: step 1 of 3, loss", "step 1 of 4, loss", "step 4 of 4, loss"):
        assert any(text.startswith(steps) for text in told)  # however short it is
    before = out.read_bytes()
    again = train_fit(material, out, settings=FEW, resume=True, minutes=1e-9)
    assert again.finished
    assert not first.notes
    assert any("already finished" in note for note in again.notes)
    assert (again.steps_done, dict(again.metrics)) == (first.steps_done, dict(first.metrics))
    assert list(tmp_path.glob("*.safetensors")) == [out]
    with pytest.raises(UsageError, match="seed") as caught:
        train_fit(material, out, settings=replace(FEW, seed=3), resume=True)
    assert caught.value.code == "resume_mismatch"
    assert out.read_bytes() == before


def test_a_run_that_begins_anew_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    """Or what it keeps could not be gone on from."""
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    out = tmp_path / "fit.safetensors"
    other = replace(FEW, steps=4, schedule=4)
    run_job = training.run_job

    def interrupted(job: Job, path: Path, **options: Any) -> Outcome:
        if ".teacher-1" in path.name:
            raise KeyboardInterrupt
        return run_job(job, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run_job", interrupted)
        for settings in (FEW, other):
            with pytest.raises(KeyboardInterrupt):
                train_fit(material, out, settings=settings)
    done = train_fit(material, out, settings=other, resume=True)
    assert done.finished
    straight = tmp_path / "straight.safetensors"
    train_fit(material, straight, settings=other)
    for name, values in load_fit(straight).weights.items():
        np.testing.assert_array_equal(values, load_fit(out).weights[name])


def test_the_state_of_another_seed_is_not_gone_on_from_and_does_not_stay(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    out = tmp_path / "fit.safetensors"
    teacher_path(out, 7).touch()
    with pytest.raises(UsageError, match="another seed") as caught:
        train_fit(material, out, settings=FEW, resume=True)
    assert caught.value.code == "resume_mismatch"
    train_fit(material, out, settings=replace(FEW, teachers=0))
    assert list(tmp_path.glob("*.safetensors")) == [out]


def test_a_run_whose_state_is_gone_is_not_gone_on_from(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(9)], val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    out = tmp_path / "fit.safetensors"
    stopped = replace(FEW, teachers=0)
    ended = itertools.count()
    with pytest.MonkeyPatch.context() as patch:  # the time is up after two steps
        patch.setattr(
            "engine.training.fit.training.run_job",
            lambda *a, **k: run_job(*a, **{**k, "minutes": 1.0}, clock=lambda: 25.0 * next(ended)),
        )
        assert train_fit(material, out, settings=stopped, minutes=1.0).steps_done == 2
    for path in tmp_path.glob("fit.*.safetensors"):
        path.unlink()
    with pytest.raises(MissingDependency, match="is not there"):
        train_fit(material, out, settings=stopped, resume=True)


def test_reliability_of_honest_and_of_boastful_scores() -> None:
    rng = np.random.default_rng(5)
    odds = rng.normal(0, 2, 40000).astype(np.float32)
    belongs = rng.random(odds.size) < 1 / (1 + np.exp(-odds))
    assert reliability(odds[belongs], odds[~belongs]).error < 0.02
    boastful = reliability(3 * odds[belongs], 3 * odds[~belongs])
    assert boastful.error > 0.1
    assert boastful.weight.sum() == pytest.approx(1)


def test_the_checkpoint_says_what_made_it(tmp_path: Path) -> None:
    songs = [made_up_song(seed) for seed in range(6)]
    write_corpus(tmp_path / "corpus", songs, val=2)
    out = tmp_path / "fit.safetensors"
    request = TrainRequest(model="fit", data=(tmp_path / "corpus",), out=out, minutes=1.0)
    now_s = 0.0

    def told(text: str) -> None:
        nonlocal now_s
        now_s += 60.0 * text.startswith("training")  # then the time is up

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        report = run(request, told, clock=lambda: now_s)
        with pytest.raises(SomeItemsFailed, match="reading the notes of corpus") as caught:
            run(replace(request, minutes=1e-9), told)
    assert caught.value.code == "out_of_time"
    info = load_checkpoint(out, "fit").info
    assert report.steps == 1
    assert not report.finished
    assert info.data_sha == load_corpus(tmp_path / "corpus", cache_dir=tmp_path).data_hash
    assert info.settings["batch"] == FitSettings().batch
    assert 0 <= info.metrics["val.rank.any_key"] <= 1
    assert info.settings["rules.weight"] == FitSettings().rules


def test_requests_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="not on cuda"):
        run(TrainRequest("fit", (Path("a"),), Path("x.safetensors"), device="cuda"), lambda _: None)


@pytest.mark.parametrize("vals", [0, 4])
def test_a_corpus_without_a_split_is_refused(tmp_path: Path, vals: int) -> None:
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(4)], val=vals)
    with pytest.raises(UnusableInput, match="songs to train on"):
        opened(tmp_path, tmp_path / "corpus")


def test_another_band_plays_under_the_same_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    for share in ("_VAMP", "_DRONE", "_NO_BASS", "_BASS_ONLY", "_DOUBLED", "_THINNED", "_PARTS"):
        monkeypatch.setattr(windows, share, 0.0)
    monkeypatch.setattr(windows, "_OTHER_BAND", 1.0)
    song = made_up_song(3)
    moved = {role: notes.copy() for role, notes in song.notes.items()}
    for role in ("bass", "other"):
        moved[role]["pitch"] += 6
    band = replace(song, file="other.mid", notes=moved)

    def bed(number: int, other: MidiSong | None) -> np.ndarray:
        found = windows.draw_window(song, np.random.default_rng(number), band=other)
        assert found is not None
        return found[1]["chroma"].astype(np.float64).ravel()

    own, turned = bed(1, None), np.roll(bed(1, band).reshape(-1, 12), -6, axis=1).ravel()
    assert own @ turned / np.linalg.norm(own) / np.linalg.norm(turned) > 0.7
    assert own @ turned > own @ bed(1, band)


def test_curves_are_fitted_anew_and_the_networks_stay(tmp_path: Path) -> None:
    songs = [made_up_song(seed) for seed in range(9)]
    write_corpus(tmp_path / "corpus", songs, val=2)
    material = opened(tmp_path, tmp_path / "corpus")
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    train_fit(material, old, settings=replace(FEW, teachers=0, seed=2**63 - 1))
    metrics = recalibrate(old, material, new)
    before, after = (load_checkpoint(path, kind="fit") for path in (old, new))
    assert after.tensors.keys() == before.tensors.keys()
    assert all(torch.equal(after.tensors[name], before.tensors[name]) for name in before.tensors)
    assert after.info.settings == before.info.settings
    assert after.info.data_sha == before.info.data_sha
    assert metrics == after.info.metrics == before.info.metrics
    assert load_fit(new).curves == load_fit(old).curves
    broken = {k: v for k, v in before.info.settings.items() if k != "lessons"}
    save_checkpoint(old, before.tensors, info=replace(before.info, settings=broken))
    with pytest.raises(MissingDependency, match="is not told"):
        recalibrate(old, material, new)
