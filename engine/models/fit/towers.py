"""The towers of the fit model, in NumPy: what a voice and a stem look like to each other.

The *pitch tower* maps chroma, of whole beats and of both their halves, (beats, 12, 3) to
(beats, 12, values). Every layer is a circulant over
the twelve pitch classes, so transposing the input by k semitones rolls the output by k: one
embedding serves all transpositions (group-equivariant convolution, Cohen & Welling 2016, for the
cyclic group of semitones). Depthwise convolutions over beats give it a view of 14 beats to either
side. The *rhythm tower* maps the onset pattern of each beat to a vector and knows no pitch. Each
beat of a stem has an embedding of norm 1, or 0 while it is silent, so that similarities add up over
beats; a query keeps its beats' weights. There is no torch here: ranking starts without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.analysis.records import (
    LOGFREQ_FLOOR_DB,
    LOGFREQ_FRAMES,
    STEPS_PER_BEAT,
)

__all__ = [
    "BLOCK_DILATIONS",
    "CONTEXT",
    "JUDGE_PITCH",
    "JUDGE_RHYTHM",
    "PITCH_INPUTS",
    "TAPS",
    "BeatInput",
    "FitSizes",
    "beat_input",
    "blocks",
    "circulant",
    "dense_weights",
    "pitch_tower",
    "rhythm_input",
    "rhythm_tower",
    "shapes_of",
]

#: Taps of the convolutions over beats, and the beats between them, block by block.
TAPS: Final = 5
BLOCK_DILATIONS: Final = (1, 2, 4)
#: Values beside the chroma: sounding, three onset densities, sine and cosine of the bar's phase.
CONTEXT: Final = 6
#: Values per pitch class: chroma of the beat, of its first and of its second half.
PITCH_INPUTS: Final = 3
#: Chroma of half beats folds the stored semitones as that of beats: from C2 to B6, compressed.
_HALVES: Final = 2
_CHROMA_BINS: Final = slice(12, 72)
_CHROMA_COMPRESSION: Final = 100.0
#: Values of a beat in the rhythm tower: onsets, sine and cosine of the bar's phase.
_PATTERN: Final = 3 * STEPS_PER_BEAT + 2
#: Beats whose embedding is shorter than this before scaling have nothing to say.
_LEAST_NORM: Final = 1e-6
#: The judge's two halves; its context is the query's and, but for the bar's phase, the bed's.
JUDGE_PITCH: Final = "judge_pitch"
JUDGE_RHYTHM: Final = "judge_rhythm"
JUDGE_CONTEXT: Final = CONTEXT + 4
#: Onsets of query, bed and drums, which of them sound, and the bar's phase.
JUDGE_PATTERN: Final = 3 * 3 * STEPS_PER_BEAT + 3 + 2
_PITCH_TOWERS: Final = ("voice", "stem")
_RHYTHM_TOWERS: Final = ("stem_rhythm", "drum_rhythm")
_CIRCULANT: Final = (*_PITCH_TOWERS, JUDGE_PITCH)

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class FitSizes:
    """Widths of the towers.

    Args:
        channels: values per pitch class inside the pitch towers.
        pitch_values: values per pitch class and beat of an embedding.
        rhythm_width: values per beat inside the rhythm towers.
        rhythm_values: values per beat of a rhythm embedding.
        judge_channels: values per pitch class inside the judge (:mod:`engine.models.fit.judge`).
        judge_width: values per beat of its rhythm and of its head.
    """

    channels: int = 32
    pitch_values: int = 2
    rhythm_width: int = 64
    rhythm_values: int = 16
    judge_channels: int = 16
    judge_width: int = 32


@dataclass(frozen=True, eq=False)
class BeatInput:
    """Consecutive beats as the towers see them.

    Args:
        chroma: (beats, 12 * 3) three values per pitch class, each of norm 1 or so, or 0.
        context: (beats, 6), see :data:`CONTEXT`.
        pattern: (beats, 38) onsets in [0, 1] and the bar's phase.
        active: (beats,) 1 where the part sounds, else 0.
    """

    chroma: NDArray[np.float32]
    context: NDArray[np.float32]
    pattern: NDArray[np.float32]
    active: NDArray[np.float32]


def beat_input(
    rows: NDArray[np.void], active: NDArray[np.bool_], *, beats_per_bar: int, transpose: int = 0
) -> BeatInput:
    """Prepare beats that begin on a downbeat.

    Args:
        rows: (beats,) of :data:`~engine.analysis.records.BEAT_ROW`; where ``logfreq`` is empty,
            the halves of a beat sound like the whole.
        active: (beats,) bool.
        beats_per_bar: metre.
        transpose: semitones up.
    """
    context, pattern = rhythm_input(rows["onsets"], active, beats_per_bar=beats_per_bar)
    whole = rows["chroma"].astype(np.float32)
    chroma = np.concatenate([whole[:, :, None], _halves(rows["logfreq"], whole)], axis=2)
    chroma = np.roll(chroma, transpose, axis=1) * active[:, None, None]
    return BeatInput(
        np.ascontiguousarray(chroma.reshape(active.size, -1), dtype=np.float32),
        context,
        pattern,
        active.astype(np.float32),
    )


def rhythm_input(
    onsets: NDArray[np.uint8], active: NDArray[np.bool_], *, beats_per_bar: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Context and pattern of beats that begin on a downbeat, see :class:`BeatInput`.

    Args:
        onsets: (…, beats, 12, 3) as in :data:`~engine.analysis.records.BEAT_ROW`.
        active: (…, beats) bool.
        beats_per_bar: metre.
    """
    turn = 2 * np.pi * (np.arange(active.shape[-1]) % beats_per_bar) / beats_per_bar
    phase = np.stack([np.sin(turn), np.cos(turn)], axis=1).astype(np.float32)
    phase = np.broadcast_to(phase, (*active.shape, 2))
    strength = onsets.astype(np.float32) * np.float32(1 / 255)
    density = np.minimum(strength.sum(axis=-2) / 2, 2.0)
    sounding = active[..., None].astype(np.float32)
    context = np.concatenate([sounding, density, phase], axis=-1, dtype=np.float32)
    hits = strength.reshape(*active.shape, -1)
    return context, np.concatenate([hits, phase], axis=-1, dtype=np.float32)


def _halves(logfreq: NDArray[np.uint8], whole: NDArray[np.float32]) -> NDArray[np.float32]:
    """(beats, 12, 2) chroma of both halves of each beat, of norm 1 on average."""
    level = np.arange(256)
    power = 10 ** (LOGFREQ_FLOOR_DB / 10 * (1 - level / 255)) * (level > 0)
    compressed = np.log1p(_CHROMA_COMPRESSION * power).astype(np.float32)[
        logfreq[:, :, _CHROMA_BINS]
    ]
    octaves = (_CHROMA_BINS.stop - _CHROMA_BINS.start) // 12
    shape = (-1, _HALVES, LOGFREQ_FRAMES // _HALVES, octaves, 12)
    halves = compressed.reshape(shape).sum(axis=(2, 3)).transpose(0, 2, 1)
    norm = np.sqrt(np.square(halves).sum(axis=(1, 2), keepdims=True) / _HALVES)
    same = np.repeat(whole[:, :, None], _HALVES, axis=2)
    scaled: NDArray[np.float32] = np.where(norm > 0, halves / np.maximum(norm, 1e-6), same)
    return scaled


def shapes_of(sizes: FitSizes) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of the whole model."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tower in _PITCH_TOWERS:
        shapes |= _pitch_shapes(tower, PITCH_INPUTS, CONTEXT, sizes.channels)
        shapes[f"{tower}.out"] = (12, sizes.channels, sizes.pitch_values)
    for tower in _RHYTHM_TOWERS:
        shapes |= _rhythm_shapes(tower, _PATTERN, sizes.rhythm_width)
        shapes[f"{tower}.out"] = (sizes.rhythm_width, sizes.rhythm_values)
    c, w = sizes.judge_channels, sizes.judge_width
    pitched = PITCH_INPUTS + 1 + 2 * sizes.pitch_values
    shapes |= _pitch_shapes(JUDGE_PITCH, pitched, JUDGE_CONTEXT, c)
    shapes |= _rhythm_shapes(JUDGE_RHYTHM, JUDGE_PATTERN, w)
    for layer, inputs, outputs in (("beat", 2 * c + w, w), ("head", w, w), ("odds", w, 1)):
        shapes[f"judge_{layer}.in"], shapes[f"judge_{layer}.bias"] = (inputs, outputs), (outputs,)
    return shapes


def _pitch_shapes(tower: str, inputs: int, context: int, c: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        f"{tower}.in": (12, inputs, c),
        f"{tower}.context": (context, c),
        f"{tower}.bias": (c,),
    }
    for block in range(len(BLOCK_DILATIONS)):
        shapes[f"{tower}.{block}.time"] = (TAPS, c)
        shapes[f"{tower}.{block}.mix"] = (12, c, c)
        shapes[f"{tower}.{block}.bias"] = (c,)
    return shapes


def _rhythm_shapes(tower: str, inputs: int, w: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{tower}.in": (inputs, w), f"{tower}.bias": (w,)}
    for block in range(len(BLOCK_DILATIONS)):
        shapes[f"{tower}.{block}.time"] = (TAPS, w)
        shapes[f"{tower}.{block}.mix"] = (w, w)
        shapes[f"{tower}.{block}.bias"] = (w,)
    return shapes


def circulant(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(12, in, out) weights by interval -> (12 in, 12 out) matrix that commutes with rolls."""
    interval = (np.arange(12)[None, :] - np.arange(12)[:, None]) % 12
    full = kernel[interval].transpose(0, 2, 1, 3)  # (from, to, in, out) -> (from, in, to, out)
    dense: NDArray[np.float32] = full.reshape(12 * kernel.shape[1], 12 * kernel.shape[2])
    return np.ascontiguousarray(dense)


def dense_weights(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """The weights as the towers multiply by them: kernels over intervals become matrices."""
    dense = {name: values.astype(np.float32) for name, values in weights.items()}
    for name, values in dense.items():
        tower, kind = name.split(".")[0], name.rsplit(".", 1)[1]
        if tower in _CIRCULANT and kind in ("in", "mix", "out"):
            dense[name] = circulant(values)
        elif tower in _CIRCULANT and kind in ("time", "bias"):
            dense[name] = np.tile(values, 12)
    return dense


def pitch_tower(weights: Weights, tower: str, beats: BeatInput) -> NDArray[np.float32]:
    """(beats, 12, values) embeddings of norm 1 per beat, 0 where the part is silent.

    The tower called ``voice`` leaves the beats their own weights.

    Args:
        weights: from :func:`dense_weights`.
        tower: ``voice`` or ``stem``.
        beats: the part.
    """
    context = np.tile(beats.context @ weights[f"{tower}.context"], 12) + weights[f"{tower}.bias"]
    hidden = np.maximum(beats.chroma @ weights[f"{tower}.in"] + context, 0)
    hidden = blocks(weights, tower, hidden)
    values = _weighed(hidden @ weights[f"{tower}.out"], beats.active, unit=tower != "voice")
    return values.reshape(values.shape[0], 12, -1)


def rhythm_tower(weights: Weights, tower: str, beats: BeatInput) -> NDArray[np.float32]:
    """(beats, values) rhythm embeddings; drums have norm 1 or 0, queries keep their weights.

    Args:
        weights: from :func:`dense_weights`.
        tower: ``stem_rhythm`` or ``drum_rhythm``.
        beats: the part.
    """
    hidden = np.maximum(beats.pattern @ weights[f"{tower}.in"] + weights[f"{tower}.bias"], 0)
    hidden = blocks(weights, tower, hidden)
    return _weighed(hidden @ weights[f"{tower}.out"], beats.active, unit=tower == "drum_rhythm")


def blocks(weights: Weights, tower: str, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    """Residual blocks over (…, beats, n): a convolution over beats, then a mix of each beat."""
    for block, dilation in enumerate(BLOCK_DILATIONS):
        seen = _over_beats(hidden, weights[f"{tower}.{block}.time"], dilation)
        mixed = seen @ weights[f"{tower}.{block}.mix"]
        mixed += weights[f"{tower}.{block}.bias"]
        np.maximum(mixed, 0, out=mixed)
        mixed += hidden
        hidden = mixed
    return hidden


def _over_beats(
    hidden: NDArray[np.float32], taps: NDArray[np.float32], dilation: int
) -> NDArray[np.float32]:
    """Depthwise convolution over beats, silence beyond the ends: (…, beats, n) with (taps, n)."""
    total: NDArray[np.float32] = hidden * taps[TAPS // 2]
    beats = hidden.shape[-2]
    for tap in range(TAPS):
        step = (tap - TAPS // 2) * dilation
        if step and abs(step) < beats:
            here = slice(max(0, -step), beats - max(0, step))
            there = slice(here.start + step, here.stop + step)
            total[..., here, :] += hidden[..., there, :] * taps[tap]
    return total


def _weighed(
    values: NDArray[np.float32], active: NDArray[np.float32], *, unit: bool
) -> NDArray[np.float32]:
    if unit:
        norm = np.linalg.norm(values, axis=1, keepdims=True)
        values = values / np.maximum(norm, _LEAST_NORM)
    weighed: NDArray[np.float32] = (values * active[:, None]).astype(np.float32)
    return weighed
