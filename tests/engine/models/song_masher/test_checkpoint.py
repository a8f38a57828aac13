from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.checkpoints import CheckpointInfo, Plain, save_checkpoint
from engine.errors import MissingDependency
from engine.models.song_masher.checkpoint import load_song_masher
from engine.models.song_masher.network import Defects, MasherConfig, SongMasher


@pytest.mark.parametrize(
    "changes",
    [
        {"width": None},
        {"width": 0},
        {"width": 10**9},
        {"width": 1e308},
        {"width": float("inf")},
        {"width": float("nan")},
        {"width": "8"},
        {"width": 4096},
        {"part": None},
        {"part": "both"},
        {"cosine_only": None},
        {"cosine_only": "yes"},
    ],
)
def test_a_record_of_another_network_is_refused(tmp_path: Path, changes: dict[str, Plain]) -> None:
    path = tmp_path / "m.safetensors"
    weights = SongMasher(MasherConfig(width=8)).state_dict()
    tensors = {f"model.{name}": value for name, value in weights.items()}
    told = {"part": "magnitude", "width": 8, **dataclasses.asdict(Defects())}
    save_checkpoint(path, tensors, info=CheckpointInfo("song-masher", told))
    assert load_song_masher(path).config == MasherConfig(width=8)
    save_checkpoint(path, tensors, info=CheckpointInfo("song-masher", told | changes))
    with pytest.raises(MissingDependency) as caught:
        load_song_masher(path)
    assert caught.value.code == "checkpoint_mismatch"
    save_checkpoint(path, tensors, info=CheckpointInfo("song-masher"))
    with pytest.raises(MissingDependency, match="how its network is built"):
        load_song_masher(path)


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency):
        load_song_masher(tmp_path / "m.safetensors")
