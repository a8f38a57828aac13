"""What a Stem-JEPA knows of songs that it did not learn of, and by what (docs/stem-jepa.md).

    python -m benchmarks.stem_jepa LIBRARY CHECKPOINT [--ship FILE --sets SET… --recordings N]

The first 32 s of every song of a library that was rendered from MIDI. Rows: mean normalised rank of
the missing stem among the stems of its role and among all, with intervals of 95 % by song, and by
role. The published test comes first; then it within each set of songs; the encoder alone, without
the predictor; the mean chroma of mix and stem, which is their key; the stem of the next 16 s, which
no rhythm gives away. Last, the rank of the true stem among 13 transpositions of itself and of the
true moment among 201 shifts of 160 ms. ``--ship`` writes the file that comes with dawlink.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.library.library import Library
from engine.models.stem_jepa.checkpoint import load_stem_jepa
from engine.models.stem_jepa.log_mel import MEL_BANDS, SAMPLE_RATE
from engine.models.stem_jepa.network import JEPA_ROLES, StemJepa, standardised
from engine.training.midi_audio.listing import read_listing
from engine.training.stem_jepa.check import StemRanks, ranked, stem_ranks
from engine.training.stem_jepa.draws import ACTIVE_PEAK, song_array
from engine.training.stem_jepa.pictures import SEMITONES, song_picture
from engine.training.stem_jepa.shipping import ship_stem_jepa

READ_S = 32
LATER_S = 16
SHIFTS = 100  # of 160 ms, to either side
CHUNK = 800

Audio = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Missing:
    """A stem, the sum of its song's others, and whose they are."""

    song: int
    label: int
    stem: Audio
    rest: Audio


def songs_of(folder: Path) -> tuple[list[Audio], list[str]]:
    """Songs (4, samples) and the MIDI set of each."""
    sets = {song.song_id: song.set_name for song in read_listing(folder)}
    with Library.open(folder, create=False, read_only=True) as library:
        rows = library.songs()
        songs = [
            song_array(
                {stem.role: library.waveform(stem) for stem in library.stems(row.id, JEPA_ROLES)}
            )[:, : READ_S * SAMPLE_RATE]
            for row in rows
        ]
    return songs, [sets.get(row.id, "") for row in rows]


def missing_of(songs: list[Audio]) -> Iterator[Missing]:
    """Every active stem of songs that have two."""
    for number, song in enumerate(songs):
        active = np.flatnonzero(np.abs(song).max(axis=1) > ACTIVE_PEAK).tolist()
        for label in active if len(active) > 1 else ():
            rest = np.delete(song, label, axis=0).sum(axis=0)
            yield Missing(number, label, song[label], rest)


def told(
    asks: list[Missing], query: Callable[[Missing], Audio], item: Callable[[Missing], Audio]
) -> StemRanks:
    """Ranks of every item for the query of the same question."""
    cosines = np.stack([query(ask) for ask in asks]) @ np.stack([item(ask) for ask in asks]).T
    return ranked(cosines, [ask.song for ask in asks], [ask.label for ask in asks])


def chroma(audio: Audio) -> Audio:
    """(12,) mean of the bands' magnitudes, of length 1 about 0."""
    powers = song_picture(audio[np.newaxis]).powers[0].float().exp().mean(dim=1).sqrt().numpy()
    classes = np.bincount(np.arange(powers.size) % 12, weights=powers)
    centred = classes - classes.mean()
    return np.asarray(centred / (np.linalg.norm(centred) + 1e-9), dtype=np.float32)


class Ear:
    """Embeddings of audio at 16 kHz."""

    def __init__(self, model: StemJepa) -> None:
        self.model = model

    def image(self, audio: Audio) -> torch.Tensor:
        """What the network looks at."""
        return self.model.image(Waveform(audio[np.newaxis], SAMPLE_RATE))

    def asked(self, ask: Missing, audio: Audio | None = None) -> Audio:
        """What the predictor expects under the rest, or under a part of it."""
        audio = ask.rest if audio is None else audio
        return self.model.embed(self.image(audio), JEPA_ROLES[ask.label])

    def found(self, audio: Audio) -> Audio:
        """A stem in the gallery."""
        return self.model.embed(self.image(audio))

    @torch.no_grad()
    def encoded(self, audio: Audio) -> Audio:
        """The context encoder's view, whole chunks only."""
        image = self.image(audio)
        count = image.shape[1] // CHUNK
        chunks = image[:, : count * CHUNK].reshape(MEL_BANDS, count, CHUNK).transpose(0, 1)
        return standardised(self.model.context(chunks).mean(dim=(0, 2))[None])[0].numpy()

    def transposed(self, ask: Missing) -> float:
        """Rank of the stem as it is among itself up to 6 semitones lower and higher."""
        powers, statistics = (
            song_picture(ask.stem[np.newaxis]).powers[0],
            self.model.config.statistics,
        )
        asked = self.asked(ask)
        cosines = []
        for low in range(2 * SEMITONES + 1):
            image = (powers[low : low + MEL_BANDS].float() - statistics.mean) / statistics.std
            cosines.append(float(asked @ self.model.embed(image)))
        return float(np.mean(np.array(cosines) > cosines[SEMITONES]) + 1 / len(cosines))

    def shifts(self, ask: Missing) -> NDArray[np.float64]:
        """(201,) mean cosines of what is expected and what is there, shift by shift."""
        expected = standardised(self.model.columns(self.image(ask.rest), JEPA_ROLES[ask.label]))
        cosines = expected @ standardised(self.model.columns(self.image(ask.stem))).T
        return np.array(
            [float(torch.diagonal(cosines, shift).mean()) for shift in range(-SHIFTS, SHIFTS + 1)]
        )


def show(what: str, ranks: StemRanks) -> None:
    """One row."""
    parts = [
        f"{name} {values.mean():.3f} [{low:.3f} {high:.3f}]"
        for name, values in (("role", ranks.of_role), ("all", ranks.among_all))
        for low, high in (ranks.interval(values),)
    ]
    parts.append(f"lot {ranks.chance_of_role.mean():.3f}")
    parts.append(by_role(ranks.of_role, ranks.labels))
    print(f"{what:22s} {len(ranks.labels):4d}  {'  '.join(parts)}", flush=True)


def by_role(values: NDArray[np.float64], labels: NDArray[np.int64]) -> str:
    """Means, role by role."""
    return " ".join(
        f"{role} {values[labels == label].mean():.3f}"
        for label, role in enumerate(JEPA_ROLES)
        if (labels == label).any()
    )


def main() -> None:
    """Print all rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--ship", type=Path)
    parser.add_argument("--sets", nargs="+", default=[])
    parser.add_argument("--recordings", type=int, default=0)
    given = parser.parse_args()
    ear = Ear(load_stem_jepa(given.checkpoint))
    songs, sets = songs_of(given.library)
    asks = list(missing_of(songs))
    show("published test", stem_ranks(ear.model, songs))
    for name in sorted(set(sets)):
        of_set = [song for song, own in zip(songs, sets, strict=True) if own == name]
        if len(of_set) > 4:
            show(f"  within {name}", stem_ranks(ear.model, of_set))
    show(
        "encoder alone",
        told(asks, lambda ask: ear.encoded(ask.rest), lambda ask: ear.found(ask.stem)),
    )
    show("mean chroma", told(asks, lambda ask: chroma(ask.rest), lambda ask: chroma(ask.stem)))
    split = LATER_S * SAMPLE_RATE
    show(
        "stem of the next 16 s",
        told(
            asks,
            lambda ask: ear.asked(ask, ask.rest[:split]),
            lambda ask: ear.found(ask.stem[split:]),
        ),
    )
    labels = np.array([ask.label for ask in asks])
    among = np.array([ear.transposed(ask) for ask in asks])
    print(f"transpositions {among.mean():.3f} of lot .538: {by_role(among, labels)}", flush=True)
    curves = np.stack([ear.shifts(ask) for ask in asks])
    ranks = ((curves > curves[:, [SHIFTS]]).sum(axis=1) + 1) / curves.shape[1]
    print(f"time shift {ranks.mean():.3f} median {np.median(ranks):.3f}: {by_role(ranks, labels)}")
    mean = curves.mean(axis=0)
    places = {"0": 0, "160 ms": 1, "4 s": 25, "8 s": 50}
    print("cosine", {name: round(float(mean[SHIFTS + at]), 3) for name, at in places.items()})
    print("elsewhere, median", round(float(np.median(mean)), 3))
    if given.ship is not None:
        ship_stem_jepa(
            given.checkpoint, given.ship, sets=tuple(given.sets), recordings=given.recordings
        )


if __name__ == "__main__":
    main()
