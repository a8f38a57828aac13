"""What held-out songs say of a Stem-JEPA: while it is trained a few of them, then up to 80.

While it is trained the loss is that of the phase at hand, on crops that are drawn as in training;
the rank is that of the missing stem among those of its role
(:func:`engine.training.stem_jepa.check.stem_ranks`). In the contrastive phase there is no predictor
yet, so the encoder's view of the rest asks for the stem.

Stems of a song may never sound together. Where no crop can be drawn, what one would say is left
out, and the ranks, which hear whole songs, are told alone.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

from torch import Tensor

from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import HOP_SAMPLES
from engine.models.stem_jepa.network import jepa_loss
from engine.training.stem_jepa.check import draw_metrics, rank_metrics, stem_ranks
from engine.training.stem_jepa.contrast import contrastive_loss, missing_loss
from engine.training.stem_jepa.draws import SongArray, draw_batch
from engine.training.stem_jepa.pictures import (
    SongPicture,
    draw_missing,
    draw_of_one_role,
    song_picture,
)
from engine.training.stem_jepa.settings import JepaTraining
from engine.training.stem_jepa.steps import JepaSteps

__all__ = ["HeldOutSongs"]

_LOGGER = logging.getLogger(__name__)
#: So many songs are heard while training, a fifth of those that the checkpoint's metrics are of.
_MOST_SONGS: Final = 16
#: Draws while training come from this stream …
_STREAM: Final = 2**31 + 3
#: … and those of the checkpoint's metrics from this one; draws to train on from steps' numbers.
_VALIDATION_STREAM: Final = 2**31


class HeldOutSongs:
    """Songs that a network is measured on while it is trained, and when it is.

    Args:
        work: the network at work.
        songs: held out.
        training: how it is trained.
        device: of PyTorch.
    """

    def __init__(
        self, work: JepaSteps, songs: Sequence[SongArray], training: JepaTraining, device: str
    ) -> None:
        self._work, self._training, self._device = work, training, device
        self._all, self._songs = songs, tuple(songs[:_MOST_SONGS])

    def metrics(self) -> Mapping[str, float]:
        """What the checkpoint says: :class:`DrawMetrics` and :class:`RankMetrics` by name.

        Nothing without songs; the first are left out, with a word, where the songs allow no draw.
        """
        if not self._all:
            return {}
        of_draw = _of_draw(self._draw_metrics)
        if not of_draw:
            _LOGGER.warning("Held-out stems never sound together: their loss is not measured.")
        return {**of_draw, **dataclasses.asdict(rank_metrics(self._work.model, self._all))}

    def measured(self, step: int) -> Mapping[str, float]:
        """Loss and rank after ``step`` steps; nothing without songs.

        The loss is left out where the songs allow no such draw.
        """
        contrast = self._training.contrast
        is_contrast = contrast is not None and step <= contrast.steps
        ranks = stem_ranks(self._work.model, self._songs, predicted=not is_contrast)
        if not ranks.of_role.size:
            return {}
        loss = self._contrasted if is_contrast else self._predicted
        found = {"rank in role": float(ranks.of_role.mean())}
        return {**_of_draw(lambda: {"loss": float(loss())}), **found}

    @cached_property
    def _pictures(self) -> list[SongPicture]:
        return [song_picture(song) for song in self._songs]

    @property
    def _seed(self) -> tuple[int, int]:
        return self._training.seed, _STREAM

    def _draw_metrics(self) -> Mapping[str, float]:
        batch = draw_batch(
            self._all,
            batch=self._training.batch,
            samples=self._training.crop_samples,
            seed=(self._training.seed, _VALIDATION_STREAM),
        )
        return dataclasses.asdict(draw_metrics(self._work.model, batch))

    def _contrasted(self) -> Tensor:
        contrast, model = self._training.contrast, self._work.model
        assert contrast is not None
        drawn = draw_of_one_role(
            self._pictures,
            self._training.network.statistics,
            batch=contrast.batch,
            frames=contrast.crop_frames,
            seed=self._seed,
        )
        mixes, stems = (model.context(part.to(self._device)) for part in drawn[:2])
        return contrastive_loss(mixes, stems, temperature=contrast.temperature)

    def _predicted(self) -> Tensor:
        training, contrast, model = self._training, self._training.contrast, self._work.model
        samples = training.crop_samples
        if contrast is None:
            drawn = draw_batch(self._songs, batch=training.batch, samples=samples, seed=self._seed)
            return jepa_loss(*model.views(*(part.to(self._device) for part in drawn)))
        context, target, roles = (
            part.to(self._device)
            for part in draw_missing(
                self._pictures,
                training.network.statistics,
                batch=training.batch,
                frames=samples // HOP_SAMPLES,
                seed=self._seed,
            )
        )
        predicted, wanted = model.views_of_images(context, target, roles)
        apart = missing_loss(predicted, wanted, roles, temperature=contrast.temperature)
        return jepa_loss(predicted, wanted) + contrast.told_apart * apart


def _of_draw(measured: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
    """What is measured on crops that are drawn; nothing where the songs allow no such draw."""
    try:
        return measured()
    except UnusableInput:
        return {}
