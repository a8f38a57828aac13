from __future__ import annotations

import contextlib
import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audio.decode import decode
from engine.errors import LibraryUnusable, MissingDependency, UnusableInput, UsageError
from engine.library.library import Library
from engine.theory import STORED_ROLES, Key
from engine.training.material import open_material, split_songs
from engine.training.midi_audio.corpus import CorpusOptions, render_corpus, select_songs
from engine.training.midi_audio.evaluation import comparable_songs
from engine.training.midi_audio.index import corpus_songs, is_midi_corpus
from engine.training.midi_audio.listing import (
    LISTING_NAME,
    ListedSong,
    groups_of,
    read_listing,
    update_listing,
    write_listing,
)
from engine.training.midi_audio.recipe import Realism
from engine.training.midi_audio.songs import render_song
from engine.training.midi_audio.synth import find_soundfonts
from engine.training.midi_audio.training import rendered_request
from engine.training.requests import TrainRequest
from tests.engine.training.midi_audio.midi import (
    needs_fluidsynth,
    quick_rendering,
    write_corpus,
    write_index,
    write_song,
)

ROWS = [
    ("a.mid", "one", "train"),
    ("b.mid", "one", "train"),
    ("c.mid", "two", "train"),
    ("d.mid", "three", "val"),
    ("e.mid", "four", "test"),
]
#: Fast: no syllables, no codec.
PLAIN = Realism(sung=0.0, formant=1.0, choir=0.0, codec=0.0)


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.suppress(MissingDependency):
        quick_rendering(tmp_path / "soundfonts", monkeypatch)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "corpus", ROWS)
    return tmp_path / "corpus"


def test_songs_are_chosen_by_split_and_group(corpus: Path) -> None:
    songs = corpus_songs(corpus).songs
    assert len(songs) == 5
    assert songs[0].source.melody == (1, 0)
    assert songs[1].source.key == Key.parse("C#")
    train = select_songs(songs, CorpusOptions("train"))
    assert sorted(song.group for song in train) == ["one", "two"]
    both = select_songs(songs, CorpusOptions("train", one_per_group=False))
    assert len(both) == 3
    assert select_songs(songs, CorpusOptions("train", limit=1)) == train[:1]
    assert [s.source.name for s in select_songs(songs, CorpusOptions("val"))] == ["d.mid"]
    with pytest.raises(UnusableInput, match="test"):
        select_songs(songs[:4], CorpusOptions("test"))


@pytest.mark.parametrize("column", ["set", "group", "time_sig", "full_band", "melody_part"])
def test_an_index_that_lacks_a_column_names_it(corpus: Path, column: str) -> None:
    index = corpus / "index.csv"
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace(column, "x", 1), encoding="utf-8")
    assert is_midi_corpus(corpus)
    with pytest.raises(UnusableInput, match="6 of 7 columns") as caught:
        corpus_songs(corpus)
    assert f"Add {column}," in caught.value.hint
    index.write_text("\ufeff" + text, encoding="utf-8")  # as Excel writes it
    assert len(corpus_songs(corpus).songs) == 5
    index.write_bytes(text.encode() + b"\xff")
    assert is_midi_corpus(corpus)
    with pytest.raises(UnusableInput, match="cannot be read"):
        corpus_songs(corpus)


@pytest.mark.parametrize("melody", ["3", "one:two", "1:0", "1:17", "-1:1"])
def test_what_is_no_melody_part_is_no_melody(corpus: Path, melody: str) -> None:
    index = corpus / "index.csv"
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace("1:1:68:MELODY", melody, 1), encoding="utf-8")
    names = [song.source.name for song in corpus_songs(corpus).songs]
    assert names == ["b.mid", "c.mid", "d.mid", "e.mid"]


def test_an_index_of_something_else_is_passed_over(tmp_path: Path) -> None:
    write_song(tmp_path / "one.mid")
    (tmp_path / "index.csv").write_text("file,title\none.mid,One\n", encoding="utf-8")
    assert is_midi_corpus(tmp_path)
    assert [song.source.name for song in corpus_songs(tmp_path).songs] == ["one.mid"]


def test_a_folder_of_stems_is_no_corpus(tmp_path: Path) -> None:
    write_song(tmp_path / "song" / "score.mid")
    (tmp_path / "song" / "drums.wav").write_bytes(b"RIFF")
    assert not is_midi_corpus(tmp_path)
    (tmp_path / "index.csv").write_text("file,role\n", encoding="utf-8")
    assert not is_midi_corpus(tmp_path)


@needs_fluidsynth
def test_one_seed_makes_one_song(corpus: Path) -> None:
    source = corpus_songs(corpus).songs[2].source
    first, again, other = (
        render_song(source, find_soundfonts()[:1], seed=seed, seconds=16.0, realism=PLAIN)
        for seed in (1, 1, 2)
    )
    assert set(first.stems) == set(STORED_ROLES)
    for role, stem in first.stems.items():
        np.testing.assert_array_equal(stem.samples, again.stems[role].samples)
        assert stem.duration_s == pytest.approx(float(first.grid.beats_s[-1]), abs=1e-4)
    assert not np.array_equal(first.stems["bass"].samples, other.stems["bass"].samples)
    total = sum(stem.samples for stem in first.stems.values())
    assert 0.05 < np.abs(total).max() < 0.9
    assert 120 * 0.9 * 0.99 < first.grid.tempo_bpm < 120 * 1.3 * 1.01
    assert first.key.method == "score"


@needs_fluidsynth
def test_bleed_is_heard_only_where_it_is_asked_for(corpus: Path) -> None:
    source = corpus_songs(corpus).songs[2].source
    font = find_soundfonts()[:1]
    clean = render_song(source, font, seed=1, seconds=16.0, realism=PLAIN)
    bled = render_song(source, font, seed=1, seconds=16.0, realism=replace(PLAIN, bleed_db=-20.0))
    drums, other = clean.stems["drums"].mono(), bled.stems["vocals"].mono()
    alone = clean.stems["vocals"].mono()
    assert abs(np.corrcoef(drums, other)[0, 1]) > abs(np.corrcoef(drums, alone)[0, 1]) + 0.02


@needs_fluidsynth
def test_a_corpus_becomes_a_library_with_exact_beats(corpus: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("train", seconds=16.0, realism=PLAIN, folders=tmp_path / "stems")
    made = render_corpus(corpus, library, options)
    assert not made.notes or "sung" in made.notes[0]
    assert sorted(song.group for song in made.songs) == ["one", "two"]
    with Library.open(library, create=False) as opened:
        for song in made.songs:
            row, grid = opened.song(song.song_id), opened.grid(song.song_id)
            assert (row.tracker, row.key.method, row.key.confidence) == ("score", "score", 1.0)
            assert np.ptp(np.diff(grid.beats_s)) < 1e-6
            assert {stem.role for stem in opened.stems(row.id)} == {*STORED_ROLES, "harmonic"}
            folder = tmp_path / "stems" / song.file.removesuffix(".mid")
            truth = json.loads((folder / "song.json").read_text(encoding="utf-8"))
            np.testing.assert_allclose(truth["beats_s"], grid.beats_s, atol=1e-5)
            assert decode(folder / "drums.flac").duration_s == pytest.approx(row.duration_s)
        assert not opened.verify()
    told: list[str] = []
    again = render_corpus(corpus, library, options, tell=told.append)
    assert not told
    assert again.songs == made.songs


@needs_fluidsynth
def test_that_nothing_can_sing_is_said_before_and_after(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = CorpusOptions("val", seconds=20.0, realism=replace(PLAIN, sung=1.0, formant=0.0))
    for module in ("corpus", "songs"):
        name = f"engine.training.midi_audio.{module}.missing_for_singing"
        monkeypatch.setattr(name, lambda: "the choir is on strike")
    said: list[bool] = []

    def told(text: str) -> None:
        said.append("on strike" in caplog.text)

    made = render_corpus(corpus, tmp_path / "library", options, tell=told)
    assert said == [True]
    assert made.notes == ("Melodies are sung on vowels alone, because the choir is on strike.",)
    assert [song.voice for song in made.songs] == ["formant"]
    caplog.clear()
    render_corpus(corpus, tmp_path / "library", options)
    assert "on strike" not in caplog.text  # nothing had to be rendered
    render_corpus(corpus, tmp_path / "library", replace(options, split="train", limit=1))
    assert "on strike" not in caplog.text  # it was said


@needs_fluidsynth
def test_variants_of_one_composition_never_meet(corpus: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("train", seconds=16.0, realism=PLAIN, one_per_group=False)
    render_corpus(corpus, library, options)
    material = open_material([library], tmp_path / "work", tell=lambda _text: None)
    assert sorted(song.group for song in material.db.songs) == ["one", "one", "two"]
    ids = [song.id for song in material.db.songs]
    kept = comparable_songs(ids, library)
    assert len(kept) == 2
    assert sorted(groups_of(library)[song] for song in kept) == ["one", "two"]
    assert comparable_songs([*ids, "gforeign"], library, "train") == [*kept, "gforeign"]
    with pytest.raises(UsageError, match="--split val does not apply"):
        comparable_songs([*ids, "gforeign"], library, "val")
    (library / LISTING_NAME).write_text("song_id\nx\n", encoding="utf-8")
    with pytest.raises(LibraryUnusable):
        read_listing(library)


@needs_fluidsynth
def test_a_request_gets_a_library_in_place_of_midi(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "stems"
    request = TrainRequest("premixnet", (other, corpus), tmp_path / "p.safetensors")
    got, _notes = rendered_request(
        request, lambda _text: None, limit_songs=1, seconds=16.0, cache=tmp_path / "cache"
    )
    assert got.data[0] == other
    assert sorted(song.split for song in read_listing(got.data[1])) == ["train", "val"]
    told: list[str] = []
    again, _notes = rendered_request(
        request, told.append, limit_songs=1, seconds=16.0, cache=tmp_path / "cache"
    )
    assert again == got
    assert not [text for text in told if text.startswith("rendered")]


def by_file(library: Path) -> dict[str, ListedSong]:
    return {song.file: song for song in read_listing(library)}


@needs_fluidsynth
def test_the_list_follows_the_corpus_and_nothing_is_rendered_again(
    corpus: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("train", seconds=16.0, realism=PLAIN, one_per_group=False)
    before = render_corpus(corpus, library, options).songs
    assert len(before) == 3
    assert all(song.midi_sha and song.is_current for song in before)
    write_index(corpus, [("a.mid", "one", "test"), ("b.mid", "six", "train"), *ROWS[3:]])
    told: list[str] = []
    after = render_corpus(corpus, library, options, tell=told.append).songs
    assert not told
    assert [(song.file, song.group) for song in after] == [("b.mid", "six")]
    listed = by_file(library)
    assert (listed["a.mid"].split, listed["b.mid"].group) == ("test", "six")
    assert listed["c.mid"].split == "train"  # another corpus may have it
    render_corpus(corpus, library, options, is_own=True)
    gone = by_file(library)["c.mid"]
    assert (gone.split, gone.is_current) == ("test", False)
    ids = [song.song_id for song in before]
    assert gone.song_id not in comparable_songs(ids, library)
    write_index(corpus, ROWS)
    again = render_corpus(corpus, library, options, is_own=True, tell=told.append)
    assert not told
    assert again.songs == before


@needs_fluidsynth
def test_an_edited_file_is_rendered_again(corpus: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("val", seconds=16.0, realism=PLAIN)
    render_corpus(corpus, library, replace(options, split="train"))
    (before,) = render_corpus(corpus, library, options).songs
    write_song(corpus / "d.mid", tempo_bpm=140, transpose=2)
    told: list[str] = []
    (after,) = render_corpus(corpus, library, options, tell=told.append).songs
    assert told == ["rendered 1 of 1: d.mid"]
    assert after.song_id != before.song_id
    listed = {song.song_id: song for song in read_listing(library)}
    assert listed[after.song_id] == after
    assert (listed[before.song_id].split, listed[before.song_id].is_current) == ("test", False)
    assert comparable_songs([before.song_id, after.song_id], library) == [after.song_id]
    db = open_material([library], tmp_path / "work", tell=lambda _text: None).db
    assert {before.song_id, after.song_id} < set(db.by_id)
    parts = split_songs(db, [library], share=0.2, seed=0)
    assert [song.id for song in parts.held_out.songs] == [after.song_id]
    assert sorted(song.group for song in parts.train.songs) == ["one", "two"]


@needs_fluidsynth
def test_corpora_that_share_a_library_and_names_leave_each_other_alone(
    corpus: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("val", seconds=16.0, realism=PLAIN)
    (before,) = render_corpus(corpus, library, options).songs
    other = tmp_path / "other"
    other.mkdir()
    write_index(other, [("d.mid", "elsewhere", "val")])
    write_song(other / "d.mid", tempo_bpm=140, transpose=2)
    (theirs,) = render_corpus(other, library, options).songs
    assert theirs.song_id != before.song_id
    assert set(read_listing(library)) == {before, theirs}
    told: list[str] = []
    assert render_corpus(corpus, library, options, tell=told.append).songs == (before,)
    assert render_corpus(other, library, options, tell=told.append).songs == (theirs,)
    shutil.copytree(corpus, tmp_path / "copy")
    (copied,) = render_corpus(tmp_path / "copy", library, options, tell=told.append).songs
    assert copied.song_id == before.song_id
    assert render_corpus(corpus, library, options, tell=told.append).songs == (before,)
    assert not told


@needs_fluidsynth
def test_an_older_list_is_taken_as_it_is(corpus: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    options = CorpusOptions("val", seconds=16.0, realism=PLAIN)
    made = render_corpus(corpus, library, options)
    with (library / LISTING_NAME).open(newline="", encoding="utf-8") as stream:
        rows = [row[:8] for row in csv.reader(stream)]
    with (library / LISTING_NAME).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    older = tuple(replace(song, midi_sha="", corpus="") for song in made.songs)
    assert read_listing(library) == older
    told: list[str] = []
    assert render_corpus(corpus, library, options, tell=told.append).songs == made.songs
    assert not told
    assert read_listing(library) == made.songs


@needs_fluidsynth
def test_songs_that_another_run_lists_meanwhile_stay_listed(corpus: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    other = ListedSong("gother", "other.mid", "made", "other", "train", "r", "sung", "")

    def told(text: str) -> None:
        if text.startswith("rendered 1 of 2"):
            update_listing(library, [other])
        elif text.startswith("rendered 2 of 2"):  # a run that had read the list before
            write_listing(library, [other])

    options = CorpusOptions("train", seconds=16.0, realism=PLAIN)
    made = render_corpus(corpus, library, options, tell=told)
    assert len(made.songs) == 2
    assert set(read_listing(library)) == {other, *made.songs}


@needs_fluidsynth
def test_what_has_left_a_corpus_is_not_trained_on(corpus: Path, tmp_path: Path) -> None:
    request = TrainRequest("premixnet", (corpus,), tmp_path / "p.safetensors")

    def splits() -> dict[str, str]:
        got, _notes = rendered_request(
            request, lambda _text: None, seconds=16.0, cache=tmp_path / "cache"
        )
        return {song.file: song.split for song in read_listing(got.data[0])}

    write_index(corpus, [ROWS[0], ROWS[2], ROWS[3]])
    assert splits() == {"a.mid": "train", "c.mid": "train", "d.mid": "val"}
    write_index(corpus, [ROWS[0], ROWS[3]])
    assert splits() == {"a.mid": "train", "c.mid": "test", "d.mid": "val"}
