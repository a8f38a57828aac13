"""The library's stems under the fit model: embedded when they are added, read when asked for.

Every stem has one file under ``<library>/embeddings/<model>``, named by a digest of all that its
embedding depends on: features, sounding beats, metre, whether its pitch is read. A change of any
of them, or another model, asks for another name, so what is found is right; what is missing is
made and kept. Pools read all their stems end to end from a memory-mapped folder under
``<library>/index``. Both folders may be deleted at any time. A damaged file is made anew, and
named by ``verify``.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from numpy.typing import NDArray

from engine.errors import DawlinkError, UnwritableOutput
from engine.files import atomic_path
from engine.library.blobs import PART_PREFIX
from engine.library.rows import Problem, StemRow
from engine.library.sweeping import SWEEP_AGE_S, is_old
from engine.models.fit_checkpoint import SHIPPED_FIT, FitModel, load_fit
from engine.models.fit_embedding import Embedding, embed_stem

if TYPE_CHECKING:
    from engine.library.pool import StemPool
    from engine.library.reading import LibraryReader

__all__ = ["LibraryEmbeddings", "embed_song", "embedding_problems", "sweep_embeddings"]

_LOGGER = logging.getLogger(__name__)

_FOLDER: Final = "embeddings"
#: A model that was trained by the library's owner takes the place of the shipped one.
_OWN_MODEL: Final = "models/fit.safetensors"
#: Raised when the files below or what the towers read change their meaning.
_LAYOUT: Final = 1
_DIGEST_DIGITS: Final = 24
_UNPITCHED: Final = ("drums", "percussion")
#: More stems than this to embed are told to the person: each takes a few milliseconds.
_WORTH_TELLING: Final = 200


class LibraryEmbeddings:
    """An :class:`~engine.models.fit_embedding.EmbeddingSource` for one pool of a library.

    Args:
        library: where the stems are.
        stored: the pool.
        beats_per_bar: metre that the pool is read in.
        metres: metre of each stem's song; stems of another metre have no embedding.
    """

    def __init__(
        self,
        library: LibraryReader,
        stored: StemPool,
        *,
        beats_per_bar: int,
        metres: Sequence[int],
    ) -> None:
        self._library = library
        self._stored = stored
        self._beats_per_bar = beats_per_bar
        self._fitting = [metre == beats_per_bar for metre in metres]
        self._lock = threading.Lock()
        self._known: dict[str, Embedding] = {}

    def of(self, model: FitModel) -> Embedding:
        """All beats of the pool under ``model``, from the index folder if it is up to date."""
        with self._lock:
            if model.tag not in self._known:
                self._known = {model.tag: self._load(model)}
            return self._known[model.tag]

    def _load(self, model: FitModel) -> Embedding:
        stored = self._stored
        keys = [
            _key(stem, np.asarray(stored.active[stored.rows(i)]), self._beats_per_bar)
            for i, stem in enumerate(stored.stems)
        ]
        role = stored.stems[0].role if stored.stems else "none"
        prefix = f"{_FOLDER}-{role}-{self._beats_per_bar}-"
        folder = self._library.cache / "index" / (prefix + _digest(model.tag, *keys))
        found = _mapped(model, folder, beats=int(stored.offsets[-1]))
        if found is None:
            parts = self._parts(model, keys)
            with contextlib.suppress(OSError, UnwritableOutput):
                _write(folder, int(stored.offsets[-1]), parts)
                found = _mapped(model, folder, beats=int(stored.offsets[-1]))
            for other in folder.parent.glob(f"{prefix}*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
        if found is None:
            made = list(self._parts(model, keys))
            found = Embedding(
                model.tag,
                np.concatenate([part.pitch for part in made]),
                np.concatenate([part.rhythm for part in made]),
            )
        return found

    def _parts(self, model: FitModel, keys: Sequence[str]) -> Iterator[Embedding]:
        """Every stem in turn, from its file or made now; zeros for stems of another metre."""
        store = _Store(self._library.folder, model.tag)
        new = sum(
            f and not store.path(k).is_file() for f, k in zip(self._fitting, keys, strict=True)
        )
        if new > _WORTH_TELLING:
            _LOGGER.warning("Reading %d stems with the fit model for the first time.", new)
        for number, (stem, key) in enumerate(zip(self._stored.stems, keys, strict=True)):
            rows = self._stored.rows(number)
            if not self._fitting[number]:
                yield _silence(model, stem, rows.stop - rows.start)
                continue
            active = np.asarray(self._stored.active[rows])
            yield store.get(key) or _made(
                self._library, stem, active, model, beats_per_bar=self._beats_per_bar, store=store
            )


def embed_song(library: LibraryReader, song_id: str) -> int:
    """Embed the stems of a song that was just added; returns how many were new.

    Without a usable checkpoint nothing is done: the rules work without it.

    Raises:
        LibraryUnusable: a feature file is missing or damaged.
    """
    model = _model(library)
    if model is None:
        return 0
    store = _Store(library.folder, model.tag)
    metre = library.song(song_id).beats_per_bar
    active = library.active(song_id=song_id)
    new = 0
    for stem in library.stems(song_id):
        if store.get(_key(stem, active[stem.id], metre)) is None:
            _made(library, stem, active[stem.id], model, beats_per_bar=metre, store=store)
            new += 1
    return new


def embedding_problems(library: LibraryReader) -> list[Problem]:
    """Stored embeddings that are damaged; missing ones are made when they are asked for."""
    model = _model(library)
    if model is None:
        return []
    store = _Store(library.folder, model.tag)
    songs = {song.id: song for song in library.songs()}
    active = library.active()
    problems = []
    for stem in library.stems():
        song = songs.get(stem.song_id)
        if song is None or stem.id not in active:
            continue  # added or removed meanwhile
        path = store.path(_key(stem, active[stem.id], song.beats_per_bar))
        found = store.read(path) if path.is_file() else None
        if path.is_file() and (found is None or found.pitch.shape[0] != stem.beats):
            message = f"{song.title!r} ({song.id}), {stem.role}: its embedding is damaged: {path}."
            hint = "Delete the file; it is made again when it is needed."
            problems.append(Problem("damaged", message, hint, path, song.id, song.title))
    return problems


def sweep_embeddings(library: LibraryReader, *, older_than_s: float = SWEEP_AGE_S) -> int:
    """Remove old files of stems that are gone and of other models; returns how many."""
    model = _model(library)
    folder = library.folder / _FOLDER
    if model is None or not folder.is_dir():
        return 0
    metres = {song.id: song.beats_per_bar for song in library.songs()}
    active = library.active()
    wanted = {
        _key(stem, active[stem.id], metres[stem.song_id])
        for stem in library.stems()
        if stem.id in active and stem.song_id in metres
    }
    removed = 0
    for path in folder.glob("*/*"):
        named = path.parent.name == model.tag and path.stem in wanted
        if not named and is_old(path, older_than_s):
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def _model(library: LibraryReader) -> FitModel | None:
    """The library's own model, else the shipped one; None when it cannot be used, which is said."""
    own = library.folder / _OWN_MODEL
    try:
        return load_fit(own if own.is_file() else SHIPPED_FIT)
    except DawlinkError as error:
        _LOGGER.warning("%s Stems are not embedded.", error.message)
        return None


class _Store:
    """Embeddings of single stems as files."""

    def __init__(self, library: Path, tag: str) -> None:
        self._folder = library / _FOLDER / tag
        self._tag = tag

    def path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def get(self, key: str) -> Embedding | None:
        path = self.path(key)
        return self.read(path) if path.is_file() else None

    def read(self, path: Path) -> Embedding | None:
        """The embedding in a file, whose archive checks its bytes; None when it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Embedding(self._tag, arrays["pitch"], arrays["rhythm"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, key: str, embedding: Embedding) -> None:
        with atomic_path(self.path(key)) as temporary, temporary.open("wb") as stream:
            np.savez(stream, pitch=embedding.pitch, rhythm=embedding.rhythm)


def _made(
    library: LibraryReader,
    stem: StemRow,
    active: NDArray[np.bool_],
    model: FitModel,
    *,
    beats_per_bar: int,
    store: _Store,
) -> Embedding:
    """Embed a stem and keep the result where that can be written."""
    rows = library.features(stem)
    pitched = stem.role not in _UNPITCHED
    made = embed_stem(model, rows, active, beats_per_bar=beats_per_bar, pitched=pitched)
    with contextlib.suppress(UnwritableOutput):
        store.put(_key(stem, active, beats_per_bar), made)
    return made


def _silence(model: FitModel, stem: StemRow, beats: int) -> Embedding:
    sizes = model.sizes
    width = 0 if stem.role in _UNPITCHED else 12 * sizes.pitch_values
    return Embedding(
        model.tag,
        np.zeros((beats, width), np.float16),
        np.zeros((beats, sizes.rhythm_values), np.float16),
    )


def _key(stem: StemRow, active: NDArray[np.bool_], beats_per_bar: int) -> str:
    kind = "drums" if stem.role in _UNPITCHED else "pitched"
    parts = (f"layout {_LAYOUT}", stem.features_sha, str(beats_per_bar), kind)
    return _digest(*parts, np.packbits(active).tobytes().hex())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGEST_DIGITS]


def _mapped(model: FitModel, folder: Path, *, beats: int) -> Embedding | None:
    """The arrays of an index folder; None when they are not there or do not fit."""
    try:
        pitch, rhythm = (
            np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            for name in ("pitch", "rhythm")
        )
    except (OSError, ValueError, EOFError):
        return None
    return Embedding(model.tag, pitch, rhythm) if len(pitch) == len(rhythm) == beats else None


def _write(folder: Path, beats: int, parts: Iterator[Embedding]) -> None:
    """Stream the parts into one file per array; the folder appears in one rename."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=folder.parent))
    try:
        with (
            (unfinished / "pitch.npy").open("wb") as pitch,
            (unfinished / "rhythm.npy").open("wb") as rhythm,
        ):
            for number, part in enumerate(parts):
                for stream, values in ((pitch, part.pitch), (rhythm, part.rhythm)):
                    if number == 0:
                        header = header_data_from_array_1_0(values[:0])
                        shape = (beats, values.shape[1])
                        write_array_header_1_0(stream, header | {"shape": shape})
                    stream.write(values.tobytes())
        if folder.exists():  # it did not fit, so it is damaged
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
