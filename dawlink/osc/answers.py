"""What the engine sends: answers, pushes and errors."""

from __future__ import annotations

from typing import Annotated

from dawlink.osc.schema import Message, answer

__all__ = [
    "AuditionDone",
    "ByeDone",
    "CancelDone",
    "Cancelled",
    "ClipDone",
    "ClipTempoDone",
    "ClipWarpDone",
    "Error",
    "EventLibrary",
    "EventShutdown",
    "InsertedDone",
    "Pong",
    "RenderDone",
    "RenderFile",
    "RenderProgress",
    "StatusDone",
    "SuggestBegin",
    "SuggestEnd",
    "SuggestHit",
    "Welcome",
]

Req = Annotated[int, "of the request"]


@answer("/dawlink/pong")
class Pong(Message):
    """The engine is there."""

    req: Req
    version: Annotated[str, "of dawlink"]
    protocol: Annotated[int, "1"]


@answer("/dawlink/welcome")
class Welcome(Message):
    """The engine knows this client."""

    req: Req
    protocol: Annotated[int, "1"]
    version: Annotated[str, "of dawlink"]
    caps: Annotated[str, "what it can do: `suggest audition render kinds=wav,flac,…`"]
    library_size: Annotated[int, "songs in the library; 0 where there is none yet"]


@answer("/dawlink/bye/done")
class ByeDone(Message):
    """The client is forgotten."""

    req: Req


@answer("/dawlink/clip/done")
class ClipDone(Message):
    """The clip as understood."""

    req: Req
    clip_id: Annotated[str, "begins with `c`"]
    bpm: Annotated[float, "the clip's own tempo; 0 when nothing is known yet"]
    root: Annotated[int, "0 (C) to 11 (B) of its own key, −1 for none"]
    mode: Annotated[str, "`major`, `minor`, or empty"]
    confidence: Annotated[
        float, "of the key, 0 to 1; 0: a guess, the warp markers have not come yet"
    ]


@answer("/dawlink/clip/warp/done")
class ClipWarpDone(Message):
    """All markers have come."""

    req: Req
    clip_id: Annotated[str, "the clip"]


@answer("/dawlink/clip/tempo/done")
class ClipTempoDone(Message):
    """The clip is counted anew."""

    req: Req
    clip_id: Annotated[str, "of the clip that is counted this way"]
    bpm: Annotated[float, "its tempo"]


@answer("/dawlink/suggest/begin")
class SuggestBegin(Message):
    """Hits follow."""

    req: Req
    count: Annotated[int, "how many hits will come"]


@answer("/dawlink/suggest/hit")
class SuggestHit(Message):
    """One stem of a suggestion."""

    req: Req
    rank: Annotated[int, "from 1; hits of the same rank are one suggestion"]
    id: Annotated[str, "of the stem; begins with a letter"]
    score: Annotated[float, "of the whole suggestion, 0 to 1"]
    role: Annotated[str, "such as `harmonic` or `percussion`"]
    title: Annotated[str, "of its song, cut where it is very long"]
    ratio_out_in: Annotated[float, "output duration / source duration: above 1 is slower"]
    semitones: Annotated[int, "transposition"]
    offset_beats: Annotated[
        float,
        "beats from the start of the clip's region to the first bar of a render; negative when the "
        "clip begins with an upbeat",
    ]
    bars: Annotated[float, "length of a render"]


@answer("/dawlink/suggest/end")
class SuggestEnd(Message):
    """That was all."""

    req: Req
    count: Annotated[int, "how many hits were sent"]


@answer("/dawlink/audition/done")
class AuditionDone(Message):
    """The loop is on disk."""

    req: Req
    path: Annotated[str, "a WAV file of exactly the asked bars"]


@answer("/dawlink/render/progress")
class RenderProgress(Message):
    """How far a render is; at most ten a second."""

    req: Req
    share: Annotated[float, "0 to 1"]
    stage: Annotated[int, "0 waiting, 1 clip, 2 stems, 3 mix, 4 writing"]


@answer("/dawlink/render/file")
class RenderFile(Message):
    """One file that was written; all files of a render appear together."""

    req: Req
    kind: Annotated[str, "`wav`, `flac`, `clip`, `mix`, or the ending of a project, such as `alc`"]
    path: Annotated[str, "absolute"]


@answer("/dawlink/render/done")
class RenderDone(Message):
    """The render is complete."""

    req: Req
    files: Annotated[int, "how many `/dawlink/render/file` were sent"]
    frames: Annotated[int, "length of each file"]
    rate: Annotated[int, "sample rate [Hz]"]
    beats: Annotated[float, "length of each file"]
    bpm: Annotated[float, "the session's tempo that they are at"]


@answer("/dawlink/inserted/done")
class InsertedDone(Message):
    """Noted."""

    req: Req


@answer("/dawlink/cancelled")
class Cancelled(Message):
    """A request was stopped; this is its last message."""

    req: Annotated[int, "of the request that was stopped"]


@answer("/dawlink/cancel/done")
class CancelDone(Message):
    """The cancel was carried out, or came too late."""

    req: Annotated[int, "of the cancel"]


@answer("/dawlink/status/done")
class StatusDone(Message):
    """What the engine is doing."""

    req: Req
    state: Annotated[str, "`loading`, `ready`, `no_library` or `stopping`"]
    jobs: Annotated[int, "requests being worked on, of all clients"]
    library: Annotated[int, "songs in the library"]
    load: Annotated[float, "share of the engine's workers that are busy, 0 to 1"]


@answer("/dawlink/error")
class Error(Message):
    """The request failed, or the message was not understood."""

    req: Annotated[int, "of the request, 0 where it had none"]
    code: Annotated[int, "see the table of codes"]
    name: Annotated[str, "a stable word"]
    message: Annotated[str, "one sentence for a person and the next step"]


@answer("/dawlink/event/library")
class EventLibrary(Message):
    """The library was opened or has changed."""

    size: Annotated[int, "songs in it"]


@answer("/dawlink/event/shutdown")
class EventShutdown(Message):
    """The engine is going away."""
