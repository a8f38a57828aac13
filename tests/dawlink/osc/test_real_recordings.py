"""Real recordings as clips: what is heard of them lies on the session's grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis.attacks import attack_function
from engine.audio.decode import decode
from engine.audio.resample import resample
from tests.dawlink.osc.client import OscClient
from tests.dawlink.osc.conftest import suggested
from tests.dawlink.osc.daemon import Running
from tests.fake_live import studio
from tests.recordings import needs_recordings, recordings_dir

pytestmark = [pytest.mark.slow, needs_recordings]

BARS = 8
DRUMS_BPM = 128.0
SESSION_BPM = 120.0
#: Attacks weaker than this say nothing about where the beat is [dB, summed over three bands].
CLEAR_DB = 40.0


@pytest.fixture(scope="module")
def real_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with studio.daemon(studio.recorded(), tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture(scope="module")
def adrift(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, studio.Markers]:
    """Eight bars of a real kick drum, its tempo drifting by 4 % to either side."""
    folder = recordings_dir() / "real_stems" / "lmms_shovon_progressivehousepluckdemo"
    begin_s = 32 * 4 * 60 / DRUMS_BPM
    kick = decode(
        folder / "drums__3_kick01.ogg.flac",
        start_s=begin_s,
        end_s=begin_s + BARS * 4 * 60 / DRUMS_BPM,
    )
    played, markers = studio.drifted(kick, DRUMS_BPM, 4 * BARS)
    path = tmp_path_factory.mktemp("adrift") / "Kick adrift.wav"
    soundfile.write(path, played.samples.T, played.sample_rate)
    return path, markers


def off_grid_ms(path: Path, bpm: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far clear attacks near the beats are from them."""
    sound = decode(path)
    mono = resample(sound, 44100).samples.mean(axis=0)
    beats_s = 60 / bpm * np.arange(1, 4 * BARS)
    picks = attack_function(mono).near(beats_s, reach_s=0.06, spread_s=0.02)
    clear = picks.strength > CLEAR_DB
    return np.asarray(1000 * (picks.times_s - beats_s)[clear])


def rendered_clip(client: OscClient, path: Path, markers: studio.Markers, folder: Path) -> Path:
    """The clip itself as a render warps it, told of along ``markers``."""
    client.send("/dawlink/set/tempo", "f", SESSION_BPM)
    client.send("/dawlink/set/project", "s", str(folder))
    about = (str(path), 1, 0.0, 4.0 * BARS, 0, 0.0)
    clip_id = str(client.ask("/dawlink/clip", "siffif", *about).values[1])
    req = client.number()
    for index, (sec, beat) in enumerate(markers):
        client.send("/dawlink/clip/warp", "isiiff", req, clip_id, index, len(markers), sec, beat)
    client.until("/dawlink/clip/warp/done")
    stem = suggested(client, clip_id, 1)[1][0]
    client.send("/dawlink/render", "issffs", 901, stem, clip_id, 0.0, float(BARS), "clip")
    client.until("/dawlink/render/done", timeout_s=120)
    files = [m.values for m in client.heard if m.address == "/dawlink/render/file"]
    return Path(str(next(path for _, kind, path in files if kind == "clip")))


def test_a_clip_that_drifts_is_straightened_along_its_markers(
    real_daemon: Running, adrift: tuple[Path, studio.Markers], tmp_path: Path
) -> None:
    path, markers = adrift
    with real_daemon.client() as client:
        straight = rendered_clip(client, path, markers, tmp_path)
        off = off_grid_ms(straight, SESSION_BPM)
        assert off.size >= 2 * BARS
        assert np.abs(off).max() < 10.0


def test_without_its_markers_it_would_not_be(
    real_daemon: Running, adrift: tuple[Path, studio.Markers], tmp_path: Path
) -> None:
    """The measure bites: the first and last marker alone leave the drift in."""
    path, markers = adrift
    with real_daemon.client() as client:
        crooked = rendered_clip(client, path, (markers[0], markers[-1]), tmp_path)
        assert np.abs(off_grid_ms(crooked, SESSION_BPM)).max() > 15.0
