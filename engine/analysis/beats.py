"""Finding beats and downbeats: one seam, three implementations, one chain of fallbacks.

A tracker answers "when are the beats, and which of them begin a bar?" to within about 20 ms;
:mod:`engine.analysis.refine` then moves them onto the attacks. Every tracker also hands out its
activation at 100 frames per second, because tempo octaves and bar phase are weighed on it later.

- ``madmom``: recurrent networks and a dynamic Bayesian network (Böck, Krebs, Widmer, ISMIR 2016).
- ``madmom-infer``: the same models read by a pure-numpy port; needs the model files.
- ``librosa``: onset strength and dynamic programming (Ellis, JNMR 2007); its downbeats are guessed
  from low-band energy, so its confidence is halved.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.analysis import madmom_compat
from engine.analysis.madmom_compat import ACTIVATION_FPS, MODEL_RATE_HZ, DecodedBeats
from engine.audio.waveform import Waveform
from engine.errors import MissingDependency, UsageError

__all__ = [
    "TEMPO_RANGE_BPM",
    "BeatTracker",
    "LibrosaTracker",
    "MadmomInferTracker",
    "MadmomTracker",
    "TrackedBeats",
    "beat_confidence",
    "check_tempo",
    "default_tracker",
    "mono_at",
]

#: Slowest and fastest tempo that is looked for [BPM].
TEMPO_RANGE_BPM: Final = (50.0, 215.0)
#: Tempi that a person may state [BPM].
STATED_RANGE_BPM: Final = (20.0, 400.0)
#: A tempo hint narrows the search to this share on either side.
HINT_TOLERANCE: Final = 0.03
#: Metres that are tried.
METRES: Final = (3, 4)
#: Two beats closer than this share of a period to the median period count as regular.
REGULAR_SHARE: Final = 0.1
#: Mean activation on the beats at which a tracker is called sure. Over real mixes the networks
#: reach 0.5 to 0.9 where the beat is plain and 0.1 to 0.3 where listeners disagree.
SURE_ACTIVATION: Final = 0.7
#: A signal that never exceeds this is silence [linear, -80 dBFS].
SILENT_PEAK: Final = 1e-4
#: Fewer beats than this carry no tempo.
FEWEST_BEATS: Final = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrackedBeats:
    """What a tracker heard.

    Args:
        beats_s: (beats,) seconds, strictly increasing; may be empty.
        positions: (beats,) position in the bar [0, beats_per_bar), 0 is the downbeat.
        beats_per_bar: metre.
        confidence: [0, 1]; 0 when there is no pulse.
        activation: (frames at 100 per second, 2) strength [0, 1] of beat, downbeat.
        tracker: name of what ran.
    """

    beats_s: NDArray[np.float64]
    positions: NDArray[np.int64]
    beats_per_bar: int
    confidence: float
    activation: NDArray[np.float32]
    tracker: str

    def __post_init__(self) -> None:
        if self.beats_s.shape != self.positions.shape or self.beats_s.ndim != 1:
            raise ValueError(
                f"beats {self.beats_s.shape} and positions {self.positions.shape} do not match"
            )
        if self.activation.ndim != 2 or self.activation.shape[1] != 2:
            raise ValueError(f"activation {self.activation.shape} is not (frames, 2)")


class BeatTracker(Protocol):
    """Finds beats and downbeats."""

    @property
    def name(self) -> str:
        """Short name that is recorded with the result."""
        ...

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        """Beats of a waveform of any rate and channel count.

        Args:
            waveform: what to listen to; shorter than a few beats gives an empty result.
            tempo_hint_bpm: the tempo, when it is known to about 3 %.
        """
        ...


class MadmomTracker:
    """madmom's recurrent networks and dynamic Bayesian network."""

    name = "madmom"

    def __init__(self) -> None:
        madmom_compat.load("features.downbeats")

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        """See :meth:`BeatTracker.track`."""
        tempo_range = _tempo_range(tempo_hint_bpm)
        activation = madmom_compat.activations(_levelled(waveform))
        decoded = madmom_compat.decode(
            activation, beats_per_bar=METRES, tempo_range_bpm=tempo_range
        )
        return _tracked(decoded, activation, self.name)


class MadmomInferTracker:
    """The same models as :class:`MadmomTracker`, run by the pure-numpy port ``madmom-infer``.

    Args:
        model_folder: folder that holds ``downbeats/2016``; by default that of an installed madmom,
            else the port's own cache. Nothing is downloaded.

    Raises:
        MissingDependency: the port or the model files are not there.
    """

    name = "madmom-infer"

    def __init__(self, model_folder: Path | None = None) -> None:
        try:
            from madmom_infer import models
        except ImportError as error:
            raise MissingDependency(
                "The package madmom-infer is not installed.", hint="pip install madmom-infer"
            ) from error
        folders = [model_folder, madmom_compat.model_folder(), models._cache_root()]
        self._files = next((f for f in map(_network_files, folders) if f), [])
        if not self._files:
            raise MissingDependency(
                "madmom-infer is installed, but its model files are not.",
                hint="Install madmom (it carries them), or let madmom-infer download them once.",
            )

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        """See :meth:`BeatTracker.track`."""
        from madmom_infer.features.downbeats import DBNDownBeatTrackingProcessor

        slowest, fastest = _tempo_range(tempo_hint_bpm)
        activation = self._activations(_levelled(waveform))
        decoder = DBNDownBeatTrackingProcessor(
            beats_per_bar=list(METRES), min_bpm=slowest, max_bpm=fastest, fps=ACTIVATION_FPS
        )
        rows = np.asarray(decoder(madmom_compat.bounded(activation)), dtype=np.float64).reshape(
            -1, 2
        )
        positions = rows[:, 1].astype(np.int64) - 1
        metre = int(positions.max()) + 1 if positions.size else METRES[-1]
        decoded = DecodedBeats(rows[:, 0], positions, max(metre, METRES[0]), 0.0)
        return _tracked(decoded, activation, self.name)

    def _activations(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """The port's processing chain, fed with model files that are already on disk."""
        from madmom_infer.audio import signal as audio
        from madmom_infer.audio import spectrogram, stft
        from madmom_infer.ml.nn import NeuralNetworkEnsemble

        sound = audio.Signal(signal, sample_rate=MODEL_RATE_HZ, num_channels=1)
        stacked = []
        for frame_size, num_bands in ((1024, 3), (2048, 6), (4096, 12)):
            data = audio.FramedSignalProcessor(frame_size=frame_size, fps=ACTIVATION_FPS)(sound)
            data = stft.ShortTimeFourierTransformProcessor()(data)
            data = spectrogram.FilteredSpectrogramProcessor(
                num_bands=num_bands, fmin=30, fmax=17000, norm_filters=True
            )(data)
            data = spectrogram.LogarithmicSpectrogramProcessor(mul=1, add=1)(data)
            difference = spectrogram.SpectrogramDifferenceProcessor(
                diff_ratio=0.5, positive_diffs=True, stack_diffs=np.hstack
            )
            stacked.append(np.asarray(difference(data)))
        network = NeuralNetworkEnsemble.load(self._files)
        return np.ascontiguousarray(network(np.hstack(stacked))[:, 1:], dtype=np.float32)


class LibrosaTracker:
    """Onset strength and dynamic programming: the last resort, always there."""

    name = "librosa"

    def track(self, waveform: Waveform, *, tempo_hint_bpm: float | None = None) -> TrackedBeats:
        """See :meth:`BeatTracker.track`."""
        import librosa

        hop = MODEL_RATE_HZ // ACTIVATION_FPS
        _tempo_range(tempo_hint_bpm)
        signal = _levelled(waveform)
        if signal.size < 4096 or not np.any(signal):
            return _nothing(self.name)
        mel = librosa.feature.melspectrogram(
            y=signal, sr=MODEL_RATE_HZ, hop_length=hop, n_fft=2048, n_mels=64
        )
        level_db = librosa.power_to_db(mel)
        strength = librosa.onset.onset_strength(S=level_db, sr=MODEL_RATE_HZ, hop_length=hop)
        bass = np.sqrt(mel[:2].sum(axis=0))
        low = np.maximum(np.diff(bass, prepend=bass[:1]), 0.0)
        _, frames = librosa.beat.beat_track(
            onset_envelope=strength, sr=MODEL_RATE_HZ, hop_length=hop, trim=False,
            start_bpm=tempo_hint_bpm or 120.0, bpm=tempo_hint_bpm,
        )  # fmt: skip
        activation = np.stack([_normalised(strength), _normalised(low)], axis=1)
        positions = _guess_downbeats(frames, low, METRES[-1])
        beats_s = np.asarray(frames, dtype=np.float64) / ACTIVATION_FPS
        decoded = DecodedBeats(beats_s, positions, METRES[-1], 0.0)
        tracked = _tracked(decoded, activation, self.name)
        return TrackedBeats(
            tracked.beats_s, positions, METRES[-1], tracked.confidence / 2, activation, self.name
        )


@functools.cache
def default_tracker() -> BeatTracker:
    """The best tracker that works here; says once, in the log, when it is a fallback."""
    try:
        return MadmomTracker()
    except MissingDependency as error:
        _log.warning("%s Falling back to madmom-infer for beats. %s", error.message, error.hint)
    try:
        return MadmomInferTracker()
    except MissingDependency as error:
        _log.warning("%s Falling back to librosa for beats. %s", error.message, error.hint)
    return LibrosaTracker()


def mono_at(waveform: Waveform, sample_rate: int) -> NDArray[np.float32]:
    """(frames,) mean of the channels at another rate."""
    mono = np.nan_to_num(waveform.mono(), copy=False, posinf=0.0, neginf=0.0)
    if waveform.sample_rate == sample_rate:
        return np.ascontiguousarray(mono)
    import soxr

    return np.asarray(soxr.resample(mono, waveform.sample_rate, sample_rate), dtype=np.float32)


def check_tempo(bpm: float) -> None:
    """Refuse a stated tempo that cannot be meant.

    Raises:
        UsageError: not finite, or outside 20 to 400 BPM.
    """
    if not STATED_RANGE_BPM[0] <= bpm <= STATED_RANGE_BPM[1]:
        slowest, fastest = STATED_RANGE_BPM
        raise UsageError(
            f"{bpm:g} BPM is not a tempo between {slowest:g} and {fastest:g}.",
            hint="Give beats per minute, like 120.",
            code="bad_tempo",
        )


def beat_confidence(beats_s: NDArray[np.float64], activation: NDArray[np.float32]) -> float:
    """How much more is going on at the beats than between them, and how regular they are [0, 1].

    Args:
        beats_s: (beats,) seconds.
        activation: (frames at 100 per second, 2).
    """
    if beats_s.size < FEWEST_BEATS:
        return 0.0
    strength = np.minimum(activation.sum(axis=1), 1.0)
    widened = np.maximum(strength, np.maximum(np.roll(strength, 1), np.roll(strength, -1)))
    on_beat = _at(widened, beats_s)
    between = _at(strength, (beats_s[1:] + beats_s[:-1]) / 2)
    contrast = (on_beat.mean() - between.mean()) / SURE_ACTIVATION
    periods = np.diff(beats_s)
    regular = np.mean(np.abs(periods / np.median(periods) - 1) < REGULAR_SHARE)
    return float(np.clip(contrast, 0, 1) * regular)


def _levelled(waveform: Waveform) -> NDArray[np.float32]:
    """Mono at the models' rate with its peak at full scale.

    The networks were trained on mastered music and their spectrograms are log(1 + x): a stem that
    peaks at -30 dB would look like silence to them.
    """
    signal = mono_at(waveform, MODEL_RATE_HZ)
    peak = float(np.max(np.abs(signal), initial=0.0))
    gain = 1 / peak if peak > SILENT_PEAK else 0.0
    return np.asarray(signal * np.float32(gain), dtype=np.float32)


def _tracked(decoded: DecodedBeats, activation: NDArray[np.float32], tracker: str) -> TrackedBeats:
    confidence = beat_confidence(decoded.beats_s, activation)
    return TrackedBeats(
        decoded.beats_s,
        decoded.positions,
        decoded.beats_per_bar,
        confidence,
        activation,
        tracker,
    )


def _nothing(tracker: str) -> TrackedBeats:
    empty = np.zeros((0, 2), dtype=np.float32)
    return TrackedBeats(np.empty(0), np.empty(0, np.int64), METRES[-1], 0.0, empty, tracker)


def _tempo_range(hint_bpm: float | None) -> tuple[float, float]:
    if hint_bpm is None:
        return TEMPO_RANGE_BPM
    check_tempo(hint_bpm)
    return hint_bpm * (1 - HINT_TOLERANCE), hint_bpm * (1 + HINT_TOLERANCE)


def _network_files(folder: Path | None) -> list[str]:
    files = sorted((folder or Path()).glob("downbeats/2016/downbeats_blstm_[1-8].pkl"))
    return [str(file) for file in files] if folder is not None and len(files) == 8 else []


def _at(values: NDArray[np.float32], times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    frames = np.rint(times_s * ACTIVATION_FPS).astype(np.int64)
    return values[np.clip(frames, 0, values.size - 1)]


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled so that the strongest 2 % reach 1."""
    scale = float(np.quantile(values, 0.98)) or 1.0
    return np.asarray(np.clip(values / scale, 0, 1), dtype=np.float32)


def _guess_downbeats(
    frames: Sequence[int] | NDArray[np.int64], low: NDArray[np.float32], beats_per_bar: int
) -> NDArray[np.int64]:
    """Positions in the bar so that the downbeats carry the most low-band onsets."""
    index = np.asarray(frames, dtype=np.int64)
    weight = low[np.clip(index, 0, low.size - 1)]
    totals = [weight[phase::beats_per_bar].sum() for phase in range(beats_per_bar)]
    return (np.arange(index.size) - int(np.argmax(totals))) % beats_per_bar
