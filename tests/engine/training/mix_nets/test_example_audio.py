from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.mashup.database import MashupDB
from engine.mashup.generation import CONDITIONS, MashupExample, StemUse, generate
from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT, BeatMels, from_half_decibels
from engine.theory import Key
from engine.training.mix_nets.example_audio import (
    MOST_SHIFT,
    example_planes,
    example_sounds,
    sound_of_use,
    with_bleed,
)
from tests.engine.mashup.songs import SAMPLE_RATE, made_db, made_song


def original(song: str, *, seed: int = 5, bars: int = 1) -> MashupExample:
    stems = tuple(StemUse(song, role, 2) for role in ("vocals", "harmonic", "drums"))  # type: ignore[arg-type]
    return MashupExample("original", bars, stems, seed)  # type: ignore[arg-type]


def test_every_condition_is_read_on_the_vocals_beats(tmp_path: Path) -> None:
    db = made_db(tmp_path)
    mels = BeatMels()
    for example in generate(db, dict.fromkeys(CONDITIONS, 1), seed=1, bars=1).examples:
        planes = example_planes(example, db, mels)
        assert planes.shape == (3, 4 * FRAMES_PER_BEAT, 128)
        power = 10 ** (from_half_decibels(planes) / 10)
        levels = 10 * np.log10(power.sum(axis=2).mean(axis=1))
        np.testing.assert_allclose(levels, -15.0, atol=0.3)


def test_the_whole_example_is_shifted_by_lot_and_drums_never() -> None:
    db = MashupDB((made_song("a"), made_song("b", tempo_bpm=110)))
    drawn = set()
    for seed in range(60):
        voice, harmony, drums = example_sounds(original("a", seed=seed), db)
        assert voice.semitones == harmony.semitones
        assert drums.semitones == 0
        drawn.add(voice.semitones)
    assert drawn == set(range(-MOST_SHIFT, MOST_SHIFT + 1))
    vocals, _, drums_use = original("a").stems
    up = MashupExample("matched", 1, (vocals, StemUse("b", "harmonic", 2, 2), drums_use), 5)
    voice, harmony, _ = example_sounds(up, db)
    assert harmony.semitones - voice.semitones == 2


def test_no_condition_is_told_by_how_far_its_stems_are_transposed(tmp_path: Path) -> None:
    """Originals are moved as far as others, and as often, in voice and in harmony."""
    songs = tuple(
        made_song(name, tempo_bpm=110 + 3 * number, key=Key(number, "major"))
        for number, name in enumerate("abcdefghijkl")
    )
    db = MashupDB(songs)
    examples = generate(db, dict.fromkeys(CONDITIONS, 1500), seed=3, bars=1).examples
    shares: dict[str, NDArray[np.float64]] = {}
    asked: set[int] = set()
    for condition in CONDITIONS:
        chosen = [example for example in examples if example.condition == condition]
        asked |= {use.semitones for example in chosen for use in example.stems}
        moved = [[s.semitones for s in example_sounds(e, db)[:2]] for e in chosen]
        counts = [
            np.bincount(np.array(one) + MOST_SHIFT, minlength=2 * MOST_SHIFT + 1)
            for one in zip(*moved, strict=True)
        ]
        shares[condition] = np.array(counts) / len(chosen)
        assert shares[condition].shape == (2, 2 * MOST_SHIFT + 1)
    assert asked == set(range(-MOST_SHIFT, MOST_SHIFT + 1))
    for condition in CONDITIONS[1:]:
        apart = np.abs(shares[condition] - shares["original"]).sum(axis=1) / 2
        assert apart.max() < 0.08, condition


@pytest.mark.parametrize("offset_s", [-0.4, 0.25])
def test_an_unstretched_stem_keeps_its_tempo_and_its_offset(offset_s: float) -> None:
    song = made_song("b", tempo_bpm=100.0)
    use = StemUse("b", "drums", 2, 0, stretched=False, offset_s=offset_s)
    spans = sound_of_use(use, song, beats=4, tempo_bpm=120.0).spans_s
    # two bars of 100 BPM are 4.8 s; what comes late is read from before
    assert spans[0, 0] == pytest.approx(4.8 - offset_s)
    np.testing.assert_allclose(np.diff(spans, axis=1), 0.5)
    stretched = sound_of_use(StemUse("b", "drums", 2), song, beats=4, tempo_bpm=120.0).spans_s
    assert stretched[0, 0] == pytest.approx(4.8)
    np.testing.assert_allclose(np.diff(stretched, axis=1), 0.6)


def test_a_silent_stem_is_refused(tmp_path: Path) -> None:
    db = MashupDB((made_song("a", folder=tmp_path),))
    silence = np.zeros(SAMPLE_RATE * 12, dtype=np.float32)
    soundfile.write(tmp_path / "a-harmonic.wav", silence, SAMPLE_RATE)
    with pytest.raises(UnusableInput, match="silent"):
        example_planes(original("a"), db, BeatMels())


def test_bleed_is_the_songs_own_and_goes_where_its_stem_goes(tmp_path: Path) -> None:
    """What comes in is little in all and much where the stem itself is silent."""
    db = made_db(tmp_path)
    mels = BeatMels()
    for example in generate(db, dict.fromkeys(CONDITIONS, 1), seed=1, bars=1).examples:
        clean, bled = (
            from_half_decibels(example_planes(example, db, mels, bleed_db=bleed_db))
            for bleed_db in (None, -20.0)
        )
        faint = from_half_decibels(example_planes(example, db, mels, bleed_db=-100.0))
        np.testing.assert_allclose(faint, clean, atol=0.5)
        assert (bled - clean).max() > 10.0  # cells where only a trace of another stem sounds
        power = 10 ** (clean / 10), 10 ** (bled / 10)
        gained = np.maximum(power[1] - power[0], 0).sum(axis=(1, 2)) / power[0].sum(axis=(1, 2))
        assert gained.max() < 0.1


def test_bleed_is_heard_so_many_decibels_below_the_stem_it_comes_from() -> None:
    own, other = np.full((6, 4), -80.0, np.float32), np.full((6, 4), -80.0, np.float32)
    own[:, 0] = other[:, 2] = -10.0
    made = with_bleed(own, [other], -15.0)
    np.testing.assert_allclose(made[:, 0] - made[:, 2], 15.0, atol=0.1)
    assert made[:, 3].max() < made[:, 2].min() - 40.0
