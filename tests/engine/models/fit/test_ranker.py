from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoints import CheckpointInfo, Plain, save_checkpoint
from engine.errors import MissingDependency
from engine.models.fit.checkpoint import load_fit
from engine.models.fit.curves import JUDGED, PITCHED, Curve, FitCurves
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import PITCH_INPUTS, FitSizes, beat_input, shapes_of
from engine.models.ranker import Search
from engine.training.fit.towers import FitTowers
from tests.engine.pools import clip_of, patterns, pool_of, rows, triads

SIZES = FitSizes(
    channels=6, pitch_values=2, rhythm_width=8, rhythm_values=4, judge_channels=3, judge_width=5
)
CURVES = FitCurves(
    asked={
        **dict.fromkeys(PITCHED, Curve((12.0,) * 4, (-6.0,) * 4)),
        "drums": Curve((2.0,) * 4, (-1.0,) * 4),
    },
    groove=Curve((11.0,) * 4, (-5.0,) * 4),
    group=0.8,
    rules=0.1,
    drum_rules=1.0,
    judge=0.5,
    judged=dict.fromkeys(JUDGED, Curve((0.7,) * 4, (-0.1,) * 4)),
)
HOSTILE = [float("nan"), float("inf"), 1e308, 10**400, "x", True, None]
SHIFTS = Search(semitones=tuple(range(-3, 4)), keep=8)


def written(path: Path, *, kind: str = "fit", **changes: Plain) -> Path:
    """A checkpoint whose stem tower is its voice tower, so that every part fits itself best."""
    weights = FitTowers(SIZES, seed=2).weights()
    for name in weights:
        if name.startswith("stem."):
            weights[name] = weights["voice." + name.removeprefix("stem.")]
    tensors = {name: torch.from_numpy(w).half() for name, w in weights.items()}
    settings = {**vars(SIZES), **CURVES.record(), **changes}
    save_checkpoint(path, tensors, info=CheckpointInfo(kind=kind, settings=settings))
    return path


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> FitRanker:
    return FitRanker(load_fit(written(tmp_path_factory.mktemp("fit") / "fit.safetensors")))


def song(seed: int, bars: int = 24):
    return rows(triads(bars, seed=seed), patterns(bars, seed=seed + 1000))


def test_keeps_the_contract(ranker: FitRanker) -> None:
    pool = pool_of([song(i, bars) for i, bars in enumerate((24, 3, 16, 9, 1, 40))], role="harmonic")
    drums = pool_of([song(100 + i) for i in range(4)], role="percussion")
    clip = clip_of(song(7, 8))
    harmony = ranker.place(clip, pool, SHIFTS)
    rhythm = ranker.place(clip, drums, SHIFTS)
    assert {f.index for f in harmony} == set(range(6))
    assert [f.score for f in harmony] == sorted((f.score for f in harmony), reverse=True)
    assert all(0 <= f.score <= 1 and -3 <= f.semitones <= 3 for f in harmony)
    assert all(f.parts.learned == f.score for f in harmony)
    assert all(f.start_bar + f.loop_bars <= pool.bars[f.index] for f in harmony)
    assert all(f.semitones == 0 for f in rhythm)
    for roles in (("harmonic", "percussion"), ("percussion", "harmonic")):
        found = {
            "harmonic": [(pool, f) for f in harmony],
            "percussion": [(drums, f) for f in rhythm],
        }
        scores, parts = ranker.score_groups(clip, {role: found[role] for role in roles})
        assert scores.shape == tuple(len(found[role]) for role in roles)
        assert np.all((scores >= 0) & (scores <= 1))
        assert {"learned", "harmony", "rhythm", "balance"} == set(parts)
        assert all(values.shape == scores.shape for values in parts.values())
    assert ranker.place(clip, pool, SHIFTS) == harmony


def test_the_order_of_roles_does_not_change_a_group(ranker: FitRanker) -> None:
    pool = pool_of([song(i) for i in range(4)], role="harmonic")
    drums = pool_of([song(100 + i) for i in range(3)], role="drums")
    clip = clip_of(song(7, 8))
    beds = [(pool, f) for f in ranker.place(clip, pool, SHIFTS)]
    beats = [(drums, f) for f in ranker.place(clip, drums, SHIFTS)]
    one, parts = ranker.score_groups(clip, {"harmonic": beds, "drums": beats})
    other, turned = ranker.score_groups(clip, {"drums": beats, "harmonic": beds})
    np.testing.assert_allclose(one, other.T)
    np.testing.assert_allclose(parts["learned"], turned["learned"].T)


@pytest.mark.parametrize("semitones", [-3, -1, 0, 2])
def test_a_transposed_excerpt_is_found_where_it_was_taken(
    ranker: FitRanker, semitones: int
) -> None:
    songs = [song(i) for i in range(20)]
    sung = songs[11][20:52].copy()
    sung["chroma"] = np.roll(sung["chroma"], semitones, axis=1)
    best = ranker.place(clip_of(sung), pool_of(songs, role="harmonic"), SHIFTS)[0]
    assert (best.index, best.start_bar, best.semitones) == (11, 5, semitones)


def test_the_session_may_transpose_the_clip(ranker: FitRanker) -> None:
    songs = [song(i) for i in range(6)]
    clip = clip_of(songs[2][:32], transpose=2)
    best = ranker.place(clip, pool_of(songs, role="harmonic"), SHIFTS)[0]
    assert (best.index, best.semitones) == (2, 2)


def test_short_stems_repeat_and_ineligible_ones_stay_out(ranker: FitRanker) -> None:
    loop = song(3, 4)
    clip = clip_of(np.concatenate([loop, loop]))
    pool = pool_of([song(8, 30), loop, song(9, 5)], role="bass")
    best = ranker.place(clip, pool, SHIFTS)[0]
    assert (best.index, best.start_bar, best.loop_bars) == (1, 0, 4)
    others = ranker.place(clip, pool, SHIFTS, eligible=np.array([True, False, True]))
    assert {fit.index for fit in others} == {0, 2}


def test_a_large_pool_is_narrowed_down_without_losing_the_best(ranker: FitRanker) -> None:
    songs = [song(i, 8) for i in range(300)]
    clip = clip_of(songs[217])
    few = Search(semitones=(0,), keep=3)
    fits = ranker.place(clip, pool_of(songs, role="harmonic"), few)
    assert len(fits) == 3
    assert fits[0].index == 217


def test_drums_are_placed_by_the_rules(ranker: FitRanker) -> None:
    songs = [song(i) for i in range(20)]
    best = ranker.place(clip_of(songs[11][32:64]), pool_of(songs, role="drums"), SHIFTS)[0]
    assert (best.index, best.start_bar, best.semitones) == (11, 8, 0)
    assert best.parts.learned is None


def test_silence_gets_scores_too(ranker: FitRanker) -> None:
    quiet = np.zeros(32, dtype=song(0).dtype)
    pool = pool_of([song(0), song(1), quiet], role="harmonic")
    assert len(ranker.place(clip_of(quiet), pool, SHIFTS)) == 3
    assert ranker.place(clip_of(song(0)[:32]), pool, SHIFTS)[-1].index == 2


def test_checkpoints_that_cannot_be_trusted_are_refused(tmp_path: Path) -> None:
    good = written(tmp_path / "good.safetensors").read_bytes()

    def refused(data: bytes) -> str:
        path = tmp_path / "bad.safetensors"
        path.write_bytes(data)
        with pytest.raises(MissingDependency) as error:
            load_fit(path)
        return error.value.code

    assert refused(good[:-100]) == "checkpoint_damaged"
    assert refused(b"not a checkpoint at all") == "checkpoint_damaged"
    flipped = bytearray(good)
    flipped[-1] ^= 1
    assert refused(bytes(flipped)) == "checkpoint_damaged"
    assert refused(good.replace(b'\\"version\\": 1', b'\\"version\\": 9')) == "checkpoint_newer"
    assert refused(good + b"\0" * (13 << 20)) == "checkpoint_mismatch"
    with pytest.raises(MissingDependency, match="is not there"):
        load_fit(tmp_path / "none.safetensors")
    for changes, code in (
        ({"kind": "premixnet"}, "checkpoint_kind"),
        ({"channels": 7}, "checkpoint_mismatch"),
    ):
        written(tmp_path / "other.safetensors", **changes)
        with pytest.raises(MissingDependency) as error:
            load_fit(tmp_path / "other.safetensors")
        assert error.value.code == code


def test_curves_of_an_older_dawlink_are_refused_with_the_command_that_fits_them(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "fit.safetensors", **{"harmony.slope.4": 22.9})
    with pytest.raises(MissingDependency, match="curves of an older dawlink") as error:
        load_fit(path)
    assert "--recalibrate" in (error.value.hint or "")


@pytest.mark.parametrize(
    "name", ["channels", "judge_width", "asked.harmonic.slope.4", "group.scale"]
)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: f"{value!r:.9}")
def test_numbers_that_cannot_be_meant_are_refused(tmp_path: Path, name: str, value: Plain) -> None:
    path = written(tmp_path / "fit.safetensors", **{name: value})
    with pytest.raises(MissingDependency, match=name) as error:
        load_fit(path)
    assert error.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_widths_that_cannot_be_meant_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(MissingDependency, match="channels"):
        load_fit(written(tmp_path / "fit.safetensors", channels=value))


@pytest.mark.parametrize(
    "record",
    [
        "[" * 100_000,
        '{"kind": "fit", "version": Infinity, "settings": {}, "tensors_sha": ""}',
        '{"kind": "fit", "version": NaN, "settings": {}, "tensors_sha": ""}',
        '{"kind": "fit", "version": 1, "settings": [], "tensors_sha": ""}',
    ],
)
def test_an_unreadable_record_is_refused(tmp_path: Path, record: str) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "fit.safetensors"
    save_file({"a": np.zeros(2, np.float16)}, path, metadata={"dawlink": record})
    with pytest.raises(MissingDependency) as error:
        load_fit(path)
    assert error.value.code == "checkpoint_damaged"


def test_a_record_that_was_changed_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "fit.safetensors", rules=0.125)
    path.write_bytes(path.read_bytes().replace(b"0.125", b"0.925"))
    with pytest.raises(MissingDependency, match="record") as error:
        load_fit(path)
    assert error.value.code == "checkpoint_damaged"


def test_weights_of_a_type_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    weights = {"a": torch.zeros(4, dtype=torch.float8_e5m2)}
    save_checkpoint(path, weights, info=CheckpointInfo("fit"))
    with pytest.raises(MissingDependency) as error:
        load_fit(path)
    assert error.value.code == "checkpoint_damaged"


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {name: np.zeros(shape, np.float16) for name, shape in shapes_of(SIZES).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    save_file(
        tensors, tmp_path / "b.safetensors", metadata={"dawlink": json.dumps({"kind": "fit"})}
    )
    for name, code in (("a", "checkpoint_foreign"), ("b", "checkpoint_damaged")):
        with pytest.raises(MissingDependency) as error:
            load_fit(tmp_path / f"{name}.safetensors")
        assert error.value.code == code


def test_the_towers_hear_both_halves_of_a_beat() -> None:
    table = song(0)[:4].copy()
    table["logfreq"][:, :2, 12 + 24] = 255  # C in the first half
    table["logfreq"][:, 2:, 12 + 31] = 255  # G in the second
    beats = beat_input(table, np.ones(4, np.bool_), beats_per_bar=4, transpose=2)
    by_class = beats.chroma.reshape(4, 12, PITCH_INPUTS)
    assert by_class[:, :, 1].argmax(axis=1).tolist() == [2] * 4
    assert by_class[:, :, 2].argmax(axis=1).tolist() == [9] * 4
    np.testing.assert_allclose(by_class[:, [2, 9], [1, 2]], 1, rtol=1e-5)
    plain = beat_input(song(0)[:4], np.ones(4, np.bool_), beats_per_bar=4)
    halves = plain.chroma.reshape(4, 12, PITCH_INPUTS)
    np.testing.assert_array_equal(halves[:, :, 1], halves[:, :, 0])
    silent = beat_input(table, np.zeros(4, np.bool_), beats_per_bar=4)
    assert not silent.chroma.any()
