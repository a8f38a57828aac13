from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dawlink.osc.daemon import Running
from tests.fake_live import studio
from tests.fake_live.conftest import tone
from tests.fake_live.python_face import Surface, remote_script
from tests.fake_live.song import LiveSet
from tests.max4live.remote_script.live_script import TEMPO, Start
from tests.max4live.remote_script.loading import FOLDER
from tests.ports import free_port

__all__ = ["engine", "live", "script_in", "tone"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with studio.daemon(studio.synthesised(), tmp_path_factory.mktemp("engine")) as running:
        yield running


@pytest.fixture
def script_in(tmp_path: Path, engine: Running) -> Start:
    """The script in a set, with the engine's port in its settings."""

    @contextmanager
    def begin(live: LiveSet, *, port: int = 0) -> Iterator[Surface]:
        folder = tmp_path / "Remote Scripts" / "DawLink"
        if not folder.exists():
            shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        ports = {"engine_port": port or engine.port, "control_port": free_port()}
        (folder / "settings.json").write_text(json.dumps(ports))
        with remote_script(live, folder) as surface:
            yield surface
            assert surface.errors == []

    return begin


@pytest.fixture
def live(tmp_path: Path) -> LiveSet:
    return LiveSet("12.2.0", tempo=TEMPO, path=str(studio.project(tmp_path)))
