from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.embeddings import LibraryEmbeddings, embed_song, embedding_problems, sweep_embeddings
from engine.errors import MissingDependency
from engine.library.library import Library
from engine.library.pool import load_pool
from engine.models.fit import FitRanker
from engine.models.fit_checkpoint import FitModel, load_fit
from engine.models.fit_curves import FitCurves
from engine.models.fit_embedding import Embedding, FoldedEmbeddings, embed_stem
from engine.models.fit_net import FitSizes
from engine.models.pool import RolePool
from engine.models.registry import load_ranker
from engine.training.checkpoints import CheckpointInfo, save_checkpoint
from engine.training.fit_towers import FitTowers
from tests.engine.library.songs import song


@pytest.fixture
def library(tmp_path: Path):
    with Library.open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture(scope="module")
def model() -> FitModel:
    return load_fit()


def source(library: Library, role: str, *, metre: int = 4) -> LibraryEmbeddings:
    stored = load_pool(library, role)
    metres = [library.song(stem.song_id).beats_per_bar for stem in stored.stems]
    return LibraryEmbeddings(library, stored, beats_per_bar=metre, metres=metres)


def expected(library: Library, model: FitModel, role: str) -> Embedding:
    (stem,) = library.stems(roles=[role])
    rows, active = library.features(stem), library.active()[stem.id]
    return embed_stem(model, rows, active, beats_per_bar=4, pitched=role != "drums")


def files(library: Library) -> list[Path]:
    return sorted((library.folder / "embeddings").glob("*/*.npz"))


@pytest.mark.parametrize("role", ["bass", "drums"])
def test_a_pool_reads_what_adding_stored(library: Library, model: FitModel, role: str) -> None:
    added = library.add_song(song(0))
    assert embed_song(library, added.id) == 3
    assert embed_song(library, added.id) == 0
    stored = [path.stat().st_mtime_ns for path in files(library)]
    found = source(library, role).of(model)
    right = expected(library, model, role)
    np.testing.assert_array_equal(found.pitch, right.pitch)
    np.testing.assert_array_equal(found.rhythm, right.rhythm)
    assert found.pitch.shape == (8, 0 if role == "drums" else 12 * model.sizes.pitch_values)
    assert stored == [path.stat().st_mtime_ns for path in files(library)]


def test_what_is_missing_is_made_and_kept(library: Library, model: FitModel) -> None:
    library.add_song(song(0))
    assert not files(library)
    first = source(library, "bass").of(model)
    assert len(files(library)) == 1
    (folder,) = (library.folder / "index").glob("embeddings-bass-*")
    again = source(library, "bass").of(model)
    np.testing.assert_array_equal(first.pitch, again.pitch)
    library.add_song(song(1))
    both = source(library, "bass").of(model)
    assert both.pitch.shape[0] == 16
    assert not folder.exists()  # one that holds both has taken its place


def test_another_model_never_reads_them(library: Library, model: FitModel) -> None:
    added = library.add_song(song(0))
    embed_song(library, added.id)
    before = source(library, "bass").of(model)
    half = {name: values * np.float32(0.5) for name, values in model.weights.items()}
    other = FitModel(half, model.sizes, model.curves, tag="other")
    found = source(library, "bass").of(other)
    assert found.tag == "other"
    assert not np.array_equal(found.rhythm, before.rhythm)


def test_the_librarys_own_model_takes_the_place_of_the_shipped_one(library: Library) -> None:
    towers = FitTowers(FitSizes(channels=4, pitch_values=1, rhythm_width=4), seed=1)
    tensors = {name: torch.from_numpy(values) for name, values in towers.weights().items()}
    record = {**asdict(towers.sizes), **FitCurves.plain(rules=0.2).record()}
    own = library.folder / "models" / "fit.safetensors"
    save_checkpoint(own, tensors, info=CheckpointInfo("fit", record))
    added = library.add_song(song(0))
    assert embed_song(library, added.id) == 3
    assert {path.parent.name for path in files(library)} == {load_fit(own).tag}
    assert not embedding_problems(library)
    assert source(library, "bass").of(load_fit(own)).pitch.shape[1] == 12
    ranker = load_ranker("fit", folders=(own.parent,))
    assert isinstance(ranker, FitRanker)
    own.write_bytes(b"damaged")
    with pytest.raises(MissingDependency, match="damaged"):
        load_ranker("fit", folders=(own.parent,))
    assert isinstance(load_ranker("fit"), FitRanker)


def test_damage_is_named_and_mended(library: Library, model: FitModel) -> None:
    added = library.add_song(song(0))
    embed_song(library, added.id)
    assert embedding_problems(library) == []
    right = expected(library, model, "bass")
    for path in files(library):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    problems = embedding_problems(library)
    assert {problem.kind for problem in problems} == {"damaged"}
    assert {problem.song_id for problem in problems} == {added.id}
    assert len(problems) == 3
    np.testing.assert_array_equal(source(library, "bass").of(model).pitch, right.pitch)
    assert embed_song(library, added.id) == 2
    assert embedding_problems(library) == []


def test_stems_of_another_metre_are_silent(library: Library, model: FitModel) -> None:
    library.add_song(song(0))
    assert not source(library, "bass", metre=3).of(model).pitch.any()
    assert not files(library)


def test_files_without_a_stem_are_swept(library: Library) -> None:
    kept, gone = library.add_song(song(0)), library.add_song(song(1))
    for added in (kept, gone):
        embed_song(library, added.id)
    assert sweep_embeddings(library, older_than_s=0.0) == 0
    library.remove(gone.id)
    assert sweep_embeddings(library) == 0  # still young: its writer may be at work
    assert sweep_embeddings(library, older_than_s=0.0) == 3
    assert embed_song(library, kept.id) == 0


@pytest.mark.parametrize("multiplier", [0.5, 2.0])
def test_read_at_another_tempo_they_keep_to_the_rows(
    library: Library, model: FitModel, multiplier: float
) -> None:
    for seed in (0, 1):
        library.add_song(song(seed))
    stored = load_pool(library, "bass")
    pool = RolePool(
        role="bass",
        beats_per_bar=4,
        stem_ids=tuple(stem.id for stem in stored.stems),
        offsets=stored.offsets,
        chroma=np.asarray(stored.chroma),
        onsets=np.asarray(stored.onsets),
        bands=np.asarray(stored.bands),
        active=np.asarray(stored.active),
        embeddings=source(library, "bass"),
    )
    assert pool.embeddings is not None
    whole = pool.embeddings.of(model).pitch.astype(np.float32)
    folded = pool.folded(multiplier, np.array([1]))
    assert folded.embeddings is not None
    found = folded.embeddings.of(model).pitch.astype(np.float32)
    assert found.shape[0] == folded.active.size
    if multiplier == 2.0:
        np.testing.assert_array_equal(found[::2], whole[8:])
        np.testing.assert_array_equal(found[1::2], whole[8:])
    else:
        norms = np.linalg.norm(found, axis=1)
        assert np.all((norms < 1.01) & ((norms > 0.99) | (norms == 0)))
        pairs = whole[8:].reshape(4, 2, -1).sum(axis=1)
        cosine = (pairs * found).sum(axis=1) / np.maximum(np.linalg.norm(pairs, axis=1), 1e-6)
        np.testing.assert_allclose(cosine[norms > 0], 1, atol=1e-2)


@pytest.mark.parametrize("multiplier", [0.5, 2.0])
def test_drums_are_read_at_another_tempo_too(
    library: Library, model: FitModel, multiplier: float
) -> None:
    library.add_song(song(0))
    beats = FoldedEmbeddings(source(library, "drums"), np.arange(8), multiplier == 2.0).of(model)
    assert beats.pitch.shape == (8 * multiplier, 0)
    assert beats.rhythm.shape == (8 * multiplier, model.sizes.rhythm_values)
