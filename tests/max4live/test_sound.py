"""The audition's signal path, followed through the built patch and worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from max4live.device.build import build_device
from tests.max4live.amxd_reader import read_device

End = tuple[str, int]


class Wires:
    """The patch as a person follows it with a finger."""

    def __init__(self, patch: dict[str, Any]) -> None:
        self.text = {item["box"]["id"]: item["box"].get("text", "") for item in patch["boxes"]}
        lines = [item["patchline"] for item in patch["lines"]]
        self.cords = [(tuple(line["source"]), tuple(line["destination"])) for line in lines]

    def named(self, start: str) -> str:
        """The one object whose text begins so."""
        (found,) = [key for key, text in self.text.items() if text.startswith(start)]
        return found

    def after(self, key: str, outlet: int = 0) -> list[End]:
        """Where an outlet's cords end."""
        return [target for source, target in self.cords if source == (key, outlet)]

    def into(self, key: str, inlet: int) -> list[End]:
        """Where an inlet's cords begin."""
        return [source for source, target in self.cords if target == (key, inlet)]


@pytest.fixture(scope="module")
def wires() -> Wires:
    return Wires(read_device(build_device()).patch)


def place_ms(wires: Wires, phase: float, loop: tuple[float, float, float]) -> float:
    """Where ``play~`` reads while the phasor stands at ``phase``, after a ``loop`` message."""
    numbers = wires.named("unpack")
    value, key = phase, wires.named("phasor~")
    while True:
        ((key, inlet),) = wires.after(key)
        assert inlet == 0
        operator, *typed = wires.text[key].split()
        if operator == "play~":
            return value
        set_by = wires.into(key, 1)
        assert all(source == numbers for source, _ in set_by)
        right = loop[set_by[0][1]] if set_by else float(typed[0])
        if operator == "*~":
            value *= right
        elif operator == "+~":
            value += right
        elif operator == "%~":
            value %= right
        else:
            raise AssertionError(operator)


def test_the_loop_follows_the_song_position(wires: Wires) -> None:
    phasor = wires.text[wires.named("phasor~")].split()
    assert phasor[1:2] + phasor[3:] == ["@frequency", "ticks", "@lock", "1"]
    period = int(phasor[2]) / 480
    for song in (0.0, 3.5, 32.0, 47.25, 1000.75):
        for quarters, ms, offset in ((32.0, 500.0, 0.0), (32.0, 500.0, 24.0), (12.0, 612.5, 5.5)):
            expected = ((song + offset) % quarters) * ms
            found = place_ms(wires, song / period, (quarters, ms, offset))
            assert found == pytest.approx(expected, abs=1e-6)


def test_the_loop_message_reaches_the_numbers_and_the_file_the_buffer(wires: Wires) -> None:
    route = wires.named("route load loop play")
    assert wires.text[wires.after(route, 0)[0][0]] == "prepend replace"
    assert wires.after(route, 1) == [(wires.named("unpack"), 0)]
    ((loaded, _),) = wires.after(wires.named("buffer~"), 1)
    assert wires.text[loaded] == "loaded"
    assert wires.after(loaded) == [(wires.named("js"), 0)]


@pytest.mark.parametrize(("state", "player"), [(1, "play~"), (2, "groove~")])
def test_each_way_of_playing_opens_its_own_gain_on_both_sides(
    wires: Wires, state: int, player: str
) -> None:
    chosen = wires.named(f"== {state}")
    assert (wires.named("route load loop play"), 2) in wires.into(chosen, 0)
    ((fade, _),) = wires.after(chosen)
    assert wires.text[fade] == "$1 10"
    ((gain, _),) = wires.after(fade)
    assert wires.text[gain] == "line~"
    levels = [key for key, inlet in wires.after(gain) if inlet == 1]
    assert len(levels) == 2
    out = wires.named("plugout~")
    for side in (0, 1):
        (level,) = [key for key, _ in wires.after(wires.named(player), side) if key in levels]
        assert wires.after(level) == [(out, side)]


def test_what_comes_in_goes_out(wires: Wires) -> None:
    through, out = wires.named("plugin~"), wires.named("plugout~")
    for side in (0, 1):
        assert wires.after(through, side) == [(out, side)]


def test_the_script_is_told_and_heard_on_the_right_cords(wires: Wires) -> None:
    script = wires.named("js ")
    assert wires.into(script, 1) == [(wires.named("udpreceive"), 0)]
    first = [wires.text[wires.after(script, outlet)[0][0]].split()[0] for outlet in range(6)]
    assert first == ["udpsend", "udpreceive", "route", "route", "deferlow", "pattr"]


def test_the_script_begins_behind_deferlow_and_the_clock_after_it(wires: Wires) -> None:
    ((deferred, _),) = wires.after(wires.named("live.thisdevice"))
    ((begin, _),) = wires.after(deferred)
    assert (wires.text[deferred], wires.text[begin]) == ("deferlow", "t 1 b")
    # A trigger speaks from right to left: first "ready", then the clock.
    assert [wires.text[key] for key, _ in wires.after(begin, 1)] == ["ready"]
    assert [wires.text[key] for key, _ in wires.after(begin, 0)] == ["qmetro 100"]
