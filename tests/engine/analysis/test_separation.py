"""Separation: one contract for every separator, and Demucs's real loading code on a tiny model."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.analysis import demucs_separation, separation
from engine.analysis.demucs_separation import DemucsSeparator, has_weights
from engine.analysis.separation import FallbackSeparator, Separator, choose_separator
from engine.audio.waveform import Waveform
from engine.errors import MissingDependency, UsageError
from engine.theory import STORED_ROLES

RATE = 44_100
SIGNATURE = "0a1b2c3d"


def song(*, channels: int = 2, rate: int = RATE, seconds: float = 3.0) -> Waveform:
    """A bass, a centred vibrato voice, a chord on the left, a snare of noise on the right."""
    time = np.arange(round(seconds * rate)) / rate
    bass = 0.2 * np.sin(2 * np.pi * 60 * time)
    voice = 0.2 * np.sin(2 * np.pi * 660 * time)
    chord = 0.1 * (np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 554.4 * time))
    noise = 0.4 * np.random.default_rng(0).standard_normal(time.size)
    snare = noise * np.exp(-((time + 0.25) % 0.5) / 0.02)
    left, right = bass + voice + chord, bass + voice + snare
    both = np.stack([left, right]).astype(np.float32)
    return Waveform(both if channels == 2 else both.mean(axis=0, keepdims=True), rate)


def tiny_model_package(*, seed: int = 0) -> dict[str, object]:
    """A small HTDemucs of the real class, in the form that Demucs saves models."""
    import torch
    from demucs.htdemucs import HTDemucs
    from demucs.states import get_state

    torch.manual_seed(seed)
    model = HTDemucs(
        sources=["drums", "bass", "other", "vocals"],
        channels=8,
        nfft=1024,
        depth=3,
        t_layers=1,
        t_heads=2,
        bottom_channels=0,
        segment=Fraction(1, 1),
    )
    arguments, keywords = model._init_args_kwargs
    state = get_state(model, None, half=True)
    return {"klass": HTDemucs, "args": arguments, "kwargs": keywords, "state": state}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from demucs.states import save_with_checksum

    folder = tmp_path_factory.mktemp("models")
    save_with_checksum(tiny_model_package(), folder / f"{SIGNATURE}.th")
    (folder / "tiny.yaml").write_text(f"models: ['{SIGNATURE}']\n", encoding="utf-8")
    return folder


@pytest.fixture(params=["hpss-center", "tiny"])
def separator(request: pytest.FixtureRequest, model_folder: Path) -> Separator:
    models = model_folder if request.param == "tiny" else None
    return choose_separator(request.param, models=models, device="cpu")


@pytest.mark.parametrize(
    ("channels", "rate", "frames"), [(2, 44_100, 66_151), (1, 48_000, 48_001), (2, 22_050, 700)]
)
def test_stems_have_the_shape_of_the_input(separator, channels, rate, frames):
    mix = song(channels=channels, rate=rate)
    mix = Waveform(np.ascontiguousarray(mix.samples[:, :frames]), rate)
    stems = separator.separate(mix)
    assert set(stems) == set(STORED_ROLES)
    for stem in stems.values():
        assert stem.samples.shape == (channels, frames)
        assert stem.sample_rate == rate
        assert np.isfinite(stem.samples).all()


def test_the_same_input_gives_the_same_stems(separator):
    mix = song(seconds=1.5)
    first, second = separator.separate(mix), separator.separate(mix)
    for role in STORED_ROLES:
        np.testing.assert_array_equal(first[role].samples, second[role].samples)


def test_silence_and_nothing_stay_so(separator):
    for frames in (0, RATE):
        stems = separator.separate(Waveform(np.zeros((2, frames), np.float32), RATE))
        assert all(stem.frames == frames for stem in stems.values())
        assert all(np.abs(stem.samples).max(initial=0) < 1e-4 for stem in stems.values())


def test_more_than_two_channels_are_refused(separator):
    with pytest.raises(UsageError, match="6 channels"):
        separator.separate(Waveform(np.zeros((6, 1000), np.float32), RATE))


def test_a_separator_says_what_it_is(separator):
    assert separator.name in ("hpss-center", "tiny")
    assert separator.is_fallback == (separator.name == "hpss-center")


@pytest.mark.parametrize("channels", [1, 2])
def test_the_fallback_adds_up_to_the_mix(channels):
    mix = song(channels=channels)
    stems = FallbackSeparator().separate(mix)
    total = sum(stem.samples for stem in stems.values())
    error = np.sqrt(np.mean((total - mix.samples) ** 2) / np.mean(mix.samples**2))
    assert 20 * np.log10(error) < -60


def test_the_fallback_sends_each_sound_where_it_belongs():
    stems = FallbackSeparator().separate(song(seconds=4))
    power = {
        role: np.abs(np.fft.rfft(stem.samples[:, : 4 * RATE])) ** 2 for role, stem in stems.items()
    }

    def strongest(frequency_hz: float, channel: int) -> str:
        at = round(frequency_hz * 4)
        return max(power, key=lambda role: float(power[role][channel, at - 2 : at + 3].sum()))

    assert strongest(60, 0) == "bass"
    assert strongest(660, 0) == "vocals"
    assert strongest(554.4, 0) == "other"
    high = {role: float(spectrum[1, 4 * 9000 :].sum()) for role, spectrum in power.items()}
    assert max(high, key=high.__getitem__) == "drums"


def test_long_audio_is_the_same_block_by_block(monkeypatch):
    mix = song(seconds=4)
    whole = FallbackSeparator().separate(mix)
    monkeypatch.setattr(separation, "_BLOCK_FRAMES", 23)
    pieces = FallbackSeparator().separate(mix)
    for role in STORED_ROLES:
        np.testing.assert_allclose(pieces[role].samples, whole[role].samples, atol=2e-4)


def test_broken_samples_do_not_spread():
    mix = song(seconds=1)
    mix.samples[0, 100] = np.nan
    for stem in FallbackSeparator().separate(mix).values():
        assert np.isfinite(stem.samples).all()


def test_demucs_gives_what_its_own_code_gives(model_folder):
    import torch
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    mix = song(seconds=1.7)
    centre = mix.samples.mean(axis=0)
    scaled = torch.from_numpy((mix.samples - centre.mean()) / centre.std())
    model = get_model("tiny", model_folder)
    with torch.inference_mode():
        theirs = apply_model(model, scaled[None], shifts=0)[0].numpy() * centre.std()
    ours = DemucsSeparator("tiny", models=model_folder, device="cpu").separate(mix)
    for source, expected in zip(model.sources, theirs, strict=True):
        np.testing.assert_allclose(ours[source].samples, expected, atol=1e-5)


def test_a_model_is_loaded_once(model_folder):
    first = demucs_separation._model("tiny", model_folder, download=False)
    assert demucs_separation._model("tiny", model_folder, download=False) is first


def test_a_single_model_is_found_by_its_signature(model_folder):
    stems = DemucsSeparator(SIGNATURE, models=model_folder, device="cpu").separate(song(seconds=1))
    assert set(stems) == set(STORED_ROLES)


def test_a_model_that_is_not_there_is_missing(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingDependency, match="htdemucs") as caught:
            DemucsSeparator(models=folder).separate(song(seconds=1))
        assert caught.value.code == "no_model"
        assert "hpss-center" in caught.value.hint


def _copy(model_folder: Path, target: Path) -> Path:
    shutil.copytree(model_folder, target)
    return next(target.glob("*.th"))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "not a model"])
def test_a_damaged_checkpoint_is_named_and_never_used(model_folder, tmp_path, damage):
    file = _copy(model_folder, tmp_path / "models")
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    file.write_bytes({"truncated": data[:1000], "empty": b""}.get(damage, bytes(data)))
    if damage == "not a model":
        _write_with_checksum(file, pickle.dumps({"klass": None}))
    with pytest.raises(MissingDependency, match="damaged") as caught:
        DemucsSeparator("tiny", models=file.parent).separate(song(seconds=1))
    assert caught.value.code == "damaged_model"


class _Trap:
    """Pickles into a call that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def _write_with_checksum(file: Path, data: bytes) -> None:
    folder = file.parent
    file.unlink()
    digest = hashlib.sha256(data).hexdigest()[:8]
    (folder / f"{SIGNATURE}-{digest}.th").write_bytes(data)


def test_code_in_a_checkpoint_is_not_run(model_folder, tmp_path):
    import io

    import torch

    file = _copy(model_folder, tmp_path / "models")
    buffer = io.BytesIO()
    torch.save({**tiny_model_package(), "extra": _Trap(tmp_path / "ran")}, buffer)
    _write_with_checksum(file, buffer.getvalue())
    with pytest.raises(MissingDependency, match="damaged"):
        DemucsSeparator("tiny", models=file.parent).separate(song(seconds=1))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_without_a_checksum_is_refused(model_folder, tmp_path):
    file = _copy(model_folder, tmp_path / "models")
    file.rename(file.with_name(f"{SIGNATURE}.th"))
    with pytest.raises(MissingDependency, match="no checksum"):
        DemucsSeparator("tiny", models=file.parent).separate(song(seconds=1))


def _hub(cache: Path, *, klass: str = "demucs.htdemucs.HTDemucs") -> Path:
    """A Hugging Face cache that holds a tiny ``htdemucs``; returns its weights' blob."""
    from safetensors.torch import save

    package = tiny_model_package(seed=1)
    keywords = dict(package["kwargs"])
    keywords["segment"] = {"_type": "fraction", "numerator": 1, "denominator": 1}
    header = {"klass": klass, "args": "[]", "kwargs": json.dumps(keywords)}
    tensors = {key: value.contiguous() for key, value in package["state"].items()}
    files = {
        "htdemucs.yaml": f"models: ['{SIGNATURE}']\n".encode(),
        f"{SIGNATURE}.safetensors": save(tensors, metadata=header),
    }
    root, revision = cache / "models--adefossez--HTDemucs", "0" * 40
    for name in ("blobs", "refs", f"snapshots/{revision}"):
        (root / name).mkdir(parents=True)
    (root / "refs" / "main").write_text(revision)
    for name, data in files.items():
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (root / "snapshots" / revision / name).symlink_to(blob)
    return blob


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(demucs_separation, "_models", {})
    separation._warn_of_fallback.cache_clear()
    return tmp_path / "hub"


def test_auto_is_demucs_when_its_weights_are_cached(hub_cache):
    _hub(hub_cache)
    assert has_weights("htdemucs")
    chosen = choose_separator("auto", device="cpu")
    assert chosen.name == "htdemucs"
    assert not chosen.is_fallback
    assert set(chosen.separate(song(seconds=1))) == set(STORED_ROLES)


def test_auto_falls_back_and_says_so_once(hub_cache, caplog):
    assert not has_weights("htdemucs")
    with caplog.at_level(logging.WARNING):
        chosen = [choose_separator("auto") for _ in range(3)]
    assert all(one.is_fallback for one in chosen)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "hpss-center" in caplog.text


def test_demucs_without_weights_or_network_is_missing(hub_cache):
    with pytest.raises(MissingDependency) as caught:
        choose_separator("htdemucs").separate(song(seconds=1))
    assert caught.value.code == "no_model"


def test_changed_weights_in_the_cache_are_damaged(hub_cache):
    blob = _hub(hub_cache)
    data = bytearray(blob.read_bytes())
    data[-10] ^= 0x40
    blob.write_bytes(data)
    with pytest.raises(MissingDependency, match="damaged"):
        choose_separator("htdemucs").separate(song(seconds=1))


def test_weights_that_name_a_foreign_class_are_refused(hub_cache):
    _hub(hub_cache, klass="subprocess.Popen")
    with pytest.raises(MissingDependency, match="not a plain Demucs model"):
        choose_separator("htdemucs").separate(song(seconds=1))


def test_an_unknown_separator_is_a_usage_error():
    with pytest.raises(UsageError, match="spleeter"):
        choose_separator("spleeter")


def test_separation_needs_neither_torch_to_choose_nor_torchaudio_to_run(model_folder):
    script = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from engine.analysis.separation import choose_separator\n"
        "from engine.audio.waveform import Waveform\n"
        "choose_separator('hpss-center')\n"
        "assert 'torch' not in sys.modules and 'scipy' not in sys.modules\n"
        "one = choose_separator('tiny', models=Path(sys.argv[1]), device='cpu')\n"
        "one.separate(Waveform(np.zeros((2, 22050), np.float32), 44100))\n"
        "assert 'torchaudio' not in sys.modules and 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(model_folder)], check=True, timeout=120)
