"""What models that listen to audio are given: a :class:`Sound` for every clip and every stem.

Most rankers look at beat-grid features only. A model that needs the waveform asks for it here,
and pays for it only when it asks: a sound is a recording that has not been read yet, the seconds of
it that sound on every beat of the session, and a transposition that is still to be made. So the
same record serves a stem of the library placed under a clip (the product), a window of a song, the
same window a semitone higher, late by a quarter beat or with its bars in another order (the
evaluation). Who listens decides what is done with it: :func:`session_audio` warps and transposes it
with the stretcher, as a render would; :func:`own_audio` strings the beats together as they are.

A clip carries its sound (``ClipFeatures.sound``), a pool knows where its stems' sounds are
(``RolePool.sounds``); both are None where features are all there is. Waveforms are mono float32,
seconds are those of the recording, beats are the session's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.audio.stretch import Stretcher
    from engine.models.pool import RolePool
    from engine.models.ranker import Fit

__all__ = ["AudioSource", "Recording", "Sound", "own_audio", "session_audio"]

#: Two beats are played on without a cut when the second begins where the first ends [s].
_SAME_MOMENT_S: Final = 1e-4
#: Blend where a sound jumps [s].
_BLEND_S: Final = 0.005


@dataclass(frozen=True, eq=False)
class Recording:
    """Audio that can be read.

    Args:
        key: names the content, for caches: equal keys sound the same.
        read: (start_s, end_s, sample_rate) to (frames,) mono float32 of exactly
            ``round((end_s - start_s) * sample_rate)`` frames; silence outside of the recording.
            Raises UnusableInput where the audio cannot be read.
    """

    key: str
    read: Callable[[float, float, int], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Sound:
    """What sounds on each beat of a session.

    Args:
        recording: where it comes from.
        spans_s: (beats, 2) seconds of the recording at which each beat begins and ends.
        semitones: transposition still to be made; whole, and 0 for drums.
        tuning_cents: how far the recording is above A = 440 Hz; to be taken out of pitched stems.
        voice: a voice keeps its formants when it is transposed.
    """

    recording: Recording
    spans_s: NDArray[np.float64]
    semitones: int = 0
    tuning_cents: float = 0.0
    voice: bool = False

    def __post_init__(self) -> None:
        if self.spans_s.ndim != 2 or self.spans_s.shape[1] != 2 or not self.spans_s.size:
            raise ValueError(f"spans are (beats, 2), got {self.spans_s.shape}")
        if not np.all(self.spans_s[:, 1] > self.spans_s[:, 0]):
            raise ValueError("a beat ends after it begins")

    @property
    def beats(self) -> int:
        """Length in beats of the session."""
        return int(self.spans_s.shape[0])

    @property
    def duration_s(self) -> float:
        """Length in seconds of the recording."""
        return float(np.diff(self.spans_s, axis=1).sum())

    @property
    def name(self) -> tuple[str, bytes, int, float]:
        """Names the sound, for caches."""
        spans = np.round(self.spans_s * 1e4).astype(np.int64).tobytes()
        return self.recording.key, spans, self.semitones, round(self.tuning_cents, 1)

    def at(self, beats: NDArray[np.int64]) -> Sound:
        """Some of its beats, in any order and as often as wanted."""
        return replace(self, spans_s=self.spans_s[beats])

    def window(self, first: float, beats: int) -> Sound:
        """``beats`` beats from beat ``first`` on, which may lie between two beats or outside.

        The sound must be one that is played on without a cut.
        """
        whole = int(np.floor(first))
        wanted = whole + np.arange(beats + 1)
        known = np.clip(wanted, 0, self.beats - 1)
        lengths = np.diff(self.spans_s, axis=1)[known, 0]
        edges = self.spans_s[known, 0] + (wanted - known + first - whole) * lengths
        return replace(self, spans_s=np.stack([edges[:-1], edges[1:]], axis=1))

    def transposed(self, semitones: int) -> Sound:
        """The same, ``semitones`` higher."""
        return replace(self, semitones=self.semitones + semitones)

    def runs(self) -> tuple[tuple[int, int], ...]:
        """Stretches (first beat, end beat) that are played on without a cut."""
        gaps = np.abs(self.spans_s[1:, 0] - self.spans_s[:-1, 1]) > _SAME_MOMENT_S
        cuts = [0, *(np.flatnonzero(gaps) + 1).tolist(), self.beats]
        return tuple(itertools.pairwise(cuts))


class AudioSource(Protocol):
    """Where the sounds of a pool's stems are."""

    def placed(self, pool: RolePool, fit: Fit, *, beats: int) -> Sound:
        """The stem ``fit.index`` of ``pool`` as it lies under a clip.

        Args:
            pool: the stem's pool; its ``multiplier`` says how its beats are read.
            fit: start bar, loop and transposition.
            beats: length of the clip; a shorter stem repeats.

        Raises:
            UnusableInput: the stem's audio is not there any more.
        """
        ...


def own_audio(sound: Sound, sample_rate: int) -> NDArray[np.float32]:
    """(frames,) the beats of a sound one after another, in their own tempo and key.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    parts = [
        sound.recording.read(
            float(sound.spans_s[first, 0]), float(sound.spans_s[end - 1, 1]), sample_rate
        )
        for first, end in sound.runs()
    ]
    return np.concatenate([_softened(part, sample_rate, len(parts) > 1) for part in parts])


def session_audio(
    sound: Sound, tempo_bpm: float, sample_rate: int, stretcher: Stretcher
) -> NDArray[np.float32]:
    """(frames,) a sound warped beat by beat and transposed as a render would do it.

    ``frames`` is ``round(beats * 60 / tempo_bpm * sample_rate)``.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    from engine.audio.stretch import StretchJob
    from engine.audio.waveform import Waveform

    edges = np.concatenate([[0.0], np.cumsum(np.diff(sound.spans_s, axis=1)[:, 0])])
    beat_frames = np.arange(sound.beats + 1) * 60.0 / tempo_bpm * sample_rate
    anchors = tuple(
        (round(float(edge) * sample_rate), round(float(frame)))
        for edge, frame in zip(edges, beat_frames, strict=True)
    )
    heard = own_audio(sound, sample_rate)
    job = StretchJob(
        anchors=anchors,
        frames_out=anchors[-1][1],
        semitones=sound.semitones - sound.tuning_cents / 100.0,
        preserve_formants=sound.voice,
    )
    samples: NDArray[np.float32] = stretcher.stretch(
        Waveform(heard[np.newaxis], sample_rate), job
    ).samples[0]
    return samples


def _softened(samples: NDArray[np.float32], sample_rate: int, cut: bool) -> NDArray[np.float32]:
    """Short fades at both ends where the sound jumps."""
    blend = min(round(_BLEND_S * sample_rate), samples.size // 2)
    if not cut or not blend:
        return samples
    ramp = np.linspace(0, 1, blend, endpoint=False, dtype=np.float32)
    result = samples.copy()
    result[:blend] *= ramp
    result[-blend:] *= ramp[::-1]
    return result
