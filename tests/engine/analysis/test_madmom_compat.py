import subprocess
import sys

import numpy as np
import pytest

from engine.analysis import madmom_compat
from engine.errors import MissingDependency
from tests.engine.analysis.music import chord_track, drum_track, steady_beats

needs_madmom = pytest.mark.skipif(
    not madmom_compat.is_installed(), reason="madmom is not installed"
)
SOUND = drum_track(steady_beats(120, 6), 6).mono()


@needs_madmom
def test_it_loads_in_a_fresh_process_without_warnings_and_leaves_no_bool_behind() -> None:
    code = (
        "import sys; from engine.analysis import madmom_compat as m;"
        "before = sys.modules.get('numpy').bool;"
        "m.load('features.downbeats'); import numpy; assert numpy.bool is before;"
        "stub = sys.modules.get('pkg_resources');"
        "assert stub is None or hasattr(stub, 'working_set')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@needs_madmom
def test_the_fast_networks_give_madmoms_own_numbers() -> None:
    processor = madmom_compat.load("features.downbeats").RNNDownBeatProcessor()
    signal = madmom_compat.load("audio.signal").Signal
    with madmom_compat.quiet():
        expected = np.asarray(processor(signal(SOUND, sample_rate=44_100, num_channels=1)))
    assert np.allclose(madmom_compat.activations(SOUND), expected, atol=1e-4)


@needs_madmom
def test_the_fast_key_network_gives_madmoms_own_numbers() -> None:
    sound = chord_track([(57, 60, 64), (50, 53, 57), (52, 56, 59)], 2.0).mono()
    processor = madmom_compat.load("features.key").CNNKeyRecognitionProcessor()
    signal = madmom_compat.load("audio.signal").Signal
    with madmom_compat.quiet():
        expected = np.asarray(processor(signal(sound, sample_rate=44_100, num_channels=1)))[0]
    found = madmom_compat.key_probabilities(sound)
    assert found.shape == (24,)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(found, expected, atol=1e-5)


@needs_madmom
def test_decoding_without_activation_gives_no_beats() -> None:
    found = madmom_compat.decode(np.zeros((500, 2), dtype=np.float32))
    assert found.beats_s.size == 0
    assert found.positions.size == 0


@needs_madmom
def test_decoding_reads_metre_and_beats() -> None:
    activation = np.zeros((1200, 2), dtype=np.float32)
    activation[20::50, 0] = 0.9
    activation[20::150, 0] = 0.0
    activation[20::150, 1] = 0.9
    found = madmom_compat.decode(activation)
    assert found.beats_per_bar == 3
    assert np.allclose(found.beats_s, 0.2 + 0.5 * np.arange(found.beats_s.size), atol=0.011)
    assert np.array_equal(found.positions, np.arange(found.beats_s.size) % 3)


def test_an_absent_madmom_is_a_missing_dependency_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(madmom_compat, "is_installed", lambda: False)
    with pytest.raises(MissingDependency) as caught:
        madmom_compat.load("features.absent")
    assert "pip install" in caught.value.hint


@needs_madmom
def test_a_broken_madmom_is_a_missing_dependency_too() -> None:
    with pytest.raises(MissingDependency, match="does not load"):
        madmom_compat.load("features.no_such_module")
