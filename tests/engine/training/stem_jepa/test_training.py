from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.checkpoints import CheckpointInfo, Plain, load_checkpoint, save_checkpoint
from engine.errors import MissingDependency, UnusableInput, UsageError
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.network import JepaConfig, StemJepa
from engine.training.resuming import resume_path
from engine.training.stem_jepa.check import draw_metrics, rank_metrics
from engine.training.stem_jepa.draws import draw_batch, draw_example, song_array
from engine.training.stem_jepa.settings import PUBLISHED_TRAINING, JepaTraining, plain_settings
from engine.training.stem_jepa.training import train_stem_jepa

CROP = 4 * 2560
TINY = JepaTraining(
    network=JepaConfig(width=16, depth=1, heads=2, predictor_width=32, predictor_layers=2),
    steps=6,
    warmup_steps=2,
    batch=4,
    rate_per_256=0.1,
    tau=(0.9, 0.99),
    crop_samples=CROP,
)


def song(seed: int, *, seconds: float = 2.0) -> NDArray[np.float32]:
    """Four steady stems: in each song every role plays another pitch."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16_000)) / 16_000
    pitches = rng.uniform([60, 2000, 300, 500], [120, 6000, 600, 1200])
    return np.stack([0.3 * np.sin(2 * np.pi * hz * t) for hz in pitches]).astype(np.float32)


def test_published_schedules() -> None:
    run = PUBLISHED_TRAINING
    assert run.learning_rate(0) == pytest.approx(3e-4 / 20_000)
    assert run.learning_rate(19_999) == pytest.approx(3e-4)
    assert run.learning_rate(160_000) == pytest.approx(1.5e-4)
    assert run.learning_rate(299_999) == pytest.approx(0.0, abs=1e-9)
    assert run.tau_at(0) == 0.99995
    assert run.tau_at(299_999) == pytest.approx(0.99999)
    half = dataclasses.replace(run, batch=128)
    assert half.learning_rate(19_999) == pytest.approx(1.5e-4)


def test_examples_are_subset_sums_of_the_other_stems() -> None:
    stems = song(0)
    rng = np.random.default_rng(0)
    sizes, labels = set(), set()
    for _ in range(60):
        example = draw_example(stems, rng, samples=stems.shape[1])
        assert example is not None
        np.testing.assert_array_equal(example.target, stems[example.label])
        others = [row for row in range(4) if row != example.label]
        subsets = [list(s) for n in (1, 2, 3) for s in itertools.combinations(others, n)]
        fitting = [
            s for s in subsets if np.allclose(stems[s].sum(axis=0), example.context, atol=1e-5)
        ]
        assert len(fitting) == 1
        sizes.add(len(fitting[0]))
        labels.add(example.label)
    assert sizes == {1, 2, 3}
    assert labels == {0, 1, 2, 3}


def test_silent_stems_are_neither_asked_for_nor_heard() -> None:
    stems = song(0)
    stems[[0, 2]] *= 0.3  # their peak of 0.09 is not active
    rng = np.random.default_rng(0)
    for _ in range(20):
        example = draw_example(stems, rng, samples=CROP)
        assert example is not None
        assert example.label in (1, 3)
        assert np.abs(example.context).max() == pytest.approx(0.3, abs=1e-3)


def test_crops_are_drawn_again_until_two_stems_sound() -> None:
    stems = song(0, seconds=4.0)
    stems[1:, : 2 * 16_000] = 0.0  # one stem alone in the first half
    found = [draw_example(stems, np.random.default_rng(seed), samples=CROP) for seed in range(30)]
    assert all(example is not None for example in found)
    stems[1:] = 0.0
    assert draw_example(stems, np.random.default_rng(0), samples=CROP) is None


def test_short_songs_are_filled_with_silence() -> None:
    example = draw_example(song(0)[:, :1000], np.random.default_rng(0), samples=CROP)
    assert example is not None
    assert example.target.shape == (CROP,)
    assert not example.target[1000:].any()


def test_a_corpus_without_two_stems_is_refused() -> None:
    silence = np.zeros((4, 20_000), dtype=np.float32)
    with pytest.raises(UnusableInput, match="no two stems"):
        draw_batch([silence], batch=1, samples=CROP)


def test_song_array_orders_resamples_and_fills() -> None:
    t = np.arange(44_100) / 44_100
    drums = Waveform(np.tile(np.sin(2 * np.pi * 300 * t).astype(np.float32), (2, 1)), 44_100)
    array = song_array({"drums": drums})
    assert array.shape == (4, 16_000)
    assert np.abs(array[1]).max() == pytest.approx(1.0, abs=0.01)
    assert not array[[0, 2, 3]].any()


def test_learns_a_handful_of_songs(tmp_path: Path) -> None:
    songs = [song(seed) for seed in range(4)]
    run = dataclasses.replace(
        TINY, steps=60, warmup_steps=5, batch=8, rate_per_256=0.3, crop_samples=2560
    )
    batch = draw_batch(songs, batch=8, samples=2560, seed=(9, 9))
    fresh = StemJepa(run.network, seed=run.seed).eval()
    before = draw_metrics(fresh, batch)
    out = tmp_path / "m.safetensors"
    outcome = train_stem_jepa(songs, run, out=out, validation=songs)
    after = draw_metrics(load_stem_jepa(out), batch)
    assert after.loss < 0.4 * before.loss
    assert after.spread > 0.05  # it did not win by making all targets the same
    learned, lot = (rank_metrics(model, songs).mean_nr for model in (load_stem_jepa(out), fresh))
    assert outcome.metrics["mean_nr"] == learned < lot


def test_target_moves_as_scheduled(tmp_path: Path) -> None:
    run = dataclasses.replace(TINY, steps=1, warmup_steps=0, tau=(0.75, 0.75))
    start = StemJepa(run.network, seed=run.seed)
    out = tmp_path / "m.safetensors"
    outcome = train_stem_jepa([song(0)], run, out=out)
    end = load_stem_jepa(out)
    old, new, target = (
        encoder.patches.weight.detach() for encoder in (start.context, end.context, end.target)
    )
    assert not torch.equal(old, new)
    torch.testing.assert_close(target, 0.75 * old + 0.25 * new)
    assert outcome.history[0, 3] == 0.75


def test_same_seed_same_weights(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.safetensors"
        train_stem_jepa([song(0)], dataclasses.replace(TINY, seed=seed), out=out)
        weights.append(load_stem_jepa(out).context.patches.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_resumed_is_as_uninterrupted(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    songs = [song(0), song(1)]
    straight = train_stem_jepa(songs, TINY, out=whole)
    ticks = itertools.count(step=30.0)
    first = train_stem_jepa(songs, TINY, out=parts, minutes=3, clock=lambda: next(ticks))
    assert 0 < first.steps_done < TINY.steps
    assert not first.finished
    load_stem_jepa(parts)
    with pytest.raises(MissingDependency, match="holds a stem-jepa-run, not a stem-jepa model"):
        load_stem_jepa(resume_path(parts))
    second = train_stem_jepa(songs, TINY, out=parts, resume=True)
    assert second.finished
    assert not resume_path(parts).exists()
    np.testing.assert_array_equal(second.history, straight.history)
    one, two = load_stem_jepa(whole).state_dict(), load_stem_jepa(parts).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_held_out_stems_that_never_sound_together_are_ranked_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No example can be drawn of them; the checkpoint is written without what one would say."""
    apart = song(2, seconds=4.0)
    apart[0, 16_000:] = 0.0
    apart[1, : 3 * 16_000] = 0.0
    apart[2:] = 0.0
    out = tmp_path / "m.safetensors"
    outcome = train_stem_jepa([song(0), song(1)], TINY, out=out, validation=[apart])
    assert outcome.finished
    assert not resume_path(out).exists()
    assert "their loss is not measured" in caplog.text
    assert {"mean_nr", "mean_nr_of_role"} <= outcome.metrics.keys()
    assert not {"loss", "top1", "spread"} & outcome.metrics.keys()
    assert load_checkpoint(out, "stem-jepa").info.metrics == outcome.metrics


def test_resuming_a_finished_run_does_nothing(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    first = train_stem_jepa([song(0)], TINY, out=out)
    again = train_stem_jepa([song(0)], TINY, out=out, resume=True)
    np.testing.assert_array_equal(first.history, again.history)


def test_resuming_with_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    train_stem_jepa([song(0)], TINY, out=out, minutes=0.0, data_sha="aa")
    other = dataclasses.replace(TINY, batch=3)
    with pytest.raises(UsageError, match=r"changed: batch; the data \(--data\)"):
        train_stem_jepa([song(0)], other, out=out, resume=True, data_sha="bb")


@pytest.mark.parametrize(
    "changes",
    [
        {"width": float("inf")},
        {"width": 10**12},
        {"width": 8192},
        {"width": "x"},
        {"width": True},
        {"depth": 10**9},
        {"depth": 128},
        {"heads": -2},
        {"predictor_width": 16384},
        {"predictor_layers": float("nan")},
        {"mel_mean": 10**400},
        {"mel_std": float("nan")},
        {"mel_std": "3"},
        {"bands": "bark"},
        {"relative": "yes"},
    ],
)
def test_a_record_of_another_network_is_refused(tmp_path: Path, changes: dict[str, Plain]) -> None:
    path = tmp_path / "m.safetensors"
    weights = StemJepa(TINY.network).state_dict()
    tensors = {f"model.{name}": value for name, value in weights.items()}
    told = plain_settings(TINY)
    save_checkpoint(path, tensors, info=CheckpointInfo("stem-jepa", told))
    assert load_stem_jepa(path).config == TINY.network
    save_checkpoint(path, tensors, info=CheckpointInfo("stem-jepa", told | changes))
    with pytest.raises(MissingDependency) as caught:
        load_stem_jepa(path)
    assert caught.value.code == "checkpoint_mismatch"


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency):
        load_stem_jepa(tmp_path / "none.safetensors")
    with pytest.raises(UnusableInput, match="no songs"):
        train_stem_jepa([], TINY, out=tmp_path / "m.safetensors")
