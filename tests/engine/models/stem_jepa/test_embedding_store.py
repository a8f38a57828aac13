from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.stem_jepa.embedding_store import EmbeddingStore


def vector(value: float) -> NDArray[np.float32]:
    return np.full(4, value, dtype=np.float32)


def never() -> NDArray[np.float32]:
    raise AssertionError("made again")


def test_what_is_known_is_not_made_again(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "deep" / "e.sqlite")
    assert store.get(("a", 1), lambda: vector(1))[0] == 1
    assert store.get(("a", 2), lambda: vector(2))[0] == 2
    assert store.get(("a", 1), never)[0] == 1


def test_another_process_finds_what_was_put_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    store = EmbeddingStore(path)
    store.get(("a", b"spans", 0), lambda: vector(3))
    store.flush()
    np.testing.assert_array_equal(EmbeddingStore(path).get(("a", b"spans", 0), never), vector(3))
    with pytest.raises(AssertionError):
        EmbeddingStore(path).get(("a", b"spans", 1), never)


def test_many_are_put_on_disk_without_being_told(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path / "e.sqlite")
    for number in range(64):
        store.get((number,), lambda: vector(0))
    assert EmbeddingStore(tmp_path / "e.sqlite").get((0,), never).size == 4


def test_a_damaged_file_is_said_once_and_memory_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "e.sqlite"
    path.write_bytes(b"no database at all" * 100)
    store = EmbeddingStore(path)
    with caplog.at_level(logging.WARNING):
        store.get(("a",), lambda: vector(1))
        store.get(("b",), lambda: vector(2))
        store.flush()
    assert len(caplog.records) == 1
    assert "cannot keep embeddings" in caplog.text
    assert store.get(("a",), never)[0] == 1
    assert path.read_bytes().startswith(b"no database")


def test_without_a_file_everything_stays_in_memory() -> None:
    store = EmbeddingStore(None)
    store.get(("a",), lambda: vector(1))
    store.flush()
    assert store.get(("a",), never)[0] == 1
