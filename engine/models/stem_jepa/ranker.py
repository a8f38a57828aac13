"""Stem-JEPA as a ranker: how near a stem is to what the network expects under a clip.

Source: Riou et al. (ISMIR 2024), section 4, for the score: the cosine of the predicted embedding
of the wanted role and the target encoder's embedding of the stem, means over time that keep the
five frequency rows, layer-normalised; here (1 + cosine) / 2, [0, 1].

The network hears everything in place, so AutoMashUpper's rules say where a stem lies and, in a
large pool, which stems are worth hearing. A group scores the mean of its pairs, as for the other
rankers; two stems are asked for each other both ways. Whole songs are read as published, in their
own tempo and key. Embeddings are kept by content.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.audio_source import Sound, own_audio
from engine.models.automashupper import automashupper
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, FitParts, Search
from engine.models.song_reader import no_audio, sound_of
from engine.models.stem_jepa.audio import heard_tempo, sound_image
from engine.models.stem_jepa.embedding_store import EmbeddingStore
from engine.models.stem_jepa.log_mel import SAMPLE_RATE
from engine.models.stem_jepa.network import COLUMN_SAMPLES, LABELS, StemJepa, standardised
from engine.theory import Role

__all__ = ["JepaRanker", "load_jepa_ranker"]

_LOGGER = logging.getLogger(__name__)
#: Longer clips are heard so far [s]: two chunks.
_HEARD_S: Final = 16.0

Embedding = NDArray[np.float32]


class JepaRanker:
    """A :class:`~engine.models.ranker.Ranker` and :class:`~engine.models.song_reader.SongReader`.

    Args:
        model: trained.
        store: keeps embeddings.
    """

    name = "stem-jepa"
    column_s: float = COLUMN_SAMPLES / SAMPLE_RATE

    def __init__(self, model: StemJepa, store: EmbeddingStore) -> None:
        self._model = model.eval()
        self._store = store
        self._rules = automashupper()
        self._network = _fingerprint(model)

    def place(
        self,
        clip: ClipFeatures,
        pool: RolePool,
        search: Search,
        *,
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[Fit]:
        """See :class:`~engine.models.ranker.Ranker`; stems whose audio is gone are left out.

        Raises:
            UnusableInput: there is no audio to hear, or that of the clip cannot be read.
        """
        fits = self._rules.place(clip, pool, search, eligible=eligible)[: search.listen]
        if not fits:
            return []
        sound = sound_of(clip)
        if pool.sounds is None:
            raise no_audio()
        tempo_bpm = heard_tempo(sound)
        asked = self._asked(_heard(sound, tempo_bpm), pool.role, tempo_bpm)
        heard = []
        for fit in fits:
            try:
                found = self._found(_placed(pool, fit, clip, tempo_bpm), tempo_bpm)
            except UnusableInput as error:
                _LOGGER.warning("%s", error.message)
                continue
            score = float(_score(np.asarray(asked @ found)))
            heard.append(replace(fit, score=score, parts=FitParts(learned=score)))
        self._store.flush()
        return sorted(heard, key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`: the mean of all pairs.

        Raises:
            UnusableInput: there is no audio to hear, or it cannot be read.
        """
        _, parts = self._rules.score_groups(clip, fits)
        shape = tuple(len(members) for members in fits.values())
        tempo_bpm = heard_tempo(sound_of(clip))
        total = np.zeros(shape, dtype=np.float32)
        for axis, members in enumerate(fits.values()):
            own = np.array([fit.score for _, fit in members], dtype=np.float32)
            total += _along(own, (axis,), len(shape))
        pairs = list(itertools.combinations(enumerate(fits.items()), 2))
        for (a, one), (b, other) in pairs:
            total += _along(self._pair_scores(clip, one, other, tempo_bpm), (a, b), len(shape))
        self._store.flush()
        score = (total / (len(shape) + len(pairs))).astype(np.float32)
        return score, {**parts, "learned": score}

    def song_scores(
        self, queries: Sequence[tuple[Sound, Role]], items: Sequence[Sound]
    ) -> NDArray[np.float64]:
        """See :class:`~engine.models.song_reader.SongReader`: cosines of whole songs."""
        found = [self._song(sound) for sound in items]
        asked = [self._song(sound, role) for sound, role in queries]
        self._store.flush()
        return np.stack(asked).astype(np.float64) @ np.stack(found).T.astype(np.float64)

    def song_columns(self, sound: Sound, role: Role | None = None) -> Embedding:
        """See :class:`~engine.models.song_reader.SongReader`."""
        image = self._model.image(Waveform(own_audio(sound, SAMPLE_RATE)[np.newaxis], SAMPLE_RATE))
        columns = self._model.columns(image, None if role is None else LABELS[role])
        return np.asarray(standardised(columns).numpy(), dtype=np.float32)

    def _song(self, sound: Sound, role: Role | None = None) -> Embedding:
        def embed() -> Embedding:
            audio = Waveform(own_audio(sound, SAMPLE_RATE)[np.newaxis], SAMPLE_RATE)
            label = None if role is None else LABELS[role]
            return self._model.embed(self._model.image(audio), label)

        return self._kept("song", sound, role, embed)

    def _pair_scores(
        self,
        clip: ClipFeatures,
        one: tuple[Role, Sequence[tuple[RolePool, Fit]]],
        other: tuple[Role, Sequence[tuple[RolePool, Fit]]],
        tempo_bpm: float,
    ) -> NDArray[np.float32]:
        """(members of one, members of the other): each asked for by the other, both ways' mean."""
        (role_a, fits_a), (role_b, fits_b) = one, other
        sounds_a = [_placed(pool, fit, clip, tempo_bpm) for pool, fit in fits_a]
        sounds_b = [_placed(pool, fit, clip, tempo_bpm) for pool, fit in fits_b]
        found_a, found_b = (
            np.stack([self._found(sound, tempo_bpm) for sound in sounds])
            for sounds in (sounds_a, sounds_b)
        )
        asked_b = np.stack([self._asked(sound, role_b, tempo_bpm) for sound in sounds_a])
        asked_a = np.stack([self._asked(sound, role_a, tempo_bpm) for sound in sounds_b])
        both = np.float32(0.5) * (asked_b @ found_b.T + found_a @ asked_a.T)
        return _score(both)

    def _asked(self, sound: Sound, role: Role, tempo_bpm: float) -> Embedding:
        """Embedding of the stem of ``role`` that a sound asks for."""
        return self._kept(tempo_bpm, sound, role, lambda: self._placed_at(sound, tempo_bpm, role))

    def _found(self, sound: Sound, tempo_bpm: float) -> Embedding:
        """Embedding of a stem in the gallery."""
        return self._kept(tempo_bpm, sound, None, lambda: self._placed_at(sound, tempo_bpm))

    def _placed_at(self, sound: Sound, tempo_bpm: float, role: Role | None = None) -> Embedding:
        image = sound_image(self._model.log_mel, sound, tempo_bpm)
        return self._model.embed(image, None if role is None else LABELS[role])

    def _kept(
        self,
        how: str | float,
        sound: Sound,
        role: Role | None,
        make: Callable[[], Embedding],
    ) -> Embedding:
        label = None if role is None else LABELS[role]
        return self._store.get((self._network, how, *sound.name, label), make)


def load_jepa_ranker(path: Path) -> JepaRanker:
    """The ranker of a checkpoint; embeddings are kept in the user's cache folder.

    Raises:
        MissingDependency: the checkpoint is not there, damaged, or of another kind.
    """
    import platformdirs

    from engine.models.stem_jepa.checkpoint import load_stem_jepa

    kept = platformdirs.user_cache_path("dawlink", False) / "stem-jepa.sqlite"
    return JepaRanker(load_stem_jepa(path), EmbeddingStore(kept))


def _placed(pool: RolePool, fit: Fit, clip: ClipFeatures, tempo_bpm: float) -> Sound:
    if pool.sounds is None:
        raise no_audio()
    return _heard(pool.sounds.placed(pool, fit, beats=int(clip.rows.size)), tempo_bpm)


def _heard(sound: Sound, tempo_bpm: float) -> Sound:
    """The beginning of a sound, so far as it is heard."""
    beats = max(round(_HEARD_S * tempo_bpm / 60.0), 1)
    return sound if sound.beats <= beats else sound.at(np.arange(beats))


def _score(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip((1 + cosine) / 2, 0, 1).astype(np.float32)


def _along(values: NDArray[np.float32], axes: tuple[int, ...], count: int) -> NDArray[np.float32]:
    """Values of rising ``axes`` laid out over ``count`` axes."""
    shape = [1] * count
    for axis, size in zip(axes, values.shape, strict=True):
        shape[axis] = size
    return values.reshape(shape)


def _fingerprint(model: StemJepa) -> str:
    """Names the network: its weights, and what its input is normalised by."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
