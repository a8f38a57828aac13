"""Every song is played once; what the ear would check is measured against the score."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.fft
import soundfile
from numpy.typing import NDArray

from dawlink.demo import (
    DEMO_SONGS,
    DEMO_VOCAL,
    DemoSong,
    synthesise,
    write_demo_songs,
    write_demo_vocal,
)
from dawlink.demo.harmony import chords_of, scale_of
from dawlink.demo.instruments import SAMPLE_RATE, drum, note_hz, tone
from dawlink.demo.melody import write_melody
from dawlink.demo.score import write_score
from dawlink.demo.synthesis import frames_of
from engine.audio.waveform import Waveform
from engine.errors import UnwritableOutput
from engine.theory import Role

Samples = NDArray[np.float32]
SHORT = replace(DEMO_SONGS[3], bars=4)


@dataclass(frozen=True, eq=False)
class Played:
    song: DemoSong
    stems: Mapping[Role, Waveform]


@pytest.fixture(scope="module", params=[*DEMO_SONGS, DEMO_VOCAL], ids=lambda song: song.title)
def played(request: pytest.FixtureRequest) -> Played:
    """One song after the other; each is played once for all its tests."""
    return Played(request.param, synthesise(request.param))


def peak_hz(sound: Samples, near_hz: float) -> float:
    """Frequency of the strongest partial within 80 cents."""
    size = 1 << 17
    level = np.abs(scipy.fft.rfft(sound * np.hanning(sound.size), size))
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    near = np.flatnonzero(np.abs(1200 * np.log2(np.maximum(hz, 1) / near_hz)) < 80)
    return float(hz[near[np.argmax(level[near])]])


def chroma(sound: Samples) -> NDArray[np.float64]:
    """(12,) share of the energy between 60 Hz and 1 kHz in each pitch class."""
    size = scipy.fft.next_fast_len(sound.size, real=True)
    power = np.abs(scipy.fft.rfft(sound * np.hanning(sound.size), size)) ** 2
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    inside = (hz > 60) & (hz < 1000)
    classes = np.round(69 + 12 * np.log2(hz[inside] / 440)).astype(int) % 12
    energy = np.bincount(classes, power[inside], 12)
    return energy / energy.sum()


def beat_frame(song: DemoSong, beat: float) -> int:
    return round(beat * 60 / song.tempo_bpm * SAMPLE_RATE)


def test_lengths_levels_and_peaks(played: Played) -> None:
    song = played.song
    stems = played.stems
    assert list(stems) == ["vocals", "drums", "bass", "other"]
    assert {stem.samples.shape for stem in stems.values()} == {(2, frames_of(song))}
    mix = np.sum([stem.samples for stem in stems.values()], axis=0)
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    assert -20 < meter.integrated_loudness(mix.T) < -16
    for sound in (mix, *(stem.samples for stem in stems.values())):
        assert np.max(np.abs(sound)) <= 0.9
        assert np.all(np.isfinite(sound))
    for stem in stems.values():
        assert -32 < meter.integrated_loudness(stem.samples.T) < -19
        assert np.std(stem.mono()) > np.std(stem.samples[0] - stem.samples[1]) / 2


def test_every_kick_on_a_beat_begins_exactly_on_the_grid(played: Played) -> None:
    song = played.song
    sound = np.abs(played.stems["drums"].mono())
    kicks = [s for s in write_score(song).drums if s.instrument == "kick" and s.start_beat % 1 == 0]
    assert len(kicks) >= song.bars
    for kick in kicks:
        frame = beat_frame(song, kick.start_beat)
        after = sound[frame : frame + 132].max()
        before = sound[max(0, frame - 132) : max(1, frame)].max()
        assert after > 2 * before, f"no attack at beat {kick.start_beat}"


def test_each_bar_holds_its_chord_and_the_song_its_scale(played: Played) -> None:
    song = played.song
    stems = played.stems
    harmony = stems["bass"].mono() + stems["other"].mono()
    chords = chords_of(song.progression, song.key)
    shares, inside = [], []
    for bar in range(song.bars):
        heard = chroma(harmony[beat_frame(song, 4 * bar) : beat_frame(song, 4 * bar + 4)])
        shares.append(heard[list(chords[bar % len(chords)].pitch_classes)].sum())
        inside.append(heard[list(scale_of(song.key))].sum())
    assert min(shares) > 0.5
    assert np.mean(shares) > 0.7
    assert np.mean(inside) > 0.8  # the dominant seventh of a minor key lies partly outside


def test_the_lead_sings_its_notes_in_tune(played: Played) -> None:
    song = played.song
    voice = played.stems["vocals"].mono()
    cents = []
    for note in write_melody(song):
        first = beat_frame(song, note.start_beat) + int(0.12 * SAMPLE_RATE)
        last = beat_frame(song, note.start_beat + 0.95 * note.beats)
        if last - first > 0.3 * SAMPLE_RATE:
            hz = note_hz(note.pitch)
            cents.append(abs(1200 * np.log2(peak_hz(voice[first:last], hz) / hz)))
    assert len(cents) >= 10
    assert np.median(cents) < 5
    assert max(cents) < 40


def test_the_melody_breathes_and_lands_on_chord_tones(played: Played) -> None:
    song = played.song
    notes = write_melody(song)
    gaps = [b.start_beat - a.start_beat - a.beats for a, b in itertools.pairwise(notes)]
    assert min(gaps) >= 0
    assert sum(gap >= 0.5 for gap in gaps) >= song.bars // 4
    chords = chords_of(song.progression, song.key)
    for note in notes:
        if note.start_beat % 1 == 0:
            chord = chords[int(note.start_beat // 4) % len(chords)]
            assert note.pitch % 12 in chord.pitch_classes
    assert max(n.pitch for n in notes) - min(n.pitch for n in notes) <= 19


def test_the_same_record_gives_the_same_samples_and_another_seed_others() -> None:
    first, again = synthesise(SHORT), synthesise(SHORT)
    other = synthesise(replace(SHORT, seed=99))
    for role, stem in first.items():
        assert np.array_equal(stem.samples, again[role].samples)
    assert not np.array_equal(first["vocals"].samples, other["vocals"].samples)


def test_an_intro_is_instrumental() -> None:
    song = replace(SHORT, bars=8, intro=True)
    voice = synthesise(song)["vocals"].mono()
    four_bars = beat_frame(song, 15)
    assert np.max(np.abs(voice[:four_bars])) < 1e-6
    assert np.max(np.abs(voice[four_bars:])) > 0.05


@pytest.mark.parametrize("sound", ["round", "keys", "organ", "piano", "stab", "crunch", "pluck"])
def test_notes_are_in_tune_and_nothing_folds_back(sound: str) -> None:
    made = tone(sound, 69, SAMPLE_RATE)  # type: ignore[arg-type]
    assert abs(1200 * np.log2(peak_hz(made, 440.0) / 440.0)) < 3
    power = np.abs(np.fft.rfft(made * np.hanning(made.size))) ** 2
    hz = np.fft.rfftfreq(made.size, 1 / SAMPLE_RATE)
    assert power[hz > 13_000].sum() < 1e-4 * power.sum()


@pytest.mark.parametrize(
    "name", ["kick", "snare", "clap", "rim", "hat", "open hat", "crash", "shaker", "tom"]
)
def test_drums_begin_at_once_and_die_away(name: str) -> None:
    stroke = np.abs(drum(name, kick_hz=50.0, seed=1))
    assert np.max(stroke) <= 1.5
    assert np.max(stroke[:660]) > 0.25 * np.max(stroke)
    assert np.max(stroke[-20:]) < 0.01 * np.max(stroke)


def test_written_files_hold_the_stems_and_are_replaced_whole(tmp_path: Path) -> None:
    folders = write_demo_songs(tmp_path, [SHORT])
    assert write_demo_songs(tmp_path, [SHORT]) == folders == [tmp_path / SHORT.title]
    assert sorted(p.name for p in folders[0].iterdir()) == [
        "bass.wav",
        "drums.wav",
        "other.wav",
        "vocals.wav",
    ]
    samples, rate = soundfile.read(folders[0] / "bass.wav", dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    np.testing.assert_allclose(samples.T, synthesise(SHORT)["bass"].samples, atol=1e-4)


def test_the_vocal_file_says_tempo_and_key(tmp_path: Path) -> None:
    path = write_demo_vocal(tmp_path)
    assert path.name == "Long Way Round vocals 110 BPM Am.wav"
    assert soundfile.info(path).frames == frames_of(DEMO_VOCAL)


def test_a_folder_that_cannot_be_written_is_an_expected_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableOutput):
        write_demo_songs(tmp_path / "file", [SHORT])
