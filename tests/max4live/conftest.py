from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from max4live.device.script import script_text
from tests.dawlink.osc.daemon import Running
from tests.fake_live import studio
from tests.fake_live.max_api import Atom
from tests.fake_live.max_device import Device
from tests.fake_live.song import LiveSet
from tests.max4live.live_device import TEMPO, Start


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with studio.daemon(studio.synthesised(), tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def device_in(tmp_path: Path, engine: Running) -> Start:
    """A device in a set, started."""

    @contextmanager
    def begin(live: LiveSet, *, port: int = 0, stored: Sequence[Atom] = ()) -> Iterator[Device]:
        script = tmp_path / "dawlink.js"
        script.write_text(script_text(), encoding="utf-8")
        with Device(live, [script], engine_port=port or engine.port) as device:
            if stored:
                device.send("restore", *stored)
            device.start()
            yield device
            device.check()

    return begin


@pytest.fixture
def live(tmp_path: Path) -> LiveSet:
    return LiveSet("12.2.0", tempo=TEMPO, path=str(studio.project(tmp_path)))
