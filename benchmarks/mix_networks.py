"""The objective test of Huang et al. (AAAI 2021) for trained mix networks, on unseen songs.

    python -m benchmarks.mix_networks LIBRARY CHECKPOINT… [--each 3] [--bleed -12] [--work FOLDER]

Examples are generated from the library as for training (``engine/mashup/generation.py``),
``--each`` of each third for every song that has a voice. ``--bleed`` lets the other stems of its
song be heard in every stem, so many decibels lower, as separated stems hold them. For every
network: the share of right answers at 0.5 on originals and unmatched, the average rank (1 is best)
of an original among all matched examples, and for each kind of unmatched the area under the ROC
curve against the originals and the share that is found out. An example is heard from its first to
its last bar, in pieces whose log odds are averaged. Intervals are 95 % and redraw the songs of the
vocals. Examples are kept in ``--work``; ``--ship FOLDER`` writes each network there as it would
come with dawlink, if its songs allow it (``--sets``, ``--recordings``, ``--scores`` say what it
learnt of).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.checkpoints import load_checkpoint
from engine.evaluation.axes import auc_of
from engine.library.library import Library
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.mashup.generation import CONDITIONS, Condition, generate
from engine.models.mix_nets.checkpoint import load_mix_net
from engine.models.mix_nets.network import NetKind, NetSettings
from engine.training.midi_audio.listing import groups_of
from engine.training.mix_nets.crops import CropSet, make_crops
from engine.training.mix_nets.shipping import ship_mix_network
from engine.training.mix_nets.training import MixTraining, mix_scores

_DRAWS = 1000


def examples_of(
    folder: Path, each: int, work: Path, *, bars: int, bleed_db: float | None
) -> tuple[CropSet, list[str], str]:
    """Examples on disk, the song of each vocal, and a note on what was made."""
    with Library.open(folder, create=False, read_only=True) as library:
        db = MashupDB.of_library(library, groups=groups_of(folder))
    voices = sum(set(MASHUP_ROLES) <= song.stems.keys() for song in db.songs)
    count = each * voices
    counts: dict[Condition, int] = {"original": count, "matched": count}
    counts |= {kind: -(-count // 3) for kind in CONDITIONS if kind.startswith("unmatched")}
    plan = generate(db, counts, seed=0, bars=bars)
    crops = make_crops(db, plan.examples, work, bleed_db=bleed_db)
    songs = [example.stems[0].song_id for example in plan.examples]
    return crops, songs, f"{len(db.songs)} songs, {voices} with a voice, {len(crops)} examples"


def interval(values: NDArray[np.float64], songs: NDArray[np.str_]) -> str:
    """Mean with its interval over songs."""
    rng = np.random.default_rng(0)
    names = np.unique(songs)
    parts = [values[songs == name] for name in names]
    means = []
    for _ in range(_DRAWS):
        drawn = [parts[i] for i in rng.integers(len(parts), size=len(parts))]
        means.append(np.concatenate(drawn).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def report(path: Path, crops: CropSet, songs: NDArray[np.str_]) -> None:
    """One network's figures."""
    info = load_checkpoint(path, json_kind(path)).info
    kind: NetKind = "premixnet" if info.kind == "premixnet" else "postmixnet"
    scores, _ = mix_scores(load_mix_net(path, kind), crops, MixTraining(NetSettings(kind)))
    conditions = np.array(crops.conditions)
    good, unknown = scores[conditions == "original"], scores[conditions == "matched"]
    bad = np.char.startswith(conditions, "unmatched")
    judged = bad | (conditions == "original")
    right = ((scores > 0.5) == ~bad).astype(np.float64)
    above = (unknown > good[:, None]) + 0.5 * (unknown == good[:, None])
    ranks = 1 + above.sum(axis=1)
    print(f"{path.name}: lsro {info.settings.get('lsro')}, trained {info.metrics}")
    print(f"  accuracy {interval(right[judged], songs[judged])}")
    print(
        f"  rank of an original among {unknown.size} matched {ranks.mean():.1f}, "
        f"normalised {interval(ranks / (unknown.size + 1), songs[conditions == 'original'])}"
    )
    for name in CONDITIONS[2:]:
        own = scores[conditions == name]
        if own.size:
            print(f"  {name}: AUC {auc_of(good, own):.3f}, found out {(own <= 0.5).mean():.3f}")


def json_kind(path: Path) -> str:
    """The kind that a checkpoint says it is."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        return str(json.loads((opened.metadata() or {})["dawlink"])["kind"])


def main() -> None:
    """Print the figures of every checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="*")
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--bleed", type=float, default=None, metavar="DB")
    parser.add_argument("--ship", type=Path, metavar="FOLDER")
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--recordings", type=int, default=0)
    parser.add_argument("--scores", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("mix-examples"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    crops, songs, note = examples_of(
        given.library, given.each, given.work, bars=given.bars, bleed_db=given.bleed
    )
    print(note)
    if crops.unusable:
        raise SystemExit(f"{crops.unusable} examples could not be read")
    for path in given.checkpoints:
        report(path, crops, np.array(songs))
        if given.ship is not None:
            kind: NetKind = "premixnet" if json_kind(path) == "premixnet" else "postmixnet"
            ship_mix_network(
                path,
                given.ship / f"{kind}.safetensors",
                kind,
                sets=tuple(given.sets),
                recordings=given.recordings,
                scores=given.scores,
            )


if __name__ == "__main__":
    main()
