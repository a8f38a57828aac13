"""What all synthetic singers share: who they are, where they breathe, and the pitch they sing.

The pitch of a note glides from the last note (or is scooped up to after a rest), carries a vibrato
that sets in late, and drifts by a few cents (Sundberg 1987, "The Science of the Singing Voice",
ch. 8). Time steps are 5 ms; notes are :class:`~engine.training.midi_audio.excerpt.SungNote`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.midi_audio.excerpt import SungNote

__all__ = ["SINGING_RATE_HZ", "STEP_S", "STEP_SAMPLES", "Singer", "phrases", "pitch_curve"]

#: Singers are synthesised at this rate; 12 kHz of bandwidth is enough for a voice [Hz].
SINGING_RATE_HZ: Final = 24_000
STEP_S: Final = 0.005
STEP_SAMPLES: Final = round(STEP_S * SINGING_RATE_HZ)
#: Rests longer than this part two phrases [s].
_REST_S: Final = 0.3
#: Glide from a note that ended this short before [s], and its time constant [s].
_LEGATO_S: Final = 0.12
_GLIDE_S: Final = 0.035
_SCOOP_S: Final = 0.05
#: Longest time constant of either, as a share of the note.
_SHARE_OF_GLIDE: Final = 0.1
#: Furthest a note is scooped up to [cents].
_DEEPEST_SCOOP: Final = 120.0
#: A note is off by so much, and drifts by so much per step [cents, standard deviation].
_OFF: Final = 6.0
_DRIFT: Final = 0.25
#: The vibrato sets in after this, and is whole after that [s].
_VIBRATO_S: Final = (0.25, 0.6)


@dataclass(frozen=True)
class Singer:
    """Who sings.

    Args:
        voice: of espeak-ng; ``+f`` and a number is a woman's.
        words: the syllables used.
        octaves: the melody is sung so many octaves higher.
        formant_ratio: vocal tract, above 1 is shorter.
        vibrato_cents: depth.
        vibrato_hz: rate.
        seed: of syllables and drift.
    """

    voice: str
    words: tuple[str, ...]
    octaves: int
    formant_ratio: float
    vibrato_cents: float
    vibrato_hz: float
    seed: int


def phrases(notes: Sequence[SungNote]) -> Iterator[list[SungNote]]:
    """The notes from breath to breath."""
    phrase: list[SungNote] = []
    for note in notes:
        if phrase and note.start_s - phrase[-1].end_s > _REST_S:
            yield phrase
            phrase = []
        phrase.append(note)
    if phrase:
        yield phrase


def pitch_curve(
    note: SungNote,
    before: SungNote | None,
    singer: Singer,
    rng: np.random.Generator,
    *,
    steps: int,
    onset: int = 0,
) -> NDArray[np.float64]:
    """(steps,) Hz of a note.

    Args:
        note: the note.
        before: the one sung last.
        singer: gives octave and vibrato.
        rng: draws drift and scoop.
        steps: how many.
        onset: the step on which the note begins; a consonant comes before it.
    """
    time_s = (np.arange(steps) - onset) * STEP_S
    start_s, whole_s = _VIBRATO_S
    depth = singer.vibrato_cents * np.clip((time_s - start_s) / (whole_s - start_s), 0, 1)
    cents = depth * np.sin(2 * np.pi * (singer.vibrato_hz * time_s + rng.random()))
    cents += rng.normal(0, _OFF) + np.cumsum(rng.normal(0, _DRIFT, steps))
    after = np.maximum(time_s, 0.0)
    quick_s = _SHARE_OF_GLIDE * (note.end_s - note.start_s)
    if before is not None and note.start_s - before.end_s < _LEGATO_S:
        cents += 100.0 * (before.pitch - note.pitch) * np.exp(-after / min(_GLIDE_S, quick_s))
    else:
        cents -= rng.uniform(0, _DEEPEST_SCOOP) * np.exp(-after / min(_SCOOP_S, quick_s))
    hertz: NDArray[np.float64] = 440.0 * 2.0 ** (
        (note.pitch - 69) / 12 + singer.octaves + cents / 1200
    )
    return hertz
