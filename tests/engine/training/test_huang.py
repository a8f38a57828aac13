from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import MissingDependency, UsageError
from engine.mashup.generation import CONDITIONS, Condition, Label
from engine.models.beat_mel import FLOOR_DB, FRAMES_PER_BEAT, from_half_decibels, half_decibels
from engine.models.huang import MixNet, NetKind, NetSettings
from engine.models.mel import MEL
from engine.training.checkpoints import load_checkpoint
from engine.training.huang import MixTraining, load_mix_net, measure_mix, train_mix
from engine.training.mix_crops import CropSet, varied

CONDITION: dict[Label, Condition] = {
    "good": "original",
    "unknown": "matched",
    "bad": "unmatched-key",
}
CROP_BEATS = 2
FRAMES = CROP_BEATS * FRAMES_PER_BEAT
BAR = 4 * FRAMES_PER_BEAT


def tiny(kind: NetKind = "premixnet", **options: object) -> MixTraining:
    values = {"epochs": 3, "batch": 4, "crop_beats": CROP_BEATS}
    net = NetSettings(kind, width=1 / 16, bottleneck=2)
    return MixTraining(net, **{**values, **options})  # type: ignore[arg-type]


def crops(folder: Path, labels: list[Label], *, seed: int = 0, frames: int = FRAMES) -> CropSet:
    """Good examples have the same pattern in all planes, others have one of their own in each."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for number, label in enumerate(labels):
        own = rng.normal(-40.0, 12.0, (3, frames, MEL.mels))
        planes = np.repeat(own[:1], 3, axis=0) if label == "good" else own
        if label == "bad":
            planes[:, :, 64:] -= 30.0
        paths.append(folder / f"{seed}-{number}.npy")
        np.save(paths[-1], half_decibels(planes.astype(np.float32)))
    return CropSet(tuple(paths), tuple(labels), tuple(CONDITION[label] for label in labels))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path, "premixnet").tensors)


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_eight_examples_are_learnt_by_heart(tmp_path: Path, kind: NetKind) -> None:
    made = crops(tmp_path / "crops", ["good", "bad"] * 4)
    settings = tiny(kind, epochs=40, batch=8, learning_rate=5e-3)
    before = train_mix(made, made, tiny(kind, epochs=1, batch=8), out=tmp_path / "b.safetensors")
    after = train_mix(made, made, settings, out=tmp_path / "a.safetensors")
    assert after.finished
    assert after.metrics["accuracy"] == 1.0
    assert after.metrics["train_loss"] < 0.1 < before.metrics["train_loss"]


def test_unlabeled_examples_only_count_with_lsro(tmp_path: Path) -> None:
    labels: list[Label] = ["good", "bad", "unknown"] * 4
    made = crops(tmp_path / "crops", labels)
    plain = train_mix(made, made, tiny(epochs=1), out=tmp_path / "plain.safetensors")
    smooth = train_mix(made, made, tiny(epochs=1, lsro=True), out=tmp_path / "lsro.safetensors")
    assert (plain.steps_done, smooth.steps_done) == (2, 3)
    assert plain.metrics["unlabeled"] == 4
    assert 1 <= plain.metrics["mean_rank"] <= 5


def test_lsro_brings_unlabeled_examples_to_one_half(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["unknown"] * 8)
    settings = tiny(lsro=True, epochs=60, batch=8, learning_rate=5e-3)
    outcome = train_mix(made, made, settings, out=tmp_path / "a.safetensors")
    assert outcome.history[-1, 0] == pytest.approx(np.log(2), abs=5e-3)
    assert outcome.history[0, 0] > outcome.history[-1, 0]


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["good", "bad", "unknown"] * 3)
    settings = tiny(lsro=True)
    train_mix(made, made, settings, out=tmp_path / "whole.safetensors")
    halves = tmp_path / "halves.safetensors"
    ticks = count(0.0, 15.0)  # every look at the clock takes a quarter of a minute
    stopped = train_mix(made, made, settings, out=halves, minutes=1, clock=lambda: next(ticks))
    assert not stopped.finished
    assert 0 < stopped.steps_done < 6
    resumed = train_mix(made, made, settings, out=halves, resume=True)
    assert resumed.finished
    one, other = weights(tmp_path / "whole.safetensors"), weights(halves)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_resuming_with_other_data_or_settings_is_refused(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["good", "bad"] * 3)
    out = tmp_path / "a.safetensors"
    train_mix(made, made, tiny(epochs=1), out=out)
    with pytest.raises(UsageError):
        train_mix(made, made, tiny(epochs=1, seed=1), out=out, resume=True)
    other = crops(tmp_path / "crops", ["good", "bad"] * 3, seed=9)
    with pytest.raises(UsageError):
        train_mix(other, other, tiny(epochs=1), out=out, resume=True)


def test_seeds_differ_and_repeat(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["good", "bad"] * 3)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_mix(made, made, tiny(seed=seed, epochs=1), out=tmp_path / f"{name}.safetensors")
    a, b, c = (weights(tmp_path / f"{name}.safetensors")["model.out.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_checkpoint_scores_as_the_net_that_made_it(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["good", "bad"] * 3)
    out = tmp_path / "a.safetensors"
    outcome = train_mix(made, made, tiny(), out=out)
    net = load_mix_net(out, "premixnet")
    assert isinstance(net, MixNet)
    assert not net.training
    loss = measure_mix(net, made, tiny())["loss"]
    assert loss == pytest.approx(outcome.metrics["loss"], abs=1e-6)
    info = load_checkpoint(out, "premixnet").info
    assert info.settings["mel_sample_rate"] == 32000
    assert info.data_sha == made.data_sha
    with pytest.raises(MissingDependency, match="not a postmixnet"):
        load_mix_net(out, "postmixnet")


def test_too_few_examples(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["unknown", "unknown", "good"])
    with pytest.raises(UsageError, match="too few"):
        train_mix(made, made, tiny(), out=tmp_path / "a.safetensors")
    odd = crops(tmp_path / "crops", ["good", "bad", "good", "bad", "bad"])
    assert train_mix(odd, odd, tiny(epochs=1), out=tmp_path / "a.safetensors").steps_done == 1


def test_crops_are_cut_and_filled_up(tmp_path: Path) -> None:
    made = crops(tmp_path / "crops", ["good", "bad"], frames=FRAMES + 2 * BAR)
    whole = from_half_decibels(np.load(made.paths[0]))
    middle = made.batch([0], FRAMES)[0]
    np.testing.assert_array_equal(middle, whole[:, BAR : BAR + FRAMES])
    long = made.batch([0, 1], FRAMES + 2 * BAR + 4)
    assert long.shape == (2, 3, FRAMES + 2 * BAR + 4, MEL.mels)
    assert (long[0, :, -4:] == FLOOR_DB).all()


def test_variations_repeat_and_keep_what_makes_an_example_bad() -> None:
    rng = np.random.default_rng(0)
    planes = rng.uniform(-60, -20, (3, FRAMES, MEL.mels)).astype(np.float32)
    missing: dict[Condition, set[int]] = {}
    for condition in CONDITIONS:
        for seed in range(80):
            made = varied(planes, condition, rng=np.random.default_rng(seed))
            again = varied(planes, condition, rng=np.random.default_rng(seed))
            np.testing.assert_array_equal(made, again)
            assert made.shape == planes.shape
            silent = np.flatnonzero((made == FLOOR_DB).all(axis=(1, 2)))
            missing.setdefault(condition, set()).update(silent.tolist())
    assert missing["original"] == missing["matched"] == {1, 2}
    assert missing["unmatched-key"] == {2}
    assert missing["unmatched-tempo"] == {1, 2}
