"""What happens to the device's script in the tests, in JavaScript, and what it has made."""

from __future__ import annotations

from tests.max4live.engine_es5 import Played

__all__ = ["ARRANGED", "LOOP_READY", "PICKED", "RENDERED", "UNWARPED", "made_clips", "scenario"]

UNWARPED = """
    set[20].values.is_arrangement_clip = 1; set[20].values.start_time = 64;
    set[20].path = "live_set tracks 0 arrangement_clips 0";
    set[20].values.warping = 0; set[20].values.looping = 0;
    set[20].values.start_marker = 1; set[20].values.end_marker = 19;
"""
PICKED = "connect(); understand(); hits(3, OFFSET); click('row', 1);"
RENDERED = """
    var req = sent("/dawlink/render")[0];
    hear("/dawlink/render/progress", req, 0.4, 2);
    hear("/dawlink/render/file", req, "wav", "/r/one.wav");
    hear("/dawlink/render/file", req, "wav", "/r/two.wav");
    var beats = Math.round(4 * sent("/dawlink/render")[4]);
    hear("/dawlink/render/done", req, 2, 1, 1, beats, set[1].values.tempo);
"""
LOOP_READY = """
    hear("/dawlink/audition/done", sent("/dawlink/audition")[0], "/cache/loop.wav"); loaded();
"""
ARRANGED = """
    set[20].values.is_arrangement_clip = 1; set[20].values.start_time = 64;
    set[20].path = "live_set tracks 0 arrangement_clips 0";
"""


def scenario(*parts: str, offset: float | str = 0) -> str:
    return " ".join(parts).replace("OFFSET", str(offset))


def made_clips(played: Played) -> list[dict[str, object]]:
    """Values of the clips that the script has made, in order."""
    found = [item for key, item in sorted(played.set.items()) if int(key) > 100]
    return [item["values"] for item in found if "file_path" in item["values"]]
