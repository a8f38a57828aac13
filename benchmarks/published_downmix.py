"""PostMixNet as it was published: on rendered sums of which only the originals are untouched.

    python -m benchmarks.published_downmix TRAIN_LIBRARY TEST_LIBRARY [--each 3] [--work FOLDER]

dawlink trains and tests its mix networks on planes that are read without a stretcher, and adds up
powers where PostMixNet listens (docs/mix-networks.md). Huang et al. (AAAI 2021) rendered every
example: originals are the stems as they are, everything else went through Rubber Band wherever its
key or tempo had to fit, and PostMixNet hears the sum of the waveforms. That is done here. Both
libraries should hold stems that were separated from mixes (``benchmarks/separated_songs.py``), as
the paper's did; then the stems of an original add up to its mix again, and those of others do not.

A foreign stem has the level of the one whose place it takes. A small network is trained on
originals and unmatched examples of the first library and tried once on the second; the songs that
the first one's list of splits keeps for validation, or a tenth where there are none, are looked at
meanwhile. Of ten states the one that is right most often about them is kept, of equals the last.
Printed as in ``benchmarks/mix_networks.py``: accuracy at 0.5, rank of an original among all matched
examples, and for each kind of unmatched the area under the ROC curve.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.mix_networks import interval
from engine.audio.stretch import default_stretcher
from engine.evaluation.axes import auc_of
from engine.library.library import Library
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.mashup.generation import CONDITIONS, Condition, MashupExample, StemUse, generate
from engine.models.audio_source import Sound, own_audio, session_audio
from engine.models.mix_nets.beat_mel import from_half_decibels, half_decibels, levelled, scaled
from engine.models.mix_nets.mel import MEL, mel_filters, power_spectrum
from engine.models.mix_nets.network import (
    LABELS,
    MixNet,
    NetSettings,
    channels_last,
    lsro_loss,
    mashability,
)
from engine.training.midi_audio.listing import groups_of, read_listing
from engine.training.mix_nets.example_audio import sound_of_use

#: What the network sees at a time: 8 s.
CROP: Final = 400
BATCH: Final = 16
#: Share of the training songs that is only looked at, where no list of splits names such songs.
HELD_OUT: Final = 0.1


@dataclass(frozen=True, eq=False)
class Mixes:
    """Spectrograms of rendered examples, (frames, mels) half decibels each."""

    planes: tuple[NDArray[np.uint8], ...]
    conditions: NDArray[np.str_]
    songs: NDArray[np.str_]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which are originals."""
        found: NDArray[np.bool_] = self.conditions == "original"
        return found

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which have a label."""
        found: NDArray[np.bool_] = self.conditions != "matched"
        return found


def rendered(
    sound: Sound, use: StemUse, tempo_bpm: float, source_bpm: float
) -> NDArray[np.float32]:
    """A stem in the mashup, through the stretcher only where its key or tempo is changed."""
    slower = abs(source_bpm / tempo_bpm - 1) > 1e-3
    if not use.semitones and not (use.stretched and slower):
        return own_audio(sound, MEL.sample_rate)
    return session_audio(sound, tempo_bpm, MEL.sample_rate, default_stretcher())


def mix_of(example: MashupExample, db: MashupDB) -> NDArray[np.float32]:
    """(samples,) the sum of an example's stems at 16 kHz."""
    voice = db.by_id[example.stems[0].song_id]
    beats, tempo_bpm = example.bars * voice.grid.beats_per_bar, voice.tempo_bpm
    parts = []
    for use in example.stems:
        song = db.by_id[use.song_id]
        sound = replace(sound_of_use(use, song, beats=beats, tempo_bpm=tempo_bpm), tuning_cents=0.0)
        if song is voice and example.condition == "original":
            heard = own_audio(sound, MEL.sample_rate)
        else:
            heard = rendered(sound, use, tempo_bpm, song.tempo_bpm)
        parts.append(heard * _gain(example, use, sound, db, beats))
    length = min(part.size for part in parts)
    mix: NDArray[np.float32] = np.sum([part[:length] for part in parts], axis=0, dtype=np.float32)
    return mix


def _gain(
    example: MashupExample, use: StemUse, sound: Sound, db: MashupDB, beats: int
) -> np.float32:
    """Brings a foreign stem to the level of the one whose place it takes."""
    voice = db.by_id[example.stems[0].song_id]
    if use.song_id == voice.id or use.role not in voice.stems:
        return np.float32(1.0)
    own = replace(example.stems[0], role=use.role)
    replaced = sound_of_use(own, voice, beats=beats, tempo_bpm=voice.tempo_bpm)
    levels = [
        float(np.sqrt(np.mean(np.square(own_audio(heard, MEL.sample_rate)))))
        for heard in (replaced, sound)
    ]
    return np.float32(np.clip(levels[0] / max(levels[1], 1e-6), 0.1, 10.0))


def plane_of(mix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(frames, mels) half decibels of a mix, at one level."""
    decibels = 10.0 * np.log10(np.maximum(power_spectrum(mix) @ mel_filters(), 1e-10))
    return half_decibels(levelled(decibels.astype(np.float32)))


def mixes_of(db: MashupDB, each: int, work: Path, *, bars: int, matched: bool) -> Mixes:
    """``each`` originals and as many unmatched for every song with a voice, kept in ``work``."""
    voices = sum(set(MASHUP_ROLES) <= song.stems.keys() for song in db.songs)
    count = each * voices
    counts: dict[Condition, int] = {"original": count, "matched": count // 2 if matched else 0}
    counts |= {kind: -(-count // 3) for kind in CONDITIONS if kind.startswith("unmatched")}
    plan = generate(db, counts, seed=0, bars=bars).examples
    work.mkdir(parents=True, exist_ok=True)

    def plane(example: MashupExample) -> NDArray[np.uint8]:
        said = f"{db.data_sha} {example}"
        path = work / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.npy"
        if path.is_file():
            return np.asarray(np.load(path))
        made = plane_of(mix_of(example, db))
        part = path.with_suffix(".part.npy")
        np.save(part, made)
        part.rename(path)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        planes = tuple(pool.map(plane, plan))
    return Mixes(
        planes,
        np.array([example.condition for example in plan]),
        np.array([example.stems[0].song_id for example in plan]),
    )


def scores_of(net: nn.Module, mixes: Mixes) -> NDArray[np.float64]:
    """(examples,) mashability, the mean log odds of all pieces of an example."""
    net.eval()
    scores = []
    for plane in mixes.planes:
        count = max(plane.shape[0] // CROP, 1)
        pieces = np.stack(np.split(plane[: count * (plane.shape[0] // count)], count))
        with torch.no_grad():
            logits = net(torch.from_numpy(scaled(from_half_decibels(pieces)))[:, None])
        scores.append(float(mashability(logits.double().mean(dim=0, keepdim=True))[0]))
    return np.array(scores)


def report(scores: NDArray[np.float64], mixes: Mixes) -> None:
    """Accuracy, ranks, and the area under the curve for each kind of unmatched."""
    right = ((scores > 0.5) == mixes.good).astype(np.float64)[mixes.judged]
    print(f"  accuracy {interval(right, mixes.songs[mixes.judged])}")
    good, unknown = scores[mixes.good], scores[~mixes.judged]
    if unknown.size:
        ranks = 1 + (unknown > good[:, None]).sum(1) + 0.5 * (unknown == good[:, None]).sum(1)
        print(f"  rank of an original among {unknown.size} matched {ranks.mean():.2f}")
    for name in CONDITIONS[2:]:
        own = scores[mixes.conditions == name]
        if own.size:
            print(f"  {name}: AUC {auc_of(good, own):.3f}, found out {(own <= 0.5).mean():.3f}")


def trained(mixes: Mixes, looked_at: Mixes, settings: NetSettings, epochs: int) -> MixNet:
    """A network that has learned originals from unmatched, in its best state on validation."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = MixNet(settings)
    channels_last(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    good, bad = np.flatnonzero(mixes.good), np.flatnonzero(mixes.judged & ~mixes.good)
    steps = epochs * -(-2 * good.size // BATCH)
    began, total, most = time.monotonic(), 0.0, 0.0
    best = copy.deepcopy(net.state_dict())
    net.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        chosen = [*rng.choice(good, BATCH // 2), *rng.choice(bad, BATCH // 2)]
        wanted = [LABELS["good" if mixes.good[index] else "bad"] for index in chosen]
        logits = net(_crops([mixes.planes[index] for index in chosen], rng))
        loss = lsro_loss(logits, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
        if (step + 1) % max(steps // 10, 1) == 0:
            scores = scores_of(net, looked_at)
            right = ((scores > 0.5) == looked_at.good).mean()
            true = np.where(looked_at.good, scores, 1 - scores)
            lost = float(-np.log(np.maximum(true, 1e-9)).mean())
            if right >= most:
                most, best = right, copy.deepcopy(net.state_dict())
            print(
                f"  step {step + 1} of {steps}: loss {total / max(steps // 10, 1):.3f}, "
                f"validation loss {lost:.3f}, right {right:.3f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
            total = 0.0
            net.train()
    net.load_state_dict(best)
    return net


def _crops(planes: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> torch.Tensor:
    """(batch, 1, CROP, mels) as the network sees them, from anywhere."""
    crops = []
    for plane in planes:
        start = int(rng.integers(max(plane.shape[0] - CROP, 0) + 1))
        crop = plane[start : start + CROP]
        crops.append(np.pad(crop, ((0, CROP - crop.shape[0]), (0, 0))))
    return torch.from_numpy(scaled(from_half_decibels(np.stack(crops))))[:, None]


def database(folder: Path) -> MashupDB:
    """The songs of a library."""
    with Library.open(folder, create=False, read_only=True) as library:
        return MashupDB.of_library(library, groups=groups_of(folder))


def sides(folder: Path) -> tuple[MashupDB, MashupDB]:
    """The songs of a library to learn from, and those to look at meanwhile."""
    songs = database(folder).songs
    splits = {row.song_id: row.split for row in read_listing(folder)}
    of_split = {
        split: MashupDB(tuple(song for song in songs if splits.get(song.id, "train") == split))
        for split in ("train", "val")
    }
    if of_split["val"].songs:
        return of_split["train"], of_split["val"]
    return of_split["train"].split(HELD_OUT, seed=0)


def main() -> None:
    """Make the examples, train, and print how the unseen ones are judged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--each", type=int, default=3, help="examples of a song and label")
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--bottleneck", type=int, default=12)
    parser.add_argument("--work", type=Path, default=Path("downmixes"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    learnt, looked_at = sides(given.train)
    parts = [
        mixes_of(db, each, given.work, bars=given.bars, matched=matched)
        for db, each, matched in (
            (learnt, given.each, False),
            (looked_at, 2, False),
            (database(given.test), 2, True),
        )
    ]
    print(", ".join(f"{len(part.planes)} examples" for part in parts))
    settings = NetSettings(
        "postmixnet", given.width, given.bottleneck, joint_width=0.5, meeting=True
    )
    net = trained(parts[0], parts[1], settings, given.epochs)
    print(f"{sum(p.numel() for p in net.parameters())} numbers; unseen songs:")
    report(scores_of(net, parts[2]), parts[2])


if __name__ == "__main__":
    main()
