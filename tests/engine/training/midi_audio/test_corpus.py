from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.audio.decode import decode
from engine.errors import LibraryUnusable, MissingDependency, UnusableInput
from engine.library.library import Library
from engine.theory import STORED_ROLES, Key
from engine.training.material import open_material
from engine.training.midi_audio.corpus import CorpusOptions, render_corpus, select_songs
from engine.training.midi_audio.evaluation import comparable_songs
from engine.training.midi_audio.index import corpus_songs, is_midi_corpus
from engine.training.midi_audio.listing import LISTING_NAME, groups_of, read_listing
from engine.training.midi_audio.recipe import Realism
from engine.training.midi_audio.songs import render_song
from engine.training.midi_audio.synth import find_soundfonts
from engine.training.midi_audio.training import rendered_request
from engine.training.requests import TrainRequest
from tests.engine.training.midi_audio.midi import needs_fluidsynth, write_corpus, write_song

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
def _one_small_soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes seconds to load for every stem."""
    with contextlib.suppress(MissingDependency):
        smallest = min(find_soundfonts(), key=lambda font: font.stat().st_size)
        folder = tmp_path / "soundfonts"
        folder.mkdir()
        (folder / smallest.name).symlink_to(smallest)
        monkeypatch.setenv("DAWLINK_SOUNDFONTS", str(folder))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "corpus", ROWS)
    return tmp_path / "corpus"


def test_songs_are_chosen_by_split_and_group(corpus: Path) -> None:
    songs = corpus_songs(corpus)
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


def test_a_folder_of_midi_files_needs_no_index(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "one.mid")
    write_song(tmp_path / "set" / "deeper" / "two.MID", melody="tune")
    (tmp_path / "set" / "broken.mid").write_bytes(b"MThd")
    assert is_midi_corpus(tmp_path / "set")
    found = {song.source.name: song for song in corpus_songs(tmp_path / "set")}
    assert found["one.mid"].source.melody == (1, 0)
    assert found["deeper/two.MID"].source.melody is None
    assert {song.group for song in found.values()} == {"one", "two"}
    (tmp_path / "empty").mkdir()
    assert not is_midi_corpus(tmp_path / "empty")
    with pytest.raises(UnusableInput):
        corpus_songs(tmp_path / "empty")


def test_a_folder_of_stems_is_no_corpus(tmp_path: Path) -> None:
    write_song(tmp_path / "song" / "score.mid")
    (tmp_path / "song" / "drums.wav").write_bytes(b"RIFF")
    assert not is_midi_corpus(tmp_path)
    (tmp_path / "index.csv").write_text("file,role\n", encoding="utf-8")
    assert not is_midi_corpus(tmp_path)


@needs_fluidsynth
def test_one_seed_makes_one_song(corpus: Path) -> None:
    source = corpus_songs(corpus)[2].source
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
    source = corpus_songs(corpus)[2].source
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
    assert comparable_songs([*ids, "gforeign"], library, "val") == ["gforeign"]
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
