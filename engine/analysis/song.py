"""Everything that ``add`` finds out about one song, from its stems.

The beat network runs once, on the mix, because it was trained on mixes and hears bar lines in the
harmony; only when it is unsure there and drums are present does it run on the drums too, and the
surer answer is taken. The attacks that place the beats are looked for in the drums first. Key and
tuning are taken from everything but the drums. All features use the one grid. The two networks are
nearly all of the time; every stem is brought to 44.1 kHz mono once for everything here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.attacks import attack_function
from engine.analysis.beats import (
    FEWEST_BEATS,
    SILENT_PEAK,
    BeatTracker,
    LibrosaTracker,
    TrackedBeats,
    check_tempo,
    default_tracker,
    mono_at,
)
from engine.analysis.features import active_beats, beat_features
from engine.analysis.key import PitchedAudio, estimate_key
from engine.analysis.loops import track_loop
from engine.analysis.madmom_compat import MODEL_RATE_HZ
from engine.analysis.records import KeyEstimate, SongAnalysis, StemAnalysis, TempoEstimate
from engine.analysis.refine import refine
from engine.analysis.structure import find_windows, phrase_phase
from engine.analysis.tempo import estimate_tempo, settle_octave
from engine.analysis.tuning import (
    PITCH_RATE_HZ,
    SpectralPeaks,
    is_pitched,
    spectral_peaks,
    tuning_cents,
)
from engine.audio.loudness import integrated_lufs, true_peak_db
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.grid import BeatGrid
from engine.theory import Key, Role

__all__ = ["analyse_song"]

#: Shortest song with beats to find [s]; loops may be shorter.
SHORTEST_SONG_S: Final = 2.0
#: Below this confidence on the mix the drums are asked too.
UNSURE: Final = 0.35
#: Drums this far below the mix are too quiet to be asked [linear RMS ratio, -20 dB].
AUDIBLE_DRUMS: Final = 0.1
#: Roles without pitch.
UNPITCHED: Final[tuple[Role, ...]] = ("drums", "percussion")

_NO_ACTIVATION: Final = np.zeros((0, 2), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Signals:
    """The stems as mono at 44.1 kHz, all of one length."""

    stems: dict[Role, NDArray[np.float32]]
    mix: NDArray[np.float32]
    duration_s: float

    def drums(self) -> NDArray[np.float32] | None:
        """The drums if they are loud enough to carry the beat."""
        drums = next((self.stems[role] for role in UNPITCHED if role in self.stems), None)
        if drums is None or _rms(drums) < AUDIBLE_DRUMS * _rms(self.mix):
            return None
        return drums

    def pitched(self) -> NDArray[np.float32] | None:
        """The sum of all that may have pitch."""
        parts = [signal for role, signal in self.stems.items() if role not in UNPITCHED]
        if not parts:
            return None
        return np.asarray(np.sum(parts, axis=0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Beats:
    """The grid and how it was found."""

    grid: BeatGrid
    tempo: TempoEstimate
    tracker: str
    tracked_on: str
    notes: tuple[str, ...] = ()


def analyse_song(
    stems: Mapping[Role, Waveform],
    *,
    tracker: BeatTracker | None = None,
    grid: BeatGrid | None = None,
    key: Key | None = None,
    loop: bool = False,
    tempo_hint_bpm: float | None = None,
) -> SongAnalysis:
    """Beats, tempo, key, tuning, windows, and features of every stem.

    Args:
        stems: role → audio, all beginning at the same time: any of vocals, drums, bass, other, or a
            lone stem of any role. Bass and other together, or
            the one that is there, also become a stem ``harmonic``.
        tracker: by default :func:`~engine.analysis.beats.default_tracker`.
        grid: a person's correction; beats are not tracked then.
        key: a person's correction; the key is not estimated then.
        loop: the file is a loop: its length is a whole number of beats.
        tempo_hint_bpm: tempo stated by the file's name or its maker.

    Raises:
        UnusableInput: no stems, silent, too short, or no beat to be found.
    """
    signals = _signals(stems, loop=loop)
    if tempo_hint_bpm is not None:
        check_tempo(tempo_hint_bpm)
    beats = _beats(signals, tracker or default_tracker(), grid, loop, tempo_hint_bpm)
    pitched = signals.pitched()
    peaks = _peaks(pitched)
    tuning = tuning_cents(peaks)
    analysed = _analyse_stems(_with_sums(stems), beats.grid, tuning)
    active = {stem.role: stem.active for stem in analysed}
    first_bar = phrase_phase(beats.grid, _levels(analysed))
    return SongAnalysis(
        grid=beats.grid,
        tempo=beats.tempo,
        key=_key(pitched, peaks, key, plain_mix="mix" in stems),
        tuning_cents=tuning,
        tracker=beats.tracker,
        tracked_on=beats.tracked_on,
        duration_s=signals.duration_s,
        windows=find_windows(beats.grid, active, first_bar=first_bar),
        stems=analysed,
        notes=beats.notes,
    )


def _signals(stems: Mapping[Role, Waveform], *, loop: bool) -> _Signals:
    """Mono stems of one length and their sum; refuses what cannot be analysed."""
    if not stems:
        raise UnusableInput("No stem was given; a song needs one or more.", hint="Check the path.")
    mono = {role: mono_at(waveform, MODEL_RATE_HZ) for role, waveform in stems.items()}
    frames = max(signal.size for signal in mono.values())
    mono = {role: np.pad(signal, (0, frames - signal.size)) for role, signal in mono.items()}
    mix = mono["mix"] if "mix" in mono else np.sum(list(mono.values()), axis=0)
    duration_s = max(waveform.duration_s for waveform in stems.values())
    if duration_s < SHORTEST_SONG_S and not loop:
        raise UnusableInput(
            f"The song is only {duration_s:.2f} s long; "
            f"at least {SHORTEST_SONG_S:.0f} s are needed.",
            hint="A short loop is added with --role.",
            code="too_short",
        )
    if max(float(np.max(np.abs(signal), initial=0)) for signal in mono.values()) < SILENT_PEAK:
        raise UnusableInput("The audio is silent.", hint="Check the file.", code="silent")
    return _Signals(mono, np.asarray(mix, dtype=np.float32), duration_s)


def _beats(
    signals: _Signals,
    tracker: BeatTracker,
    given: BeatGrid | None,
    loop: bool,
    tempo_hint_bpm: float | None,
) -> _Beats:
    """The grid: a person's, a loop's, or tracked and refined."""
    if given is not None:
        grid = given.covering(0.0, signals.duration_s)
        tempo = estimate_tempo(grid, _NO_ACTIVATION, steady=_is_constant(grid), exact=True)
        return _Beats(grid, tempo, "person", "person")
    about: tuple[str, ...] = ()
    if loop:
        found = track_loop(_waveform(signals.mix), tempo_hint_bpm=tempo_hint_bpm, tracker=tracker)
        if found.begins_on_beat or signals.duration_s < SHORTEST_SONG_S:
            return _Beats(found.grid, found.tempo, found.tracker, _what(signals), found.notes)
        # cut anywhere from longer music: where its beats are is the tracker's to say
        about, tempo_hint_bpm = found.notes, found.tempo.bpm
    tracked, tracked_on, notes = _track(signals, tracker, tempo_hint_bpm)
    tracked = tracked if tempo_hint_bpm else settle_octave(tracked)
    drums = signals.drums()
    sources = [attack_function(s) for s in (drums, signals.mix) if s is not None]
    refined = refine(tracked, sources, duration_s=signals.duration_s)
    tempo = estimate_tempo(refined.grid, tracked.activation, steady=refined.steady)
    return _Beats(refined.grid, tempo, tracked.tracker, tracked_on, (*about, *notes))


def _track(
    signals: _Signals, tracker: BeatTracker, tempo_hint_bpm: float | None
) -> tuple[TrackedBeats, str, tuple[str, ...]]:
    """Beats of the mix, or of the drums where they are surer; librosa where nothing was found."""
    notes: tuple[str, ...] = ()
    tracked = tracker.track(_waveform(signals.mix), tempo_hint_bpm=tempo_hint_bpm)
    tracked_on = _what(signals)
    drums = signals.drums()
    if tracked.confidence < UNSURE and drums is not None and len(signals.stems) > 1:
        alone = tracker.track(_waveform(drums), tempo_hint_bpm=tempo_hint_bpm)
        if alone.confidence > tracked.confidence:
            tracked, tracked_on = alone, "drums"
    if tracked.beats_s.size < FEWEST_BEATS and tracker.name != LibrosaTracker.name:
        notes = (f"{tracker.name} found no beat; librosa was used.",)
        tracked = LibrosaTracker().track(_waveform(signals.mix), tempo_hint_bpm=tempo_hint_bpm)
    return tracked, tracked_on, notes


def _what(signals: _Signals) -> str:
    """``mix``, or the role of a lone stem."""
    return next(iter(signals.stems)) if len(signals.stems) == 1 else "mix"


def _peaks(pitched: NDArray[np.float32] | None) -> SpectralPeaks:
    import soxr

    if pitched is None:
        return spectral_peaks(np.zeros(0, dtype=np.float32))
    return spectral_peaks(soxr.resample(pitched, MODEL_RATE_HZ, PITCH_RATE_HZ))


def _key(
    pitched: NDArray[np.float32] | None,
    peaks: SpectralPeaks,
    given: Key | None,
    *,
    plain_mix: bool,
) -> KeyEstimate:
    """A person's key, none for drums, else the estimate."""
    if given is not None:
        return KeyEstimate(given, 1.0, "person", True)
    if pitched is None or (plain_mix and not is_pitched(peaks)):
        return KeyEstimate(None, 0.0, "unpitched")
    peak = max(float(np.max(np.abs(pitched), initial=0.0)), SILENT_PEAK)
    return estimate_key(PitchedAudio(pitched / np.float32(peak), peaks))


def _with_sums(stems: Mapping[Role, Waveform]) -> dict[Role, Waveform]:
    """The stems, and ``harmonic`` = bass + other, or the one of them that is there."""
    pitched = [stems[role] for role in ("bass", "other") if role in stems]
    if not pitched or "harmonic" in stems:
        return dict(stems)
    return {**stems, "harmonic": pitched[0] if len(pitched) == 1 else _sum(pitched[0], pitched[1])}


def _sum(one: Waveform, other: Waveform) -> Waveform:
    """The sum of two stems, at the first one's rate; a mono one sounds on all channels."""
    if one.sample_rate != other.sample_rate:
        one, other = (
            Waveform(mono_at(stem, MODEL_RATE_HZ)[None], MODEL_RATE_HZ) for stem in (one, other)
        )
    channels = max(one.channels, other.channels)
    total = np.zeros((channels, max(one.frames, other.frames)), dtype=np.float32)
    for stem in (one, other):
        total[:, : stem.frames] += stem.samples if stem.channels == channels else stem.mono()
    return Waveform(total, one.sample_rate)


def _analyse_stems(
    stems: Mapping[Role, Waveform], grid: BeatGrid, tuning: float
) -> tuple[StemAnalysis, ...]:
    """Every stem once, also where one waveform plays two roles."""
    done: dict[int, StemAnalysis] = {}
    for role, waveform in stems.items():
        if id(waveform) not in done:
            done[id(waveform)] = _analyse_stem(role, waveform, grid, tuning)
    return tuple(replace(done[id(waveform)], role=role) for role, waveform in stems.items())


def _analyse_stem(role: Role, waveform: Waveform, grid: BeatGrid, tuning: float) -> StemAnalysis:
    rows = beat_features(waveform, grid, tuning_cents=tuning)
    return StemAnalysis(
        role, rows, integrated_lufs(waveform), true_peak_db(waveform), active_beats(rows)
    )


def _levels(stems: tuple[StemAnalysis, ...]) -> NDArray[np.float64]:
    """(intervals, bands of all stems) level of each beat, each stem's loudest 1: for phrases."""
    parts = []
    for stem in stems:
        bands = np.sqrt(stem.features["bands"].astype(np.float64))
        parts.append(bands / max(float(bands.max(initial=0.0)), 1e-6))
    return np.concatenate(parts, axis=1)


def _is_constant(grid: BeatGrid) -> bool:
    periods = np.diff(grid.beats_s)
    return bool(np.ptp(periods) < 1e-3 * periods.mean())


def _waveform(signal: NDArray[np.float32]) -> Waveform:
    return Waveform(signal[None], MODEL_RATE_HZ)


def _rms(signal: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) if signal.size else 0.0
