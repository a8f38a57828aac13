from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import text

from engine.checkpoints import CheckpointInfo, save_checkpoint
from engine.embeddings.files import EmbeddingFiles
from engine.embeddings.stems import (
    LibraryEmbeddings,
    embed_song,
    embedding_problems,
    sweep_embeddings,
)
from engine.embeddings.table import EmbeddingTable
from engine.errors import MissingDependency
from engine.library.library import Library
from engine.library.place import LibraryPlace
from engine.library.pool import load_pool
from engine.models.fit.checkpoint import FitModel, load_fit
from engine.models.fit.curves import FitCurves
from engine.models.fit.embedding import Embedding, FoldedEmbeddings, embed_stem
from engine.models.fit.ranker import FitRanker
from engine.models.fit.towers import FitSizes
from engine.models.pool import RolePool
from engine.models.registry import load_ranker
from engine.training.fit.towers import FitTowers
from tests.engine.library.songs import song
from tests.servers import Postgres

in_a_folder = pytest.mark.parametrize("library", ["files"], indirect=True)


@pytest.fixture(params=["files", "bytes", "vectors"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    """A library in a folder, and on servers without and with pgvector."""
    place: LibraryPlace = tmp_path / "library"
    if request.param != "files":
        name = "postgres" if request.param == "bytes" else "vector_postgres"
        server: Postgres = request.getfixturevalue(name)
        place = server.place(tmp_path)
    with Library.open(place) as opened:
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


def kept(library: Library) -> dict[str, object]:
    """Every stored embedding by key, with the time of its making."""
    if not library.database.backend.shared:
        return {path.stem: path.stat().st_mtime_ns for path in files(library)}
    assert not files(library)
    found: dict[str, object] = {}
    with library.database.reading() as session:
        for name in ("embedding_vectors", "embedding_bytes"):
            if session.scalar(text(f"SELECT to_regclass('{name}')")):
                found.update(map(tuple, session.execute(text(f"SELECT key, made_at FROM {name}"))))
    return found


def change_rows(library: Library, statement: str) -> None:
    with library.database.reading() as session:
        vectors = session.scalar(text("SELECT to_regclass('embedding_vectors')"))
    with library.database.writing() as session:
        name = "embedding_vectors" if vectors else "embedding_bytes"
        session.execute(text(statement.replace("TABLE", name)))


def damage(library: Library) -> None:
    """All that is kept: a byte of each file, a row of each embedding."""
    if library.database.backend.shared:
        change_rows(library, "DELETE FROM TABLE WHERE number = 1")
    for path in files(library):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)


@pytest.mark.parametrize("role", ["bass", "drums"])
def test_a_pool_reads_what_adding_stored(library: Library, model: FitModel, role: str) -> None:
    added = library.add_song(song(0))
    assert embed_song(library, added.id) == 3
    assert embed_song(library, added.id) == 0
    stored = kept(library)
    assert len(stored) == 3
    found = source(library, role).of(model)
    right = expected(library, model, role)
    np.testing.assert_array_equal(found.pitch, right.pitch)
    np.testing.assert_array_equal(found.rhythm, right.rhythm)
    assert found.pitch.shape == (8, 0 if role == "drums" else 12 * model.sizes.pitch_values)
    assert stored == kept(library)


def test_what_is_missing_is_made_and_kept(library: Library, model: FitModel) -> None:
    library.add_song(song(0))
    assert not kept(library)
    first = source(library, "bass").of(model)
    assert len(kept(library)) == 1
    (folder,) = (library.cache / "index").glob("embeddings-bass-*")
    again = source(library, "bass").of(model)
    np.testing.assert_array_equal(first.pitch, again.pitch)
    library.add_song(song(1))
    both = source(library, "bass").of(model)
    assert both.pitch.shape[0] == 16
    assert not folder.exists()  # one that holds both has taken its place


@in_a_folder
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
    assert len(kept(library)) == 3
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
    damage(library)
    problems = embedding_problems(library)
    assert {problem.kind for problem in problems} == {"damaged"}
    assert {problem.song_id for problem in problems} == {added.id}
    assert len(problems) == 3
    np.testing.assert_array_equal(source(library, "bass").of(model).pitch, right.pitch)
    assert embed_song(library, added.id) == 2
    assert embedding_problems(library) == []


@in_a_folder
def test_a_changed_byte_is_damage_wherever_it_is(library: Library, model: FitModel) -> None:
    """In the archive's headers one byte may tell of a password or of a version to come."""
    embed_song(library, library.add_song(song(0)).id)
    path = files(library)[0]
    keeper = EmbeddingFiles(library.folder, path.parent.name)
    ((_, right),) = keeper.several([path.stem])
    whole = path.read_bytes()
    places = [*range(64), *range(len(whole) - 256, len(whole))]
    lost = 0
    for place, bits in itertools.product(places, (0x01, 0x40, 0xFF)):
        data = bytearray(whole)
        data[place] ^= bits
        path.write_bytes(data)
        found = [embedding for _, embedding in keeper.several([path.stem])]
        lost += not found
        for embedding in found:
            np.testing.assert_array_equal(embedding.pitch, right.pitch)
            np.testing.assert_array_equal(embedding.rhythm, right.rhythm)
    assert lost > 100


def test_what_the_pool_before_held_is_not_fetched_again(library: Library, model: FitModel) -> None:
    library.add_song(song(0))
    before = source(library, "bass").of(model)
    first = kept(library).keys()
    library.add_song(song(1))
    library.remove(library.songs()[0].id)
    third = library.add_song(song(2))
    sweep_embeddings(library, older_than_s=0.0)
    assert not kept(library).keys() & first
    library.add_song(song(0))
    after = source(library, "bass").of(model)
    assert len(after.pitch) == 3 * len(before.pitch)
    assert len(kept(library)) == 2  # the first one's came from the folder before
    assert not kept(library).keys() & first
    (number,) = [i for i, s in enumerate(library.stems(roles=["bass"])) if s.song_id == third.id]
    rows = slice(8 * number, 8 * number + 8)
    right = embed_stem(
        model,
        library.features(library.stems(third.id, ["bass"])[0]),
        library.active(song_id=third.id)[library.stems(third.id, ["bass"])[0].id],
        beats_per_bar=4,
        pitched=True,
    )
    np.testing.assert_array_equal(after.pitch[rows], right.pitch)


def test_stems_of_another_metre_are_silent(library: Library, model: FitModel) -> None:
    library.add_song(song(0))
    assert not source(library, "bass", metre=3).of(model).pitch.any()
    assert not kept(library)


def test_files_without_a_stem_are_swept(library: Library) -> None:
    kept, gone = library.add_song(song(0)), library.add_song(song(1))
    for added in (kept, gone):
        embed_song(library, added.id)
    assert sweep_embeddings(library, older_than_s=0.0) == 0
    library.remove(gone.id)
    assert sweep_embeddings(library) == 0  # still young: its writer may be at work
    assert sweep_embeddings(library, older_than_s=0.0) == 3
    assert embed_song(library, kept.id) == 0


@pytest.fixture(params=["postgres", "vector_postgres"])
def table(
    request: pytest.FixtureRequest, tmp_path: Path, model: FitModel
) -> Iterator[tuple[Library, EmbeddingTable]]:
    server: Postgres = request.getfixturevalue(request.param)
    with Library.open(server.place(tmp_path / "table")) as opened:
        yield opened, EmbeddingTable(opened.database, model)


def halves(seed: int, beats: int, width: int) -> np.ndarray:
    """Every kind of finite half-precision number: normal, tiny, zero of either sign."""
    bits = np.random.default_rng(seed).integers(0, 1 << 16, (beats, width), dtype=np.uint16)
    values = bits.view(np.float16)
    values[~np.isfinite(values)] = np.float16(-0.0)
    return values


def test_tables_give_back_every_bit(table: tuple[Library, EmbeddingTable], model: FitModel) -> None:
    library, keeper = table
    widths = 12 * model.sizes.pitch_values, model.sizes.rhythm_values
    given = {
        f"key{beats}": Embedding(
            model.tag, halves(beats, beats, pitch), halves(99 + beats, beats, widths[1])
        )
        for beats, pitch in ((1, widths[0]), (7, widths[0]), (1200, widths[0]), (9, 0))
    }
    assert keeper.known(list(given)) == set()
    keeper.put(given.items())
    keeper.put(list(given.items())[:2])
    found = dict(keeper.several([*given, "unknown"]))
    assert found.keys() == given.keys() == keeper.known([*given, "unknown"])
    for key, wanted in given.items():
        for name in ("pitch", "rhythm"):
            values = getattr(found[key], name)
            assert values.shape == getattr(wanted, name).shape
            np.testing.assert_array_equal(
                np.ascontiguousarray(values).view(np.uint16), getattr(wanted, name).view(np.uint16)
            )
    change_rows(library, "UPDATE TABLE SET beats = 3 WHERE key = 'key7' AND number = 0")
    assert {key for key, _ in keeper.several(list(given))} == given.keys() - {"key7"}


def test_vectors_can_be_searched_in_sql(
    vector_postgres: Postgres, tmp_path: Path, model: FitModel
) -> None:
    with Library.open(vector_postgres.place(tmp_path)) as library:
        added = library.add_song(song(0))
        embed_song(library, added.id)
        pitch = expected(library, model, "bass").pitch.astype(np.float32).reshape(2, -1)
        nearest = text(
            "SELECT -(pitch OPERATOR(public.<#>) CAST(:asked AS public.halfvec)) "
            "FROM embedding_vectors WHERE pitch IS NOT NULL ORDER BY 1 DESC LIMIT 1"
        )
        with library.database.reading() as session:
            found = session.scalar(nearest, {"asked": str(pitch[1].tolist())})
    assert found == pytest.approx(float(pitch[1] @ pitch[1]), rel=1e-3)


@in_a_folder
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


@in_a_folder
@pytest.mark.parametrize("multiplier", [0.5, 2.0])
def test_drums_are_read_at_another_tempo_too(
    library: Library, model: FitModel, multiplier: float
) -> None:
    library.add_song(song(0))
    beats = FoldedEmbeddings(source(library, "drums"), np.arange(8), multiplier == 2.0).of(model)
    assert beats.pitch.shape == (8 * multiplier, 0)
    assert beats.rhythm.shape == (8 * multiplier, model.sizes.rhythm_values)
