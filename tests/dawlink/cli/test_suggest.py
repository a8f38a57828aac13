from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dawlink.settings import ModelName
from engine.grid import BeatGrid
from engine.library.library import Library
from engine.library.rows import NewSong, NewStem
from engine.theory import Key
from tests.dawlink.cli.conftest import TITLES, Music
from tests.dawlink.cli.running import Command, Document, refused
from tests.dawlink.cli.sounds import music as short_music
from tests.dawlink.cli.sounds import write, write_aac
from tests.engine.library.songs import analysis, beat_rows, song, source, tone

QUERY = {
    "path": str,
    "start_s": float,
    "end_s": float,
    "tempo_bpm": float,
    "key": str,
    "key_confidence": float,
    "bars": int,
    "downbeat_s": float,
}
STEM = {
    "stem_id": str,
    "song_id": str,
    "title": str,
    "role": str,
    "path": str,
    "tempo_bpm": float,
    "key": str,
    "semitones": int,
    "ratio_out_in": float,
    "source_start_s": float,
    "source_end_s": float,
    "bars": int,
    "offset_beats": float,
    "gain_db": float,
}
TRAINED = ("fit", "premixnet", "postmixnet", "stem-jepa")


def asked(command: Command, clip: Path, *options: object) -> Document:
    ran = command("suggest", clip, *options, "--json")
    assert ran.code == 0, ran
    return ran.document


def songs_of(document: Document) -> set[str]:
    return {stem["song_id"] for group in document["suggestions"] for stem in group["stems"]}


def titles_of(document: Document) -> set[str]:
    return {stem["title"] for group in document["suggestions"] for stem in group["stems"]}


def check_fields(document: Document, fields: dict[str, type]) -> None:
    for name, kind in fields.items():
        assert isinstance(document[name], kind), (name, document[name])


def test_the_document_is_the_contract(filled: Command, music: Music) -> None:
    ran = filled("suggest", music.clip, "--tempo", 120, "--key", "Am", "--json")
    assert (ran.code, ran.err) == (0, "")
    document = ran.document
    assert document["session"] == {"tempo_bpm": 120.0, "key": "A minor", "beats_per_bar": 4}
    assert isinstance(document["model"], str)
    query = document["query"]
    check_fields(query, QUERY)
    assert query["path"] == str(music.clip)
    assert query["tempo_bpm"] == pytest.approx(110)
    assert (query["key"], query["bars"], query["start_s"]) == ("A minor", 4, 0.0)
    assert query["end_s"] == pytest.approx(4 * 4 * 60 / 110, abs=0.01)
    suggestions = document["suggestions"]
    assert len(suggestions) > 3
    assert [group["rank"] for group in suggestions] == list(range(1, len(suggestions) + 1))
    scores = [group["score"] for group in suggestions]
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    for group in suggestions:
        assert set(group["parts"]) == {"harmony", "rhythm", "balance", "learned"}
        assert all(part is None or 0 <= part <= 1 for part in group["parts"].values())
        assert [stem["role"] for stem in group["stems"]] == ["harmonic", "percussion"]
        for stem in group["stems"]:
            check_stem(stem, tempo_bpm=120.0, bars=4)


def check_stem(stem: Document, *, tempo_bpm: float, bars: int) -> None:
    check_fields({**stem, "key": stem["key"] or ""}, STEM)
    assert stem["stem_id"][0] == "s"
    assert stem["song_id"][0] == "g"
    assert Path(stem["path"]).is_file()
    assert stem["bars"] == bars
    assert abs(stem["semitones"]) <= 3
    assert stem["role"] != "percussion" or stem["semitones"] == 0
    assert 0.8 <= stem["ratio_out_in"] <= 1.25
    one_pass_s = stem["loop_bars"] * 4 * 60 / tempo_bpm
    taken_s = stem["source_end_s"] - stem["source_start_s"]
    assert stem["ratio_out_in"] == pytest.approx(one_pass_s / taken_s, rel=1e-3)


def test_the_answer_is_the_same_every_time(filled: Command, music: Music) -> None:
    first = filled("suggest", music.clip, "--tempo", 100, "--json").out
    assert filled("suggest", music.clip, "--tempo", 100, "--json").out == first
    for cached in (filled.library / "cache" / "clips").iterdir():
        cached.unlink()
    assert filled("suggest", music.clip, "--tempo", 100, "--json").out == first


def test_for_a_person_it_is_a_table(filled: Command, music: Music) -> None:
    printed = filled("suggest", music.clip).out
    assert "110.0 BPM, A minor" in printed
    assert "harmony" in printed
    assert any(title in printed for title in TITLES)


def test_without_a_session_the_clip_leads(filled: Command, music: Music) -> None:
    document = asked(filled, music.clip)
    assert document["session"]["tempo_bpm"] == pytest.approx(110, abs=0.01)
    assert document["session"]["key"] == "A minor"
    moved = asked(filled, music.clip, "--transpose", 3)
    assert moved["session"]["key"] == "C minor"
    assert moved["query"]["key"] == "A minor"
    by_stem = {s["stem_id"]: s["semitones"] for g in document["suggestions"] for s in g["stems"]}
    differ = [
        stem["semitones"] - by_stem[stem["stem_id"]]
        for group in moved["suggestions"]
        for stem in group["stems"]
        if stem["role"] == "harmonic" and stem["stem_id"] in by_stem
    ]
    assert any(differ)


@pytest.mark.parametrize(
    ("text", "key"),
    [("8A", "A minor"), ("am", "A minor"), ("F#", "F# major"), ("Bb minor", "A# minor")],
)
def test_keys_are_read_as_musicians_write_them(
    filled: Command, music: Music, text: str, key: str
) -> None:
    document = asked(filled, music.clip, "--key", text, "--limit", 1)
    assert Key.parse(document["session"]["key"]) == Key.parse(key)


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--tempo", "0"], "bad_tempo", "20..400"),
        (["--tempo", "1e9"], "bad_tempo", "20..400"),
        (["--tempo", "nan"], "bad_tempo", "20..400"),
        (["--tempo", "-120"], "bad_tempo", "20..400"),
        (["--tempo", "fast"], "usage", "--tempo"),
        (["--clip-tempo", "inf"], "bad_tempo", "20..400"),
        (["--key", "H minor"], "bad_key", "H minor"),
        (["--key", "13A"], "bad_key", "13A"),
        (["--transpose", "99"], "bad_semitones", "-48..48"),
        (["--max-semitones", "13"], "bad_setting", "0 to 12"),
        (["--tempo-range", "1.1,1.2"], "bad_setting", "0.8,1.25"),
        (["--tempo-range", "nan,2"], "bad_setting", "0.8,1.25"),
        (["--limit", "0"], "bad_setting", "1 to 1000"),
        (["--bars", "0"], "bad_bars", "1..1024"),
        (["--start", "5", "--end", "3"], "bad_region", "5 s to 3 s"),
        (["--start", "nan"], "bad_region", "its end"),
        (["--roles", ""], "bad_role", "No role is named"),
        (["--roles", "drums,drums"], "bad_role", "once"),
        (["--roles", "drums,percussion"], "bad_role", "one role"),
        (["--roles", "mix"], "bad_role", "mix"),
        (["--roles", "kazoo"], "bad_role", "kazoo"),
        (["--model", "kazoo"], "bad_setting", "automashupper"),
        (["--exclude-song", "gnone"], "unknown_id", "gnone"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    filled: Command, music: Music, options: list[str], code: str, word: str
) -> None:
    refused(filled("suggest", music.clip, *options, "--json"), 2, code, word)


@pytest.mark.parametrize("model", [name for name in ModelName.__args__ if name not in TRAINED])
def test_every_model_that_needs_no_training_answers(
    filled: Command, music: Music, model: str
) -> None:
    document = asked(filled, music.clip, "--model", model)
    assert model in ("auto", document["model"])
    scores = [group["score"] for group in document["suggestions"]]
    assert scores
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("model", TRAINED)
def test_a_trained_model_answers_or_says_what_is_missing(
    filled: Command, music: Music, model: str
) -> None:
    ran = filled("suggest", music.clip, "--model", model, "--json")
    if ran.code == 0:  # its checkpoint is there
        assert ran.document["model"] == model
    else:
        assert model in refused(ran, 4, ran.document["error"]["code"])["message"]


def test_one_stem_for_every_asked_role(filled: Command, music: Music) -> None:
    document = asked(filled, music.clip, "--roles", "drums,bass,other", "--limit", 3)
    assert len(document["suggestions"]) == 3
    for group in document["suggestions"]:
        assert [stem["role"] for stem in group["stems"]] == ["drums", "bass", "other"]


def test_limits_are_kept(filled: Command, music: Music) -> None:
    assert len(asked(filled, music.clip, "--limit", 2)["suggestions"]) == 2
    still = asked(filled, music.clip, "--max-semitones", 0)
    assert {s["semitones"] for g in still["suggestions"] for s in g["stems"]} == {0}
    narrow = asked(filled, music.clip, "--tempo", 104, "--tempo-range", "0.99,1.01")
    assert titles_of(narrow) == {"Harbour Lights"}
    assert asked(filled, music.clip, "--bars", 2)["query"]["bars"] == 2


def test_where_nothing_reaches_the_tempo_the_answer_is_empty_and_says_why(
    filled: Command, music: Music
) -> None:
    ran = filled("suggest", music.clip, "--tempo", 112, "--tempo-range", "0.999,1.001", "--json")
    assert ran.code == 0, ran
    assert ran.document["suggestions"] == []
    assert any("--tempo-range" in note for note in ran.document["notes"])


def test_where_nothing_has_the_clips_metre_no_tempo_is_blamed(
    dawlink: Command, music: Music
) -> None:
    made = song(0, roles=("harmonic", "drums"))
    grid = BeatGrid.constant(120, end_s=12, beats_per_bar=3)
    rows, active = beat_rows(0, grid.intervals), np.ones(grid.intervals, bool)
    stems = tuple(replace(stem, features=rows, active=active) for stem in made.analysis.stems)
    with Library.open(dawlink.library) as library:
        library.add_song(replace(made, analysis=replace(made.analysis, grid=grid, stems=stems)))
    document = asked(dawlink, music.clip, "--tempo", 120)
    assert document["suggestions"] == []
    notes = [note for note in document["notes"] if "stem" in note]
    assert len(notes) == 2
    assert all("has 4 beats in a bar" in note and "tempo" not in note for note in notes)


def test_excluded_songs_stay_out(filled: Command, music: Music) -> None:
    everything = asked(filled, music.clip, "--limit", 100)
    banned = everything["suggestions"][0]["stems"][0]["song_id"]
    without = asked(filled, music.clip, "--limit", 100, "--exclude-song", banned[:8])
    assert songs_of(without) == songs_of(everything) - {banned}


@pytest.mark.parametrize("cut", ["the file itself", "an excerpt in another codec"])
def test_the_clips_own_song_is_left_out_unless_asked_for(
    filled: Command, music: Music, tmp_path: Path, cut: str
) -> None:
    clip = music.songs / "Harbour Lights" / "vocals.wav"
    if cut == "an excerpt in another codec":
        samples, rate = soundfile.read(clip, dtype="int16")
        excerpt = samples[round(2.3 * rate) : round(13.3 * rate)] * 0.4
        clip = write_aac(tmp_path / "bounce.m4a", np.asarray(excerpt, dtype=np.int16))
    document = asked(filled, clip, "--limit", 100)
    (own,) = document["query"]["own_songs"]
    assert "Harbour Lights" not in titles_of(document)
    assert own not in songs_of(document)
    assert document["query"]["beats_from"] == "library"
    assert document["query"]["tempo_bpm"] == pytest.approx(104, rel=0.005)
    included = asked(filled, clip, "--limit", 100, "--include-own")
    assert own in songs_of(included)


def test_another_voice_is_nobodys_own(filled: Command, music: Music) -> None:
    assert asked(filled, music.clip)["query"]["own_songs"] == []


@pytest.fixture
def tempos(dawlink: Command) -> Command:
    """A library of one made-up song each at 70, 93 and 140 BPM."""
    with Library.open(dawlink.library) as library:
        for number, tempo_bpm in enumerate((70.0, 93.0, 140.0)):
            found = analysis(number, roles=("drums", "harmonic"), tempo_bpm=tempo_bpm, bars=8)
            library.add_song(
                NewSong(
                    title=f"{tempo_bpm:g}",
                    kind="multitrack",
                    stems=tuple(
                        NewStem(stem.role, tone(10 * number + index))
                        for index, stem in enumerate(found.stems)
                    ),
                    analysis=replace(found, duration_s=8 * 240 / tempo_bpm),
                    sources=(source(number),),
                )
            )
    return dawlink


@pytest.mark.parametrize(("session", "counted"), [(140, 140), (70, 70), (125, 140), (80, 70)])
def test_a_clip_at_half_the_tempo_is_counted_double_and_not_played_twice_as_fast(
    tempos: Command, tmp_path: Path, session: int, counted: int
) -> None:
    clip = write(tmp_path / "voice.wav", short_music(10.0, tempo_bpm=70))
    options = ("--clip-tempo", 70, "--clip-downbeat", 0, "--tempo", session)
    document = asked(tempos, clip, *options)
    assert document["query"]["tempo_bpm"] == pytest.approx(counted)
    for group in document["suggestions"]:
        for stem in group["stems"]:
            assert 0.8 <= stem["ratio_out_in"] <= 1.25
    if session in (70, 140):  # both songs are the same tempo here, counted their own way
        assert {"70", "140"} <= titles_of(document)
        assert document["suggestions"][0]["stems"][0]["ratio_out_in"] == pytest.approx(1)


def test_a_library_that_is_empty_or_not_there(dawlink: Command, music: Music) -> None:
    refused(dawlink("suggest", music.clip, "--json"), 6, "no_library", "dawlink add")
    assert not dawlink.library.exists()
    Library.open(dawlink.library).close()
    refused(dawlink("suggest", music.clip, "--json"), 6, "empty_library", "dawlink add")
    listed = dawlink("list", "--json")
    assert (listed.code, listed.document["songs"]) == (0, [])
    assert "dawlink add" in dawlink("list").out
