from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.grid import BeatGrid
from engine.mashup.database import MashupDB
from engine.mashup.generation import CONDITIONS, Condition, generate, key_distance
from engine.theory import Key
from tests.engine.mashup.songs import made_db, made_song

EVERY: dict[Condition, int] = dict.fromkeys(CONDITIONS, 20)


def test_counts_labels_and_order() -> None:
    made = generate(made_db(), {"original": 3, "matched": 4, "unmatched-both": 2}, seed=0, bars=2)
    assert [e.condition for e in made.examples] == (
        ["original"] * 3 + ["matched"] * 4 + ["unmatched-both"] * 2
    )
    assert made.counts["matched"] == 4
    assert made.counts["unmatched-key"] == 0
    assert not made.reasons
    labels = {e.condition: e.label for e in generate(made_db(), EVERY, seed=1, bars=2).examples}
    assert labels == {
        "original": "good",
        "matched": "unknown",
        "unmatched-key": "bad",
        "unmatched-tempo": "bad",
        "unmatched-both": "bad",
    }


def test_one_seed_one_plan_and_conditions_do_not_disturb_each_other() -> None:
    db = made_db()
    first = generate(db, EVERY, seed=7, bars=2)
    assert generate(db, EVERY, seed=7, bars=2) == first
    assert generate(db, EVERY, seed=8, bars=2) != first
    alone = generate(db, {"unmatched-tempo": 20}, seed=7, bars=2)
    assert alone.examples == first.examples[60:80]


def test_every_condition_keeps_its_rules() -> None:
    relative = made_song("relative", key=Key(9, "minor"))  # of the first song's notes
    db = MashupDB((*made_db().songs, relative))
    for example in generate(db, EVERY, seed=3, bars=2).examples:
        songs = [db.by_id[use.song_id] for use in example.stems]
        vocals, harmonic, drums = example.stems
        seed = songs[0]
        shift = key_distance(songs[1].key, seed.key)  # type: ignore[arg-type]
        offsets = [use.offset_s for use in (harmonic, drums) if use.offset_s]
        assert (vocals.semitones, drums.semitones, vocals.offset_s) == (0, 0, 0.0)
        assert [use.role for use in example.stems] == ["vocals", "harmonic", "drums"]
        if example.condition == "original":
            assert {(u.song_id, u.start_bar) for u in example.stems} == {
                (vocals.song_id, vocals.start_bar)
            }
            assert harmonic.semitones == 0
            continue
        assert seed.group not in {songs[1].group, songs[2].group}
        keyed = example.condition in ("matched", "unmatched-tempo")
        assert harmonic.semitones == (shift if keyed else 0)
        assert abs(shift) <= 3 if keyed else shift != 0
        timed = example.condition in ("matched", "unmatched-key")
        assert harmonic.stretched == drums.stretched == timed
        if timed:
            assert all(0.8 <= s.tempo_bpm / seed.tempo_bpm <= 1.2 for s in songs[1:])
            assert not offsets
        else:
            assert len(offsets) == 1
            assert 0.1 <= abs(offsets[0]) <= 1.0


def test_offsets_go_both_ways_and_move_either_stem() -> None:
    made = generate(made_db(), {"unmatched-tempo": 40}, seed=2, bars=2).examples
    moved = [(use.role, use.offset_s > 0) for e in made for use in e.stems if use.offset_s]
    assert len(set(moved)) == 4


def test_a_vocal_without_partners_is_drawn_again_and_counted() -> None:
    lonely = made_song("slow", tempo_bpm=60.0, key=Key(6, "major"))
    db = MashupDB((*made_db().songs, lonely))
    made = generate(db, {"matched": 30}, seed=0, bars=2)
    assert made.counts["matched"] == 30
    assert "slow" not in {e.stems[0].song_id for e in made.examples}
    assert made.reasons == {"matched: no other song of its metre and tempo": 1}


@pytest.mark.parametrize("condition", CONDITIONS[1:])
def test_nothing_is_made_where_nothing_fits(condition: Condition) -> None:
    made = generate(MashupDB((made_song("only"),)), {condition: 5}, seed=0, bars=2)
    assert made.examples == ()
    assert made.counts[condition] == 0
    assert sum(made.reasons.values()) == 1


def test_variants_of_one_composition_are_never_partners() -> None:
    variants = tuple(made_song(f"v{i}", group="one") for i in range(4))
    made = generate(MashupDB(variants), {"matched": 5, "original": 5}, seed=0, bars=2)
    assert made.counts == {**dict.fromkeys(CONDITIONS, 0), "original": 5}


def test_relative_keys_use_the_same_notes() -> None:
    assert key_distance(Key(9, "minor"), Key(0, "major")) == 0
    assert key_distance(Key(0, "major"), Key(2, "major")) == 2
    assert key_distance(Key(2, "major"), Key(9, "minor")) == -2


def test_windows_need_sound_in_half_of_their_beats() -> None:
    song = made_song("partly", bars=8)
    song.stems["vocals"].active[:16] = False
    assert song.start_bars(("vocals",), 4).tolist() == [2, 3, 4]
    assert song.start_bars(("vocals", "drums"), 9).size == 0
    assert made_song("x", roles=("drums",)).start_bars(("vocals",), 2).size == 0


def test_the_hash_of_the_data_tells_all_that_is_known_of_a_song() -> None:
    song = made_song("a")
    grid, drums = song.grid, song.stems["drums"]
    changed = [
        replace(song, group="b"),
        replace(song, key=Key(7, "major")),
        replace(song, key=None),
        replace(song, tempo_bpm=60.0),
        replace(song, tuning_cents=5.0),
        replace(song, grid=BeatGrid(grid.beats_s + 0.25)),
        replace(song, grid=replace(grid, beats_per_bar=3)),
        replace(song, stems={**song.stems, "drums": replace(drums, active=~drums.active)}),
        replace(song, stems={**song.stems, "drums": replace(drums, sha="other")}),
    ]
    shas = {MashupDB((made_song("c"), one)).data_sha for one in (song, *changed)}
    assert len(shas) == len(changed) + 1
    assert MashupDB((song, made_song("c"))).data_sha in shas
    assert len({one.map_sha for one in (song, *changed)}) == 5


def test_a_split_never_parts_a_composition() -> None:
    db = MashupDB(tuple(made_song(f"s{i}", group=f"c{i // 2}") for i in range(20)))
    train, held_out = db.split(0.2, 4)
    assert len(held_out.songs) == 4
    assert not {s.group for s in train.songs} & {s.group for s in held_out.songs}
    assert db.split(0.2, 4)[1].data_sha == held_out.data_sha
    assert len({db.split(0.2, seed)[1].data_sha for seed in range(5)}) > 1
    assert np.isclose(len(train.songs) + len(held_out.songs), 20)
