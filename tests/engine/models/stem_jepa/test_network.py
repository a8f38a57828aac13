from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from engine.audio.waveform import Waveform
from engine.errors import UnusableInput
from engine.models.stem_jepa.network import (
    PATCH,
    PUBLISHED,
    ROWS,
    SMALL,
    Encoder,
    JepaConfig,
    Predictor,
    StemJepa,
    jepa_loss,
)
from engine.models.stem_jepa.vit import sin_cos_positions

TINY = JepaConfig(width=16, depth=1, heads=2, predictor_width=16, predictor_layers=2)


def noise(seconds: float, *, seed: int = 0, rate: int = 16_000) -> Waveform:
    rng = np.random.default_rng(seed)
    samples = 0.2 * rng.standard_normal((1, round(seconds * rate)))
    return Waveform(samples.astype(np.float32), rate)


def size(module: nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters() if weights.requires_grad)


def test_published_sizes() -> None:
    with torch.device("meta"):
        encoder, predictor = Encoder(PUBLISHED), Predictor(PUBLISHED)
    assert size(encoder) == 85_253_376
    assert size(predictor) == 6_564_096
    assert ROWS * PUBLISHED.width == 3840


def test_small_is_60_times_smaller() -> None:
    model = StemJepa(SMALL)
    assert size(model.context) < 85_253_376 / 60
    assert size(model.target) == 0


def test_eight_seconds_are_250_tokens() -> None:
    tokens = Encoder(TINY)(torch.zeros(2, 80, 800))
    assert tokens.shape == (2, 5, 50, 16)


def test_positions_are_fixed_and_tell_rows_from_columns() -> None:
    positions = sin_cos_positions(16, rows=5, columns=50)
    flat = positions.reshape(250, 16)
    assert torch.pdist(flat).min() > 0.01
    assert torch.equal(positions[0, :, :8], positions[4, :, :8])  # the column, whatever the row
    assert torch.equal(positions[:, 0, 8:], positions[:, 49, 8:])
    encoder = Encoder(TINY)
    assert "positions" not in dict(encoder.named_parameters())
    assert "positions" not in encoder.state_dict()


def test_loss_is_zero_for_the_target_itself_and_four_for_its_opposite() -> None:
    target = torch.randn(2, 5, 3, 16, generator=torch.Generator().manual_seed(0))
    standard = target - target.mean(dim=-1, keepdim=True)
    assert float(jepa_loss(7.0 * standard, target)) == pytest.approx(0.0, abs=1e-5)
    assert float(jepa_loss(-standard, target)) == pytest.approx(4.0, abs=1e-5)


def test_loss_of_the_target_before_standardising_is_not_zero() -> None:
    target = 3.0 + torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    assert float(jepa_loss(target, target)) > 0.5


def test_no_gradient_reaches_the_target() -> None:
    model = StemJepa(TINY, seed=1)
    audio = torch.randn(2, 5120, generator=torch.Generator().manual_seed(0))
    model(audio, audio.flip(0), torch.tensor([0, 3])).backward()
    assert all(weights.grad is None for weights in model.target.parameters())
    moved = [*model.context.parameters(), *model.predictor.parameters()]
    assert all(weights.grad is not None for weights in moved)


def test_target_follows_by_tau() -> None:
    model = StemJepa(TINY)
    fast, slow = model.context.norm.weight, model.target.norm.weight
    with torch.no_grad():
        fast.fill_(3.0)
    model.follow(0.75)
    torch.testing.assert_close(slow.data, torch.full((16,), 1.0 * 0.75 + 3.0 * 0.25))
    model.follow(1.0)
    torch.testing.assert_close(slow.data, torch.full((16,), 1.5))


def test_same_seed_same_network_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = StemJepa(TINY, seed=3), StemJepa(TINY, seed=3), StemJepa(TINY, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.context.patches.weight, two.context.patches.weight)
    assert not torch.equal(one.context.patches.weight, other.context.patches.weight)


def test_embeddings_are_unit_vectors_that_depend_on_the_role() -> None:
    model = StemJepa(TINY).eval()
    stem = model.embed_stem(noise(1.0))
    assert stem.shape == (80,)
    assert stem.dtype == np.float32
    assert np.linalg.norm(stem) == pytest.approx(1.0, abs=1e-5)
    assert stem.mean() == pytest.approx(0.0, abs=1e-5)
    bass, drums = (model.embed_query(noise(1.0), role) for role in ("bass", "drums"))  # type: ignore[arg-type]
    assert not np.allclose(bass, drums, atol=1e-3)


def test_embedding_is_the_mean_over_all_columns_of_all_chunks() -> None:
    model = StemJepa(TINY).eval()
    piece = noise(17.0)  # two whole chunks and a short one of 7 columns, the last one padded
    total, columns = torch.zeros(5, 16), 0
    samples = torch.from_numpy(np.pad(piece.samples[0], (0, -piece.frames % 2560)))
    for chunk in model.log_mel(samples[None])[0].split(800, dim=1):
        with torch.no_grad():
            tokens = model.target(chunk[None])[0]
        total, columns = total + tokens.sum(dim=1), columns + tokens.shape[1]
    assert columns == 107
    flat = nn.functional.layer_norm((total / columns).flatten(), (80,))
    wanted = (flat / flat.norm()).numpy()
    np.testing.assert_allclose(model.embed_stem(piece), wanted, atol=1e-5)


def test_embedding_hears_the_same_at_another_rate() -> None:
    model = StemJepa(TINY).eval()
    t = np.arange(44_100) / 44_100
    sine = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    high = model.embed_stem(Waveform(np.stack([sine, sine]), 44_100))
    t = np.arange(16_000) / 16_000
    low = model.embed_stem(Waveform(np.sin(2 * np.pi * 440 * t).astype(np.float32)[None], 16_000))
    assert float(high @ low) > 0.99


def test_too_short_and_unknown_roles_are_refused() -> None:
    model = StemJepa(TINY).eval()
    with pytest.raises(UnusableInput, match="too short"):
        model.embed_stem(noise(0.1))
    with pytest.raises(ValueError, match="no label"):
        model.embed_query(noise(1.0), "mix")


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="no multiple"):
        JepaConfig(width=18, heads=2)


def test_patches_are_those_of_a_convolution() -> None:
    encoder = StemJepa(TINY).context
    image = torch.randn(2, 80, 48)
    wanted = encoder.patches(image.unsqueeze(1)).permute(0, 2, 3, 1)
    torch.testing.assert_close(encoder._patched(image), wanted, atol=1e-5, rtol=1e-5)


def test_relative_positions_know_distances_only() -> None:
    """Steady sound has the same tokens in every column; numbered columns tell them apart."""
    steady = torch.randn(1, 80, PATCH).repeat(1, 1, 9)
    spread = {}
    for relative in (True, False):
        encoder = StemJepa(dataclasses.replace(TINY, relative=relative)).context
        with torch.no_grad():
            spread[relative] = float(encoder(steady).std(dim=2).max())
    assert spread[True] < 1e-5 < 0.01 < spread[False]
    bias = StemJepa(dataclasses.replace(TINY, relative=True)).context.bias
    assert bias is not None
    torch.nn.init.normal_(bias.across)
    torch.nn.init.normal_(bias.down)
    pairs = bias(7).view(-1, 5, 7, 5, 7)
    torch.testing.assert_close(pairs[:, 1:, 2:, 1:, 2:], pairs[:, :-1, :-2, :-1, :-2])
