from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from engine.errors import MissingDependency
from engine.models import torchaudio_compat
from engine.models.mel import MEL, log_mel


def tone(hz: float, *, level_db: float = 0.0, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * MEL.sample_rate)) / MEL.sample_rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def decibels(spectrum: np.ndarray) -> np.ndarray:
    return spectrum * 30 - 40


def test_shape_and_place_of_a_tone() -> None:
    spectra = [log_mel(tone(hz)) for hz in (110.0, 440.0, 1760.0, 7040.0)]
    assert spectra[0].shape == (26, 128)
    assert spectra[0].dtype == np.float32
    bins = [int(s.mean(axis=0).argmax()) for s in spectra]
    assert bins == sorted(set(bins))
    # 128 bins evenly on the mel scale from 30 to 10 000 Hz
    mel = [2595 * np.log10(1 + hz / 700) for hz in (30.0, 440.0, 10000.0)]
    assert bins[1] == pytest.approx((mel[1] - mel[0]) / (mel[2] - mel[0]) * 129 - 1, abs=1)


def test_level_is_counted_from_full_scale() -> None:
    loud, quiet = (log_mel(tone(1000.0, level_db=level)) for level in (0.0, -30.0))
    middle = slice(4, -4)
    assert -3 < decibels(loud)[middle].max() <= 1
    difference = decibels(loud)[middle].max() - decibels(quiet)[middle].max()
    assert difference == pytest.approx(30.0, abs=0.01)
    silence = log_mel(np.zeros(32000, dtype=np.float32))
    np.testing.assert_allclose(decibels(silence), -80.0, atol=1e-4)


def test_time_runs_along_the_first_axis() -> None:
    samples = np.zeros(32000, dtype=np.float32)
    samples[16000] = 1.0
    loudest = int(log_mel(samples).mean(axis=1).argmax())
    assert loudest == 25
    assert MEL.frames_in(10.0) == 500


def test_no_bin_is_empty() -> None:
    noise = np.random.default_rng(0).standard_normal(64000).astype(np.float32)
    assert decibels(log_mel(0.1 * noise)).mean(axis=0).min() > -60


@pytest.mark.parametrize("samples", [np.zeros(100), np.zeros((2, 32000))])
def test_what_is_no_mono_clip_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono"):
        log_mel(samples.astype(np.float32))


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
