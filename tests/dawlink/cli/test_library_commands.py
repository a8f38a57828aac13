from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.analysis.records import KeyEstimate
from engine.library.library import Library
from tests.dawlink.cli.conftest import TITLES, Music
from tests.dawlink.cli.running import Command, Document, refused
from tests.engine.library import songs as made_up

SONG_FIELDS = {
    "song_id": str,
    "title": str,
    "kind": str,
    "duration_s": float,
    "tempo_bpm": float,
    "tempo_confidence": float,
    "key_confidence": float,
    "beats_per_bar": int,
    "bars": int,
    "beat_confidence": float,
    "tracker": str,
    "added_at": str,
    "stems": list,
}
STEM_FIELDS = {
    "stem_id": str,
    "role": str,
    "duration_s": float,
    "sample_rate": int,
    "channels": int,
    "loudness_lufs": float,
    "true_peak_db": float,
}
TEMPOS = {"Underpass": 96.0, "Harbour Lights": 104.0, "Night Ferry": 122.0}


def song_id(command: Command, title: str = "Underpass") -> str:
    songs = command("list", "--json").document["songs"]
    found: str = next(song["song_id"] for song in songs if song["title"] == title)
    return found


def shown(command: Command, identity: str) -> Document:
    ran = command("show", identity, "--json")
    assert ran.code == 0, ran
    return ran.document


def has_fields(document: Document, fields: dict[str, type]) -> None:
    for name, kind in fields.items():
        assert isinstance(document[name], kind), (name, document[name])


def test_list_tells_every_song_with_its_stems(filled: Command) -> None:
    ran = filled("list", "--json")
    assert (ran.code, ran.err) == (0, "")
    songs = ran.document["songs"]
    assert {song["title"] for song in songs} == set(TITLES)
    for song in songs:
        has_fields(song, SONG_FIELDS)
        assert song["song_id"][0] == "g"
        assert song["tempo_bpm"] == pytest.approx(TEMPOS[song["title"]], rel=0.005)
        assert len(song["stems"]) == 5
        for stem in song["stems"]:
            has_fields(stem, STEM_FIELDS)
            assert stem["stem_id"][0] == "s"


def test_list_for_a_person_holds_the_same(filled: Command) -> None:
    printed = filled("list").out
    for title, tempo in TEMPOS.items():
        line = next(line for line in printed.splitlines() if title in line)
        assert f"{tempo:.1f}" in line
        assert "vocals" in line


def test_show_takes_the_beginning_of_an_id_and_the_id_of_a_stem(filled: Command) -> None:
    whole = song_id(filled)
    document = shown(filled, whole)
    assert shown(filled, whole[:7].upper()) == document
    assert shown(filled, document["stems"][0]["stem_id"]) == document
    assert document["downbeats_s"] == document["beats_s"][::4]
    for window in document["windows"]:
        assert window["bars"] in (4, 8, 16)
    assert set(document["paths"]) == {stem["stem_id"] for stem in document["stems"]}
    assert all(Path(path).is_file() for path in document["paths"].values())
    assert {source["role"] for source in document["sources"]} == {
        "vocals", "drums", "bass", "other",
    }  # fmt: skip
    assert document["corrections"] == []


@pytest.mark.parametrize("agreement", [False, True])
def test_show_says_where_the_methods_disagree(dawlink: Command, agreement: bool) -> None:
    made = made_up.song()
    key = KeyEstimate(made_up.A_MINOR, 0.5, "madmom+profiles", agreement)
    with Library.open(dawlink.library) as library:
        library.add_song(replace(made, analysis=replace(made.analysis, key=key)))
    said = dawlink("show", "g").out
    assert "A minor (8A), 50% sure, by madmom+profiles" in said
    assert ("(they disagree)" in said) != agreement


@pytest.mark.parametrize("command", [["show"], ["remove"], ["set", "--half"]])
def test_an_unknown_id_is_met_with_the_closest(filled: Command, command: list[str]) -> None:
    name, *options = command
    real = song_id(filled)
    mistyped = real[:-1] + ("0" if real[-1] != "0" else "1")
    refused(filled(name, mistyped, *options, "--json"), 2, "unknown_id", mistyped, real)
    refused(filled(name, "Night", *options, "--json"), 2, "unknown_id", "Night Ferry")
    refused(filled(name, "zzz", *options, "--json"), 2, "unknown_id", "dawlink list")


def test_an_ambiguous_beginning_names_the_candidates(filled: Command) -> None:
    refused(filled("show", "g", "--json"), 2, "ambiguous_id", song_id(filled))


@pytest.mark.parametrize("command", [["list"], ["show", "g0"], ["remove", "g0"], ["verify"]])
def test_a_library_that_is_not_there_is_named_and_not_made(
    dawlink: Command, command: list[str]
) -> None:
    refused(dawlink(*command, "--json"), 6, "no_library", str(dawlink.library), "dawlink add")
    assert not dawlink.library.exists()


def test_double_and_half_change_the_beats_and_the_features(own: Command) -> None:
    before = shown(own, song_id(own))
    ran = own("set", before["song_id"], "--double", "--json")
    assert ran.code == 0, ran
    assert ran.document["tempo_bpm"] == pytest.approx(2 * before["tempo_bpm"])
    after = shown(own, before["song_id"])
    assert after["beats_s"][::2] == pytest.approx(before["beats_s"], abs=1e-3)
    assert (after["beat_confidence"], after["tempo_confidence"]) == (1.0, 1.0)
    assert own("verify").code == 0  # every stem has one feature row a beat
    assert own("set", before["song_id"], "--half").code == 0
    back = shown(own, before["song_id"])
    assert back["tempo_bpm"] == pytest.approx(before["tempo_bpm"])
    assert [correction["field"] for correction in back["corrections"]] == ["double", "half"]


def test_a_key_correction_leaves_beats_and_tempo_as_they_were(own: Command) -> None:
    before = shown(own, song_id(own))
    ran = own("set", before["song_id"], "--key", "8A", "--json")
    assert (ran.document["key"], ran.document["key_confidence"]) == ("A minor", 1.0)
    after = shown(own, before["song_id"])
    same = ("beats_s", "tempo_bpm", "tempo_confidence", "tempo_hypotheses", "tracker",
            "beat_confidence")  # fmt: skip
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_corrections_show_up_in_suggest(own: Command, music: Music) -> None:
    identity = song_id(own)
    ask = ("suggest", music.clip, "--tempo", 96, "--limit", 100, "--json")

    def found() -> list[Document]:
        suggestions = own(*ask).document["suggestions"]
        return [s for g in suggestions for s in g["stems"] if s["song_id"] == identity]

    assert found()[0]["tempo_bpm"] == pytest.approx(96, rel=0.005)
    assert own("set", identity, "--tempo", 90, "--key", "F# minor", "--json").code == 0
    corrected = found()
    assert corrected
    for stem in corrected:
        assert stem["tempo_bpm"] == pytest.approx(90)
        assert stem["key"] == "F# minor"
        assert stem["ratio_out_in"] == pytest.approx(90 / 96, rel=1e-3)


def test_a_downbeat_moves_the_bars(own: Command) -> None:
    before = shown(own, song_id(own))
    beat_s = before["beats_s"][1]
    assert own("set", before["song_id"], "--downbeat", beat_s).code == 0
    after = shown(own, before["song_id"])
    assert min(abs(time_s - beat_s) for time_s in after["downbeats_s"]) < 1e-3
    assert min(abs(time_s - before["downbeats_s"][1]) for time_s in after["downbeats_s"]) > 0.3


def test_a_metre_counts_the_same_beats_in_other_bars(own: Command) -> None:
    before = shown(own, song_id(own))
    assert own("set", before["song_id"], "--metre", 3).code == 0
    after = shown(own, before["song_id"])
    assert after["beats_per_bar"] == 3
    assert after["downbeats_s"][:2] == pytest.approx([before["beats_s"][0], before["beats_s"][3]])
    assert after["tempo_bpm"] == before["tempo_bpm"]
    assert own("set", before["song_id"], "--metre", 4, "--downbeat", before["beats_s"][1]).code == 0
    back = shown(own, before["song_id"])
    assert back["beats_per_bar"] == 4
    assert min(abs(time_s - before["beats_s"][1]) for time_s in back["downbeats_s"]) < 1e-3
    assert own("verify").code == 0


def test_a_clip_is_counted_in_the_metre_that_is_stated(own: Command, music: Music) -> None:
    """Only music of that metre answers."""
    none = own("suggest", music.clip, "--clip-metre", 3, "--json").document
    assert none["suggestions"] == []
    assert any("has 3 beats in a bar" in note for note in none["notes"])
    for title in TITLES:
        assert own("set", song_id(own, title), "--metre", 3).code == 0
    reply = own("suggest", music.clip, "--clip-metre", 3, "--limit", 1, "--json").document
    assert reply["session"]["beats_per_bar"] == 3
    assert len(reply["suggestions"]) == 1


def test_corrections_outlive_the_song(own: Command, music: Music) -> None:
    identity = song_id(own)
    corrections = ("--double", "--downbeat", 0.3, "--key", "Bb major")
    assert own("set", identity, *corrections).code == 0
    before = shown(own, identity)
    Path(next(iter(before["paths"].values()))).unlink()  # as verify advises then
    removed = own("remove", identity, "--json")
    assert removed.document["removed"] == {"song_id": identity, "title": "Underpass"}
    refused(own("show", identity, "--json"), 2, "unknown_id")
    ran = own("add", music.songs / "Underpass", "--json")
    assert [(item["status"], item["song_id"]) for item in ran.items] == [("added", identity)]
    after = shown(own, identity)
    assert after["key"] == "A# major"
    assert after["tempo_bpm"] == pytest.approx(before["tempo_bpm"], rel=1e-3)
    assert after["beats_s"] == pytest.approx(before["beats_s"], abs=0.002)
    assert own("verify").code == 0


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ([], "Nothing to correct"),
        (["--half", "--double"], "More than one of"),
        (["--tempo", "130", "--half"], "More than one of"),
        (["--metre", "0"], "beats per bar"),
        (["--metre", "13"], "beats per bar"),
        (["--tempo", "0"], "tempo"),
        (["--tempo", "nan"], "tempo"),
        (["--tempo", "1e9"], "20..400"),
        (["--tempo", "-120"], "tempo"),
        (["--key", "H minor"], "not a key"),
        (["--downbeat", "nan"], "downbeat"),
        (["--downbeat", "9999"], "s long"),
        (["--downbeat", "-1"], "downbeat"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    filled: Command, options: list[str], word: str
) -> None:
    before = shown(filled, song_id(filled))
    ran = filled("set", before["song_id"], *options, "--json")
    assert ran.code == 2, ran
    assert word in ran.document["error"]["message"]
    assert shown(filled, before["song_id"]) == before


def test_remove_takes_the_songs_files_and_leaves_the_sources(own: Command, music: Music) -> None:
    document = shown(own, song_id(own))
    assert own("remove", document["song_id"]).code == 0
    assert not any(Path(path).exists() for path in document["paths"].values())
    assert all((music.songs / "Underpass" / f"{role}.wav").is_file() for role in ("bass", "drums"))
    assert len(own("list", "--json").document["songs"]) == len(TITLES) - 1
    assert own("verify").code == 0


def test_verify_names_what_is_damaged_and_what_is_missing(own: Command) -> None:
    assert own("verify", "--json").document["problems"] == []
    damaged, missing = (shown(own, song_id(own, title)) for title in TITLES[:2])
    flipped = Path(next(iter(damaged["paths"].values())))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 255
    flipped.write_bytes(content)
    gone = Path(next(iter(missing["paths"].values())))
    gone.unlink()
    ran = own("verify", "--json")
    refused(ran, 3, "library_damaged", "2 things", "said of each of the problems")
    found = {(p["kind"], p["song_id"], p["path"]) for p in ran.document["problems"]}
    assert found == {
        ("damaged", damaged["song_id"], str(flipped)),
        ("missing", missing["song_id"], str(gone)),
    }
    printed = own("verify")
    assert printed.code == 3
    assert all(name in printed.out for name in (TITLES[0], TITLES[1], str(flipped), str(gone)))


def test_a_library_of_a_newer_version_is_left_alone(own: Command, music: Music) -> None:
    path = own.library / "library.sqlite"
    database = create_engine(f"sqlite:///{path}")
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    database.dispose()
    before = path.read_bytes()
    for command in (["list"], ["verify"], ["add", music.clip], ["suggest", music.clip]):
        ran = own(*command, "--json")
        assert ran.code == 6, ran
        assert "newer" in ran.document["error"]["message"]
        assert ran.document["error"]["hint"]
    assert path.read_bytes() == before


def test_a_file_that_is_no_library_is_refused(own: Command) -> None:
    (own.library / "library.sqlite").write_bytes(b"not a database at all, but long enough" * 40)
    ran = own("list", "--json")
    assert ran.code == 6, ran
    assert str(own.library) in ran.document["error"]["message"]
