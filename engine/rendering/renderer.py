"""Warping stems onto the session's grid, beat by beat, and mixing them with the clip.

A :class:`Track` says which audio, along which beat map, from which beat, transposed by how much;
:func:`render_track` makes exactly ``frames`` samples of it in which every beat of the source lies
on the session's grid. Frame 0 is the first downbeat; what sounds before it in the source is given
to the stretcher as pre-roll and cut off afterwards, so the first transient keeps its attack.

Everything is float32 at the output's sample rate; anchors are (source frame, output frame).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.decode import decode
from engine.audio.stretch import Stretcher, StretchJob
from engine.audio.waveform import Waveform
from engine.mashup.placement import WarpPoint
from engine.rendering.kept_attacks import with_attacks_kept
from engine.rendering.spans import decoded_span
from engine.theory import Role, fine_tuning_cents

__all__ = [
    "ReadSpan",
    "Session",
    "Track",
    "mix_tracks",
    "render_track",
    "source_audio",
]

#: Gives seconds [start, end) of a file at a rate.
ReadSpan = Callable[[Path, float, float, int], Waveform]
#: Length of the fade where sound is cut off, and of the blend where a loop starts again.
FADE_S: Final = 0.005
#: A cut that begins on an attack only gets this, or the attack would be gone.
ATTACK_FADE_S: Final = 0.0005
#: The sound right before a cut must be this far below the one after it to call that an attack.
ATTACK_RISE_DB: Final = 12.0
#: What sounds before the cut is inaudible below this; then nothing is faded.
INAUDIBLE: Final = 10 ** (-70 / 20)
#: Real audio given to the stretcher before and after what is kept.
ROLL_S: Final = 0.5
#: A stretched start this much louder than the source's begins within an attack.
_STEP: Final = 2.0


@dataclass(frozen=True)
class Session:
    """Where everything has to land.

    Args:
        tempo_bpm: beats per minute.
        beats_per_bar: metre.
        bars: length.
        sample_rate: of the output [Hz].
    """

    tempo_bpm: float
    beats_per_bar: int
    bars: int
    sample_rate: int

    @property
    def beats(self) -> int:
        """Length in beats."""
        return self.bars * self.beats_per_bar

    @property
    def frames(self) -> int:
        """Length in frames, exact to half a frame."""
        return self.frame_of(self.beats)

    def frame_of(self, beat: float) -> int:
        """Frame on which a grid beat lies."""
        return round(beat * 60.0 / self.tempo_bpm * self.sample_rate)


@dataclass(frozen=True, eq=False)
class Track:
    """One piece of audio and its way onto the grid.

    Args:
        path: the audio.
        role: voices keep their formants.
        warp: one pass, from grid beat 0 (see ``Placement.warp``); at least two points.
        semitones: transposition, whole.
        tuning_cents: deviation from the tuning it is brought to; taken out of pitched stems.
        gain_db: applied to the samples.
        storage_gain_db: what the file was scaled down by.
        bounds_s: seconds of the file that may sound; outside them is silence.
    """

    path: Path
    role: Role
    warp: tuple[WarpPoint, ...]
    semitones: int = 0
    tuning_cents: float = 0.0
    gain_db: float = 0.0
    storage_gain_db: float = 0.0
    bounds_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.warp) < 2 or self.warp[0].beat != 0:
            raise ValueError("a warp begins on beat 0 and has two points or more")

    @property
    def loop_beats(self) -> float:
        """Grid beats of one pass."""
        return self.warp[-1].beat

    @property
    def pitch_shift(self) -> float:
        """Semitones to shift by, tuning included."""
        return self.semitones + fine_tuning_cents(self.role, self.tuning_cents) / 100


def render_track(
    track: Track, session: Session, stretcher: Stretcher, *, read: ReadSpan = decoded_span
) -> Waveform:
    """The track on the session's grid: (channels, ``session.frames``).

    Args:
        track: what to render.
        session: onto which grid.
        stretcher: the warping back end.
        read: gives pieces of files; one that keeps them saves work.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    source, anchors = _source_of(track, session, read)
    job = StretchJob(
        anchors=anchors,
        frames_out=session.frames,
        semitones=track.pitch_shift,
        preserve_formants=track.role == "vocals",
    )
    stretched = stretcher.stretch(source, job)
    if track.role in ("drums", "percussion") and job.shift_frames is None:
        stretched = with_attacks_kept(stretched, source, anchors)
    samples = _faded(
        stretched.samples,
        fade_in=_fade_in_frames(source, anchors[0][0], stretched),
        fade_out=round(FADE_S * session.sample_rate),
    )
    gain = 10 ** ((track.gain_db + track.storage_gain_db) / 20)
    return Waveform((samples * np.float32(gain)).astype(np.float32), session.sample_rate)


def source_audio(track: Track) -> Waveform:
    """The whole file as it is, silent outside the track's bounds.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    whole = decode(track.path)
    if track.bounds_s is None:
        return whole
    first, last = (round(place * whole.sample_rate) for place in track.bounds_s)
    heard = whole.samples[:, max(first, 0) : last]
    fade = round(FADE_S * whole.sample_rate)
    samples = np.zeros_like(whole.samples)
    samples[:, max(first, 0) : max(first, 0) + heard.shape[1]] = _faded(
        heard, fade_in=fade if first > 0 else 0, fade_out=fade if last < whole.frames else 0
    )
    return Waveform(samples, whole.sample_rate)


def mix_tracks(tracks: list[Waveform]) -> Waveform:
    """The sum, with as many channels as the widest track; one rate and length for all."""
    channels = max(track.channels for track in tracks)
    total = np.zeros((channels, tracks[0].frames), dtype=np.float32)
    for track in tracks:
        total += track.samples  # a mono track spreads over all channels
    return Waveform(total, tracks[0].sample_rate)


def _source_of(
    track: Track, session: Session, read: ReadSpan
) -> tuple[Waveform, tuple[tuple[int, int], ...]]:
    """Audio with rolls on both sides, repeated if need be, and its anchors."""
    rate = session.sample_rate
    start_s, end_s = track.warp[0].source_s, track.warp[-1].source_s
    heard = _read(track, start_s - ROLL_S, end_s + ROLL_S, rate, read)
    roll, length = round(ROLL_S * rate), round((end_s - start_s) * rate)
    passes = int(np.ceil(session.beats / track.loop_beats - 1e-9))
    samples = _repeated(heard.samples, roll, length, passes, round(FADE_S * rate))
    anchors: list[tuple[int, int]] = []
    for number in range(passes):
        for point in track.warp[: None if number == passes - 1 else -1]:
            beat = number * track.loop_beats + point.beat
            into = round((point.source_s - start_s) * rate) if point.beat else 0
            anchors.append((roll + number * length + into, session.frame_of(beat)))
    return Waveform(samples, rate), _up_to_end(anchors, session.frames)


def _up_to_end(anchors: list[tuple[int, int]], frames: int) -> tuple[tuple[int, int], ...]:
    """Anchors up to the first that lies on or past the end of the output."""
    kept = [anchor for anchor in anchors if anchor[1] < frames]
    past = [anchor for anchor in anchors if anchor[1] >= frames]
    return tuple(kept + past[:1])


def _read(track: Track, start_s: float, end_s: float, rate: int, read: ReadSpan) -> Waveform:
    """Seconds [start_s, end_s) of the track at ``rate``, silence outside its bounds."""
    low, high = track.bounds_s or (0.0, float("inf"))
    low = max(low, 0.0)
    frames = round((end_s - start_s) * rate)
    first_s, last_s = max(start_s, low), min(end_s, high)
    if last_s <= first_s:
        return Waveform(np.zeros((1, frames), dtype=np.float32), rate)
    heard = read(track.path, first_s, last_s, rate)
    samples = heard.samples
    if track.bounds_s is not None:
        fade = round(FADE_S * rate)
        samples = _faded(
            samples,
            fade_in=fade if first_s == low > 0 else 0,
            fade_out=fade if last_s == high else 0,
        )
    offset = round((first_s - start_s) * rate)
    placed = np.zeros((heard.channels, frames), dtype=np.float32)
    count = min(samples.shape[1], frames - offset)
    placed[:, offset : offset + count] = samples[:, :count]
    return Waveform(placed, rate)


def _repeated(
    samples: NDArray[np.float32], roll: int, length: int, passes: int, blend: int
) -> NDArray[np.float32]:
    """The middle ``length`` frames ``passes`` times over, rolls kept at the outer ends.

    At a join the sound that leads up to the start (its pre-roll) is blended in over the last
    ``blend`` frames, so the next pass begins as smoothly as the first one did.
    """
    if passes == 1:
        return samples
    body = samples[:, roll : roll + length].copy()
    blend = min(blend, roll, length)
    ramp = np.linspace(0, 1, blend, endpoint=False, dtype=np.float32)
    lead_in = samples[:, roll - blend : roll]
    joined = body.copy()
    joined[:, length - blend :] = body[:, length - blend :] * (1 - ramp) + lead_in * ramp
    parts = [samples[:, :roll], *([joined] * (passes - 1)), body, samples[:, roll + length :]]
    return np.concatenate(parts, axis=1)


def _fade_in_frames(source: Waveform, cut: int, stretched: Waveform) -> int:
    """How long to fade ``stretched`` in, of which frame 0 was frame ``cut`` of ``source``.

    Nothing when only silence was cut off and it begins as the source does; a trace when an attack
    sits on the cut, or was smeared over it by the stretcher.
    """
    window = round(FADE_S * source.sample_rate)
    before = float(np.abs(source.samples[:, max(cut - window, 0) : cut]).max(initial=0.0))
    after = float(np.abs(source.samples[:, cut : cut + window]).max(initial=0.0))
    if before <= INAUDIBLE:
        loudest = float(np.abs(source.samples[:, cut : cut + 1]).max(initial=0.0))
        first = float(np.abs(stretched.samples[:, :1]).max(initial=0.0))
        smeared = first > _STEP * loudest + INAUDIBLE
        return round(ATTACK_FADE_S * source.sample_rate) if smeared else 0
    attack = after > before * 10 ** (ATTACK_RISE_DB / 20)
    return round((ATTACK_FADE_S if attack else FADE_S) * source.sample_rate)


def _faded(
    samples: NDArray[np.float32], *, fade_in: int = 0, fade_out: int = 0
) -> NDArray[np.float32]:
    """Linear fades of so many frames at the edges, never longer than half the audio."""
    result = samples.copy()
    fade_in, fade_out = (min(frames, samples.shape[1] // 2) for frames in (fade_in, fade_out))
    result[:, :fade_in] *= np.linspace(0, 1, fade_in, endpoint=False, dtype=np.float32)
    if fade_out:
        result[:, -fade_out:] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return result
