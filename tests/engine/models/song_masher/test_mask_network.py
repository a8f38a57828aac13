from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.audio.waveform import Waveform
from engine.mashup.ducking import BANDS, ducking_gain
from engine.models.song_masher import mask_network
from engine.models.song_masher.mask_network import (
    SAMPLE_RATE,
    MaskConfig,
    MaskNetwork,
    apply_masks,
    mask_loss,
    spectra,
)

TINY = MaskConfig(width=4, dilations=(1, 2))


def sine(hz: float, *, seconds: float = 1.0, rate: int = SAMPLE_RATE) -> Waveform:
    t = np.arange(round(seconds * rate)) / rate
    return Waveform(np.sin(2 * np.pi * hz * t).astype(np.float32)[None], rate)


def spectrum(hz: float) -> torch.Tensor:
    return spectra(torch.from_numpy(sine(hz).samples))


def test_a_full_scale_sine_reads_one() -> None:
    found = spectrum(1000.0)
    assert found.shape == (1, 257, 101)
    assert float(found[0, :, 50].abs().max()) == pytest.approx(1.0, abs=1e-3)


def test_masks_weigh_their_song_in_their_band() -> None:
    first, second = spectrum(250.0), spectrum(4000.0)
    masks = torch.ones(1, 2, BANDS, 101)
    torch.testing.assert_close(apply_masks(first, second, masks=masks), first + second)
    masks[:, 1] = 0.0
    torch.testing.assert_close(apply_masks(first, second, masks=masks), first)
    masks[:] = 0.0
    masks[:, 0, 1] = 0.25  # 150 to 400 Hz of the first song
    weighed = apply_masks(first, second, masks=masks)
    torch.testing.assert_close(weighed[:, 8], 0.25 * first[:, 8])
    assert weighed[:, 20:].abs().max() == 0


def test_loss_is_zero_for_the_mix_itself_and_does_not_hear_phase() -> None:
    mix = spectrum(300.0)
    assert float(mask_loss(mix, mix)) == 0.0
    assert float(mask_loss(-mix, mix)) == 0.0
    assert float(mask_loss(0.5 * mix, mix)) > 0.0


def test_masks_of_waveforms_last_as_long_as_the_longer_song() -> None:
    network = MaskNetwork(TINY)
    masks = network.masks(sine(300.0, rate=44_100), sine(500.0, seconds=1.5))
    assert masks.shape == (2, BANDS, 151)
    assert masks.dtype == np.float32
    assert masks.min() >= 0.0
    assert masks.max() <= 1.0


def test_a_long_song_goes_through_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 1, 3 * SAMPLE_RATE + 77)).astype(np.float32)
    first, second = (Waveform(0.1 * samples, SAMPLE_RATE) for samples in noise)
    network = MaskNetwork(MaskConfig(width=4, dilations=(1, 8)), seed=1)
    whole = network.masks(first, second)
    for frames in (50, 100, 301):
        monkeypatch.setattr(mask_network, "_PIECE_FRAMES", frames)
        np.testing.assert_allclose(network.masks(first, second), whole, atol=1e-6)


def test_masks_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal((2, 1, 4 * SAMPLE_RATE))).astype(np.float32)
    first, second = (Waveform(samples, SAMPLE_RATE) for samples in noise)
    network, before = MaskNetwork(MaskConfig(), seed=1), torch.get_num_threads()
    try:
        masks = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            masks.append(network.masks(first, second))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_serves_ducking() -> None:
    gain = ducking_gain(sine(300.0), sine(310.0), network=MaskNetwork(TINY))
    assert gain.shape == (BANDS, 100)
    assert gain.max() <= 1.0


def test_same_seed_same_network() -> None:
    one, two, other = (MaskNetwork(TINY, seed=seed).last.weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="no network"):
        MaskConfig(dilations=())


def test_several_channels_are_heard_by_their_power() -> None:
    """A sum would make what is wide softer, and what is in opposite phase silent."""
    rng = np.random.default_rng(0)
    voice, bed = (Waveform(rng.normal(0, 0.1, (1, 16000)).astype(np.float32), 16000) for _ in "ab")
    wide = Waveform(np.concatenate([voice.samples, -voice.samples]), 16000)
    network = MaskNetwork(MaskConfig(), seed=1)
    heard = network.masks(voice, bed)
    np.testing.assert_allclose(network.masks(wide, bed), heard, atol=1e-5)
    assert np.abs(network.masks(bed, voice) - heard).max() > 1e-3
