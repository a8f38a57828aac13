"""Models that need a checkpoint: used when it is whole, refused with a way out when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.checkpoints import CheckpointInfo, Plain, load_checkpoint, save_checkpoint
from engine.clips.clip import ClipRequest
from engine.engine import Engine
from engine.errors import MissingDependency
from engine.models.fit.checkpoint import SHIPPED_FIT
from engine.models.stem_jepa.network import JepaConfig, StemJepa
from engine.suggestions import SuggestOptions
from tests.dawlink.cli.conftest import Music
from tests.dawlink.cli.running import Command, refused

LEARNED = ("premixnet", "postmixnet", "stem-jepa")
SIZES: dict[str, Plain] = {
    "width": 16,
    "depth": 1,
    "heads": 2,
    "predictor_width": 16,
    "predictor_layers": 2,
    "mel_mean": -9.5,
    "mel_std": 4.0,
}
Damage = Callable[[Path, str], None]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in the cache of whoever runs the tests, and nothing comes with dawlink."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path / "cache")
    monkeypatch.setattr("engine.models.registry.SHIPPED", tmp_path / "nothing")


def write_jepa(path: Path, settings: dict[str, Plain] = SIZES) -> None:
    config = JepaConfig(width=16, depth=1, heads=2, predictor_width=16, predictor_layers=2)
    tensors = {f"model.{name}": t for name, t in StemJepa(config, seed=1).state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, tensors, info=CheckpointInfo("stem-jepa", settings))


def plain(path: Path, kind: str, **changes: int) -> None:
    """A whole checkpoint of this kind with one tensor in it."""
    save_checkpoint(path, {"model.x": torch.arange(64.0)}, info=CheckpointInfo(kind, **changes))


def no_checkpoint_at_all(path: Path, kind: str) -> None:
    path.write_bytes(b"half a download" * 40)


def empty(path: Path, kind: str) -> None:
    path.write_bytes(b"")


def truncated(path: Path, kind: str) -> None:
    plain(path, kind)
    path.write_bytes(path.read_bytes()[:-100])


def one_bit_changed(path: Path, kind: str) -> None:
    plain(path, kind)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def of_another_kind(path: Path, kind: str) -> None:
    plain(path, "song-masher")


def of_another_program(path: Path, kind: str) -> None:
    save_file({"x": torch.zeros(3)}, path)


def of_the_future(path: Path, kind: str) -> None:
    plain(path, kind, version=99)


def with_other_weights(path: Path, kind: str) -> None:
    plain(path, kind)


DAMAGES: list[tuple[Damage, str]] = [
    (no_checkpoint_at_all, "checkpoint_damaged"),
    (empty, "checkpoint_damaged"),
    (truncated, "checkpoint_damaged"),
    (one_bit_changed, "checkpoint_damaged"),
    (of_another_kind, "checkpoint_kind"),
    (of_another_program, "checkpoint_foreign"),
    (of_the_future, "checkpoint_newer"),
    (with_other_weights, "checkpoint_mismatch"),
]


@pytest.mark.parametrize("model", LEARNED)
@pytest.mark.parametrize(("damage", "code"), DAMAGES)
def test_a_checkpoint_that_cannot_be_used_is_refused_with_a_way_out(
    own: Command, music: Music, model: str, damage: Damage, code: str
) -> None:
    path = own.library / "models" / f"{model}.safetensors"
    path.parent.mkdir()
    damage(path, model)
    ran = own("suggest", music.clip, "--model", model, "--json")
    error = refused(ran, 4, code, str(path))
    assert "dawlink" in error["hint"]


def test_verify_names_an_own_checkpoint_that_cannot_be_used(own: Command) -> None:
    models = own.library / "models"
    models.mkdir()
    write_jepa(models / "stem-jepa.safetensors")
    assert own("verify", "--json").document["problems"] == []
    truncated(models / "postmixnet.safetensors", "postmixnet")
    ran = own("verify", "--json")
    refused(ran, 3, "library_damaged", "1 thing")
    (problem,) = ran.document["problems"]
    assert problem["path"] == str(models / "postmixnet.safetensors")
    assert problem["kind"] == "damaged"
    assert "dawlink train" in problem["hint"]


def test_the_state_of_a_training_is_no_model(own: Command, music: Music) -> None:
    """Though it holds weights that would rank."""
    path = own.library / "models" / "stem-jepa.safetensors"
    write_jepa(path, {**SIZES, "steps_done": 1})
    assert own("suggest", music.clip, "--model", "stem-jepa").code == 0
    finished = load_checkpoint(path, "stem-jepa")
    moments = {"optimiser.0.step": torch.ones(())}
    save_checkpoint(path, {**finished.tensors, **moments}, info=finished.info)
    ran = own("suggest", music.clip, "--model", "stem-jepa", "--json")
    refused(ran, 4, "checkpoint_kind", "holds a stem-jepa-run, not a stem-jepa model", "--resume")
    (problem,) = own("verify", "--json").document["problems"]
    assert problem["path"] == str(path)
    checks = {
        check["name"]: check["status"] for check in own("doctor", "--json").document["checks"]
    }
    assert checks["model stem-jepa"] == "missing"


@pytest.mark.parametrize("damage", [empty, truncated, one_bit_changed, of_another_kind])
def test_the_fit_model_is_checked_as_well(
    own: Command, music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage
) -> None:
    """Its checkpoint comes with dawlink; here one stands in for it that was spoiled."""
    path = tmp_path / "fit.safetensors"
    damage(path, "fit")
    monkeypatch.setattr("engine.models.registry.SHIPPED", tmp_path)
    ran = own("suggest", music.clip, "--model", "fit", "--json")
    code = "checkpoint_kind" if damage is of_another_kind else "checkpoint_damaged"
    refused(ran, 4, code, "dawlink train fit")


def test_fit_weights_that_are_no_numbers_are_refused(own: Command, music: Music) -> None:
    """Their hash is right, and every score would be none."""
    checkpoint = load_checkpoint(SHIPPED_FIT, "fit")
    weights = {name: values.clone() for name, values in checkpoint.tensors.items()}
    weights["voice.bias"][0] = float("nan")
    path = own.library / "models" / "fit.safetensors"
    path.parent.mkdir()
    save_checkpoint(path, weights, info=CheckpointInfo("fit", checkpoint.info.settings))
    ran = own("suggest", music.clip, "--model", "fit", "--json")
    error = refused(ran, 4, "checkpoint_damaged", "numbers", str(path))
    assert "Remove it" in error["hint"]


def test_another_checkpoint_takes_the_place_of_the_one_before(own: Command, music: Music) -> None:
    """In an engine that lives on, as the daemon's does."""
    checkpoint = load_checkpoint(SHIPPED_FIT, "fit")
    path = own.library / "models" / "fit.safetensors"
    path.parent.mkdir()

    def put(factor: float) -> None:
        weights = {name: factor * values.float() for name, values in checkpoint.tensors.items()}
        save_checkpoint(path, weights, info=CheckpointInfo("fit", checkpoint.info.settings))

    def scores(engine: Engine) -> list[float]:
        request = ClipRequest(music.clip)
        return [each.score for each in engine.suggest(request, SuggestOptions()).suggestions]

    with Engine.open(own.library) as engine:
        put(1.0)
        first = scores(engine)
        put(0.9)
        assert scores(engine) != first
        put(1.0)
        assert scores(engine) == first
        path.write_bytes(b"junk")
        with pytest.raises(MissingDependency, match="damaged"):
            engine.suggest(ClipRequest(music.clip), SuggestOptions())


def test_scores_that_are_no_numbers_are_refused(own: Command, music: Music) -> None:
    """Weights that are numbers, and far too large."""
    checkpoint = load_checkpoint(SHIPPED_FIT, "fit")
    weights = {name: 1e20 * values.float() for name, values in checkpoint.tensors.items()}
    path = own.library / "models" / "fit.safetensors"
    path.parent.mkdir()
    save_checkpoint(path, weights, info=CheckpointInfo("fit", checkpoint.info.settings))
    ran = own("suggest", music.clip, "--model", "fit", "--json")
    refused(ran, 4, "checkpoint_damaged", "invalid scores", "Remove it")


@pytest.mark.parametrize("model", LEARNED)
def test_a_model_without_checkpoint_says_how_to_get_one(
    own: Command, music: Music, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr("engine.models.registry.SHIPPED", tmp_path)
    ran = own("suggest", music.clip, "--model", model, "--json")
    refused(ran, 4, "no_checkpoint", f"dawlink train {model}", "automashupper")


@pytest.mark.parametrize("change", [{"heads": 0}, {"width": 17}, {"mel_std": 0.0}, {"depth": None}])
def test_sizes_that_build_no_network_are_refused(
    own: Command, music: Music, change: dict[str, Plain]
) -> None:
    write_jepa(own.library / "models" / "stem-jepa.safetensors", {**SIZES, **change})
    ran = own("suggest", music.clip, "--model", "stem-jepa", "--json")
    refused(ran, 4, "checkpoint_mismatch", "how its network is built", "dawlink train")


def test_stem_jepa_ranks_a_library(own: Command, music: Music, tmp_path: Path) -> None:
    write_jepa(own.library / "models" / "stem-jepa.safetensors")
    arguments = ("suggest", music.clip, "--model", "stem-jepa", "--limit", 3, "--json")
    first = own(*arguments)
    assert first.code == 0, first
    document = first.document
    assert document["model"] == "stem-jepa"
    scores = [group["score"] for group in document["suggestions"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    for group in document["suggestions"]:
        assert {"harmony", "rhythm", "balance", "learned"} <= set(group["parts"])
        assert {stem["role"] for stem in group["stems"]} == {"harmonic", "percussion"}
    assert (tmp_path / "cache" / "stem-jepa.sqlite").is_file()
    assert own(*arguments).document == document


def test_stem_jepa_takes_part_in_comparisons(own: Command, tmp_path: Path) -> None:
    write_jepa(own.library / "models" / "stem-jepa.safetensors")
    models = ("--models", "automashupper,stem-jepa", "--limit-songs", 2)
    ran = own("evaluate", *models, "--cache", tmp_path / "kept", "--json")
    document = ran.document
    assert [result["model"] for result in document["results"]] == ["automashupper", "stem-jepa"]
    assert [result["queries"] for result in document["results"]] == [8, 8]
    names = [task["name"] for task in document["tasks"]]
    assert names[:2] == ["stems", "stems-of-role"]
