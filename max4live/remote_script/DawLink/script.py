"""The control surface: Live's clock drives everything, every 100 ms, and nothing ever blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import Live
from ableton.v2.control_surface import ControlSurface

from .control import Commands, OscControl, PageControl
from .engine import Engine
from .work import Work

if TYPE_CHECKING:
    from typing import Union

    from .shapes import Host

    Control = Union[OscControl, PageControl]

#: Where the engine listens, and where the page and the OSC commands are.
ENGINE_PORT = 11110
CONTROL_PORT = 11180
#: Overrides both: ``{"engine_port": 11110, "control_port": 11180}``.
SETTINGS = Path(__file__).with_name("settings.json")


class DawLink(ControlSurface):  # type: ignore[misc]  # Live has no types
    """The script that Live runs."""

    def __init__(self, c_instance: Host) -> None:
        super().__init__(c_instance)
        engine_port, self.control_port = _ports(SETTINGS)
        self._closed = False
        self._engine = Engine(engine_port, self._changed)
        self._work = Work(
            c_instance.song,
            self._engine,
            say=self.show_message,
            make_marker=Live.Clip.WarpMarker,
        )
        self._controls = self._opened(Commands(self._work))
        self.schedule_message(1, self._tick)

    def disconnect(self) -> None:
        """Live closes the set, or the script is taken out."""
        self._closed = True
        for control in self._controls:
            control.close()
        self._engine.close()
        super().disconnect()

    def _opened(self, commands: Commands) -> list[Control]:
        opened: list[Control] = []
        try:
            for kind in (OscControl, PageControl):
                opened.append(kind(self.control_port, commands))
        except OSError:
            self._work.say(f"Port {self.control_port} is taken. Name another in {SETTINGS}.")
        return opened

    def _changed(self, sentence: str) -> None:
        page = f"Page: http://127.0.0.1:{self.control_port}"
        self._work.say(f"{sentence} {page}")

    def _tick(self) -> None:
        if self._closed:
            return
        self.schedule_message(1, self._tick)  # first: an error below must not stop the clock
        self._engine.tick()
        for control in self._controls:
            control.tick()


def _ports(path: Path) -> tuple[int, int]:
    """(engine's, own), from the settings file as far as it names them."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        engine = int(settings.get("engine_port", ENGINE_PORT))
        return engine, int(settings.get("control_port", CONTROL_PORT))
    except (OSError, ValueError, AttributeError, TypeError):
        return ENGINE_PORT, CONTROL_PORT
