"""How a Stem-JEPA is trained: the published run, and the small one for a CPU.

Source: Riou et al. (ISMIR 2024), section 4.2, and the authors' configuration.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Final

from engine.checkpoints import Plain
from engine.models.stem_jepa.network import CHUNK_SAMPLES, PUBLISHED, SMALL, JepaConfig
from engine.training.stem_jepa.contrast import Contrast

__all__ = [
    "PUBLISHED_TRAINING",
    "SMALL_TRAINING",
    "JepaTraining",
    "plain_settings",
    "preset_for",
    "rise_and_fall",
]


@dataclass(frozen=True)
class JepaTraining:
    """How a network is trained; the defaults are the published run.

    Args:
        network: sizes.
        steps: in which the network learns to predict.
        warmup_steps: linear rise of the learning rate.
        batch: examples per step.
        rate_per_256: learning rate for a batch of 256; it scales with the batch.
        weight_decay: of AdamW.
        clip_norm: highest norm of all gradients together.
        tau: of the target's moving average, first and last step.
        crop_samples: length of a crop at 16 kHz, whole columns of patches.
        seed: of weights and draws.
        encoder_rate: learning rate of the encoder over that of the predictor; 0 leaves it as the
            phase before made it.
        contrast: a phase before, of the encoder alone; with it, songs are drawn as pictures.
    """

    network: JepaConfig = field(default=PUBLISHED)
    steps: int = 300_000
    warmup_steps: int = 20_000
    batch: int = 256
    rate_per_256: float = 3e-4
    weight_decay: float = 0.05
    clip_norm: float = 3.0
    tau: tuple[float, float] = (0.99995, 0.99999)
    crop_samples: int = CHUNK_SAMPLES
    seed: int = 0
    encoder_rate: float = 1.0
    contrast: Contrast | None = None

    def __post_init__(self) -> None:
        if self.contrast is not None and self.network.bands != "semitones":
            raise ValueError("pictures in memory have semitone bands, the network has others")
        if not 0 <= self.warmup_steps < self.steps:
            raise ValueError(f"{self.warmup_steps} of {self.steps} steps cannot be warm-up")
        if not 0.0 <= self.tau[0] <= self.tau[1] <= 1.0:
            raise ValueError(f"the target's rate cannot go from {self.tau[0]} to {self.tau[1]}")

    @property
    def contrast_steps(self) -> int:
        """Of the phase before."""
        return 0 if self.contrast is None else self.contrast.steps

    @property
    def all_steps(self) -> int:
        """Of both phases."""
        return self.contrast_steps + self.steps

    def learning_rate(self, step: int) -> float:
        """Of step ``step`` (0-based) of its phase: linear from 0, then half a cosine down to 0."""
        peak = self.rate_per_256 * self.batch / 256
        return peak * rise_and_fall(step, self.warmup_steps, self.steps)

    def tau_at(self, step: int) -> float:
        """Share of itself that the target keeps after step ``step``."""
        first, last = self.tau
        return first + (last - first) * step / max(self.steps - 1, 1)


PUBLISHED_TRAINING: Final = JepaTraining()
#: A quarter of an hour of one CPU core. Chosen on rendered validation songs (docs/stem-jepa.md).
SMALL_TRAINING: Final = JepaTraining(
    network=SMALL,
    steps=600,
    warmup_steps=20,
    batch=32,
    rate_per_256=16e-3,
    tau=(1.0, 1.0),
    crop_samples=CHUNK_SAMPLES // 2,
    encoder_rate=0.0,
    contrast=Contrast(steps=1300, warmup_steps=30),
)


def preset_for(device: str) -> JepaTraining:
    """The published run, or on a CPU the small one."""
    return SMALL_TRAINING if device == "cpu" else PUBLISHED_TRAINING


def rise_and_fall(step: int, warmup_steps: int, steps: int) -> float:
    """[0, 1]: linear from 0, then half a cosine down to 0."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / (steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def plain_settings(training: JepaTraining) -> dict[str, Plain]:
    """All settings of a run by plain names."""
    plain: dict[str, Plain] = {}
    for name, value in dataclasses.asdict(training).items():
        if name == "network":
            statistics = value.pop("statistics")
            plain.update(value, mel_mean=statistics["mean"], mel_std=statistics["std"])
        elif name == "tau":
            plain.update(tau_first=value[0], tau_last=value[1])
        elif name == "contrast":
            plain.update({f"contrast_{key}": each for key, each in (value or {}).items()})
        else:
            plain[name] = value
    return plain
