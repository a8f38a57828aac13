"""Live's own Python over the set: the module ``Live``, a control surface, and Live's clock.

A Remote Script is a package that Live imports from its folder; its ``create_instance`` gets the
``c_instance``, through which it reaches the song and the status line. Scheduled messages run on
Live's 100 ms clock. An error in one is written to Live's log and stops nothing else; here it is
kept, and a test that looks at :attr:`Surface.errors` finds it.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.fake_live.clips import WarpMarker
from tests.fake_live.song import LiveSet, Song

TICK_S = 0.1


class CInstance:
    """What Live hands to a script."""

    def __init__(self, live: LiveSet) -> None:
        self._live = live
        self.messages: list[str] = []
        self.log: list[str] = []

    def song(self) -> Song:
        return self._live.song

    def show_message(self, text: str) -> None:
        self.messages.append(text)

    def log_message(self, text: str) -> None:
        self.log.append(text)


class ControlSurface:
    """``ableton.v2.control_surface.ControlSurface``, as far as scripts without hardware use it."""

    def __init__(self, c_instance: CInstance) -> None:
        self._c_instance = c_instance
        self._scheduled: list[tuple[int, Callable[..., None], tuple[object, ...]]] = []
        self.disconnected = False

    @property
    def song(self) -> Song:
        return self._c_instance.song()

    def show_message(self, text: str) -> None:
        self._c_instance.show_message(text)

    def log_message(self, *text: object) -> None:
        self._c_instance.log_message(" ".join(str(part) for part in text))

    def schedule_message(
        self, delay_in_ticks: int, callback: Callable[..., None], *arguments: object
    ) -> None:
        if delay_in_ticks < 1:
            raise AssertionError("a message is scheduled for a later tick")
        self._scheduled.append((delay_in_ticks, callback, arguments))

    def disconnect(self) -> None:
        self.disconnected = True

    def update_display(self) -> None:
        """Live calls this every 100 ms."""
        due = [item for item in self._scheduled if item[0] <= 1]
        self._scheduled = [(n - 1, call, args) for n, call, args in self._scheduled if n > 1]
        for _, callback, arguments in due:
            callback(*arguments)


class Surface:
    """A Remote Script that runs in the set."""

    def __init__(self, live: LiveSet, script: Any, c_instance: CInstance) -> None:
        self.live, self.script, self.c_instance = live, script, c_instance
        self.errors: list[str] = []
        self._last_tick = time.monotonic()

    @property
    def messages(self) -> list[str]:
        return self.c_instance.messages

    def tick(self) -> None:
        """100 ms of Live's clock; no time passes."""
        try:
            self.script.update_display()
        except Exception:
            self.errors.append(traceback.format_exc())

    def run(self, seconds: float) -> None:
        """Lets Live run for a while."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            if now >= self._last_tick + TICK_S:
                self.live.song.pass_time(now - self._last_tick)
                self._last_tick = now
                self.tick()
            time.sleep(0.005)

    def until(self, come: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Lets Live run until ``come()``.

        Raises:
            AssertionError: it did not come; what the script said is told.
        """
        deadline = time.monotonic() + timeout_s
        while not come():
            if self.errors or time.monotonic() > deadline:
                raise AssertionError(f"waited in vain; {self.messages}, {self.errors}")
            self.run(0.02)
        if self.errors:
            raise AssertionError(self.errors)


@contextmanager
def remote_script(live: LiveSet, folder: Path) -> Iterator[Surface]:
    """Runs the Remote Script in ``folder`` as Live does; afterwards nothing of it is left."""
    before = dict(sys.modules)
    sys.modules.update(_modules(live))
    sys.path.insert(0, str(folder.parent))
    try:
        package = importlib.import_module(folder.name)
        c_instance = CInstance(live)
        surface = Surface(live, package.create_instance(c_instance), c_instance)
        try:
            yield surface
        finally:
            surface.script.disconnect()
    finally:
        sys.path.remove(str(folder.parent))
        for name in [name for name in sys.modules if name not in before]:
            if name.split(".")[0] in ("Live", "ableton", folder.name):
                del sys.modules[name]


def _modules(live: LiveSet) -> dict[str, ModuleType]:
    top, clip, application = ModuleType("Live"), ModuleType("Live.Clip"), ModuleType("Live.App")
    clip.WarpMarker = WarpMarker  # type: ignore[attr-defined]
    application.get_application = lambda: live.application  # type: ignore[attr-defined]
    top.Clip, top.Application = clip, application  # type: ignore[attr-defined]
    surface = ModuleType("ableton.v2.control_surface")
    surface.ControlSurface = ControlSurface  # type: ignore[attr-defined]
    return {
        "Live": top,
        "Live.Clip": clip,
        "Live.Application": application,
        "ableton": ModuleType("ableton"),
        "ableton.v2": ModuleType("ableton.v2"),
        "ableton.v2.control_surface": surface,
    }
