"""Questions to a library that another process changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.clips.clip import ClipAnalysis, ClipSource
from engine.errors import LibraryUnusable
from engine.library.library import Library
from engine.models.automashupper import automashupper
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.pools import LibraryPools
from engine.suggestions import SuggestedStem, SuggestOptions, SuggestReply, suggest
from engine.theory import Key, Role
from tests.engine.library.songs import analysis, song
from tests.engine.replies import reply_with_two_stems

ROLES: tuple[Role, ...] = ("harmonic", "drums")


class Watched:
    """Rules that tell when they have placed a role, and when all are placed."""

    name = "watched"

    def __init__(self, at: str, action: Callable[[], None]) -> None:
        self._rules = automashupper()
        self._at, self._action = at, action

    def place(self, clip: ClipFeatures, pool: RolePool, search: Search, **rest: Any) -> list[Fit]:
        found = self._rules.place(clip, pool, search, **rest)
        if self._at == pool.role:
            self._action()
        return found

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        found = self._rules.score_groups(clip, fits)
        if self._at == "groups":
            self._action()
        return found


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library") as library:
        for number in range(3):
            library.add_song(song(number, roles=ROLES))
        yield library


@pytest.fixture
def clip(tmp_path: Path) -> ClipAnalysis:
    return reply_with_two_stems(tmp_path).clip


def asked(library: Library, clip: ClipAnalysis, ranker: Watched, **options: Any) -> SuggestReply:
    wanted = SuggestOptions(120.0, roles=ROLES, tempo_range=(0.5, 2.0), **options)
    return suggest(clip, wanted, ranker=ranker, pools=LibraryPools(library), library=library)


def songs_of(reply: SuggestReply) -> set[str]:
    return {stem.placement.song_id for found in reply.suggestions for stem in found.stems}


def once(action: Callable[[], None]) -> Callable[[], None]:
    """The action at the first call only."""
    calls = iter([action])
    return lambda: next(calls, lambda: None)()


@pytest.mark.parametrize("at", [*ROLES, "groups"])
def test_a_song_that_is_removed_meanwhile_is_not_suggested(
    library: Library, clip: ClipAnalysis, tmp_path: Path, at: str
) -> None:
    gone = library.songs()[0].id

    def remove() -> None:
        with Library.open(tmp_path / "library") as other:
            other.remove(gone)

    reply = asked(library, clip, Watched(at, once(remove)))
    assert songs_of(reply) == {row.id for row in library.songs()}


@pytest.mark.parametrize("at", [*ROLES, "groups"])
def test_a_song_that_is_corrected_meanwhile_lies_where_it_is_now(
    library: Library, clip: ClipAnalysis, tmp_path: Path, at: str
) -> None:
    names = [row.id for row in library.songs()]

    def correct() -> None:
        with Library.open(tmp_path / "library") as other:
            for number, name in enumerate(names):
                other.replace_analysis(name, analysis(number, roles=ROLES, tempo_bpm=100, bars=3))

    reply = asked(library, clip, Watched(at, once(correct)))
    assert reply.suggestions
    for stem in (stem for found in reply.suggestions for stem in found.stems):
        assert stem.tempo_bpm == 100
        np.testing.assert_array_equal(
            stem.grid.beats_s, library.grid(stem.placement.song_id).beats_s
        )
        assert stem.ratio_out_in == pytest.approx(100 / 120)


def test_a_song_that_is_removed_while_it_is_heard_is_not_suggested(
    library: Library, clip: ClipAnalysis, tmp_path: Path
) -> None:
    gone = library.songs()[0].id

    class Listening(Watched):
        def score_groups(
            self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
        ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
            found = super().score_groups(clip, fits)
            for pool, fit in (member for axis in fits.values() for member in axis):
                assert pool.sounds is not None
                pool.sounds.placed(pool, fit, beats=4)
            return found

    def remove() -> None:
        with Library.open(tmp_path / "library") as other:
            other.remove(gone)

    reply = asked(library, clip, Listening("groups", once(remove)))
    assert songs_of(reply) == {row.id for row in library.songs()}


def test_a_new_song_disturbs_no_question(
    library: Library, clip: ClipAnalysis, tmp_path: Path
) -> None:
    def add() -> None:
        with Library.open(tmp_path / "library") as other:
            other.add_song(song(7, roles=ROLES))

    ranker = Watched("drums", once(add))
    pools = LibraryPools(library)
    options = SuggestOptions(120.0, roles=ROLES, tempo_range=(0.5, 2.0))
    for expected in (3, 4):
        reply = suggest(clip, options, ranker=ranker, pools=pools, library=library)
        assert len(songs_of(reply)) == expected
    assert pools.now() is pools.now()


def test_a_library_that_never_rests_is_said(
    library: Library, clip: ClipAnalysis, tmp_path: Path
) -> None:
    tempi = iter(np.arange(90.0, 120.0))

    def correct() -> None:
        with Library.open(tmp_path / "library") as other:
            tempo_bpm = float(next(tempi))
            for number, row in enumerate(other.songs()):
                made = analysis(number, roles=ROLES, tempo_bpm=tempo_bpm, bars=2)
                other.replace_analysis(row.id, made)

    with pytest.raises(LibraryUnusable, match="was changed 5 times"):
        asked(library, clip, Watched("groups", correct))


def only_stem(
    clip: ClipAnalysis, folder: Path, *, loud_db: NDArray[np.float64], tempo_bpm: float
) -> SuggestedStem:
    """What is suggested of a library of one stem whose beats are so loud and all sound."""
    role: tuple[Role, ...] = ("harmonic",)
    made = analysis(roles=role, tempo_bpm=tempo_bpm, bars=loud_db.size // 4)
    (stem,) = made.stems
    stem.features["bands"] = 0.0
    stem.features["bands"][:, 0] = 10 ** (loud_db / 20)
    stem = replace(stem, active=np.ones(loud_db.size, dtype=np.bool_))
    options = SuggestOptions(120.0, roles=role)
    with Library.open(folder / "one") as library:
        library.add_song(replace(song(roles=role), analysis=replace(made, stems=(stem,))))
        pools = LibraryPools(library)
        reply = suggest(clip, options, ranker=automashupper(), pools=pools, library=library)
    (found,) = reply.suggestions
    return found.stems[0]


@pytest.mark.parametrize(("tempo_bpm", "beats"), [(60.0, 4), (120.0, 8), (240.0, 16)])
def test_the_gain_is_that_of_the_bars_that_are_used(
    clip: ClipAnalysis, tmp_path: Path, tempo_bpm: float, beats: int
) -> None:
    loud_db = -np.arange(32.0)  # every bar has a level of its own
    clip.rows["bands"][:, 0] = 10 ** (-40 / 20)
    found = only_stem(clip, tmp_path, loud_db=loud_db, tempo_bpm=tempo_bpm).placement
    used = 10 ** (loud_db[found.start_beat : found.start_beat + beats] / 10)
    assert found.gain_db == pytest.approx(-40 - 10 * np.log10(used.mean()), abs=0.02)


def test_a_stem_that_repeats_keeps_its_tempo(clip: ClipAnalysis, tmp_path: Path) -> None:
    found = only_stem(clip, tmp_path, loud_db=np.zeros(4), tempo_bpm=100.0)
    assert found.placement.repeats == 2
    assert found.ratio_out_in == pytest.approx(100 / 120)


def test_the_least_sure_beat_map_decides_the_confidence(
    library: Library, clip: ClipAnalysis
) -> None:
    sure, unsure, _ = library.songs()
    made = analysis(8, roles=ROLES)
    grid = replace(made.grid, confidence=0.25)
    library.replace_analysis(unsure.id, replace(made, grid=grid))
    reply = asked(library, clip, Watched("", lambda: None), limit=100)
    found = {
        frozenset(s.placement.song_id for s in each.stems): each.confidence
        for each in reply.suggestions
    }
    assert found[frozenset({sure.id, unsure.id})] == pytest.approx(0.5)
    assert found[frozenset({sure.id})] == pytest.approx(np.sqrt(0.9), abs=1e-4)


def test_models_that_listen_hear_the_clip_as_the_session_transposes_it(
    library: Library, clip: ClipAnalysis
) -> None:
    heard: list[int] = []

    class Listening(Watched):
        def place(
            self, clip: ClipFeatures, pool: RolePool, search: Search, **rest: Any
        ) -> list[Fit]:
            assert clip.sound is not None
            heard.append(clip.sound.semitones)
            return super().place(clip, pool, search, **rest)

    asked(library, clip, Listening("", lambda: None), transpose=-5)
    assert heard == [-5, -5]


@pytest.mark.parametrize(("confidence", "notes"), [(0.69, 0), (0.7, 1)])
def test_a_clip_in_another_key_is_said_where_its_key_is_sure(
    library: Library, clip: ClipAnalysis, confidence: float, notes: int
) -> None:
    sung = replace(clip, key=replace(clip.key, confidence=confidence))
    reply = asked(library, sung, Watched("", lambda: None), key=Key(2, "major"))
    assert len(reply.notes) == notes


def test_the_reason_why_nothing_fits_is_the_real_one(library: Library, clip: ClipAnalysis) -> None:
    ranker = Watched("", lambda: None)
    ids = frozenset(row.id for row in library.songs())
    own = replace(clip, sources=tuple(ClipSource(name, 0.0, exact=True) for name in sorted(ids)))
    for note in asked(library, own, ranker).notes:
        assert "the clip's own song; --include-own" in note
    assert len(asked(library, own, ranker).notes) == 2
    assert asked(library, own, ranker, include_own=True).suggestions
    notes = asked(library, clip, ranker, exclude_songs=ids).notes
    assert len(notes) == 2
    assert all("--exclude-song" in note and "tempo" not in note for note in notes)
    grid = clip.grid.with_metre(3)
    waltz = replace(clip, grid=grid, rows=clip.rows[:6], active=clip.active[:6])
    for note in asked(library, waltz, ranker).notes:
        assert "has 3 beats in a bar, as the clip has" in note
    for note in asked(library, replace(waltz, metre_known=False), ranker).notes:
        assert "has 3 beats in a bar, a guess" in note
        assert "--clip-metre 4" in note
    assert len(asked(library, waltz, ranker).notes) == 2
    some = replace(own, sources=own.sources[:1])
    assert asked(library, some, ranker, exclude_songs=ids).notes == notes


def test_stems_are_tuned_to_the_song_that_the_clip_was_cut_from(
    library: Library, clip: ClipAnalysis
) -> None:
    own = library.songs()[0]
    cut = replace(clip, sources=(ClipSource(own.id, 0.0, True),))
    for asking, off in ((clip, own.tuning_cents), (cut, 0.0)):
        reply = asked(library, asking, Watched("never", lambda: None), include_own=True)
        assert {stem.off_cents for found in reply.suggestions for stem in found.stems} == {off}


def test_a_rank_means_the_same_in_a_shorter_list(library: Library, clip: ClipAnalysis) -> None:
    lists = [
        [[stem.placement.stem_id for stem in found.stems] for found in reply.suggestions]
        for reply in (
            asked(library, clip, Watched("never", lambda: None), limit=limit) for limit in (3, 7, 9)
        )
    ]
    assert lists[0] == lists[2][:3]
    assert lists[1] == lists[2][:7]
