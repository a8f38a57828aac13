"""What Stem-JEPA is asked while it learns: which stem is missing in this mix?

Source: Riou et al. (ISMIR 2024), section 3.1. A crop of 8 s is taken at random; a stem is active
in it when its peak exceeds 0.1; the target is a random active stem and the context the sum of a
random subset, of uniformly random size, of the other active ones. A crop with fewer than two
active stems is drawn again, ten times at most, and then another song is tried (the paper's rule;
the authors' code would go on with a silent context). Unlike in the authors' epochs, which go
through all songs, the song of every example is drawn with replacement.

A song is (4, samples) at 16 kHz, rows in the order of ``JEPA_ROLES``, missing stems silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import SAMPLE_RATE
from engine.models.stem_jepa.network import CHUNK_SAMPLES, JEPA_ROLES
from engine.theory import Role

__all__ = ["JepaExample", "SongArray", "draw_batch", "draw_example", "song_array"]

#: (4, samples) at 16 kHz; half precision is what a file of many songs holds.
SongArray = NDArray[np.float32] | NDArray[np.float16]

#: A stem whose peak stays under this is not active [full scale].
ACTIVE_PEAK: Final = 0.1
#: Crops that are tried in one song.
REDRAWS: Final = 10
#: Songs that are tried for one example before the corpus is called unusable.
_SONGS_TRIED: Final = 100


@dataclass(frozen=True, eq=False)
class JepaExample:
    """A mix, the stem that is missing in it, (samples,) each, and that stem's label."""

    context: NDArray[np.float32]
    target: NDArray[np.float32]
    label: int


def song_array(stems: Mapping[Role, Waveform]) -> NDArray[np.float32]:
    """(4, samples) at 16 kHz of a song's stems; other roles are left out."""
    mono = [
        resample(Waveform(stems[role].mono()[np.newaxis], stems[role].sample_rate), SAMPLE_RATE)
        if role in stems
        else Waveform(np.zeros((1, 0), dtype=np.float32), SAMPLE_RATE)
        for role in JEPA_ROLES
    ]
    song = np.zeros((len(JEPA_ROLES), max(part.frames for part in mono)), dtype=np.float32)
    for row, part in zip(song, mono, strict=True):
        row[: part.frames] = part.samples[0]
    return song


def draw_example(
    song: SongArray, rng: np.random.Generator, *, samples: int = CHUNK_SAMPLES
) -> JepaExample | None:
    """A crop of ``song`` as a task, or None when ten crops had fewer than two active stems."""
    for _ in range(REDRAWS):
        start = int(rng.integers(max(song.shape[1] - samples, 0) + 1))
        heard = song[:, start : start + samples].astype(np.float32)
        crop = np.pad(heard, ((0, 0), (0, samples - heard.shape[1])))
        active = np.flatnonzero(np.abs(crop).max(axis=1) > ACTIVE_PEAK)
        if active.size >= 2:
            label = int(rng.choice(active))
            others = active[active != label]
            size = int(rng.integers(1, others.size + 1))
            chosen = rng.choice(others, size=size, replace=False)
            return JepaExample(crop[chosen].sum(axis=0), crop[label], label)
    return None


def draw_batch(
    songs: Sequence[SongArray],
    *,
    batch: int,
    samples: int = CHUNK_SAMPLES,
    seed: tuple[int, int] = (0, 0),
) -> tuple[Tensor, Tensor, Tensor]:
    """Contexts and targets (batch, samples) and labels (batch,) of one draw.

    Args:
        songs: as :func:`song_array` makes them.
        batch: examples.
        samples: length of a crop at 16 kHz.
        seed: of the run, and the number of the draw in it.

    Raises:
        UnusableInput: no song has two stems that sound together.
    """
    rng = np.random.default_rng(seed)
    drawn: list[JepaExample] = []
    for _ in range(batch):
        for _ in range(_SONGS_TRIED):
            song = songs[int(rng.integers(len(songs)))]
            example = draw_example(song, rng, samples=samples)
            if example is not None:
                drawn.append(example)
                break
        else:
            raise UnusableInput(
                f"In {_SONGS_TRIED} songs drawn, no two stems sounded together.",
                hint="Give multitrack songs whose stems peak above -20 dB.",
            )
    return (
        torch.from_numpy(np.stack([example.context for example in drawn])),
        torch.from_numpy(np.stack([example.target for example in drawn])),
        torch.tensor([example.label for example in drawn]),
    )
