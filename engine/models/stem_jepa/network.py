"""Stem-JEPA: how compatible a stem is with a mix, from embeddings predicted by role.

Source: Riou, Lattner, Hadjeres, Anslow & Peeters, "Stem-JEPA: A Joint-Embedding Predictive
Architecture for Musical Stem Compatibility Estimation" (ISMIR 2024), section 3, with the details
of the authors' published configuration. A context encoder reads a mix of stems; a predictor is
told a role and says what the missing stem's tokens look like; a target encoder, whose weights are
a moving average of the context encoder's, reads the true stem. Nobody trains the target.

An image is (80 mel bands, 10 ms frames); patches of 16 x 16 make a grid of 5 frequency rows and
one column per 160 ms. Tokens are (batch, rows, columns, width), rows from low to high.
For retrieval a piece is embedded in chunks of 800 frames, averaged over time row by row, so the
published network gives 5 x 768 = 3840 numbers, layer-normalised as one vector and scaled to
length 1; the cosine of two of them is the score.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engine.audio.resample import resample
from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.stem_jepa.log_mel import (
    HOP_SAMPLES,
    MEL_BANDS,
    SAMPLE_RATE,
    Bands,
    LogMel,
    MelStatistics,
)
from engine.models.stem_jepa.vit import NORM_EPS, Block, RelativeBias, initialise, sin_cos_positions
from engine.theory import Role

__all__ = [
    "JEPA_ROLES",
    "LABELS",
    "PUBLISHED",
    "SMALL",
    "JepaConfig",
    "StemJepa",
    "jepa_loss",
    "standardised",
]

#: Label of each role: its index, in the channel order of the authors' files.
JEPA_ROLES: Final[tuple[Role, ...]] = ("bass", "drums", "other", "vocals")
#: Labels that other roles are asked by: a sum by its larger part.
LABELS: Final[Mapping[Role, Role]] = {
    **{role: role for role in JEPA_ROLES},
    "percussion": "drums",
    "harmonic": "other",
}
PATCH: Final = 16
ROWS: Final = MEL_BANDS // PATCH
#: 8 s, the length of a training crop and of a chunk of an embedding.
CHUNK_FRAMES: Final = 800
CHUNK_SAMPLES: Final = CHUNK_FRAMES * HOP_SAMPLES
COLUMNS: Final = CHUNK_FRAMES // PATCH
#: One column of patches: 160 ms.
COLUMN_SAMPLES: Final = PATCH * HOP_SAMPLES
#: Under the square root when a token is standardised.
_VARIANCE_FLOOR: Final = 1e-6
#: Chunks embedded at a time: 4 of them keep the published encoder below 1 GB.
_EMBED_BATCH: Final = 4


@dataclass(frozen=True)
class JepaConfig:
    """The sizes of a network and the statistics of its input.

    Args:
        width: of a token; a multiple of 4 and of ``heads``.
        depth: encoder blocks.
        heads: attention heads of a block.
        predictor_width: of the predictor's hidden layers.
        predictor_layers: linear layers of the predictor.
        relative: time is told by the distance of two columns; published is the column's number in
            its chunk, which stems share whatever they play.
        bands: how the 80 rows of an image lie; published are mel bands.
        centred: what tokens of stems have in common is taken off, so that the rest is what is
            predicted and compared; published is that they keep it.
        statistics: of the log-mel values.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    predictor_width: int = 1024
    predictor_layers: int = 6
    relative: bool = False
    bands: Bands = "mel"
    centred: bool = False
    statistics: MelStatistics = field(default_factory=MelStatistics)

    def __post_init__(self) -> None:
        if self.width % 4 or self.width % self.heads:
            raise ValueError(f"a width of {self.width} is no multiple of 4 and {self.heads} heads")
        if self.depth < 1 or self.predictor_layers < 2:
            raise ValueError("an encoder has a block, a predictor two linear layers, or more")


#: ViT-Base and the MLP predictor of the paper: 85.25 M and 6.56 M parameters.
PUBLISHED: Final = JepaConfig()
#: For one CPU core: 200 times smaller. A short training learns the easiest first, and with
#: numbered columns that is the number: so here only distances are known. Two blocks of two heads
#: take a third of the time of four of four; 123 songs do not fill more.
SMALL: Final = JepaConfig(
    width=128,
    depth=2,
    heads=2,
    predictor_width=256,
    predictor_layers=4,
    relative=True,
    bands="semitones",
    centred=True,
)


class Encoder(nn.Module):
    """ViT on 16 x 16 patches with fixed positions, or relative ones, and no class token."""

    positions: Tensor

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, config.width, PATCH, stride=PATCH)
        positions = sin_cos_positions(config.width, rows=ROWS, columns=COLUMNS)
        if config.relative:  # rows are numbered, columns are all alike
            positions = positions[:, :1].expand(-1, COLUMNS, -1).clone()
        self.register_buffer("positions", positions, persistent=False)
        self.bias = (
            RelativeBias(config.heads, rows=ROWS, columns=COLUMNS) if config.relative else None
        )
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        if config.centred:  # set by a training, learned by none
            common = torch.zeros(ROWS, 1, config.width)
            self.common: nn.Parameter | None = nn.Parameter(common, requires_grad=False)
        else:
            self.common = None

    def forward(self, image: Tensor) -> Tensor:
        """(batch, 80, frames) to (batch, 5, frames / 16, width); frames is at most 800."""
        grid = self._patched(image)
        grid = grid + self.positions[:, : grid.shape[2]]
        tokens = grid.flatten(1, 2)
        bias = None if self.bias is None else self.bias(grid.shape[2])
        for block in self.blocks:
            tokens = block(tokens, bias)
        normed: Tensor = self.norm(tokens).view(grid.shape)
        return normed if self.common is None else normed - self.common

    @torch.no_grad()
    def centre(self, images: Tensor) -> None:
        """Take off what the tokens of (batch, 80, frames) images have in common, row by row."""
        if self.common is not None:
            self.common.add_(self(images).float().mean(dim=(0, 2)).unsqueeze(1))

    def _patched(self, image: Tensor) -> Tensor:
        """(batch, rows, columns, width): the convolution as a product, its patches do not overlap.

        On some processors PyTorch's convolution in half precision gives NaN for a single column.
        """
        cells = image.reshape(image.shape[0], ROWS, PATCH, image.shape[2] // PATCH, PATCH)
        patches = cells.permute(0, 1, 3, 2, 4).flatten(3)
        return functional.linear(patches, self.patches.weight.flatten(1), self.patches.bias)


class Predictor(nn.Module):
    """An MLP that sees one token of the mix and the embedding of the missing stem's role."""

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.roles = nn.Embedding(len(JEPA_ROLES), config.width)
        sizes = [2 * config.width, *[config.predictor_width] * (config.predictor_layers - 1)]
        layers: list[nn.Module] = []
        for size_in, size_out in itertools.pairwise(sizes):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], config.width))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, tokens: Tensor, roles: Tensor) -> Tensor:
        """(batch, rows, columns, width) predicted tokens for (batch,) labels."""
        labels = self.roles(roles)[:, None, None].expand_as(tokens)
        predicted: Tensor = self.norm(self.layers(torch.cat([tokens, labels], dim=-1)))
        return predicted


class StemJepa(nn.Module):
    """The three networks and the front end they share.

    Args:
        config: sizes and statistics.
        seed: of the initial weights; the global generator is left as it was.
    """

    def __init__(self, config: JepaConfig = PUBLISHED, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.statistics, bands=config.bands)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.context = Encoder(config)
            self.predictor = Predictor(config)
            self.apply(initialise)
        self.target = copy.deepcopy(self.context).requires_grad_(False)

    def forward(self, context: Tensor, target: Tensor, roles: Tensor) -> Tensor:
        """The loss of (batch, samples) mixes, the stems missing in them, and their labels."""
        return jepa_loss(*self.views(context, target, roles))

    def views(self, context: Tensor, target: Tensor, roles: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true tokens of the missing stems, (batch, 5, columns, width) each."""
        return self.views_of_images(self.log_mel(context), self.log_mel(target), roles)

    def views_of_images(
        self, context: Tensor, target: Tensor, roles: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`views`, of (batch, 80, frames) images."""
        predicted: Tensor = self.predictor(self.context(context), roles)
        with torch.no_grad():
            wanted: Tensor = self.target(target)
        return predicted, wanted

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """Move the target: ``tau`` of itself plus ``1 - tau`` of the context encoder."""
        pairs = zip(self.target.parameters(), self.context.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast, 1.0 - tau)

    @torch.no_grad()
    def columns(self, image: Tensor, role: Role | None = None) -> Tensor:
        """(columns, 5, width) tokens of an (80, frames) image, read in chunks of 800 frames.

        Args:
            image: of a stem; or of a mix, when a role is asked for. Frames must be a multiple
                of 16.
            role: None for the target encoder's view, else what the predictor expects.

        Raises:
            ValueError: the network has no label for the role.
        """
        count = image.shape[1] // CHUNK_FRAMES
        whole, rest = image[:, : count * CHUNK_FRAMES], image[None, :, count * CHUNK_FRAMES :]
        chunks = whole.reshape(MEL_BANDS, count, CHUNK_FRAMES).transpose(0, 1)
        parts = [chunks[i : i + _EMBED_BATCH] for i in range(0, count, _EMBED_BATCH)]
        parts += [rest] if rest.shape[2] else []
        tokens = [self._tokens(part, role).transpose(1, 2).flatten(0, 1) for part in parts]
        return torch.cat(tokens)

    def embed(self, image: Tensor, role: Role | None = None) -> NDArray[np.float32]:
        """(5 * width,) embedding: the mean of :meth:`columns`, layer-normalised, of length 1."""
        return np.asarray(standardised(self.columns(image, role).mean(dim=0)[None])[0].numpy())

    def embed_stem(self, stem: Waveform) -> NDArray[np.float32]:
        """(5 * width,) embedding of a stem in the gallery: the target encoder's view.

        Raises:
            UnusableInput: the audio is shorter than one column of patches (160 ms).
        """
        return self.embed(self.image(stem))

    def embed_query(self, mix: Waveform, role: Role) -> NDArray[np.float32]:
        """(5 * width,) embedding of the stem of ``role`` that ``mix`` asks for.

        Raises:
            UnusableInput: the audio is shorter than one column of patches (160 ms).
            ValueError: the network has no label for the role.
        """
        return self.embed(self.image(mix), role)

    @torch.no_grad()
    def image(self, waveform: Waveform) -> Tensor:
        """(80, frames) of a whole piece; silence fills the last column of patches.

        Raises:
            UnusableInput: the audio is shorter than one column of patches (160 ms).
        """
        mono = resample(Waveform(waveform.mono()[np.newaxis], waveform.sample_rate), SAMPLE_RATE)
        samples = mono.samples[0]
        if samples.size < COLUMN_SAMPLES:
            raise UnusableInput(
                f"{waveform.duration_s:.3f} s of audio are too short to embed; "
                f"{COLUMN_SAMPLES / SAMPLE_RATE:.2f} s are needed.",
                hint="Choose a longer clip.",
            )
        padded = torch.from_numpy(np.pad(samples, (0, -samples.size % COLUMN_SAMPLES)))
        image: Tensor = self.log_mel(padded[None].to(self._device))[0]
        return image

    @property
    def _device(self) -> torch.device:
        return self.predictor.roles.weight.device

    def _tokens(self, images: Tensor, role: Role | None) -> Tensor:
        """(batch, 5, columns, width) of (batch, 80, frames)."""
        if role is None:
            tokens: Tensor = self.target(images)
            return tokens
        if role not in JEPA_ROLES:
            raise ValueError(f"the role {role!r} has no label, only {', '.join(JEPA_ROLES)} do")
        labels = torch.full((images.shape[0],), JEPA_ROLES.index(role), device=self._device)
        predicted: Tensor = self.predictor(self.context(images), labels)
        return predicted


def standardised(tokens: Tensor) -> Tensor:
    """(n, 5 * width) of (n, 5, width): layer-normalised as one vector each, of length 1."""
    flat = tokens.flatten(1).cpu()
    return functional.normalize(functional.layer_norm(flat, flat.shape[1:]), dim=1)


def jepa_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over tokens of ``2 - 2 cos``, [0, 4], against targets standardised token by token.

    Args:
        predicted: (..., width).
        target: (..., width); no gradient reaches it.
    """
    target = target.detach()
    centred = target - target.mean(dim=-1, keepdim=True)
    spread = target.var(dim=-1, keepdim=True, unbiased=False)
    wanted = centred / torch.sqrt(spread + _VARIANCE_FLOOR)
    cosine = functional.cosine_similarity(predicted.float(), wanted.float(), dim=-1)
    return (2.0 - 2.0 * cosine).mean()
