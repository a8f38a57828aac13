from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import LibraryUnusable
from engine.library.library import Library
from engine.library.pool import StemPool, load_pool
from tests.engine.library.songs import analysis, song


def index(library: Library, pattern: str = "drums-*") -> list[Path]:
    return sorted((library.cache / "index").glob(pattern))


def assert_holds(pool: StemPool, library: Library) -> None:
    """Every stem of the role, row for row what its feature file says."""
    assert pool.stems == library.stems(roles=["drums"])
    active = library.active(["drums"])
    assert pool.offsets[-1] == len(pool.chroma) == sum(stem.beats for stem in pool.stems)
    for number, stem in enumerate(pool.stems):
        rows, features = pool.rows(number), library.features(stem)
        for name in ("chroma", "onsets", "bands"):
            array = getattr(pool, name)
            assert array.dtype == features[name].dtype
            np.testing.assert_array_equal(array[rows], features[name])
        np.testing.assert_array_equal(pool.active[rows], active[stem.id])


def test_the_pool_lays_every_stem_end_to_end(library: Library) -> None:
    for seed in range(4):
        library.add_song(song(seed))
    pool = load_pool(library, "drums")
    assert_holds(pool, library)
    assert pool.chroma.shape == (32, 12)
    assert pool.onsets.shape == (32, 12, 3)
    assert pool.bands.shape == (32, 3)
    assert pool.offsets.tolist() == [0, 8, 16, 24, 32]
    assert pool.revision == library.revision()
    assert isinstance(pool.chroma, np.memmap)


def test_an_unchanged_library_uses_the_folder_again(library: Library) -> None:
    library.add_song(song(0))
    load_pool(library, "drums")
    (folder,) = index(library)
    made = (folder / "chroma.npy").stat().st_mtime_ns
    library.add_song(song(1, roles=("vocals",)))  # a change, but not of the drums
    pool = load_pool(library, "drums")
    assert index(library) == [folder]
    assert (folder / "chroma.npy").stat().st_mtime_ns == made
    assert pool.revision == library.revision()


def test_a_change_makes_it_anew_and_old_arrays_stay_valid(library: Library) -> None:
    first = library.add_song(song(0))
    before = load_pool(library, "drums")
    copy = before.chroma.copy()
    library.add_song(song(1))
    assert_holds(load_pool(library, "drums"), library)
    library.replace_analysis(first.id, analysis(7, bars=4, tempo_bpm=90))
    assert_holds(load_pool(library, "drums"), library)
    library.remove(first.id)
    after = load_pool(library, "drums")
    assert_holds(after, library)
    assert len(after.stems) == 1
    assert len(index(library)) == 1
    np.testing.assert_array_equal(before.chroma, copy)


def test_unchanged_stems_are_taken_from_the_folder_before(library: Library) -> None:
    first = library.add_song(song(0))
    load_pool(library, "drums")
    features = library.stems(first.id, ["drums"])[0].features_sha
    next(library.folder.glob(f"features/*/{features}.npy")).unlink()
    library.add_song(song(1))
    assert len(load_pool(library, "drums").stems) == 2


def test_no_stems_make_an_empty_pool(library: Library) -> None:
    pool = load_pool(library, "other")
    assert pool.stems == ()
    assert pool.offsets.tolist() == [0]
    assert (pool.chroma.shape, pool.onsets.shape) == ((0, 12), (0, 12, 3))
    assert index(library, "*") == []


@pytest.mark.parametrize("damage", ["cut", "gone", "rubbish"])
def test_a_damaged_folder_is_made_again(library: Library, damage: str) -> None:
    library.add_song(song(0))
    load_pool(library, "drums")
    path = index(library)[0] / "onsets.npy"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "cut" else b"rubbish")
    assert_holds(load_pool(library, "drums"), library)
    assert_holds(load_pool(library, "drums"), library)


def test_without_a_place_for_the_index_the_pool_is_made_in_memory(library: Library) -> None:
    library.add_song(song(0))
    library.cache.mkdir(parents=True, exist_ok=True)
    (library.cache / "index").write_text("a file in the way")
    assert_holds(load_pool(library, "drums"), library)


def test_a_missing_feature_file_is_an_error_and_leaves_no_rest(library: Library) -> None:
    row = library.add_song(song(0))
    features = library.stems(row.id, ["drums"])[0].features_sha
    next(library.folder.glob(f"features/*/{features}.npy")).unlink()
    with pytest.raises(LibraryUnusable, match="missing"):
        load_pool(library, "drums")
    assert index(library, "*") == [] == index(library, ".*")
