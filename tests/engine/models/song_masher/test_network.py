from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.audio.waveform import Waveform
from engine.models.song_masher.network import (
    BINS,
    Defects,
    MasherConfig,
    SongMasher,
    mash,
    spectrum,
)


def noise(seconds: float, *, seed: int = 0, rate: int = 8000) -> Waveform:
    samples = np.random.default_rng(seed).standard_normal((1, round(seconds * rate)))
    return Waveform((0.2 * samples).astype(np.float32), rate)


def size(module: nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters() if weights.requires_grad)


@pytest.mark.parametrize("part", ["magnitude", "phase"])
def test_published_size(part: str) -> None:
    config = MasherConfig("phase" if part == "phase" else "magnitude")
    assert size(SongMasher(config)) == 2_038_273


def test_mended_attention_adds_three_matrices() -> None:
    mended = MasherConfig(defects=Defects(untrained_attention=False))
    assert size(SongMasher(mended)) == 2_038_273 + 3 * 256 * 256


def test_a_minute_is_3751_frames() -> None:
    assert spectrum(noise(61.0, rate=16_000)).shape == (3751, 257)


def test_training_never_reaches_the_published_attention() -> None:
    for defects, reached in ((Defects(), False), (Defects.none(), True)):
        model = SongMasher(MasherConfig(width=8, defects=defects))
        first, second = torch.rand(2, 1, 6, BINS, generator=torch.Generator().manual_seed(0))
        model(first, second).sum().backward()
        assert ("attention.query" in dict(model.named_parameters())) is reached
        if reached:
            assert model.attention.query.grad is not None
            assert model.attention.query.grad.abs().max() > 0


def attention_of(*, reshaped: bool, frames: torch.Tensor) -> torch.Tensor:
    defects = Defects(reshaped_keys=reshaped)
    attention = SongMasher(MasherConfig(width=8, defects=defects), seed=2).attention
    found: torch.Tensor = attention(frames)
    return found


def test_reshaped_keys_mix_frames_with_features() -> None:
    frames = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    right = attention_of(reshaped=False, frames=frames)
    wrong = attention_of(reshaped=True, frames=frames)
    # attention without positions does not care in which order frames come
    torch.testing.assert_close(
        attention_of(reshaped=False, frames=frames[:, order]), right[:, order]
    )
    assert not torch.allclose(
        attention_of(reshaped=True, frames=frames[:, order]), wrong[:, order], atol=1e-3
    )


def test_only_the_cosine_of_a_phase_survives() -> None:
    spectra = torch.polar(torch.full((4, BINS), 3.0), torch.linspace(-3, 3, 4 * BINS).view(4, BINS))
    published = MasherConfig("phase")
    planes = published.planes(spectra)
    torch.testing.assert_close(planes, spectra.angle().cos())
    assert published.complex_of(planes).imag.abs().max() == 0
    mended = MasherConfig("phase", defects=Defects.none())
    assert mended.planes(spectra).shape == (4, 2 * BINS)
    torch.testing.assert_close(
        mended.complex_of(mended.planes(spectra)), spectra / spectra.abs(), atol=1e-5, rtol=0
    )


def test_answering_zero_to_cosines_of_uniform_phases_has_an_error_of_a_half() -> None:
    cosines = MasherConfig("phase").planes(spectrum(noise(20.0)))
    assert float(cosines.square().mean()) == pytest.approx(0.5, abs=0.005)


def test_what_was_divided_by_80_is_multiplied_by_60() -> None:
    spectra = spectrum(noise(0.5))
    for defects, factor in ((Defects(), 0.75), (Defects.none(), 1.0)):
        config = MasherConfig(defects=defects)
        heard = config.complex_of(config.planes(spectra)).real
        torch.testing.assert_close(heard, factor * spectra.abs())


def test_both_songs_and_their_order_count() -> None:
    model = SongMasher(MasherConfig(width=8))
    first, second = torch.rand(2, 1, 6, BINS, generator=torch.Generator().manual_seed(0))
    one, two = model(first, second), model(second, first)
    assert one.shape == (1, 6, BINS)
    assert not torch.allclose(one, two)


def test_decoder_starts_from_the_outputs_that_both_songs_end_on() -> None:
    model = SongMasher(MasherConfig(width=8))
    first, second = torch.rand(2, 1, 6, BINS, generator=torch.Generator().manual_seed(0))
    hidden, cell = (model.encoder(song)[0][:, -1][None] for song in (first, second))
    frames = [model.attention(model.encoder(song)[0]) for song in (first, second)]
    decoded, _ = model.decoder(torch.cat([*frames, first, second], dim=-1), (hidden, cell))
    torch.testing.assert_close(model(first, second), model.output(decoded))


def test_mash_writes_sound_of_the_shorter_length() -> None:
    networks = (SongMasher(MasherConfig(width=8)), SongMasher(MasherConfig("phase", width=8)))
    sound = mash(noise(0.5), noise(0.8, seed=1), networks=networks)
    assert sound.sample_rate == 8000
    assert sound.frames == 3968  # 31 whole hops of 128
    assert np.isfinite(sound.samples).all()
    assert np.abs(sound.samples).max() > 0


def test_same_seed_same_network() -> None:
    one, two, other = (SongMasher(MasherConfig(width=8), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.output.weight, two.output.weight)
    assert torch.equal(one.attention.query, two.attention.query)
    assert not torch.equal(one.output.weight, other.output.weight)
