"""A MIDI corpus rendered into a library, song by song, with what is known about each beside it.

The library is an ordinary one. Its ``corpus.csv`` says which file, composition (``group``) and
split (train, val, test) every song comes from: songs of one group are variants of one composition
and never each other's wrong answer. What the corpus says of its songs today is put into that list
before anything is rendered. Beats and keys are the score's own; features, loudness and tuning are
measured on the audio. A run that is ended goes on where it stopped; what was rendered of the same
MIDI file with the same seed and settings is not rendered again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from engine.analysis.records import FEATURE_VERSION, KeyEstimate
from engine.audio.waveform import Waveform
from engine.errors import DawlinkError, MissingDependency, UnusableInput
from engine.files import sha256_of
from engine.parallel.workers import Ask, run_jobs
from engine.theory import Role
from engine.training.midi_audio.folders import TRUTH_NAME, write_folder
from engine.training.midi_audio.index import corpus_songs
from engine.training.midi_audio.listing import ListedSong, read_listing, update_listing
from engine.training.midi_audio.recipe import Realism
from engine.training.midi_audio.songs import CorpusSong, RenderedSong, render_song
from engine.training.midi_audio.synth import find_fluidsynth, find_soundfonts
from engine.training.midi_audio.voice import missing_for_singing
from engine.training.midi_corpus import SHIPPABLE_SETS, Split

__all__ = ["NO_SPLIT", "CorpusOptions", "RenderedCorpus", "render_corpus", "select_songs"]

_LOGGER = logging.getLogger(__name__)
#: Raised when the same seed and settings make other samples.
_LAYOUT: Final = 1
#: Code of the error that a corpus has no songs of a split.
NO_SPLIT: Final = "no_split"


@dataclass(frozen=True)
class CorpusOptions:
    """Which songs, and how they are rendered.

    Args:
        split: train, val or test.
        sets: of the corpus; all where it has none of these.
        limit: at most so many songs; all when None.
        seconds: length of a drawn stretch; whole songs when None.
        one_per_group: one variant of each composition.
        seed: of the choice and of everything random in the sound.
        realism: how far songs stray from their scores.
        jobs: songs rendered at once.
        folders: every song is also written into a folder of its own below this one.
    """

    split: Split
    sets: tuple[str, ...] = SHIPPABLE_SETS
    limit: int | None = None
    seconds: float | None = None
    one_per_group: bool = True
    seed: int = 0
    realism: Realism = field(default_factory=Realism)
    jobs: int = 1
    folders: Path | None = None


@dataclass(frozen=True, eq=False)
class RenderedCorpus:
    """The songs that are in the library now, and a sentence about each that could not be used."""

    songs: tuple[ListedSong, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    chosen: CorpusSong
    library: Path
    options: CorpusOptions
    soundfonts: tuple[Path, ...]
    recipe: str
    corpus: str


@dataclass(frozen=True)
class _Done:
    song: ListedSong | None
    notes: tuple[str, ...]
    error: DawlinkError | None = None


def select_songs(songs: Sequence[CorpusSong], options: CorpusOptions) -> tuple[CorpusSong, ...]:
    """The songs of ``options`` in a drawn order; a longer list begins with the shorter one.

    Raises:
        UnusableInput: there is none.
    """
    sets = options.sets if {song.set_name for song in songs} & set(options.sets) else None
    found = [
        song
        for song in songs
        if song.split == options.split and (sets is None or song.set_name in sets)
    ]
    rng = np.random.default_rng([options.seed, 1])
    order = [found[i] for i in rng.permutation(len(found))]
    if options.one_per_group:
        order = list({song.group: song for song in reversed(order)}.values())[::-1]
    if not order:
        raise UnusableInput(
            f"The corpus has no song of the split {options.split} that can be rendered.",
            hint="Its index.csv says which songs are of which split; without one, more songs help.",
            code=NO_SPLIT,
        )
    return tuple(order[: options.limit])


def render_corpus(
    data: Path,
    library: Path,
    options: CorpusOptions,
    *,
    cache_dir: Path | None = None,
    is_own: bool = False,
    tell: Callable[[str], None] = lambda _text: None,
) -> RenderedCorpus:
    """Render the songs of ``options`` that are not in the library yet.

    Args:
        data: folder or archive of a corpus with ``index.csv``.
        library: made when it is not there.
        options: which songs, and how.
        cache_dir: where an archive is unpacked; the user's cache by default.
        is_own: nothing but this corpus is rendered into the library, so a listed song that the
            corpus does not have has left it.
        tell: told what is being done.

    Raises:
        MissingDependency: no fluidsynth, or no soundfont.
        UnusableInput: there is no index, or not one song could be rendered.
        LibraryUnusable, UnwritableOutput: the library cannot be used.
    """
    find_fluidsynth()
    soundfonts = find_soundfonts()
    found = corpus_songs(data, cache_dir)
    chosen = select_songs(found.songs, options)
    corpus = _corpus_id(data)
    update_listing(library, change=_word_of(found.songs, corpus, is_own=is_own))
    recipe = _recipe(options, soundfonts)
    known = _known(library, chosen, recipe, corpus, options)
    jobs = [
        _Job(song, library, options, soundfonts, recipe, corpus)
        for song in chosen
        if song not in known
    ]
    missing = missing_for_singing() if jobs and options.realism.sung else ""
    if missing:
        _say_missing(missing)
    notes: dict[str, None] = {}
    failed: list[DawlinkError] = []
    with contextlib.closing(_rendered(jobs, options.jobs)) as run:
        for number, (job, done) in enumerate(run, 1):
            notes.update(dict.fromkeys(done.notes))
            if done.song is not None:
                known[job.chosen] = done.song
                update_listing(library, known.values())
            if done.error is not None:
                failed.append(done.error)
            tell(f"rendered {number} of {len(jobs)}: {job.chosen.source.name}")
    if not known and failed:
        raise failed[0]
    update_listing(library, known.values())  # another run may have written in between
    rendered = tuple(known[song] for song in chosen if song in known)
    return RenderedCorpus(rendered, (*found.notes, *notes, *(error.message for error in failed)))


@functools.cache
def _say_missing(why: str) -> None:
    """Once in a process: songs to train on and to validate on are rendered one after the other."""
    _LOGGER.warning("Melodies will be sung on vowels alone, because %s.", why)


def _corpus_id(data: Path) -> str:
    return hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]


def _word_of(
    songs: Sequence[CorpusSong], corpus: str, *, is_own: bool
) -> Callable[[ListedSong], ListedSong]:
    """What a corpus says today of a song that was rendered from it.

    A row that does not know its MIDI file's content or its corpus is taken to be of the file that
    is here now; a row of another corpus is this one's too when the content is the same.
    """
    by_name = {(song.set_name, song.source.name): song for song in songs}

    def word(row: ListedSong) -> ListedSong:
        song = by_name.get((row.set_name, row.file))
        if song is None:
            return replace(row, split="test", is_current=False) if is_own else row
        sha = _midi_sha(song)
        if not is_own and row.corpus not in ("", corpus) and row.midi_sha != sha:
            return row
        row = replace(row, group=song.group, midi_sha=row.midi_sha or sha, corpus=corpus)
        if sha and row.midi_sha != sha:
            return replace(row, split="test", is_current=False)
        return replace(row, split=song.split, is_current=True)

    return word


def _midi_sha(song: CorpusSong) -> str:
    """Empty where the file cannot be read: rendering says why."""
    try:
        return sha256_of(song.source.path)
    except OSError:
        return ""


def _known(
    folder: Path, chosen: Sequence[CorpusSong], recipe: str, corpus: str, options: CorpusOptions
) -> dict[CorpusSong, ListedSong]:
    """Songs that need not be rendered again."""
    from engine.library.library import Library

    with Library.open(folder) as library:
        library.sweep()
        current = {song.id for song in library.songs() if song.feature_version == FEATURE_VERSION}
    listed = {
        (song.set_name, song.file): song
        for song in read_listing(folder)
        if song.recipe == recipe and song.song_id in current and song.is_current
        if song.corpus == corpus
    }
    found = {song: listed.get((song.set_name, song.source.name)) for song in chosen}
    return {
        song: row
        for song, row in found.items()
        if row is not None
        and (options.folders is None or (_folder(options.folders, song) / TRUTH_NAME).is_file())
    }


def _rendered(jobs: Sequence[_Job], workers: int) -> Generator[tuple[_Job, _Done], None, None]:
    with contextlib.closing(run_jobs(_work, jobs, workers=workers, answer=_nothing)) as run:
        for finished in run:
            if finished.result is None:
                name = finished.job.chosen.source.name
                error = UnusableInput(f"The process that rendered {name} died.", code="crashed")
                yield finished.job, _Done(None, (), error)
            else:
                yield finished.job, finished.result


def _nothing(_job: _Job, _question: None) -> None:
    """Songs ask nothing."""


def _work(job: _Job, _ask: Ask[None, None]) -> _Done:
    """One song from score to library: the boundary where its failure becomes a sentence."""
    try:
        midi_sha = _midi_sha(job.chosen)
        rendered = render_song(
            job.chosen.source,
            job.soundfonts,
            seed=job.options.seed,
            seconds=job.options.seconds,
            realism=job.options.realism,
        )
        if job.options.folders is not None:
            write_folder(_folder(job.options.folders, job.chosen), rendered, job.chosen)
        return _Done(_added(job, rendered, midi_sha), rendered.notes)
    except MissingDependency:
        raise
    except DawlinkError as error:
        return _Done(None, (), error)
    except Exception as error:  # a bug that one file brings out must not stop the others
        _LOGGER.exception("%s", job.chosen.source.name)
        name = job.chosen.source.name
        said = f"{name} triggered a bug in dawlink: {type(error).__name__}: {error}."
        return _Done(None, (), DawlinkError(said))


def _added(job: _Job, rendered: RenderedSong, midi_sha: str) -> ListedSong:
    from engine.analysis.song import analyse_song
    from engine.library.library import Library
    from engine.library.rows import NewSong, NewStem

    with Library.open(job.library) as library:
        analysis = analyse_song(rendered.stems, grid=rendered.grid, key=rendered.key.key)
        truth = rendered.key
        exact = replace(
            analysis,
            key=KeyEstimate(truth.key, truth.confidence, truth.method, truth.method == "score"),
            tracker="score",
            tracked_on="score",
        )
        waveforms = dict(rendered.stems)
        waveforms.update(_sums(rendered))
        stems = tuple(NewStem(role, waveform) for role, waveform in waveforms.items())
        song = library.add_song(
            NewSong(title=_title(job.chosen), kind="multitrack", stems=stems, analysis=exact)
        )
        if song.feature_version != FEATURE_VERSION:
            library.replace_analysis(song.id, exact)
    return ListedSong(
        song_id=song.id,
        file=job.chosen.source.name,
        set_name=job.chosen.set_name,
        group=job.chosen.group,
        split=job.chosen.split,
        recipe=job.recipe,
        voice=rendered.voice,
        soundfonts=" ".join(f"{role}={name}" for role, name in rendered.soundfonts.items()),
        midi_sha=midi_sha,
        corpus=job.corpus,
    )


def _sums(rendered: RenderedSong) -> dict[Role, Waveform]:
    """``harmonic``, as every song of a library has it."""
    pitched = [rendered.stems[role] for role in ("bass", "other") if role in rendered.stems]
    if not pitched:
        return {}
    total = np.asarray(np.sum([part.samples for part in pitched], axis=0), dtype=np.float32)
    return {"harmonic": Waveform(total, pitched[0].sample_rate)}


def _title(chosen: CorpusSong) -> str:
    return f"{chosen.set_name} {Path(chosen.source.name).stem}"


def _folder(folders: Path, song: CorpusSong) -> Path:
    return folders / " - ".join(Path(song.source.name).with_suffix("").parts)


def _recipe(options: CorpusOptions, soundfonts: Sequence[Path]) -> str:
    """Names everything that decides a song's samples, but the song."""
    fonts = [(font.name, font.stat().st_size) for font in soundfonts]
    sung = not missing_for_singing()
    said = (_LAYOUT, options.seed, options.seconds, options.realism, fonts, sung)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
