from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.mashup.generation import MOST_SEMITONES, StemUse
from engine.models.mix_nets.beat_mel import FLOOR_DB, FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL
from engine.training.mix_nets.batches import SILENT, MixBatch, draw_batch, varied
from tests.engine.training.mix_nets.songs_to_mix import ToySongs, roles_asked


def batch(songs: ToySongs, seed: int = 0) -> MixBatch:
    return draw_batch(songs, songs=6, beats=4, rng=np.random.default_rng(seed))


def test_a_batch_holds_every_kind_and_hears_every_stem_once() -> None:
    songs = ToySongs(9)
    made = batch(songs)
    assert made.planes.shape[1:] == (4 * FRAMES_PER_BEAT, MEL.mels)
    assert len(made.triples) == len(made.labels)
    assert set(made.labels) == {"good", "bad", "unknown"}
    assert made.labels.count("good") == 6
    assert roles_asked(songs) == {"vocals", "harmonic", "drums"}
    voices = [use.song_id for use in songs.asked if use.role == "vocals"]
    assert len(voices) == len(set(voices)) == 6
    assert made.triples.min() >= SILENT
    assert made.triples.max() < len(made.planes)
    assert (made.triples[:, 0] != SILENT).all()


def test_a_draw_repeats_and_another_differs() -> None:
    one, again, other = (batch(ToySongs(9), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.planes, again.planes)
    np.testing.assert_array_equal(one.triples, again.triples)
    assert one.labels == again.labels
    assert not np.array_equal(one.planes, other.planes)


def test_variants_of_one_composition_never_meet() -> None:
    songs = ToySongs(9)
    songs.songs = [*songs.songs, *ToySongs(9, seed=1).songs]  # the same groups under other names
    for seed in range(8):
        songs.asked.clear()
        batch(songs, seed)
        numbers = [use.song_id.split("-")[1] for use in songs.asked if use.role == "vocals"]
        assert len(numbers) == len(set(numbers))


def uses_of(seeds: int) -> list[StemUse]:
    songs = ToySongs(9)
    for seed in range(seeds):
        batch(songs, seed)
    return songs.asked


def test_single_faults_stay_within_what_originals_may_have() -> None:
    """A wrong transposition must not be heard by its size, nor an offset be too small to hear."""
    uses = uses_of(30)
    stretched = [use for use in uses if use.stretched]
    assert max(abs(use.semitones) for use in stretched) == MOST_SEMITONES
    assert max(abs(use.semitones) for use in uses if not use.stretched) == MOST_SEMITONES
    assert {use.semitones for use in uses if use.role == "drums"} == {0}
    offsets = [abs(use.offset_s) for use in uses if use.offset_s]
    assert 0.1 <= min(offsets) <= max(offsets) <= 1.0
    assert any(use.offset_s and use.role == "drums" for use in stretched)
    assert any(use.offset_s and use.role == "harmonic" for use in stretched)
    assert any(not use.stretched for use in uses)


def test_pairs_are_labelled_by_their_keys() -> None:
    """With one key for all every foreign harmony may fit; with keys a tritone apart many cannot."""
    same = [batch(ToySongs(9, keys=(0,)), seed) for seed in range(6)]
    apart = [batch(ToySongs(9, keys=(0, 6)), seed) for seed in range(6)]
    shares = [
        np.mean([label == "unknown" for one in made for label in one.labels])
        for made in (same, apart)
    ]
    assert shares[0] > shares[1] > 0


class TellingSongs(ToySongs):
    """Stems that are loudest in their lowest bin where they come late."""

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        del tempo_bpm, sound, bleed_db
        plane = np.full((beats * FRAMES_PER_BEAT, MEL.mels), -40.0, dtype=np.float32)
        plane[:, 0] = -10.0 if use.offset_s else -60.0
        return plane


def test_what_makes_a_bad_example_bad_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tempi may agree by chance: being late must be heard wherever it is the fault."""
    monkeypatch.setattr("engine.training.mix_nets.batches.varied", lambda plane, _rng: plane)
    late: dict[str, list[bool]] = {}
    for seed in range(60):
        made = batch(TellingSongs(9), seed)
        for triple, kind in zip(made.triples, made.kinds, strict=True):
            heard = made.planes[[plane for plane in triple if plane != SILENT]]
            late.setdefault(kind, []).append(bool((heard[:, 0, 0] > heard[:, 0, 1]).any()))
    assert len(late["tempo"]) > 60
    assert len(late["late"]) > 30
    assert all(late["tempo"])
    assert all(late["late"])
    assert not any(late["own"] + late["matched"] + late["foreign"])


def test_what_is_missing_does_not_tell_good_from_bad() -> None:
    """Every kind of bad weighs the same in the loss, so the mean over the kinds counts."""
    lacks: dict[str, list[tuple[bool, bool]]] = {}
    for seed in range(80):
        made = batch(ToySongs(9), seed)
        for triple, kind in zip(made.triples, made.kinds, strict=True):
            lacks.setdefault(kind, []).append((triple[1] == SILENT, triple[2] == SILENT))
    shares = {kind: np.mean(rows, axis=0) for kind, rows in lacks.items()}
    bad = np.mean([shares[kind] for kind in ("foreign", "key", "late", "tempo")], axis=0)
    np.testing.assert_allclose(shares["own"], bad, atol=0.07)
    np.testing.assert_allclose(shares["own"], shares["matched"], atol=0.07)
    assert shares["own"].min() > 0.1
    assert shares["foreign"][0] == shares["key"][0] == 0


def test_some_takes_kinds_evenly() -> None:
    made = batch(ToySongs(9))
    kinds = set(made.kinds)
    assert {"own", "matched", "foreign"} < kinds
    few = made.some(len(kinds) + 3, np.random.default_rng(0))
    counts = [few.kinds.count(kind) for kind in kinds]
    assert min(counts) == 1
    assert max(counts) == 2
    assert set(made.of_labels(("good",)).kinds) == {"own"}


@pytest.mark.parametrize("seed", range(5))
def test_variations_change_the_sound_and_not_the_notes(seed: int) -> None:
    plane = np.full((24, MEL.mels), -60.0, dtype=np.float32)
    plane[:, 40] = -20.0
    made = varied(plane, np.random.default_rng(seed))
    assert made.shape == plane.shape
    assert made.min() >= FLOOR_DB
    assert set(made.argmax(axis=1)) == {40}
    assert not np.array_equal(made, plane)


class FewReadable(ToySongs):
    """All songs but the first few are silent, or cannot be read."""

    def __init__(self, readable: int, *, silent: bool) -> None:
        super().__init__(9)
        self._readable = {song.id for song in self.songs[:readable]}
        self._silent = silent

    def plane(
        self, use: StemUse, *, beats: int, tempo_bpm: float, sound: int, bleed_db: float | None
    ) -> NDArray[np.float32]:
        made = super().plane(use, beats=beats, tempo_bpm=tempo_bpm, sound=sound, bleed_db=bleed_db)
        if use.song_id in self._readable:
            return made
        if not self._silent:
            raise UnusableInput("This file is damaged.")
        return np.full_like(made, -100.0)  # as silence is stored


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("readable", [0, 1])
def test_a_step_needs_two_songs_that_can_be_read(readable: int, *, silent: bool) -> None:
    for seed in range(4):  # among them those that ask for partners
        with pytest.raises(UnusableInput, match=f"{readable} could be read") as caught:
            batch(FewReadable(readable, silent=silent), seed)
        assert caught.value.code == "no_examples"
        assert caught.value.hint


def test_two_songs_that_can_be_read_are_enough() -> None:
    for seed in range(8):
        assert batch(FewReadable(2, silent=True), seed).labels.count("good") == 2


def test_one_level_of_bleed_for_all_stems_of_a_step() -> None:
    songs = ToySongs(9)
    draw_batch(songs, songs=6, beats=4, rng=np.random.default_rng(0), bleed_db=-20.0)
    assert set(songs.bleeds) == {-20.0}
    songs.bleeds.clear()
    batch(songs)
    assert set(songs.bleeds) == {None}
