from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engine.errors import MissingDependency
from engine.models import torchaudio_compat
from engine.models.mix_nets.mel import MEL, mel_filters, power_spectrum


def tone(hz: float, *, level_db: float = 0.0, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * MEL.sample_rate)) / MEL.sample_rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def decibels(samples: np.ndarray, semitones: float = 0.0) -> np.ndarray:
    power = power_spectrum(samples) @ mel_filters(semitones)
    return 10 * np.log10(np.maximum(power, 1e-10))


def test_shape_and_place_of_a_tone() -> None:
    spectra = [decibels(tone(hz)) for hz in (110.0, 440.0, 1760.0, 4400.0)]
    assert spectra[0].shape == (1 + (8000 - 2048) // 320, 128)
    bins = [int(s.mean(axis=0).argmax()) for s in spectra]
    assert bins == sorted(set(bins))
    # 128 bins evenly on the mel scale from 40 to 5 000 Hz
    mel = [2595 * np.log10(1 + hz / 700) for hz in (40.0, 440.0, 5000.0)]
    assert bins[1] == pytest.approx((mel[1] - mel[0]) / (mel[2] - mel[0]) * 129 - 1, abs=1)


def test_level_is_counted_from_full_scale() -> None:
    loud, quiet = (decibels(tone(1000.0, level_db=level)).max() for level in (0.0, -30.0))
    assert -3 < loud <= 1
    assert loud - quiet == pytest.approx(30.0, abs=0.01)


def test_time_runs_along_the_first_axis() -> None:
    samples = np.zeros(32000, dtype=np.float32)
    samples[1024 + 12 * 320] = 1.0
    assert int(power_spectrum(samples).sum(axis=1).argmax()) == 12


@pytest.mark.parametrize("pitch", [64, 69, 76])
def test_semitones_are_told_apart_from_e4_on(pitch: int) -> None:
    """The loudest bin of a note is at least 3 dB louder than it is for both neighbours."""
    below, own, above = (
        decibels(tone(440.0 * 2 ** ((p - 69) / 12))).mean(axis=0)
        for p in (pitch - 1, pitch, pitch + 1)
    )
    loudest = int(own.argmax())
    assert own[loudest] - max(below[loudest], above[loudest]) > 3.0


def test_no_bin_is_empty() -> None:
    noise = np.random.default_rng(0).standard_normal(64000).astype(np.float32)
    for semitones in (-6.0, 0.0, 6.0):
        assert decibels(0.1 * noise, semitones).mean(axis=0).min() > -60


@pytest.mark.parametrize("semitones", [-5, -1, 3, 6])
def test_a_spectrum_is_read_as_if_it_were_transposed(semitones: int) -> None:
    hz = 900.0
    read = decibels(tone(hz), semitones).mean(axis=0)
    played = decibels(tone(hz * 2 ** (semitones / 12))).mean(axis=0)
    assert abs(int(read.argmax()) - int(played.argmax())) <= 1
    assert read.max() == pytest.approx(played.max(), abs=2.5)


@pytest.mark.parametrize("samples", [np.zeros(100), np.zeros((2, 32000)), np.zeros(2047)])
def test_what_is_no_mono_clip_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono"):
        power_spectrum(samples.astype(np.float32))


def test_torchaudio_is_imported_without_its_compiled_part() -> None:
    """In a fresh process, with every warning an error."""
    code = (
        "from engine.models.torchaudio_compat import transforms as t; import torch\n"
        "assert t() is t()\n"
        "assert t().Resample(32000, 16000)(torch.zeros(320)).shape == (160,)\n"
        "import torchaudio\n"
        "try: torchaudio.functional.forced_align(None, None)\n"
        "except RuntimeError as error: assert 'compiled' in str(error)\n"
        "else: raise SystemExit('the stand-in is not in place')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_torchaudio_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> object:
        raise OSError("libc10_cuda.so: cannot open shared object file")

    monkeypatch.setattr(torchaudio_compat.importlib, "import_module", fail)
    with pytest.raises(MissingDependency) as caught:
        torchaudio_compat.transforms()
    assert "libc10_cuda" in caught.value.message
    assert "torchaudio" in caught.value.hint
