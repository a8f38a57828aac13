from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engine.evaluation.axes import originals_of
from engine.evaluation.corpus import EvaluationSong
from engine.evaluation.triples import KINDS, MATCHED, Trial, trials_of
from engine.theory import Key
from tests.engine.evaluation.material import song


def made(number: int, tempo_bpm: float, key: str | None) -> EvaluationSong:
    known = None if key is None else Key.parse(key)
    return replace(song(number), tempo_bpm=tempo_bpm, key=known)


def trials(others: Sequence[EvaluationSong], *, seed: int = 0) -> list[Trial]:
    """Those of a song in C major at 100 BPM."""
    own = made(0, 100.0, "C")
    return trials_of([own, *others], originals_of(own), seed=seed)


def drawn(trial: Trial, kind: str, role: str) -> set[str]:
    """Songs that the harmony or the drums come from."""
    parts = [getattr(triple, role) for triple in trial.others.get(kind, ())]
    return {passage.song_id for passage in parts}


SONGS = (
    made(1, 100.0, "C"),  # the vocal's own key
    made(2, 100.0, "A minor"),  # the same notes
    made(3, 81.0, "Eb"),  # three semitones, nearly too slow
    made(4, 119.0, "E"),  # four semitones, nearly too fast
    made(5, 79.0, "D"),  # too slow
    made(6, 121.0, "D"),  # too fast
    made(7, 100.0, None),  # of no key
)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return trials(SONGS)[0]


@pytest.mark.parametrize("kind", ["matched", "unmatched time"])
def test_a_harmony_in_key_is_reached_by_three_semitones(trial: Trial, kind: str) -> None:
    assert drawn(trial, kind, "harmony") == {"g1", "g2", "g3"}
    assert all(triple.semitones == (0, -1, 1, -2, 2, -3, 3) for triple in trial.triples(kind))


@pytest.mark.parametrize("kind", ["unmatched key", "unmatched key and time"])
def test_a_harmony_out_of_key_is_of_no_song_in_the_vocals_key(trial: Trial, kind: str) -> None:
    assert drawn(trial, kind, "harmony") == {"g3", "g4"}
    assert all(triple.semitones == (0,) for triple in trial.triples(kind))


@pytest.mark.parametrize("kind", list(KINDS))
def test_tempi_lie_within_the_published_ratio(trial: Trial, kind: str) -> None:
    """Drums of a song without a key serve too."""
    assert drawn(trial, kind, "drums") <= {"g1", "g2", "g3", "g4", "g7"}
    if kind == "matched":
        assert drawn(trial, kind, "drums") == {"g1", "g2", "g3", "g4", "g7"}


def test_the_original_stands_first_with_the_same_freedom(trial: Trial) -> None:
    for kind, others in trial.others.items():
        own, *rest = trial.triples(kind)
        assert own.harmony.song_id == own.drums.song_id == "g0"
        assert tuple(rest) == others
        assert own.semitones == others[0].semitones
    assert len(trial.others["matched"]) == MATCHED


def test_only_drums_out_of_time_are_moved(trial: Trial) -> None:
    for kind, others in trial.others.items():
        moved = [triple.drums.id.endswith("q") for triple in others]
        assert set(moved) == {"time" in kind}


def test_draws_are_repeated_by_their_seed_alone() -> None:
    def names(seed: int) -> list[str]:
        return [
            t.harmony.id + t.drums.id
            for x in trials(SONGS, seed=seed)
            for t in x.triples("matched")
        ]

    assert names(0) == names(0) != names(1)


def test_who_has_nothing_to_be_matched_with_is_not_asked() -> None:
    assert trials(SONGS[3:]) == []
    assert trials([replace(SONGS[0], beats_per_bar=3)]) == []


def test_a_kind_without_partners_is_left_out() -> None:
    (kinds,) = {tuple(trial.others) for trial in trials(SONGS[:2])}
    assert kinds == ("matched", "unmatched time")
