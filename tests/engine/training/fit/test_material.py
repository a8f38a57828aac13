from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.checkpoints import load_checkpoint
from engine.errors import UnusableInput, UsageError
from engine.models.fit.checkpoint import load_fit
from engine.models.fit.towers import FitSizes
from engine.training.fit.data import FitBank, make_bank
from engine.training.fit.material import FitMaterial, RollWindows, mixed, open_fit_material
from engine.training.fit.run import run
from engine.training.fit.steps import Batches, FitSettings
from engine.training.fit.training import train_fit
from engine.training.midi_audio.index import corpus_notes
from engine.training.midi_corpus import load_corpus
from engine.training.requests import TrainRequest
from tests import sounds
from tests.engine.training.heard import heard_song, outdate, write_library, write_splits
from tests.engine.training.scores import made_up_song, write_corpus, write_named

TINY = FitSizes(channels=4, pitch_values=1, rhythm_width=4, rhythm_values=2)
QUICK = FitSettings(
    sizes=TINY,
    steps=3,
    teachers=0,
    judge_steps=2,
    schedule=3,
    batch=6,
    bank=24,
    bank_passes=1,
    threads=1,
)


def opened(folder: Path, *data: Path) -> FitMaterial:
    """Material with everything it stores below ``folder``."""
    return open_fit_material(data, folder / "songs", cache_dir=folder / "cache")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six compositions as notes; the first two validate."""
    write_corpus(tmp_path / "corpus", [made_up_song(seed) for seed in range(6)], val=2)
    return tmp_path / "corpus"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eight songs as audio, of which nothing is said."""
    write_library(tmp_path / "library", [heard_song(made_up_song(50 + seed)) for seed in range(8)])
    return tmp_path / "library"


@dataclass(frozen=True)
class Counted:
    """A source whose windows are only numbers."""

    songs: int
    groups: tuple[str, ...]

    def bank(self, windows: int, *, seed: int) -> FitBank:
        bank = make_bank([made_up_song(1)], 1, seed=seed)
        order = np.arange(windows) % self.songs
        one = np.zeros(windows, np.int64)
        parts = (replace_first(part, one) for part in (bank.voice, bank.stem, bank.drums))
        return FitBank(*parts, order, order % len(self.groups))


def replace_first(part: object, index: np.ndarray) -> object:
    names = ("chroma", "context", "pattern", "active")
    return type(part)(*(getattr(part, name)[index] for name in names))


def test_sources_are_mixed_by_their_songs_and_compositions_by_name() -> None:
    both = mixed([Counted(30, ("b", "c")), Counted(10, ("a", "b"))])
    assert (both.songs, both.groups) == (40, ("a", "b", "c"))
    bank = both.bank(80, seed=1)
    assert bank.voice.active.shape[0] == bank.drums.chroma.shape[0] == 80
    first, second = bank.song < 30, bank.song >= 30
    assert (first.sum(), second.sum()) == (60, 20)
    assert bank.song.max() == 39
    assert set(bank.group[first].tolist()) == {1, 2}
    assert set(bank.group[second].tolist()) == {0, 1}
    assert both.bank(1, seed=1).song.size == 1
    alone = Counted(3, ("a",))
    assert mixed([alone]) is alone


def test_one_corpus_is_as_it_always_was(corpus: Path, tmp_path: Path) -> None:
    material = opened(tmp_path, corpus)
    known = load_corpus(corpus, cache_dir=tmp_path / "cache")
    assert material.data_sha == known.data_hash
    assert [song.file for song in material.val_notes] == ["0.mid", "1.mid"]
    mine = material.train.bank(12, seed=4)
    theirs = make_bank(known.of("train"), 12, seed=4)
    np.testing.assert_array_equal(mine.stem.chroma, theirs.stem.chroma)
    assert not (tmp_path / "songs").exists()


def test_a_corpus_and_a_library_of_the_same_compositions(corpus: Path, tmp_path: Path) -> None:
    """What validates or tests in one of them is trained on in none."""
    folder = tmp_path / "rendered"
    rows = write_library(folder, [heard_song(made_up_song(seed)) for seed in (0, 2, 3, 7, 8)])
    said = [("g0", "val"), ("g2", "train"), ("g3", "test"), ("g7", "train"), ("g8", "val")]
    write_splits(folder, rows, said)
    material = opened(tmp_path, corpus, folder)
    assert material.train.songs == 3 + 2
    assert material.train.groups == ("g2", "g4", "g5", "g7")
    assert [song.group for song in material.val_notes] == ["g0", "g1"]
    assert sorted(song.group for song in material.val_songs) == ["g0", "g8"]
    assert sorted(song.group for song in material.val_whole(1)) == ["g0", "g0", "g1", "g8"]
    pairs = material.val_pairs()
    assert set(pairs.query_groups) == {"g0", "g1", "g8"}
    assert [len(rows) for rows in pairs.stems] == [32] * len(pairs.groups)
    batches = Batches(material.train, replace(QUICK, batch=10))
    drawn = [batches.at(step)[0] for step in range(4)]
    assert all(np.unique(batch.group).size == batch.group.size == 4 for batch in drawn)
    heard = np.concatenate([batch.song >= 3 for batch in drawn])
    assert heard.any()
    assert not heard.all()


def test_the_hash_covers_all_data(corpus: Path, library: Path, tmp_path: Path) -> None:
    alone, heard = opened(tmp_path, corpus), opened(tmp_path, library)
    both = opened(tmp_path, corpus, library)
    assert len({alone.data_sha, heard.data_sha, both.data_sha}) == 3
    assert opened(tmp_path, library, library).data_sha == heard.data_sha
    write_library(library, [heard_song(made_up_song(90))])
    assert opened(tmp_path, library).data_sha != heard.data_sha


def test_from_multitracks_alone_to_a_checkpoint_that_goes_on(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    material = opened(tmp_path, library)
    assert (material.train.songs, len(material.val_songs)) == (6, 2)
    assert not train_fit(material, out, settings=QUICK, minutes=1e-9).finished
    outcome = train_fit(material, out, settings=QUICK, resume=True)
    assert outcome.finished
    assert 0 <= outcome.metrics["val.rank.key_given"] <= 1
    assert load_fit(out).sizes == TINY
    assert load_checkpoint(out, "fit").info.data_sha == material.data_sha
    whole = train_fit(material, tmp_path / "whole.safetensors", settings=QUICK)
    np.testing.assert_array_equal(whole.history, outcome.history)
    train_fit(material, out, settings=QUICK, minutes=1e-9)
    write_library(library, [heard_song(made_up_song(91))])
    with pytest.raises(UsageError, match="the data"):
        train_fit(opened(tmp_path, library), out, settings=QUICK, resume=True)


def test_folders_of_midi_files_need_no_index(corpus: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    write_corpus(tmp_path / "more", [made_up_song(100 + seed) for seed in range(30)], val=2)
    for number, path in enumerate(sorted((tmp_path / "more").glob("*.mid"))):
        shutil.copy(path, plain / f"song {number}.mid")  # the split is drawn from the names
    with pytest.raises(UnusableInput, match="0 songs to train on"):  # no part is called a melody
        opened(tmp_path, plain)
    write_named(plain)
    material = opened(tmp_path, plain)
    assert material.train.songs > 15
    assert material.val_notes
    names = {song.group for song in material.val_notes}
    assert names.isdisjoint(material.train.groups)
    (plain / "song 0.mid").unlink()
    assert opened(tmp_path, plain).data_sha != material.data_sha


def test_an_incomplete_index_is_refused_and_one_of_something_else_passed_over(
    corpus: Path, tmp_path: Path
) -> None:
    write_named(corpus)
    (corpus / "index.csv").write_text("file,split\n0.mid,test\n", encoding="utf-8")
    with pytest.raises(UnusableInput, match="no index of MIDI songs") as caught:
        opened(tmp_path, corpus)
    assert "melody_part" in caught.value.hint
    (corpus / "index.csv").write_text("file,title\n0.mid,One\n", encoding="utf-8")
    shutil.copy(corpus / "0.mid", corpus / "melody of another.mid")
    notes = corpus_notes(corpus)
    assert len(notes.songs) == 6  # of copies the one whose melody is named, here the first
    assert "hold the notes of another file: melody of another.mid" in notes.notes[0]


def test_an_edited_song_is_other_data(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.safetensors"
    train_fit(opened(tmp_path, corpus), out, settings=QUICK, minutes=1e-9)
    shutil.copy(corpus / "4.mid", corpus / "5.mid")
    with pytest.raises(UsageError, match="the data"):
        train_fit(opened(tmp_path, corpus), out, settings=QUICK, resume=True)


def test_songs_shorter_than_a_window_are_refused(tmp_path: Path) -> None:
    short = [made_up_song(seed, bars=8) for seed in range(6)]
    with pytest.raises(UnusableInput, match="32 beats") as caught:
        make_bank(short, 4, seed=1)
    assert "9 bars" in caught.value.hint
    write_corpus(tmp_path / "short", short, val=2)
    with pytest.raises(UnusableInput, match="has 32 beats, 36 are needed"):
        opened(tmp_path, tmp_path / "short")
    songs = [made_up_song(seed, bars=9) for seed in range(6)]
    write_corpus(tmp_path / "long", songs, val=2)
    material = opened(tmp_path, tmp_path / "long")
    assert material.train.bank(4, seed=1).song.size == 4
    assert material.val_pairs().queries


def test_the_command_takes_several_and_says_what_is_left_out(
    corpus: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_library(library, [heard_song(made_up_song(92), roles=("vocals", "harmonic"))])
    out = tmp_path / "fit.safetensors"
    now_s = 0.0

    def told(text: str) -> None:
        nonlocal now_s
        now_s += 60.0 * text.startswith("training")  # then the time is up

    request = TrainRequest("fit", (corpus, library), out, minutes=1.0)
    report = run(request, told, clock=lambda: now_s)
    assert report.checkpoint == out
    assert report.notes == ("92.mid is left out: it has no drums.",)
    assert load_fit(out).curves.rules == FitSettings().rules


@pytest.mark.slow
def test_a_multitrack_folder_is_analysed_once(corpus: Path, tmp_path: Path) -> None:
    seconds, rate = 22.0, 22050
    beats_s = np.arange(0, seconds, 0.5)
    folder = tmp_path / "multitracks" / "Mine"
    folder.mkdir(parents=True)
    t = np.arange(int(seconds * rate)) / rate
    chord = np.floor(t / 2) % 3  # a bar each
    for role, hz in (("vocals", 440.0), ("bass", 55.0), ("other", 220.0)):
        tone = 0.3 * np.sin(2 * np.pi * hz * 2 ** (chord * 5 / 12) * t)
        soundfile.write(folder / f"{role}.wav", tone * (np.sin(4 * np.pi * t) > -0.9), rate)
    beaten = sounds.drums(beats_s, seconds)
    soundfile.write(folder / "drums.wav", beaten.samples.T, beaten.sample_rate)
    told: list[str] = []
    material = open_fit_material(
        [corpus, folder.parent], tmp_path / "songs", cache_dir=tmp_path / "cache", tell=told.append
    )
    assert told == ["reading the notes of corpus", "analysed 1 of 1: Mine"]
    assert material.notes == ()
    assert material.train.songs == 4 + 1
    assert "mine" in material.train.groups
    again = opened(tmp_path, corpus, folder.parent)
    assert again.data_sha == material.data_sha


def test_what_one_source_keeps_for_tests_validates_in_none(
    corpus: Path, library: Path, tmp_path: Path
) -> None:
    first = opened(tmp_path, corpus).val_notes[0].group
    rows = write_library(library, [heard_song(made_up_song(95))])
    write_splits(library, rows, [(first, "test")])
    other = tmp_path / "more"
    write_corpus(other, [made_up_song(200 + seed) for seed in range(6)], val=3)
    material = opened(tmp_path, corpus, library, other)
    assert first not in {song.group for song in material.val_notes}
    assert first not in material.train.groups
    assert len(material.val_notes) == 1 + 3


def test_a_word_on_a_song_that_cannot_be_used_holds_for_its_composition(
    corpus: Path, tmp_path: Path
) -> None:
    """In every library and in every corpus of notes."""
    mute, heard = tmp_path / "mute", tmp_path / "heard"
    songs = [heard_song(made_up_song(60 + n), roles=("harmonic", "drums")) for n in range(4)]
    said = [("T", "test"), ("V", "val"), ("g0", "test"), ("g2", "val")]
    rows = write_library(mute, songs)
    write_splits(mute, rows, [(group, "train") for group, _ in said])
    names = ("T", "V", "U", "W")
    others = write_library(heard, [heard_song(made_up_song(70 + n)) for n in range(len(names))])
    write_splits(heard, others, [(name, "train") for name in names])
    before = opened(tmp_path, corpus, mute, heard)
    assert before.train.groups == ("T", "U", "V", "W", "g2", "g3", "g4", "g5")
    write_splits(mute, rows, said)
    material = opened(tmp_path, corpus, mute, heard)
    assert material.train.groups == ("U", "W", "g3", "g4", "g5")
    assert [song.group for song in material.val_notes] == ["g1"]
    assert [song.group for song in material.val_songs] == ["V"]
    assert material.data_sha != before.data_sha
    write_splits(mute, rows, [*said[:2], ("X", "train"), ("g2", "val")])
    alone = opened(tmp_path, corpus, mute)
    assert alone.train.groups == ("g3", "g4", "g5")
    assert alone.data_sha != opened(tmp_path, corpus).data_sha


def test_an_edited_song_is_trained_on_in_its_new_rendering_alone(
    corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rendered"
    rows = write_library(folder, [heard_song(made_up_song(60 + seed)) for seed in range(4)])
    write_splits(folder, rows, [(name, "train") for name in ("g2", "g2", "A", "gone")])
    outdate(folder, rows[0].id, rows[3].id)
    material = opened(tmp_path, corpus, folder)
    assert material.train.songs == 4 + 2
    assert material.train.groups == ("A", "g2", "g3", "g4", "g5")


def test_too_few_songs(library: Path, corpus: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    write_library(few, [heard_song(made_up_song(70 + seed)) for seed in range(3)])
    with pytest.raises(UnusableInput, match="3 songs to train on and 0 to validate"):
        opened(tmp_path, few)
    assert opened(tmp_path, few, corpus).train.songs == 4 + 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnusableInput, match="0 songs to train on"):
        opened(tmp_path, tmp_path / "empty")
    assert RollWindows([made_up_song(1)]).songs == 1
