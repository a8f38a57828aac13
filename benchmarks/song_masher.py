"""song-masher against doing nothing, and what the mask network and the ducking rule do instead.

    python -m benchmarks.song_masher --train LIBRARY --test LIBRARY --work DIR [--minutes M]
    python -m benchmarks.song_masher --test LIBRARY [--checkpoint FILE]
    python -m benchmarks.song_masher --train LIBRARY --work DIR --ship FILE [--minutes M]

The first makes mashups of both libraries, trains song-masher with and without its published
defects and the mask network on those of the first one (M minutes of one core for a network, twice
that for the mask) and measures everything on those of the second. Training mashups and checkpoints
that lie in DIR are not made again. Libraries that were rendered from MIDI are held to their splits.
The second measures ducking alone, with the mask network that comes with dawlink or another. The
third trains that network, on mashups of train songs of the sets that may be shipped, and writes it;
run again, it goes on where it stopped (seed 0; one thread, so the same weights each time).

Phase loss: mean squared error of the network's own planes; always answering 0 has 0.5. Magnitude
loss: the same, in the network's units. Reconstruction: mean squared difference of log(1 + 100 x),
x the magnitudes at 8 kHz (a full-scale sine is 1). Clarity: level of the voice over the bed, in dB,
in the third octaves where the voice lies within 20 dB of its strongest one, over tenths of a second
in which it sounds. Loss: how much softer the bed became, in LU. A wrong voice is another mashup's:
what is won by its curve is won by turning down, not by following the voice.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio.loudness import integrated_lufs
from engine.audio.resample import resample
from engine.audio.stretch import default_stretcher
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.library.library import Library
from engine.mashup.database import MashupDB
from engine.mashup.ducking import apply_ducking, ducking_gain
from engine.models.song_masher.checkpoint import load_song_masher
from engine.models.song_masher.mask_checkpoint import load_mask_network
from engine.models.song_masher.mask_network import SAMPLE_RATE, MaskNetwork, apply_masks, spectra
from engine.models.song_masher.network import Defects, MasherConfig, Part, SongMasher, spectrum
from engine.models.song_masher.shipped_mask import SHIPPED_MASK
from engine.training.midi_audio.listing import read_listing
from engine.training.midi_corpus import SHIPPABLE_SETS
from engine.training.song_masher.data import TripleFiles
from engine.training.song_masher.mask_shipping import Provenance, ship_mask_network
from engine.training.song_masher.mask_training import MaskTraining, measure, train_mash_mask
from engine.training.song_masher.training import (
    MasherTraining,
    Triple,
    masher_example,
    train_song_masher,
)
from engine.training.song_masher.triples import (
    MashupParts,
    make_triples,
    planned_triples,
    render_parts,
)

#: Mashups made of each library.
_TRAIN, _TEST = 40, 40
_DEFECTS: Final = {"published": Defects(), "mended": Defects.none()}
_PARTS: Final[tuple[Part, ...]] = ("magnitude", "phase")
#: A quarter of the published width, so that a few minutes are enough to learn something.
_WIDTH: Final = 64
#: Batches of 100 took 100 epochs of 20; here there are fewer mashups.
_BATCH: Final = 20
#: The shipped mask network: mashups to learn of and to be judged by, and steps. After 900 steps
#: the loss on the second ones was 0.0286, after 631 it was 0.0276.
_SHIP_TRAIN, _SHIP_VAL, _SHIP_STEPS = 40, 10, 631
_FULL_SCALE: Final = 2.0 / 256.0

Duck = Callable[[Waveform, Waveform], Waveform]


def songs_of(folder: Path, split: str) -> MashupDB:
    """The songs of a library; of one split where it was rendered from MIDI."""
    listed = {song.song_id: song for song in read_listing(folder)}
    groups = {song_id: song.group for song_id, song in listed.items()}
    with Library.open(folder, create=False, read_only=True) as library:
        db = MashupDB.of_library(library, groups=groups)
    usable = (s for s in db.songs if not listed or listed[s.id].split == split)
    return MashupDB(tuple(usable))


def mashups(db: MashupDB, count: int, folder: Path, seed: int) -> TripleFiles:
    """Mashups of ``db``, made once: as many as are wanted in ``folder`` are taken as they are."""
    there = sorted(path for path in folder.glob("*") if path.is_dir())
    if len(there) >= count:
        return TripleFiles(there)
    plans = planned_triples(db, count, seed=seed)
    made = make_triples(db, plans, folder, stretcher=default_stretcher())
    return TripleFiles(sorted(made or []))


def unseen_parts(folder: Path) -> list[MashupParts]:
    """Mashups of a library's songs, of its test songs where it was rendered from MIDI."""
    db, stretcher = songs_of(folder, "test"), default_stretcher()
    parts = []
    for plan in planned_triples(db, _TEST, seed=7):
        with contextlib.suppress(UnusableInput):  # a part that is silent there
            parts.append(render_parts(plan, db, stretcher))
    return parts


def trained(work: Path, train: Sequence[Triple], minutes: float, only: str | None) -> None:
    """Train what is not there yet."""
    for name, defects in _DEFECTS.items():
        for part in _PARTS:
            out = work / f"{name}-{part}.safetensors"
            if not out.is_file() and only in (None, name):
                run = MasherTraining(MasherConfig(part, _WIDTH, defects), batch=_BATCH)
                done = train_song_masher(
                    train, run, out=out, minutes=minutes, clock=time.process_time
                )
                print(f"{name} {part}: {done.steps_done} steps", flush=True)
    out = work / "mask.safetensors"
    if not out.is_file() and only in (None, "mask"):
        done = train_mash_mask(
            train, MaskTraining(), out=out, minutes=2 * minutes, clock=time.process_time
        )
        print(f"mask: {done.steps_done} steps", flush=True)


@torch.no_grad()
def losses(model: SongMasher, triples: Sequence[Triple]) -> Mapping[str, float]:
    """Mean squared errors in the network's own units: its own and those of simple answers."""
    rows: dict[str, list[float]] = {}
    for triple in triples:
        first, second, mix = masher_example(triple, model.config)
        answers = {
            "network": model(first[None], second[None])[0],
            "always 0": torch.zeros_like(mix),
            "mean of both songs": (first + second) / 2,
            "sum of both songs": first + second,
        }
        for name, answer in answers.items():
            error = float(torch.nn.functional.mse_loss(answer, mix))
            rows.setdefault(name, []).append(error)
    return {name: float(np.mean(values)) for name, values in rows.items()}


@torch.no_grad()
def reconstructions(
    maskers: Mapping[str, SongMasher], mask: MaskNetwork, triples: Sequence[Triple]
) -> Mapping[str, float]:
    """Errors of compressed magnitudes at 8 kHz."""
    rows: dict[str, list[float]] = {}
    for triple in triples:
        first, second, mix = (spectrum(part) for part in (triple.first, triple.second, triple.mix))
        answers = {
            "sum of both songs": first + second,
            "mean of both songs": (first + second) / 2,
            "mask network": spectrum(masked(mask, triple)),
        }
        for name, model in maskers.items():
            planes = (model.config.planes(song)[None] for song in (first, second))
            answers[f"song-masher, {name}"] = model.config.complex_of(model(*planes)[0])
        for name, answer in answers.items():
            heard, wanted = (torch.log1p(100 * _FULL_SCALE * p.abs()) for p in (answer, mix))
            error = float(torch.nn.functional.mse_loss(heard[: len(wanted)], wanted))
            rows.setdefault(name, []).append(error)
    return {name: float(np.mean(values)) for name, values in rows.items()}


def masked(mask: MaskNetwork, triple: Triple) -> Waveform:
    """Both songs, weighted by the network, together."""
    first, second = (
        spectra(torch.from_numpy(resample(part, SAMPLE_RATE).samples.copy()))
        for part in (triple.first, triple.second)
    )
    window = torch.hann_window(512)
    written = apply_masks(first, second, masks=mask(first, second)) * float(window.sum()) / 2
    samples = torch.istft(written, 512, hop_length=160, window=window, length=triple.mix.frames)
    return Waveform(samples.numpy().astype(np.float32), SAMPLE_RATE)


def clarity_db(voice: Waveform, bed: Waveform) -> float:
    """How far the voice stands out; see the module's paragraph."""
    sung, played = (10 * np.log10(_third_octaves(part) + 1e-12) for part in (voice, bed))
    loudest = sung.max(axis=1)
    sounds = loudest > np.percentile(loudest, 95) - 20
    counts = sounds[:, np.newaxis] & (sung > loudest[:, np.newaxis] - 20)
    return float(np.clip(sung - played, -20, 20)[counts].mean())


def _third_octaves(waveform: Waveform) -> NDArray[np.float64]:
    """(tenths of a second, 19 bands from 100 Hz to 6.4 kHz) powers."""
    size = waveform.sample_rate // 10
    count = waveform.frames // size
    pieces = waveform.samples[0, : count * size].reshape(count, size) * np.hanning(size)
    powers = np.square(np.abs(np.fft.rfft(pieces, axis=1)))
    hz = np.fft.rfftfreq(size, 1 / waveform.sample_rate)
    edges = 100 * 2 ** ((np.arange(20) - 0.5) / 3)
    member = (hz[:, np.newaxis] >= edges[:-1]) & (hz[:, np.newaxis] < edges[1:])
    return np.asarray(powers @ member, dtype=np.float64)


def ducked(depth_db: float, *, per_band: bool = True, mask: MaskNetwork | None = None) -> Duck:
    """Ducking as the engine does it."""

    def duck(voice: Waveform, bed: Waveform) -> Waveform:
        gain = ducking_gain(voice, bed, network=mask, per_band=per_band, depth_db=depth_db)
        return apply_ducking(bed, gain)

    return duck


def softer(depth_db: float) -> Duck:
    """The bed turned down as a whole."""
    gain = np.float32(10 ** (-depth_db / 20))
    return lambda _voice, bed: Waveform(bed.samples * gain, bed.sample_rate)


def equalised(gains: Sequence[NDArray[np.float32]]) -> Duck:
    """The mean of curves in dB, by band, from beginning to end."""
    mean_db = np.mean([(20 * np.log10(gain)).mean(axis=1) for gain in gains], axis=0)
    gain = (10 ** (mean_db / 20)).astype(np.float32)[:, np.newaxis]
    return lambda _voice, bed: apply_ducking(bed, gain)


def show_ducking(parts: Sequence[MashupParts], mask: MaskNetwork) -> None:
    """How much clearer the voice becomes, and what that costs."""
    ways: dict[str, tuple[Duck, int]] = {"turned down by 1.5 dB": (softer(1.5), 0)}
    for depth_db in (4.0, 6.0):
        ways[f"rule, {depth_db:g} dB"] = (ducked(depth_db), 0)
        ways[f"rule, one band, {depth_db:g} dB"] = (ducked(depth_db, per_band=False), 0)
        ways[f"mask network, {depth_db:g} dB"] = (ducked(depth_db, mask=mask), 0)
    gains = [ducking_gain(p.voice, p.bed, network=mask, depth_db=4.0) for p in parts]
    ways["mask network's mean, always"] = (equalised(gains), 0)
    ways["rule, a wrong voice, 4 dB"] = (ducked(4.0), 1)
    ways["mask network, a wrong voice, 4 dB"] = (ducked(4.0, mask=mask), 1)
    print(f"\nducking, {len(parts)} voices over other songs' beds: clarity, loss, clarity per LU")
    for name, (duck, wrong) in ways.items():
        gained, lost = [], []
        for number, part in enumerate(parts):
            bed = duck(parts[number - wrong].voice, part.bed)
            gained.append(clarity_db(part.voice, bed) - clarity_db(part.voice, part.bed))
            lost.append(integrated_lufs(part.bed) - integrated_lufs(bed))
        clearer, softer_by = float(np.mean(gained)), float(np.mean(lost))
        ratio = clearer / softer_by if softer_by > 0.01 else float("nan")
        print(f"  {name:32s} {clearer:+.2f} dB  {softer_by:.2f} LU  {ratio:.2f}")


def shipped(library: Path, work: Path, out: Path, minutes: float | None) -> None:
    """Train the mask network that ``render --duck`` uses, of train songs that allow it."""
    set_names = {s.song_id: s.set_name for s in read_listing(library)}
    allowed = {song for song, name in set_names.items() if name in SHIPPABLE_SETS}
    learnt, unheard = (
        MashupDB(tuple(s for s in songs_of(library, split).songs if s.id in allowed))
        for split in ("train", "val")
    )
    plans = planned_triples(learnt, _SHIP_TRAIN, seed=0)
    stretcher = default_stretcher()
    folders = sorted(make_triples(learnt, plans, work / "train", stretcher=stretcher) or [])
    train, unseen = TripleFiles(folders), mashups(unheard, _SHIP_VAL, work / "val", seed=3)
    trained = work / "mash_mask.safetensors"
    done = train_mash_mask(
        train,
        MaskTraining(steps=_SHIP_STEPS),
        out=trained,
        data_sha=hashlib.sha256(" ".join(path.name for path in folders).encode()).hexdigest(),
        minutes=minutes,
        resume=True,
        clock=time.process_time,
    )
    print(f"{done.steps_done} of {_SHIP_STEPS} steps on {len(train)} mashups", flush=True)
    if done.finished:
        used = {use.song_id for plan in plans for use in plan.stems[:2]}
        sets = tuple(sorted({set_names[song] for song in used}))
        provenance = Provenance(sets, len(used), len(train))
        print(ship_mask_network(trained, out, provenance=provenance, validation=unseen))


def main() -> None:
    """Read the arguments, train what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=None, help="of training, 2.5; no end")
    parser.add_argument("--only", choices=(*_DEFECTS, "mask"), help="train this and stop")
    parser.add_argument("--ship", type=Path, metavar="FILE", help="train and write FILE alone")
    parser.add_argument(
        "--checkpoint", type=Path, default=SHIPPED_MASK, help="whose ducking --test alone measures"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.ship is not None and given.train and given.work:
        shipped(given.train, given.work, given.ship, given.minutes)
        return
    if given.test is not None and given.train is None:
        show_ducking(unseen_parts(given.test), load_mask_network(given.checkpoint))
        return
    if not (given.train and given.test and given.work):
        parser.error("give --train, --test and --work; --train, --work and --ship; or --test")
    train = mashups(songs_of(given.train, "train"), _TRAIN, given.work / "train", seed=0)
    print(f"{len(train)} mashups to train on")
    trained(given.work, train, given.minutes or 2.5, given.only)
    if given.only is not None:
        return
    parts = unseen_parts(given.test)
    test = [part.triple for part in parts]
    models = {
        (name, part): load_song_masher(given.work / f"{name}-{part}.safetensors")
        for name in _DEFECTS
        for part in _PARTS
    }
    for (name, part), model in models.items():
        print(f"\n{part} loss, {name}, {len(test)} unseen mashups")
        for answer, value in losses(model, test).items():
            print(f"  {answer:32s} {value:.3g}")
    mask = load_mask_network(given.work / "mask.safetensors")
    print(f"\nreconstruction (mask network on its own spectra: {measure(mask, test)})")
    magnitudes = {name: models[name, "magnitude"] for name in _DEFECTS}
    for answer, value in reconstructions(magnitudes, mask, test).items():
        print(f"  {answer:32s} {value:.3g}")
    show_ducking(parts, mask)


if __name__ == "__main__":
    main()
