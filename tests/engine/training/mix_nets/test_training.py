from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import CheckpointInfo, Plain, load_checkpoint, save_checkpoint
from engine.errors import MissingDependency, UnusableInput, UsageError
from engine.mashup.generation import Condition, Label
from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT, half_decibels
from engine.models.mix_nets.checkpoint import load_mix_net
from engine.models.mix_nets.mel import MEL
from engine.models.mix_nets.network import MixNet, NetKind, NetSettings
from engine.training.mix_nets.crops import CropSet
from engine.training.mix_nets.training import MixTraining, measure_mix, mix_scores, train_mix
from engine.training.run_files import resume_path
from engine.training.watching import Progress
from tests.engine.training.mix_nets.songs_to_mix import ToySongs

CONDITION: dict[Label, Condition] = {
    "good": "original",
    "unknown": "matched",
    "bad": "unmatched-key",
}
CROP_BEATS = 2
FRAMES = CROP_BEATS * FRAMES_PER_BEAT


def tiny(kind: NetKind = "premixnet", **options: object) -> MixTraining:
    values = {"epochs": 3, "batch": 4, "summed": 12, "crop_beats": CROP_BEATS}
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
        paths.append(folder / f"{seed}-{number}.npy")
        np.save(paths[-1], half_decibels(planes.astype(np.float32)))
    return CropSet(tuple(paths), tuple(labels), tuple(CONDITION[label] for label in labels))


@pytest.fixture
def held_out(tmp_path: Path) -> CropSet:
    return crops(tmp_path / "crops", ["good", "bad", "unknown"] * 4)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(path, "premixnet").tensors)


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_it_learns_which_stems_belong_together(
    tmp_path: Path, held_out: CropSet, kind: NetKind
) -> None:
    """The mean loss falls; where stems meet bin by bin, to a fraction.

    One run in ten or so stays where it began, and the last bit of a sum decides which one; so
    one of three seeds must learn.
    """
    settings = tiny(kind, epochs=160, learning_rate=5e-3)
    if kind == "premixnet":
        settings = replace(settings, net=NetSettings(kind, 1 / 16, 4, 0.25, meeting=True))
    wanted = 0.6 if kind == "premixnet" else 0.85

    def learns(seed: int) -> bool:
        run = replace(settings, seed=seed)
        made = train_mix([ToySongs(8)], held_out, run, out=tmp_path / f"{seed}.safetensors")
        assert made.finished
        return bool(made.history[-30:, 0].mean() < wanted * made.history[:5, 0].mean())

    assert any(learns(seed) for seed in range(3))


def test_recordings_and_notes_take_turns_as_told(tmp_path: Path, held_out: CropSet) -> None:
    recorded, drawn = ToySongs(8), ToySongs(8, seed=1)
    settings = tiny(epochs=6, recorded=(0.0, 0.5))
    out = tmp_path / "a.safetensors"
    shares = []

    def told(progress: Progress) -> None:
        assert progress.steps == 24
        shares.append((progress.step, len(recorded.asked) > 0))

    train_mix([recorded, drawn], held_out, settings, out=out, report=told)
    assert drawn.asked
    assert not shares[0][1]
    assert shares[-1][1]
    alone = ToySongs(8)
    assert train_mix([alone], held_out, tiny(epochs=1), out=out).steps_done == 2


def test_bleed_helps_at_first_and_goes(tmp_path: Path, held_out: CropSet) -> None:
    songs = ToySongs(8)
    settings = tiny(epochs=20, clean=(0.0, 1.0), bleed_db=(-30.0, -10.0))
    out = tmp_path / "a.safetensors"
    bled = crops(tmp_path / "bled", ["good", "bad"] * 2, seed=1)
    metrics = train_mix([songs], held_out, settings, out=out, bled=bled).metrics
    half = len(songs.bleeds) // 2
    early, late = (
        np.mean([level is None for level in part])
        for part in (songs.bleeds[:half], songs.bleeds[half:])
    )
    assert early < 0.5 < late
    levels = [level for level in songs.bleeds if level is not None]
    assert -30.0 <= min(levels) < max(levels) <= -10.0
    assert metrics["bled_held_out_examples"] == 4
    assert metrics["bled_loss"] != metrics["loss"]


def test_unlabeled_examples_only_count_with_lsro(tmp_path: Path, held_out: CropSet) -> None:
    songs = ToySongs(8, keys=(0,))
    plain = train_mix([songs], held_out, tiny(epochs=1), out=tmp_path / "plain.safetensors")
    smooth = train_mix([songs], held_out, tiny(epochs=1, lsro=True), out=tmp_path / "l.safetensors")
    assert plain.history[0, 0] != smooth.history[0, 0]
    assert plain.metrics["unlabeled"] == 4
    assert 1 <= plain.metrics["mean_rank"] <= 5
    assert 0 <= plain.metrics["auc_key"] <= 1


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path, held_out: CropSet) -> None:
    songs, settings = ToySongs(8), tiny(lsro=True)
    train_mix([songs], held_out, settings, out=tmp_path / "whole.safetensors")
    halves = tmp_path / "halves.safetensors"
    ticks = count(0.0, 15.0)  # every look at the clock takes a quarter of a minute
    stopped = train_mix(
        [songs], held_out, settings, out=halves, minutes=1, clock=lambda: next(ticks)
    )
    assert not stopped.finished
    assert 0 < stopped.steps_done < 6
    load_mix_net(halves, "premixnet")
    with pytest.raises(MissingDependency, match="holds a premixnet-run, not a premixnet model"):
        load_mix_net(resume_path(halves), "premixnet")
    resumed = train_mix([songs], held_out, settings, out=halves, resume=True)
    assert resumed.finished
    one, other = weights(tmp_path / "whole.safetensors"), weights(halves)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_resuming_with_other_data_or_settings_is_refused(tmp_path: Path, held_out: CropSet) -> None:
    out = tmp_path / "a.safetensors"
    train_mix([ToySongs(8)], held_out, tiny(epochs=1), out=out)
    with pytest.raises(UsageError):
        train_mix([ToySongs(8)], held_out, tiny(epochs=1, seed=1), out=out, resume=True)
    with pytest.raises(UsageError):
        train_mix([ToySongs(8, seed=9)], held_out, tiny(epochs=1), out=out, resume=True)
    turned = ToySongs(8)
    turned.songs = turned.songs[::-1]  # a step would see others
    with pytest.raises(UsageError, match="changed: the data"):
        train_mix([turned], held_out, tiny(epochs=1), out=out, resume=True)
    others = replace(held_out, data_sha="of other songs")
    with pytest.raises(UsageError, match="changed: the data"):
        train_mix([ToySongs(8)], others, tiny(epochs=1), out=out, resume=True)


def test_seeds_differ_and_repeat(tmp_path: Path, held_out: CropSet) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        settings = tiny(seed=seed, epochs=1)
        train_mix([ToySongs(8)], held_out, settings, out=tmp_path / f"{name}.safetensors")
    a, b, c = (weights(tmp_path / f"{name}.safetensors")["model.out.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_checkpoint_scores_as_the_net_that_made_it(tmp_path: Path, held_out: CropSet) -> None:
    out = tmp_path / "a.safetensors"
    outcome = train_mix([ToySongs(8)], held_out, tiny(), out=out)
    net = load_mix_net(out, "premixnet")
    assert isinstance(net, MixNet)
    assert not net.training
    loss = measure_mix(net, held_out, tiny())["loss"]
    assert loss == pytest.approx(outcome.metrics["loss"], abs=1e-6)
    info = load_checkpoint(out, "premixnet").info
    assert info.settings["mel_sample_rate"] == 16000
    assert (info.settings["recorded_last"], info.settings["clean_last"]) == (0.5, 0.8)
    with pytest.raises(MissingDependency, match="not of postmixnet"):
        load_mix_net(out, "postmixnet")


def recorded(path: Path, **changes: Plain) -> Path:
    """A checkpoint of :func:`tiny` whose record says something else."""
    settings = tiny().record | changes
    weights = MixNet(tiny().net).state_dict()
    tensors = {f"model.{name}": value for name, value in weights.items()}
    save_checkpoint(path, tensors, info=CheckpointInfo("premixnet", settings))
    return path


@pytest.mark.parametrize("name", ["net_width", "net_bottleneck", "net_joint_width"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, 10**30, -1, "x", True])
def test_sizes_that_cannot_be_meant_are_refused(tmp_path: Path, name: str, value: Plain) -> None:
    with pytest.raises(MissingDependency, match=name) as caught:
        load_mix_net(recorded(tmp_path / "a.safetensors", **{name: value}), "premixnet")
    assert caught.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize(
    "changes",
    [
        {"net_width": 4.0, "net_joint_width": 4.0, "net_bottleneck": 0},
        {"net_bottleneck": 0, "net_meeting": True},
        {"net_meeting": "no"},
        {"net_mels": 10**12},
    ],
)
def test_networks_that_are_not_the_weights_are_refused(
    tmp_path: Path, changes: dict[str, Plain]
) -> None:
    with pytest.raises(MissingDependency) as caught:
        load_mix_net(recorded(tmp_path / "a.safetensors", **changes), "premixnet")
    assert caught.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize(
    "changes",
    [
        {"mel_hop_samples": 160},
        {"mel_highest_hz": 8000.0},
        {"mel_frames_per_beat": 8},
        {"mel_mels": 80},
        {"mel_sample_rate": float("nan")},
        {"net_mels": 64},
    ],
)
def test_a_network_of_other_spectra_is_refused(tmp_path: Path, changes: dict[str, Plain]) -> None:
    path = recorded(tmp_path / "a.safetensors", **changes)
    with pytest.raises(MissingDependency, match=f"spectra differ: {next(iter(changes))}") as caught:
        load_mix_net(path, "premixnet")
    assert caught.value.code == "checkpoint_mismatch"
    assert caught.value.hint


def test_a_record_that_does_not_tell_its_spectra_is_read(tmp_path: Path) -> None:
    unsaid: dict[str, Plain] = {name: None for name in tiny().record if name.startswith("mel_")}
    path = recorded(tmp_path / "a.safetensors", **unsaid, net_mels=None, net_meeting=None)
    assert load_mix_net(path, "premixnet").settings == tiny().net


def test_too_few_songs(tmp_path: Path, held_out: CropSet) -> None:
    with pytest.raises(UnusableInput, match="too few"):
        train_mix([ToySongs(1)], held_out, tiny(), out=tmp_path / "a.safetensors")


def test_variants_of_one_composition_are_too_few(tmp_path: Path, held_out: CropSet) -> None:
    songs = ToySongs(6)
    songs.songs = [replace(song, group="the same") for song in songs.songs]
    songs.notes = ("2 songs left out",)
    with pytest.raises(UnusableInput, match=r"too few .* needed \(2 songs left out\)") as caught:
        train_mix([songs], held_out, tiny(), out=tmp_path / "a.safetensors")
    assert caught.value.code == "no_examples"


def test_too_few_drawn_compositions_are_as_good_as_none(tmp_path: Path, held_out: CropSet) -> None:
    few = ToySongs(6, seed=1)
    few.songs = [replace(song, group="the same") for song in few.songs]
    settings = tiny(epochs=1, recorded=(0.0, 0.0))
    weights_of = []
    for name, material in (("a", [ToySongs(6)]), ("b", [ToySongs(6), few])):
        out = tmp_path / f"{name}.safetensors"
        assert train_mix(material, held_out, settings, out=out).steps_done == 2
        weights_of.append(weights(out)["model.out.weight"])
    assert not few.asked
    assert torch.equal(*weights_of)


def test_steps_are_counted_by_songs(tmp_path: Path, held_out: CropSet) -> None:
    songs = ToySongs(8)
    songs.songs = [replace(song, group=str(i // 2)) for i, song in enumerate(songs.songs)]
    made = train_mix([songs], held_out, tiny(epochs=1), out=tmp_path / "a.safetensors")
    assert made.steps_done == 2


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_whole_examples_are_heard_and_their_log_odds_averaged(
    tmp_path: Path, kind: NetKind
) -> None:
    torch.manual_seed(0)
    net = MixNet(tiny(kind).net).eval()
    halves = [crops(tmp_path / "one", ["good"], seed=seed, frames=FRAMES) for seed in (1, 2)]
    both = np.concatenate([np.load(half.paths[0]) for half in halves], axis=1)
    path = tmp_path / "both.npy"
    np.save(path, both)
    whole = CropSet((path,), ("good",), ("original",))
    odds = [
        np.log(score / (1 - score))
        for one in (*halves, whole)
        for score in mix_scores(net, one, tiny(kind))[0]
    ]
    tolerance = 1e-4 if kind == "premixnet" else 0.2  # a sum is levelled over all of it
    assert odds[2] == pytest.approx((odds[0] + odds[1]) / 2, abs=tolerance)
