"""The steps of a Stem-JEPA's training: one of the contrastive phase, one of the predicting phase.

Each depends on its number and the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from engine.models.stem_jepa.log_mel import HOP_SAMPLES
from engine.models.stem_jepa.network import CHUNK_FRAMES, StemJepa, jepa_loss
from engine.training.stem_jepa.contrast import Contrast, contrastive_loss, missing_loss
from engine.training.stem_jepa.draws import SongArray, draw_batch
from engine.training.stem_jepa.pictures import (
    SongPicture,
    draw_missing,
    draw_of_one_role,
    song_picture,
)
from engine.training.stem_jepa.settings import JepaTraining, rise_and_fall

__all__ = ["JepaSteps"]

#: Draws on which the common part is measured come from this stream.
_CENTRE_STREAM: Final = 2**31 + 2
#: Stems on which it is measured what all have in common.
_CENTRED_ON: Final = 128


class JepaSteps:
    """A network, its optimiser, and how they make a step.

    Args:
        songs: to learn of.
        training: how.
        device: of PyTorch.
        pictured: told how many songs have a picture, after each.
    """

    def __init__(
        self,
        songs: Sequence[SongArray],
        training: JepaTraining,
        device: str,
        *,
        pictured: Callable[[int], None] = lambda _done: None,
    ) -> None:
        self._songs, self._training, self._device = songs, training, device
        self._pictures: list[SongPicture] = []
        for song in songs if training.contrast is not None else ():
            self._pictures.append(song_picture(song))
            pictured(len(self._pictures))
        self._halved = _computes_bfloat16(device)
        self.model = StemJepa(training.network, seed=training.seed).to(device)
        self._trained = [weights for weights in self.model.parameters() if weights.requires_grad]
        parts = [self.model.context.parameters(), self.model.predictor.parameters()]
        self.optimiser = torch.optim.AdamW(
            [{"params": [w for w in part if w.requires_grad]} for part in parts],
            lr=0.0,
            betas=(0.9, 0.95),
            weight_decay=training.weight_decay,
        )

    def step(self, number: int) -> tuple[float, ...]:
        """Step ``number`` of both phases: loss, learning rate, norm of the gradients, tau."""
        contrast = self._training.contrast
        if contrast is not None and number < contrast.steps:
            return self._contrasted(contrast, number)
        return self._predicted(number, number - self._training.contrast_steps)

    def _contrasted(self, contrast: Contrast, number: int) -> tuple[float, ...]:
        shape = rise_and_fall(number, contrast.warmup_steps, contrast.steps)
        drawn = draw_of_one_role(
            self._pictures,
            self._training.network.statistics,
            batch=contrast.batch,
            frames=contrast.crop_frames,
            seed=(self._training.seed, number),
        )
        mixes, stems = (part.to(self._device) for part in drawn[:2])

        def loss() -> Tensor:
            tokens = self.model.context(torch.cat([mixes, stems]))
            return contrastive_loss(*tokens.chunk(2), temperature=contrast.temperature)

        found = self._learn(loss, contrast.rate * shape, contrast.rate * shape)
        self.model.follow(0.0)  # there is one encoder as yet
        return *found, 0.0

    def _predicted(self, number: int, of_phase: int) -> tuple[float, ...]:
        training = self._training
        if of_phase == 0:
            self._centre()
        rate, tau = training.learning_rate(of_phase), training.tau_at(of_phase)
        if training.encoder_rate == 0.0:
            self.model.context.requires_grad_(False)
        context, target, roles = (part.to(self._device) for part in self._drawn(number))

        def loss() -> Tensor:
            contrast = training.contrast
            if contrast is None:
                return jepa_loss(*self.model.views(context, target, roles))
            predicted, wanted = self.model.views_of_images(context, target, roles)
            apart = missing_loss(predicted, wanted, roles, temperature=contrast.temperature)
            return jepa_loss(predicted, wanted) + contrast.told_apart * apart

        found = self._learn(loss, rate * training.encoder_rate, rate)
        self.model.follow(tau)
        return found[0], rate, found[2], tau

    def _centre(self) -> None:
        """Between the phases: what stems have in common is taken off, and the target is set."""
        if not self._pictures:
            return
        drawn = draw_missing(
            self._pictures,
            self._training.network.statistics,
            batch=_CENTRED_ON,
            frames=CHUNK_FRAMES // 2,
            seed=(self._training.seed, _CENTRE_STREAM),
        )
        self.model.context.centre(drawn[1].to(self._device))
        self.model.follow(0.0)

    def _drawn(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        training, seed = self._training, (self._training.seed, number)
        if not self._pictures:
            return draw_batch(
                self._songs, batch=training.batch, samples=training.crop_samples, seed=seed
            )
        return draw_missing(
            self._pictures,
            training.network.statistics,
            batch=training.batch,
            frames=training.crop_samples // HOP_SAMPLES,
            seed=seed,
        )

    def _learn(
        self, loss: Callable[[], Tensor], encoder_rate: float, predictor_rate: float
    ) -> tuple[float, float, float]:
        """Loss, learning rate and norm of the gradients of one step of the optimiser."""
        for group, rate in zip(
            self.optimiser.param_groups, (encoder_rate, predictor_rate), strict=True
        ):
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        # half precision as published, but bfloat16: it needs no scaling of the loss
        with torch.autocast(torch.device(self._device).type, torch.bfloat16, enabled=self._halved):
            found = loss()
        found.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._training.clip_norm)
        self.optimiser.step()
        return float(found.detach()), encoder_rate, float(norm)


def _computes_bfloat16(device: str) -> bool:
    """Some CPUs do, a quarter faster than single precision; others imitate it, slowly."""
    return device != "cpu" or "avx512_bf16" in _cpu_features()


def _cpu_features() -> frozenset[str]:
    """What the CPU can do, as far as this PyTorch can tell."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return frozenset(name for name, there in known.items() if there)
