from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.records import SongAnalysis
from engine.errors import UnusableInput, UsageError
from engine.library.blobs import audio_key
from engine.library.library import Library
from engine.library.rows import Correction, CorrectionField, NewStem, StoredAudio
from engine.theory import Key
from tests.engine.library.conftest import sqlite_only
from tests.engine.library.songs import ROLES, analysis, song, source, tone


def blob_files(folder: Path) -> set[Path]:
    return {p for kind in ("audio", "features") for p in (folder / kind).rglob("*") if p.is_file()}


def assert_same_analysis(found: SongAnalysis, given: SongAnalysis) -> None:
    np.testing.assert_array_equal(found.grid.beats_s, given.grid.beats_s)
    assert found.grid.beats_per_bar == given.grid.beats_per_bar
    assert found.grid.confidence == given.grid.confidence
    names = ("tempo", "key", "tuning_cents", "tracker", "tracked_on", "duration_s", "windows")
    for name in (*names, "notes"):
        assert getattr(found, name) == getattr(given, name)
    assert [s.role for s in found.stems] == sorted(s.role for s in given.stems)
    for stem, wanted in zip(found.stems, sorted(given.stems, key=lambda s: s.role), strict=True):
        np.testing.assert_array_equal(stem.features, wanted.features)
        np.testing.assert_array_equal(stem.active, wanted.active)
        assert stem.loudness_lufs == wanted.loudness_lufs
        assert stem.true_peak_db == wanted.true_peak_db


def test_what_went_in_comes_out(library: Library) -> None:
    given = song(1, title="Evening")
    row = library.add_song(given)
    assert row.id.startswith("g")
    assert len(row.id) == 13
    assert (row.title, row.kind, row.beats, row.beats_per_bar) == ("Evening", "multitrack", 8, 4)
    assert row.key.key == Key(9, "minor")
    assert library.songs() == (row,)
    assert library.song(row.id) == row
    stems = library.stems(row.id)
    assert [stem.role for stem in stems] == sorted(ROLES)
    assert all(stem.id.startswith("s") and len(stem.id) == 13 for stem in stems)
    assert_same_analysis(library.analysis(row.id), given.analysis)
    np.testing.assert_array_equal(library.grid(row.id).beats_s, given.analysis.grid.beats_s)
    assert library.windows(row.id) == given.analysis.windows
    assert library.sources(row.id) == given.sources
    for stem, new in zip(stems, given.stems, strict=True):
        assert isinstance(library.features(stem.id), np.memmap)
        assert library.audio_path(stem.id).is_file()
        assert isinstance(new.audio, type(tone(0)))
        back = library.waveform(stem.id)
        np.testing.assert_allclose(back.samples, new.audio.samples, atol=1e-6)
        assert stem.duration_s == 1.0


def test_silence_and_no_key_are_kept(library: Library) -> None:
    silent = analysis(0, roles=("drums",), key=None)
    quiet = replace(silent.stems[0], loudness_lufs=-np.inf, true_peak_db=-np.inf)
    given = song(0, roles=("drums",))
    row = library.add_song(replace(given, analysis=replace(silent, stems=(quiet,))))
    assert row.key.key is None
    assert library.stems()[0].loudness_lufs == -np.inf
    assert library.verify() == []


def test_the_same_content_adds_nothing_but_its_new_source(library: Library) -> None:
    first = library.add_song(song(1, title="one"))
    files, revision = blob_files(library.folder), library.revision()
    again = library.add_song(song(1, title="two", sources=(source(7, "/usb/other.flac"),)))
    assert again == first
    assert blob_files(library.folder) == files
    assert library.songs() == (first,)
    assert len(library.sources(first.id)) == 2
    assert library.find_source(source(7).sha256) == (first.id,)
    assert library.revision() == revision + 1
    library.add_song(song(1, title="three"))
    assert library.revision() == revision + 1


def test_ids_are_the_same_in_every_library(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        with Library.open(tmp_path / name) as library:
            library.add_song(song(5 if name == "a" else 6))
            library.add_song(song(1, title=name))
            ids.append({row.id for row in library.songs()} | {s.id for s in library.stems()})
    assert len(ids[0] & ids[1]) == 1 + len(ROLES)


def test_a_separated_song_is_known_by_its_mix(library: Library) -> None:
    mix = audio_key(tone(99)).sha
    first = library.add_song(replace(song(1, kind="song"), content_sha=mix))
    files = blob_files(library.folder)
    again = library.add_song(replace(song(2, kind="song"), content_sha=mix))
    assert again == first
    assert blob_files(library.folder) == files
    loop = library.add_song(replace(song(1, kind="loop"), content_sha=mix))
    assert loop.id != first.id


def test_two_silent_stems_share_one_file(library: Library) -> None:
    silence = replace(tone(0), samples=np.zeros((2, 800), np.float32))
    given = song(1, roles=("bass", "drums"))
    stems = tuple(NewStem(stem.role, silence) for stem in given.stems)
    library.add_song(replace(given, stems=stems))
    bass, drums = library.stems()
    assert bass.audio.sha == drums.audio.sha
    assert bass.id != drums.id
    assert library.verify() == []


def test_audio_may_be_stored_ahead(library: Library) -> None:
    given = song(1, roles=("drums",))
    stored = library.store_audio(tone(10, peak=2.0))
    row = library.add_song(replace(given, stems=(NewStem("drums", stored),)))
    (stem,) = library.stems(row.id)
    assert stem.audio == stored
    assert np.abs(library.waveform(stem).samples).max() == pytest.approx(2.0, abs=1e-5)


def test_audio_that_was_never_stored_is_refused(library: Library) -> None:
    given = song(1, roles=("drums",))
    ghost = StoredAudio("0" * 64, 0.0, 8000, 2, 8000)
    with pytest.raises(UnusableInput):
        library.add_song(replace(given, stems=(NewStem("drums", ghost),)))
    assert library.songs() == ()


def test_an_analysis_that_does_not_fit_is_refused_before_anything_is_stored(
    library: Library,
) -> None:
    given = song(1)
    wrong = replace(given.analysis.stems[0], features=given.analysis.stems[0].features[:-1])
    bad = [
        replace(given.analysis, tuning_cents=float("nan")),
        replace(given.analysis, duration_s=0.0),
        replace(given.analysis, stems=(wrong, *given.analysis.stems[1:])),
        replace(
            given.analysis,
            stems=(
                replace(given.analysis.stems[0], loudness_lufs=np.nan),
                *given.analysis.stems[1:],
            ),
        ),
    ]
    for found in bad:
        with pytest.raises(ValueError, match=r"nan|cannot be|intervals"):
            library.add_song(replace(given, analysis=found))
    with pytest.raises(ValueError, match="analysis is of"):
        replace(given, stems=given.stems[:-1])
    assert blob_files(library.folder) == set()


def test_stems_are_chosen_by_song_and_role(library: Library) -> None:
    one, two = library.add_song(song(1)), library.add_song(song(2, roles=("drums", "other")))
    assert len(library.stems()) == 5
    assert {stem.song_id for stem in library.stems(roles=["drums"])} == {one.id, two.id}
    assert [stem.role for stem in library.stems(two.id, ["other", "vocals"])] == ["other"]
    assert library.stems(roles=[]) == ()
    assert set(library.active(["other"])) == {library.stems(roles=["other"])[0].id}


def test_removing_takes_only_what_no_other_song_needs(library: Library) -> None:
    shared = song(1, roles=("drums",))
    one = library.add_song(shared)
    two = library.add_song(replace(shared, kind="loop", title="loop"))
    three = library.add_song(song(3))
    assert library.remove(three.id) == three
    assert len(blob_files(library.folder)) == 2
    library.remove(one.id)
    assert library.verify(older_than_s=0) == []
    assert len(blob_files(library.folder)) == 2
    library.remove(two.id)
    assert blob_files(library.folder) == set()
    assert library.stems() == ()
    assert library.find_source(source(1).sha256) == ()


def test_a_persons_corrections_outlive_analysis_and_removal(library: Library) -> None:
    row = library.add_song(song(1))
    for correction in (
        Correction("tempo", 90),
        Correction("key", "8A"),
        Correction("downbeat", 0.25),
        Correction("half"),
    ):
        assert library.correct(row.id, correction).made_at
    library.replace_analysis(row.id, analysis(2))
    library.remove(row.id)
    library.add_song(song(1))
    found = [(c.field, c.value) for c in library.corrections(row.id)]
    wanted = [("tempo", 90.0), ("key", "A minor"), ("downbeat", 0.25), ("half", None)]
    assert found == wanted
    assert library.corrections("g000000000000") == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tempo", 0),
        ("tempo", float("nan")),
        ("tempo", float("inf")),
        ("tempo", -90),
        ("tempo", "fast"),
        ("tempo", None),
        ("downbeat", -1.0),
        ("key", "H dur"),
        ("key", None),
        ("half", 2.0),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(
    field: CorrectionField, value: float | str | None
) -> None:
    with pytest.raises(UsageError):
        Correction(field, value)


def test_a_new_analysis_takes_the_old_ones_place(library: Library) -> None:
    row = library.add_song(song(1))
    stems = library.stems(row.id)
    fresh = analysis(9, tempo_bpm=60.0, bars=4, key=Key(0, "major"))
    changed = library.replace_analysis(row.id, fresh)
    assert changed.tempo.bpm == 60.0
    assert_same_analysis(library.analysis(row.id), fresh)
    assert [s.audio for s in library.stems(row.id)] == [s.audio for s in stems]
    assert library.verify(older_than_s=0) == []
    with pytest.raises(ValueError, match="analysis is of"):
        library.replace_analysis(row.id, analysis(9, roles=("drums",)))
    assert library.song(row.id) == changed


def test_every_change_raises_the_revision_and_reading_does_not(library: Library) -> None:
    seen = [library.revision()]
    row = library.add_song(song(1))
    seen.append(library.revision())
    library.correct(row.id, Correction("double"))
    seen.append(library.revision())
    library.replace_analysis(row.id, analysis(2))
    seen.append(library.revision())
    library.add_sources(row.id, [source(8)])
    seen.append(library.revision())
    library.analysis(row.id)
    library.verify()
    assert library.revision() == seen[-1]
    library.remove(row.id)
    seen.append(library.revision())
    assert seen == sorted(set(seen))


def test_an_id_may_be_shortened_while_it_is_unique(library: Library) -> None:
    row = library.add_song(song(1, title="Morning Light"))
    stem = library.stems(row.id)[0]
    assert library.resolve(row.id) == row.id
    assert library.resolve(row.id[:4].upper()) == row.id
    assert library.resolve(stem.id[:10]) == stem.id
    assert library.resolve("g", kind="song") == row.id
    with pytest.raises(UsageError) as caught:
        library.resolve("s")
    assert caught.value.code == "ambiguous_id"
    assert "3 ids" in caught.value.message


def test_an_unknown_id_brings_a_hint(library: Library) -> None:
    row = library.add_song(song(1, title="Morning Light"))
    mistyped = row.id[:-1] + ("0" if row.id[-1] != "0" else "1")
    for ask in (library.resolve, library.song, library.grid, library.remove, library.analysis):
        with pytest.raises(UsageError) as caught:
            ask(mistyped)
        assert caught.value.code == "unknown_id"
        assert row.id in caught.value.hint
    with pytest.raises(UsageError) as caught:
        library.resolve("morning")
    assert f"{row.id} (Morning Light)" in caught.value.hint
    for nothing in ("", "   ", "%", "_", "zzz"):
        with pytest.raises(UsageError):
            library.resolve(nothing)
    with pytest.raises(UsageError, match="stem"):
        library.stem(row.id)


def test_names_that_are_no_unicode_are_kept_readable(library: Library) -> None:
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    row = library.add_song(song(1, title=broken, sources=(source(1, f"/m/{broken}"),)))
    assert row.title.startswith("caf")
    assert library.songs() == (row,)
    again = library.add_song(song(1, title=broken, sources=(source(1, f"/m/{broken}"),)))
    assert len(library.sources(again.id)) == 1


@sqlite_only
def test_two_thousand_stems_are_listed(library: Library) -> None:
    stored = [
        NewStem(role, library.store_audio(tone(i, frames=16))) for i, role in enumerate(ROLES)
    ]
    for number in range(667):
        given = replace(
            song(0, title=f"{number}"),
            stems=tuple(stored),
            content_sha=f"{number:064x}",
            kind="song",
        )
        library.add_song(given)
    assert len(library.stems()) == 2001
    assert len({stem.id for stem in library.stems()}) == 2001
    assert [row.title for row in library.songs()][:3] == ["0", "1", "2"]
    assert len(blob_files(library.folder)) == 6


def test_threads_share_one_library(library: Library) -> None:
    def add_and_look(seed: int) -> int:
        row = library.add_song(song(seed, frames=200))
        return len(library.analysis(row.id).stems)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(add_and_look, [*range(12), *range(12)])) == [len(ROLES)] * 24
    assert len(library.songs()) == 12
    assert library.verify(older_than_s=0) == []
