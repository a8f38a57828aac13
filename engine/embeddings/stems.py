"""The library's stems under the fit model: embedded when they are added, read when asked for.

Every stem has one embedding, kept under a digest of all that it depends on: features, sounding
beats, metre, whether its pitch is read. A change of any of them, or another model, asks for another
key, so what is found is right; what is missing is made and kept. They are kept in files of the
library's folder (:mod:`engine.embeddings.files`), or with a library on a server in its database
(:mod:`engine.embeddings.table`), which all machines share. Pools read all their stems end to end
from a memory-mapped folder under ``index`` (:mod:`engine.embeddings.index`). All of it may be
deleted at any time. A damaged embedding is made anew, and named by ``verify``.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.embeddings import index as embedding_index
from engine.embeddings.files import EmbeddingFiles, EmbeddingKeeper
from engine.errors import DawlinkError, UnwritableOutput
from engine.library.rows import Problem, StemRow
from engine.library.sweeping import SWEEP_AGE_S
from engine.models.fit.checkpoint import SHIPPED_FIT, FitModel, load_fit
from engine.models.fit.embedding import Embedding, embed_stem

if TYPE_CHECKING:
    from engine.library.pool import StemPool
    from engine.library.reading import LibraryReader

__all__ = ["LibraryEmbeddings", "embed_song", "embedding_problems", "sweep_embeddings"]

_LOGGER = logging.getLogger(__name__)

#: A model that was trained by the library's owner takes the place of the shipped one.
_OWN_MODEL: Final = "models/fit.safetensors"
#: Raised when what is kept or what the towers read changes its meaning.
_LAYOUT: Final = 1
_DIGEST_DIGITS: Final = 24
_UNPITCHED: Final = ("drums", "percussion")
#: More stems than this to embed are told to the person: each takes a few milliseconds.
_WORTH_TELLING: Final = 200
#: Stems that are fetched and kept together.
_TOGETHER: Final = 500


class LibraryEmbeddings:
    """An :class:`~engine.models.fit.embedding.EmbeddingSource` for one pool of a library.

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
        stored, tag = self._stored, model.tag
        keys = [
            _key(stem, np.asarray(stored.active[stored.rows(i)]), self._beats_per_bar)
            if self._fitting[i]
            else ""
            for i, stem in enumerate(stored.stems)
        ]
        role = stored.stems[0].role if stored.stems else "none"
        prefix = f"embeddings-{role}-{self._beats_per_bar}-"
        folder = self._library.cache / "index" / (prefix + _digest(tag, *keys))
        offsets = stored.offsets.tolist()
        found = embedding_index.mapped(tag, folder, beats=offsets[-1])
        if found is None:
            others = [path for path in folder.parent.glob(f"{prefix}*") if path != folder]
            parts = self._parts(model, keys, embedding_index.earlier(tag, iter(others)))
            with contextlib.suppress(OSError, UnwritableOutput):
                embedding_index.write(tag, folder, parts, keys=keys, offsets=offsets)
                found = embedding_index.mapped(tag, folder, beats=offsets[-1])
            for other in others:
                shutil.rmtree(other, ignore_errors=True)
        if found is None:
            made = list(self._parts(model, keys, {}))
            found = Embedding(
                tag,
                np.concatenate([part.pitch for part in made]),
                np.concatenate([part.rhythm for part in made]),
            )
        return found

    def _parts(
        self, model: FitModel, keys: Sequence[str], earlier: Mapping[str, Embedding]
    ) -> Iterator[Embedding]:
        """Every stem in turn: known, kept or made now; zeros for stems of another metre."""
        keeper = _keeper(self._library, model)
        wanted = {key for key in keys if key and key not in earlier}
        new = len(wanted) - len(keeper.known(sorted(wanted)))
        if new > _WORTH_TELLING:
            _LOGGER.warning("Reading %d stems with the fit model for the first time.", new)
        for first in range(0, len(keys), _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, len(keys)))
            asked = [keys[n] for n in numbers if keys[n] and keys[n] not in earlier]
            kept = dict(keeper.several(asked))
            made: dict[str, Embedding] = {}
            for number in numbers:
                key, beats = keys[number], self._beats(number)
                part = earlier.get(key) or kept.get(key) or made.get(key)
                if not key:
                    part = _silence(model, self._stored.stems[number], beats)
                elif part is None or len(part.rhythm) != beats:
                    part = made[key] = self._embedded(model, number)
                yield part
            with contextlib.suppress(UnwritableOutput):
                keeper.put(made.items())

    def _beats(self, number: int) -> int:
        return self._stored.stems[number].beats

    def _embedded(self, model: FitModel, number: int) -> Embedding:
        stem, rows = self._stored.stems[number], self._stored.rows(number)
        active = np.asarray(self._stored.active[rows])
        return _embedded(self._library, stem, active, model, beats_per_bar=self._beats_per_bar)


def embed_song(library: LibraryReader, song_id: str) -> int:
    """Embed the stems of a song that was just added; returns how many were new.

    Without a usable checkpoint nothing is done: the rules work without it.

    Raises:
        LibraryUnusable: a feature file is missing or damaged.
    """
    model = _model(library)
    if model is None:
        return 0
    keeper = _keeper(library, model)
    metre = library.song(song_id).beats_per_bar
    active = library.active(song_id=song_id)
    stems = {_key(stem, active[stem.id], metre): stem for stem in library.stems(song_id)}
    found = keeper.several(list(stems))
    kept = {key for key, embedding in found if len(embedding.rhythm) == stems[key].beats}
    made = {
        key: _embedded(library, stem, active[stem.id], model, beats_per_bar=metre)
        for key, stem in stems.items()
        if key not in kept
    }
    with contextlib.suppress(UnwritableOutput):
        keeper.put(made.items())
    return len(made)


def embedding_problems(library: LibraryReader) -> list[Problem]:
    """Stored embeddings that are damaged; missing ones are made when they are asked for."""
    model = _model(library)
    if model is None:
        return []
    keeper = _keeper(library, model)
    songs = {song.id: song for song in library.songs()}
    active = library.active()
    stems = {
        _key(stem, active[stem.id], songs[stem.song_id].beats_per_bar): stem
        for stem in library.stems()
        if stem.song_id in songs and stem.id in active  # not added or removed meanwhile
    }
    there = keeper.known(list(stems))
    whole = {
        key
        for key, found in keeper.several(sorted(there))
        if len(found.pitch) == len(found.rhythm) == stems[key].beats
    }
    problems = []
    for key, stem in stems.items():
        if key in there - whole:
            song, path = songs[stem.song_id], keeper.where(key)
            where = f": {path}" if path else ""
            message = f"{song.title!r} ({song.id}), {stem.role}: its embedding is damaged{where}."
            hint = "Delete the file; it is made again when it is needed."
            hint = hint if path else "It is made again when it is needed."
            problems.append(Problem("damaged", message, hint, path, song.id, song.title))
    return problems


def sweep_embeddings(library: LibraryReader, *, older_than_s: float = SWEEP_AGE_S) -> int:
    """Remove old embeddings of stems that are gone and of other models; returns how many."""
    model = _model(library)
    if model is None:
        return 0
    metres = {song.id: song.beats_per_bar for song in library.songs()}
    active = library.active()
    wanted = {
        _key(stem, active[stem.id], metres[stem.song_id])
        for stem in library.stems()
        if stem.id in active and stem.song_id in metres
    }
    return _keeper(library, model).sweep(wanted, older_than_s)


def _model(library: LibraryReader) -> FitModel | None:
    """The library's own model, else the shipped one; None when it cannot be used, which is said."""
    own = library.folder / _OWN_MODEL
    try:
        return load_fit(own if own.is_file() else SHIPPED_FIT)
    except DawlinkError as error:
        _LOGGER.warning("%s Stems are not embedded.", error.message)
        return None


def _keeper(library: LibraryReader, model: FitModel) -> EmbeddingKeeper:
    """Where the library's embeddings are kept."""
    if library.database.backend.shared:
        from engine.embeddings.table import EmbeddingTable

        return EmbeddingTable(library.database, model)
    return EmbeddingFiles(library.folder, model.tag)


def _embedded(
    library: LibraryReader,
    stem: StemRow,
    active: NDArray[np.bool_],
    model: FitModel,
    *,
    beats_per_bar: int,
) -> Embedding:
    rows = library.features(stem)
    pitched = stem.role not in _UNPITCHED
    return embed_stem(model, rows, active, beats_per_bar=beats_per_bar, pitched=pitched)


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
