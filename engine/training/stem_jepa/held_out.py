"""What is told of held-out songs while a Stem-JEPA is trained: a few songs, in seconds.

The loss is that of the phase at hand, on crops that are drawn as in training; the rank is that of
the missing stem among those of its role (:func:`engine.training.stem_jepa.check.stem_ranks`). In
the contrastive phase there is no predictor yet, so the encoder's view of the rest asks for the
stem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from torch import Tensor

from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import HOP_SAMPLES
from engine.models.stem_jepa.network import jepa_loss
from engine.training.stem_jepa.check import stem_ranks
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

#: So many songs are heard, a fifth of those that the checkpoint's metrics are taken of.
_MOST_SONGS: Final = 16
#: Draws come from this stream.
_STREAM: Final = 2**31 + 3


class HeldOutSongs:
    """Songs that a network is measured on while it is trained.

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
        self._songs = tuple(songs[:_MOST_SONGS])

    def measured(self, step: int) -> Mapping[str, float]:
        """Loss and rank after ``step`` steps; nothing without songs.

        The loss is left out where the songs allow no such draw.
        """
        contrast = self._training.contrast
        is_contrast = contrast is not None and step <= contrast.steps
        ranks = stem_ranks(self._work.model, self._songs, predicted=not is_contrast)
        if not ranks.of_role.size:
            return {}
        found = {"rank in role": float(ranks.of_role.mean())}
        try:
            return {
                "loss": float(self._contrasted() if is_contrast else self._predicted()),
                **found,
            }
        except UnusableInput:
            return found

    @cached_property
    def _pictures(self) -> list[SongPicture]:
        return [song_picture(song) for song in self._songs]

    @property
    def _seed(self) -> tuple[int, int]:
        return self._training.seed, _STREAM

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
