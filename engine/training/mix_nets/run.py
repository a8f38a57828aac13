"""The way from folders of songs to a trained PreMixNet or PostMixNet.

Songs are split before anything is paired, as the list of a rendered corpus says or else four to one
by composition, so no stem of a held-out song is ever trained on; songs listed for tests take no
part. Of the held-out songs examples are generated as in the paper: a third original, a third
matched, and a third unmatched in equal parts of the three kinds (the paper's thirds; its parts of
the last third are not told), sixteen bars long as in the paper. Their planes lie in a folder beside
the checkpoint and are found again by the next run. Songs that were rendered from a MIDI corpus lend
their whole corpus: the notes of all its train songs are learned from too, as planes that are drawn
(:mod:`engine.training.mix_nets.material`), but for compositions that are held out or listed for
validation or tests in any of the libraries.

On a CPU the network has an eighth of the published filters, half of them in the joint layers, and a
bottleneck of 12 channels in which stems meet (0.66 million numbers in place of 38.76), and learns
fast for few rounds; on a GPU it is the published one, trained at the published rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from engine.errors import SomeItemsFailed, UnusableInput
from engine.mashup.database import MASHUP_ROLES, MashupDB
from engine.mashup.generation import MOST_SEMITONES, Condition, generate
from engine.models.mix_nets.beat_mel import BeatMels
from engine.models.mix_nets.network import NetKind, NetSettings
from engine.training.deadline import Deadline
from engine.training.material import SplitSongs, open_material, split_songs
from engine.training.midi_audio.index import corpus_notes
from engine.training.midi_corpus import MidiSong
from engine.training.mix_nets.crops import CropSet, make_crops
from engine.training.mix_nets.example_audio import MOST_SHIFT
from engine.training.mix_nets.material import (
    FEWEST_COMPOSITIONS,
    DrawnSongs,
    MixSongs,
    RecordedSongs,
    compositions_of,
)
from engine.training.mix_nets.training import MixTraining, train_mix
from engine.training.requests import Tell, TrainReport, TrainRequest, pick_device

__all__ = ["run", "settings_for", "small_net"]

_KINDS: Final[dict[str, NetKind]] = {"premixnet": "premixnet", "postmixnet": "postmixnet"}
#: Share of compositions that is held out: four to one.
HELD_OUT: Final = 0.2
#: Held-out examples of each of the three kinds for every song with a voice.
EACH_PER_SONG: Final = 4
MOST_EACH: Final = 100
#: Length of a held-out example, of which a network sees four bars at a time.
BARS: Final = 16
#: Length of what is trained on.
CROP_BARS: Final = 4
#: What two CPU cores can train.
CPU_WIDTH: Final = 0.125
CPU_JOINT_WIDTH: Final = 0.5
CPU_BOTTLENECK: Final = 12
#: Level of the bleed in the second set of held-out examples [dB]: two other stems of a song are
#: heard 9 dB below each; the paper's separator had an SDR of 4 to 7 dB.
BLEED_DB: Final = -12.0
#: Twenty times the published rate, falling; few rounds instead of thirty.
CPU_LEARNING_RATE: Final = 2e-3
CPU_EPOCHS: Final = 10
#: Memory for the spectrograms of recordings: at most 7 GB, which 740 songs of a minute fill.
KEPT_CHUNKS: Final = 107000


def run(
    request: TrainRequest,
    tell: Tell,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> TrainReport:
    """Train ``request.model``.

    Raises:
        UnusableInput: no usable songs, or too few that may be trained on.
        UsageError: a run to go on with that was another.
        SomeItemsFailed: the minutes were over before all was prepared.
        MissingDependency: no such device.
    """
    deadline = Deadline(request.minutes, clock=clock)
    preparing = deadline.telling(tell)
    device = pick_device(request.device)
    work = request.out.with_name(f"{request.out.stem}-songs")
    songs = open_material(request.data, work, jobs=request.jobs, tell=preparing)
    parts = split_songs(songs.db, request.data, share=HELD_OUT, seed=request.seed)
    material, left_out = _material(request, parts, preparing)
    clean, bled, notes = _held_out(request, parts.held_out, tell=tell, stop=deadline.is_over)
    preparing("beginning to train")
    outcome = train_mix(
        material,
        clean,
        settings_for(request, device),
        out=request.out,
        bled=bled,
        device=device,
        minutes=deadline.minutes_left(),
        resume=request.resume,
        clock=clock,
        report=lambda progress: tell(f"training: {progress}"),
    )
    return TrainReport(
        checkpoint=request.out,
        finished=outcome.finished,
        steps=outcome.steps_done,
        metrics=outcome.metrics,
        notes=(*songs.notes, *parts.notes, *left_out, *notes, *outcome.notes),
    )


def _material(
    request: TrainRequest, parts: SplitSongs, tell: Tell
) -> tuple[list[MixSongs], Sequence[str]]:
    """The recordings, the compositions of their corpora, and a sentence about all left out."""
    recorded = RecordedSongs(parts.train, bars=CROP_BARS, kept_chunks=KEPT_CHUNKS)
    if not request.notes:
        return [recorded], recorded.notes
    songs, unread = _songs_of_notes(request, parts, tell)
    drawn = DrawnSongs(songs, bars=CROP_BARS)
    notes = (*recorded.notes, *unread, *drawn.notes)
    compositions = compositions_of(drawn)
    if compositions >= FEWEST_COMPOSITIONS:
        return [recorded, drawn], notes
    few = (
        f"no notes of MIDI songs are learned from: {compositions} of their compositions can be "
        f"used, and {FEWEST_COMPOSITIONS} or more are needed"
    )
    return [recorded], (*notes, few)


def _songs_of_notes(
    request: TrainRequest, parts: SplitSongs, tell: Tell
) -> tuple[list[MidiSong], list[str]]:
    """Songs of the corpora that are to be trained on, and why a corpus has none."""
    held_out = {song.group for song in parts.held_out.songs} | parts.validating | parts.tests
    songs: list[MidiSong] = []
    unread: list[str] = []
    for corpus in request.notes:
        tell(f"reading the notes of {corpus.name}")
        try:
            found = corpus_notes(corpus, tell=tell)
        except UnusableInput as error:
            if error.code != "no_songs":
                raise
            unread.append(error.message)
            continue
        held_out |= {song.group for song in found.songs if song.split != "train"}
        songs += [song for song in found.usable if song.split == "train"]
    return [song for song in songs if song.group not in held_out], unread


def _held_out(
    request: TrainRequest, part: MashupDB, *, tell: Tell, stop: Callable[[], bool]
) -> tuple[CropSet, CropSet, tuple[str, ...]]:
    """Examples of the held-out songs without and with bleed, and what stood in the way."""
    made = generate(part, _counts(part), seed=request.seed, bars=BARS)
    notes = [f"held-out: {count} × {why}" for why, count in made.reasons.items()]
    total = 2 * len(made.examples)
    done = 0
    mels = BeatMels(kept_chunks=KEPT_CHUNKS, most_semitones=MOST_SEMITONES + MOST_SHIFT)

    def told() -> None:
        nonlocal done
        done += 1
        tell(f"reading held-out example {done} of {total}")

    def read(bleed_db: float | None) -> CropSet:
        folder = request.out.with_name("mix-crops")
        crops = make_crops(
            part,
            made.examples,
            folder,
            jobs=request.jobs,
            bleed_db=bleed_db,
            mels=mels,
            stop=stop,
            made_one=told,
        )
        if not crops.complete:
            raise _out_of_time(done, total)
        return crops

    clean, bled = read(None), read(BLEED_DB)
    if clean.unusable:
        notes.append(f"held-out: {clean.unusable} examples could not be read")
    return clean, bled, tuple(notes)


def _counts(db: MashupDB) -> dict[Condition, int]:
    """How many examples of each condition."""
    voices = sum(set(MASHUP_ROLES) <= song.stems.keys() for song in db.songs)
    each = min(EACH_PER_SONG * voices, MOST_EACH)
    return {
        "original": each,
        "matched": each,
        "unmatched-key": each // 3,
        "unmatched-tempo": each // 3,
        "unmatched-both": each // 3,
    }


def small_net(kind: NetKind) -> NetSettings:
    """What two CPU cores can train."""
    return NetSettings(kind, CPU_WIDTH, CPU_BOTTLENECK, CPU_JOINT_WIDTH, meeting=True)


def settings_for(request: TrainRequest, device: str) -> MixTraining:
    """The published network and rate, or what two CPU cores can train."""
    kind = _KINDS[request.model]
    settings = MixTraining(NetSettings(kind), lsro=request.lsro, seed=request.seed)
    if device == "cpu":
        settings = replace(
            settings,
            net=small_net(kind),
            epochs=CPU_EPOCHS,
            learning_rate=CPU_LEARNING_RATE,
            decaying=True,
        )
    return settings if request.epochs is None else replace(settings, epochs=request.epochs)


def _out_of_time(done: int, total: int) -> SomeItemsFailed:
    return SomeItemsFailed(
        f"The time was over when {done} of {total} held-out examples were read; there is no "
        "checkpoint yet.",
        hint="Run the same command again: it goes on where this one stopped.",
        code="out_of_time",
    )
