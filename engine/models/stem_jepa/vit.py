"""The parts of a Vision Transformer: fixed positions, a block, initial weights.

Sources: Dosovitskiy et al. (ICLR 2021), section 3.1, for the block; He et al., "Masked
autoencoders" (CVPR 2022), for two-dimensional sine-cosine positions and the initial weights.
Tokens are (batch, tokens, width).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NORM_EPS", "Block", "RelativeBias", "initialise", "sin_cos_positions"]

#: Added to the variance in every LayerNorm.
NORM_EPS: Final = 1e-6
#: Wavelengths of the positions run from 2 pi to 2 pi times this (Vaswani et al. 2017).
_POSITION_BASE: Final = 10_000.0


def sin_cos_positions(width: int, *, rows: int, columns: int) -> Tensor:
    """(rows, columns, width): the first half of a token tells the column, the second the row."""
    rates = _POSITION_BASE ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    by_row, by_column = (
        torch.cat([angles.sin(), angles.cos()], dim=1)
        for angles in (torch.arange(count)[:, None] * rates for count in (rows, columns))
    )
    down, across = by_row[:, None].expand(-1, columns, -1), by_column[None].expand(rows, -1, -1)
    return torch.cat([across, down], dim=2).float()


class RelativeBias(nn.Module):
    """How much a token listens to another, by how far apart they are, and by nothing else.

    Added to the attention (Raffel et al. 2020, section 2.1): one learned number per head for every
    distance in columns and one for every distance in rows.
    """

    def __init__(self, heads: int, *, rows: int, columns: int) -> None:
        super().__init__()
        self.across = nn.Parameter(torch.zeros(heads, 2 * columns - 1))
        self.down = nn.Parameter(torch.zeros(heads, 2 * rows - 1))
        self.rows, self.columns = rows, columns

    def forward(self, columns: int) -> Tensor:
        """(heads, tokens, tokens) of a grid of all rows and so many columns, row by row."""
        across, down = (
            torch.arange(count)[:, None] - torch.arange(count) + most - 1
            for count, most in ((columns, self.columns), (self.rows, self.rows))
        )
        pairs = self.down[:, down, None, None] + self.across[:, None, None, across]
        tokens = self.rows * columns
        return pairs.permute(0, 1, 3, 2, 4).reshape(-1, tokens, tokens)


class Block(nn.Module):
    """Pre-norm Transformer block, MLP ratio 4, GELU, no dropout (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width, eps=NORM_EPS)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """(batch, tokens, width) to the same shape; ``bias`` (heads, tokens, tokens) is added to
        what each token says to each before the softmax.
        """
        attended: Tensor = self.merge(self._attention(self.norm_attention(tokens), bias))
        tokens = tokens + attended
        changed: Tensor = self.mlp(self.norm_mlp(tokens))
        return tokens + changed

    def _attention(self, tokens: Tensor, bias: Tensor | None) -> Tensor:
        batch, count, width = tokens.shape
        split = self.query_key_value(tokens).view(batch, count, 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=None if bias is None else bias.to(query.dtype)
        )
        return heard.transpose(1, 2).reshape(batch, count, width)


def initialise(module: nn.Module) -> None:
    """Xavier-uniform matrices and zero biases, as in masked autoencoders (He et al. 2022)."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        fan_in = math.prod(module.weight.shape[1:])
        bound = math.sqrt(6.0 / (fan_in + module.weight.shape[0]))
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
