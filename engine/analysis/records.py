"""The records that analysis hands to the library, to ranking and to rendering.

Beat-grid features are what makes ranking possible without rendering: sampled at fixed fractions
of a beat they do not change under time-stretch, and on a semitone axis a transposition only rolls
or shifts them. One stem is one array of :data:`BEAT_ROW`, one row per beat interval of its song's
:class:`~engine.grid.BeatGrid` (row ``i`` is the music between ``beats_s[i]`` and
``beats_s[i + 1]``), so row 0 begins on a downbeat. A row takes 450 bytes: at 120 BPM a minute of
one stem is 54 kB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.grid import BeatGrid
from engine.theory import Key, Role

__all__ = [
    "BEAT_ROW",
    "FEATURE_VERSION",
    "LOGFREQ_FLOOR_DB",
    "LOGFREQ_LOWEST_HZ",
    "STEPS_PER_BEAT",
    "WINDOW_BARS",
    "KeyEstimate",
    "SongAnalysis",
    "StemAnalysis",
    "TempoEstimate",
    "TempoHypothesis",
    "Window",
]

#: Raised whenever the meaning of a stored feature changes; older rows are computed again.
FEATURE_VERSION: Final = 1

#: Frames of the log-frequency spectrogram per beat; bins per octave × octaves = 96.
LOGFREQ_FRAMES: Final = 4
LOGFREQ_BINS: Final = 96
#: Lowest bin is C1; the highest is B8 (7 902 Hz).
LOGFREQ_LOWEST_HZ: Final = 32.70319566257483
#: 0 means this many dB below the stem's loudest cell or less, 255 means the loudest cell.
LOGFREQ_FLOOR_DB: Final = -80.0
#: Onset patterns have twelve steps per beat: both sixteenths and triplets fall on one.
STEPS_PER_BEAT: Final = 12

#: One beat of one stem.
#:
#: - ``logfreq`` (4 frames, 96 semitones from C1) uint8: log magnitude, 0 = floor, 255 = loudest.
#: - ``chroma`` (12,) float16: pitch-class energy from C, Euclidean norm 1, all 0 when silent.
#: - ``onsets`` (12 steps, 3 bands low/mid/high) uint8: onset strength, 255 = strongest of the band
#:   of this stem (99.5th percentile). A sound's attack lands in the step whose start it is
#:   nearest to, so an attack exactly on the beat is in step 0.
#: - ``bands`` (3,) float16: RMS level of low/mid/high (0-220, 220-1760, 1760- Hz), equal-loudness
#:   weighted, linear, full scale 1.
BEAT_ROW: Final = np.dtype(
    [
        ("logfreq", np.uint8, (LOGFREQ_FRAMES, LOGFREQ_BINS)),
        ("chroma", np.float16, (12,)),
        ("onsets", np.uint8, (STEPS_PER_BEAT, 3)),
        ("bands", np.float16, (3,)),
    ]
)

#: Lengths of the bar-aligned windows that structure analysis offers.
WINDOW_BARS: Final = (4, 8, 16)


@dataclass(frozen=True)
class TempoHypothesis:
    """One way to count: ``multiple`` of the reported tempo (1/2, 2/3, 1, 3/2, 2)."""

    bpm: float
    multiple: float
    weight: float


@dataclass(frozen=True)
class TempoEstimate:
    """Tempo with its octave doubts.

    ``confidence`` [0, 1] is the weight of the chosen hypothesis against the others;
    ``hypotheses`` are sorted by falling weight and their weights add up to 1.
    """

    bpm: float
    confidence: float
    hypotheses: tuple[TempoHypothesis, ...] = ()
    steady: bool = False


@dataclass(frozen=True)
class KeyEstimate:
    """Key with its confidence [0, 1], the method that found it and what the other said.

    ``key`` is None when the audio carries no pitch (a drum loop).
    """

    key: Key | None
    confidence: float
    method: str
    agreement: bool = False


@dataclass(frozen=True)
class Window:
    """A bar-aligned stretch of a song: ``bars`` bars from bar ``start_bar``.

    ``activity`` maps a role to the share [0, 1] of the window's beats in which it sounds.
    """

    start_bar: int
    bars: int
    activity: dict[str, float]


@dataclass(frozen=True, eq=False)
class StemAnalysis:
    """One stem, analysed on its song's grid.

    Args:
        role: what it plays.
        features: (intervals,) of :data:`BEAT_ROW`.
        loudness_lufs: integrated loudness (ITU-R BS.1770), -inf when silent.
        true_peak_db: dBTP.
        active: (intervals,) bool, beats in which the stem sounds.
    """

    role: Role
    features: NDArray[np.void]
    loudness_lufs: float
    true_peak_db: float
    active: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SongAnalysis:
    """Everything that ``add`` finds out about one song.

    ``tracker`` and ``tracked_on`` say which beat tracker ran and on what ("drums", "mix").
    ``tuning_cents`` is the deviation from A = 440 Hz in [-50, 50).
    """

    grid: BeatGrid
    tempo: TempoEstimate
    key: KeyEstimate
    tuning_cents: float
    tracker: str
    tracked_on: str
    duration_s: float
    windows: tuple[Window, ...]
    stems: tuple[StemAnalysis, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)
