"""PreMixNet and PostMixNet as rankers: the rules place, the network listens and decides.

Huang et al. (AAAI 2021) score a triple of vocal, harmony and drums once key and tempo have been
adjusted. Here AutoMashUpper's rules say where and in which transposition each stem lies best, and
the network scores the best of them by the log-mel planes of what would be heard
(:mod:`engine.models.mix_nets.beat_mel`), in pieces of four bars whose logits are averaged. The clip
takes the vocal's plane, drums their own, every other stem the harmony's; under a clip a vocal stem
takes the vocal's plane and the clip the harmony's. A plane that nobody plays is silent, which the
networks know from their training. Two stems that share a plane are scored as pairs and averaged.

What PreMixNet makes of one stem alone is kept, so a triple costs its joint layers only. PostMixNet
hears the sum, of which nothing can be kept: it looks at fewer stems and fewer groups, and the
rules' order goes on below. Scores are probabilities of "good".
"""

from __future__ import annotations

import itertools
import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnusableInput
from engine.models.audio_source import Sound
from engine.models.automashupper import automashupper
from engine.models.mix_nets.beat_mel import (
    FLOOR_DB,
    FRAMES_PER_BEAT,
    BeatMels,
    added_up,
    levelled,
    scaled,
)
from engine.models.pool import RolePool
from engine.models.ranker import ClipFeatures, Fit, Search
from engine.models.song_reader import no_audio, sound_of
from engine.theory import Role

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.mix_nets.network import MixNet

__all__ = ["PIECE_FRAMES", "MixRanker", "plane_of"]

_LOGGER = logging.getLogger(__name__)
#: What the networks are trained on: four bars of four beats.
PIECE_FRAMES: Final = 16 * FRAMES_PER_BEAT
#: Stems and groups that PostMixNet listens to for one question.
_POST_STEMS: Final = 24
_POST_GROUPS: Final = 128
#: Stems whose share of the joint layer is kept: 150 kB each for eight bars at the small width.
_KEPT: Final = 2048
_BATCH: Final = 16


class MixRanker:
    """A :class:`~engine.models.ranker.Ranker` on a trained network."""

    def __init__(self, net: MixNet, *, mels: BeatMels | None = None) -> None:
        from engine.models.mix_nets.network import for_listening

        self.name: str = net.settings.kind
        self._net = for_listening(net)
        self._rules = automashupper()
        self._mels = mels or BeatMels()
        self._kept: OrderedDict[Hashable, NDArray[np.float16]] = OrderedDict()

    @property
    def _listens_apart(self) -> bool:
        return self._net.settings.sources > 1

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
            UnusableInput: the clip's audio cannot be read.
        """
        fits = self._rules.place(clip, pool, search, eligible=eligible)
        most = len(fits) if search.listen is None else search.listen
        heard = fits[: most if self._listens_apart else min(most, _POST_STEMS)]
        sounds = [self._readable(pool, fit, clip) for fit in heard]
        usable = [(fit, sound) for fit, sound in zip(heard, sounds, strict=True) if sound]
        scores = self._pairs(sound_of(clip), [s for _, s in usable], pool.role)
        found = [
            replace(fit, score=float(score), parts=replace(fit.parts, learned=float(score)))
            for (fit, _), score in zip(usable, scores, strict=True)
        ]
        found.sort(key=lambda fit: (-fit.score, pool.stem_ids[fit.index]))
        if search.listen is not None or not found:
            return found
        below = found[-1].score
        return found + [replace(f, score=below * f.score) for f in fits[len(heard) :]]

    def score_groups(
        self, clip: ClipFeatures, fits: Mapping[Role, Sequence[tuple[RolePool, Fit]]]
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
        """See :class:`~engine.models.ranker.Ranker`; one role alone has been scored when placed."""
        _, parts = self._rules.score_groups(clip, fits)
        roles = tuple(fits)
        pairs = [np.array([fit.score for _, fit in fits[role]], np.float32) for role in roles]
        mean = np.stack(np.meshgrid(*pairs, indexing="ij")).mean(axis=0).astype(np.float32)
        planes = [plane_of(role) for role in roles]
        if len(roles) == 1 or 0 in planes or len(set(planes)) < len(planes):
            return mean, {**parts, "learned": mean}
        order = list(itertools.product(*(range(len(fits[role])) for role in roles)))
        if not self._listens_apart:
            order.sort(key=lambda index: -float(mean[index]))
        heard = order if self._listens_apart else order[:_POST_GROUPS]
        voice = sound_of(clip)
        placed = [[_sound_of(pool, fit, clip) for pool, fit in fits[role]] for role in roles]
        groups = [
            {0: voice, **{p: placed[a][i] for a, (p, i) in enumerate(zip(planes, x, strict=True))}}
            for x in heard
        ]
        score = mean * np.float32(0.0)
        found = self._score(groups)
        lowest = float(found.min(initial=1.0))
        for index in order[len(heard) :]:
            score[index] = lowest * mean[index]
        for index, value in zip(heard, found, strict=True):
            score[index] = value
        return score, {**parts, "learned": score}

    def _pairs(self, clip: Sound, sounds: Sequence[Sound], role: Role) -> NDArray[np.float32]:
        """(sounds,) score of each under the clip."""
        plane = plane_of(role)
        return self._score([{plane: sound, int(plane == 0): clip} for sound in sounds])

    def _score(self, groups: Sequence[Mapping[int, Sound]]) -> NDArray[np.float32]:
        """(groups,) probability that the sounds, by plane, go together."""
        if not groups:
            return np.zeros(0, dtype=np.float32)
        if self._listens_apart:
            return self._of_parts(groups)
        sums = [added_up([self._plane(sound) for sound in group.values()]) for group in groups]
        return self._of_planes(sums)

    def _of_parts(self, groups: Sequence[Mapping[int, Sound]]) -> NDArray[np.float32]:
        """PreMixNet: joint layers over what is kept of every stem."""
        frames = next(iter(groups[0].values())).beats * FRAMES_PER_BEAT
        self._prepare({(plane, s.name): s for group in groups for plane, s in group.items()})
        silent = {plane: self._silence(plane, frames) for plane in range(3)}
        found = []
        for start in range(0, len(groups), _BATCH):
            total = [
                np.sum(
                    [self._kept[p, group[p].name] if p in group else silent[p] for p in range(3)],
                    axis=0,
                    dtype=np.float32,
                )
                for group in groups[start : start + _BATCH]
            ]
            found.append(self._judged(np.stack(total)))
        return np.concatenate(found)

    def _prepare(self, wanted: Mapping[tuple[int, Hashable], Sound]) -> None:
        """Listen to what is not kept yet."""
        import torch

        missing = [key for key in wanted if key not in self._kept]
        for key in wanted:
            if key in self._kept:
                self._kept.move_to_end(key)
        for source in range(3):
            own = [key for key in missing if key[0] == source]
            for start in range(0, len(own), _BATCH):
                keys = own[start : start + _BATCH]
                planes = np.stack([scaled(self._plane(wanted[key])) for key in keys])
                with torch.no_grad():
                    parts = self._net.part(source, _tensor(planes)).numpy().astype(np.float16)
                self._kept.update(zip(keys, parts, strict=True))
        while len(self._kept) > max(_KEPT, len(wanted)):
            self._kept.popitem(last=False)

    def _silence(self, source: int, frames: int) -> NDArray[np.float16]:
        import torch

        key = (source, frames)
        if key not in self._kept:
            mels = self._net.settings.mels
            plane = scaled(np.full((1, frames, mels), FLOOR_DB, dtype=np.float32))
            with torch.no_grad():
                part = self._net.part(source, _tensor(plane)).numpy()
            self._kept[key] = part[0].astype(np.float16)
        return self._kept[key]

    def _judged(self, parts: NDArray[np.float32]) -> NDArray[np.float32]:
        """(groups,) of (groups, filters, frames / 4), or with bins behind them."""
        import torch

        with torch.no_grad():
            logits = [
                self._net.judged(_tensor(piece)) for piece in _pieces(parts, 2, PIECE_FRAMES // 4)
            ]
            good = torch.softmax(torch.stack(logits).mean(dim=0), dim=1)[:, 0]
        scores: NDArray[np.float32] = good.numpy()
        return scores

    def _of_planes(self, planes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """PostMixNet: everything, for every sum."""
        import torch

        found = []
        for start in range(0, len(planes), _BATCH):
            batch = scaled(np.stack(planes[start : start + _BATCH]))[:, None]
            with torch.no_grad():
                logits = [self._net(_tensor(piece)) for piece in _pieces(batch, 2, PIECE_FRAMES)]
                found.append(torch.softmax(torch.stack(logits).mean(dim=0), dim=1)[:, 0].numpy())
        return np.concatenate(found)

    def _plane(self, sound: Sound) -> NDArray[np.float32]:
        return levelled(self._mels.of(sound))

    def _readable(self, pool: RolePool, fit: Fit, clip: ClipFeatures) -> Sound | None:
        """A stem as it is placed, unless its audio is gone; it is read in any case."""
        if pool.sounds is None:
            raise no_audio()
        try:
            sound = _sound_of(pool, fit, clip)
            self._mels.of(sound)
        except UnusableInput as error:
            _LOGGER.warning("%s", error.message)
            return None
        return sound


def plane_of(role: Role) -> int:
    """The plane that a stem of this role takes: 0 vocal, 1 harmony, 2 drums."""
    if role == "vocals":
        return 0
    return 2 if role in ("drums", "percussion") else 1


def _sound_of(pool: RolePool, fit: Fit, clip: ClipFeatures) -> Sound:
    if pool.sounds is None:
        raise no_audio()
    return pool.sounds.placed(pool, fit, beats=clip.rows.size)


def _pieces(values: NDArray[np.float32], axis: int, length: int) -> list[NDArray[np.float32]]:
    """Consecutive pieces of ``length``; a shorter whole is one piece, a shorter rest left out."""
    count = max(values.shape[axis] // length, 1)
    return [
        np.take(values, range(i * length, min((i + 1) * length, values.shape[axis])), axis)
        for i in range(count)
    ]


def _tensor(values: NDArray[np.float32]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))
