"""The spectrogram of a placed stem, read on the session's beats.

The mix networks look at log-mel planes with six frames a beat: frame ``6 b + k`` of a plane is
the mean level of two moments, ``k / 6`` and a twelfth of a beat later, of beat ``b``. A plane is
read from the recording's own spectrogram at those moments, so warping a stem to any tempo costs one
look-up and leaves no trace of a stretcher, and the plane of a stem is the same in every session.
Transposition is read in the same way: the mel filters are laid over the spectrum as if it had been
played so much faster.
Cells between two frames are interpolated in decibels.

Spectrograms (:data:`~engine.models.mix_nets.mel.MEL`: 2048 samples every 20 ms at 16 kHz, 128 bins
to 5 kHz) are made in chunks of ten seconds and kept, in half decibels.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.models.audio_source import Recording, Sound
from engine.models.mix_nets.mel import MEL, mel_filters, power_spectrum

__all__ = [
    "FLOOR_DB",
    "FRAMES_PER_BEAT",
    "BeatMels",
    "added_up",
    "from_half_decibels",
    "half_decibels",
    "levelled",
    "scaled",
]

#: Frames of a plane in a beat: 83 ms at 120 BPM.
FRAMES_PER_BEAT: Final = 6
#: Looks at the spectrogram for each of them, so that no attack falls between two.
_LOOKS: Final = 2
#: Quieter is silence; also what a missing stem is filled with.
FLOOR_DB: Final = -80.0
#: Mean power of a levelled plane over all bins.
LEVEL_DB: Final = -15.0
#: A plane whose mean power is below this is silent; digital silence is stored as -79 dB.
_SILENT_DB: Final = -75.0
#: Centre and half-width of the range, so that the networks see numbers around zero.
_CENTRE_DB: Final = -40.0
_SCALE_DB: Final = 30.0
#: Power is exp(decibels * this).
_NEPERS: Final = np.float32(np.log(10) / 10)
#: Stored as one byte: -100 to +27.5 dB.
_STORED_FLOOR_DB: Final = -100.0
_STEPS_PER_DB: Final = 2.0
_CHUNK_FRAMES: Final = 512
#: Who asks for one transposition will ask for others: all up to this many semitones either way are
#: made at once.
_MOST_SEMITONES: Final = 6
#: 512 MB.
_KEPT_CHUNKS: Final = 8192


class BeatMels:
    """Planes of sounds, with the spectrograms behind them kept. Threads may share one.

    Args:
        kept_chunks: how many of 64 kB stay in memory.
        most_semitones: the transpositions of a chunk that are made and kept together, either way.
    """

    def __init__(
        self, *, kept_chunks: int = _KEPT_CHUNKS, most_semitones: int = _MOST_SEMITONES
    ) -> None:
        self._kept = kept_chunks
        self._shifts = range(-most_semitones, most_semitones + 1)
        self._chunks: OrderedDict[tuple[str, int, float], NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, sound: Sound) -> NDArray[np.float32]:
        """(beats * 6, mels) decibels of a sound at its own level.

        Raises:
            UnusableInput: the audio cannot be read.
        """
        moments = np.linspace(0, 1, FRAMES_PER_BEAT * _LOOKS, endpoint=False)
        starts, lengths = sound.spans_s[:, :1], np.diff(sound.spans_s, axis=1)
        frames = ((starts + moments * lengths) * MEL.sample_rate / MEL.hop_samples).ravel()
        low = np.floor(frames).astype(np.int64)
        numbers, place = np.unique(np.stack([low, low + 1]) // _CHUNK_FRAMES, return_inverse=True)
        cents = 5.0 * round(sound.tuning_cents / 5.0)
        chunks = np.stack(
            [self._chunk(sound.recording, int(n), sound.semitones, cents) for n in numbers]
        )
        place = place.reshape(2, -1)
        before = from_half_decibels(chunks[place[0], low % _CHUNK_FRAMES])
        after = from_half_decibels(chunks[place[1], (low + 1) % _CHUNK_FRAMES])
        share = (frames - low)[:, None].astype(np.float32)
        looks: NDArray[np.float32] = before + share * (after - before)
        plane: NDArray[np.float32] = looks.reshape(-1, _LOOKS, looks.shape[1]).mean(axis=1)
        return plane

    def _chunk(
        self, recording: Recording, number: int, semitones: int, cents: float
    ) -> NDArray[np.uint8]:
        key = (recording.key, number, semitones - cents / 100)
        with self._lock:
            if key in self._chunks:
                self._chunks.move_to_end(key)
                return self._chunks[key]
        power = _power_of_chunk(recording, number)
        wanted = {semitones, *(self._shifts if semitones else ())}
        made = {
            (recording.key, number, shift - cents / 100): half_decibels(
                10.0 * np.log10(np.maximum(power @ mel_filters(shift - cents / 100), 1e-10))
            )
            for shift in wanted
        }
        with self._lock:
            self._chunks.update(made)
            while len(self._chunks) > self._kept:
                self._chunks.popitem(last=False)
        return made[key]


def _power_of_chunk(recording: Recording, number: int) -> NDArray[np.float32]:
    """(512, bins) power of the frames ``512 number`` and on, each centred on its moment."""
    half = MEL.fft_samples // 2
    first = number * _CHUNK_FRAMES * MEL.hop_samples - half
    samples = (_CHUNK_FRAMES - 1) * MEL.hop_samples + 2 * half
    rate = MEL.sample_rate
    return power_spectrum(recording.read(first / rate, (first + samples) / rate, rate))


def half_decibels(decibels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels as one byte each, -100 to +27.5."""
    steps = np.round((decibels - _STORED_FLOOR_DB) * _STEPS_PER_DB)
    stored: NDArray[np.uint8] = np.clip(steps, 0, 255).astype(np.uint8)
    return stored


def from_half_decibels(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The reverse of :func:`half_decibels`."""
    decibels: NDArray[np.float32] = stored.astype(np.float32) / _STEPS_PER_DB + _STORED_FLOOR_DB
    return decibels


def levelled(decibels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A plane (frames, mels) at :data:`LEVEL_DB`; all floor when it is silent."""
    mean_db = 10.0 * np.log10(np.exp(decibels * _NEPERS).sum(axis=1).mean() + 1e-12)
    if mean_db < _SILENT_DB:
        return np.full_like(decibels, FLOOR_DB)
    moved: NDArray[np.float32] = decibels + np.float32(LEVEL_DB - mean_db)
    return np.maximum(moved, np.float32(FLOOR_DB))


def added_up(planes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Levelled planes sounding together, levelled again: their powers add."""
    if len(planes) == 1:
        return planes[0]
    power = np.sum([np.exp(plane * _NEPERS) for plane in planes], axis=0)
    return levelled((np.log(power) / _NEPERS).astype(np.float32))


def scaled(decibels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decibels as the networks see them: about [-1.3, 1.3]."""
    return (decibels - np.float32(_CENTRE_DB)) / np.float32(_SCALE_DB)
