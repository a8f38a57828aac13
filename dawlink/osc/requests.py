"""What clients send. The definitions here are the contract; ``docs/osc.md`` is made from them."""

from __future__ import annotations

from typing import Annotated

from dawlink.osc.schema import Message, request

__all__ = [
    "Audition",
    "Bye",
    "Cancel",
    "Clip",
    "ClipTempo",
    "ClipWarp",
    "Hello",
    "Inserted",
    "Ping",
    "Render",
    "SetKey",
    "SetProject",
    "SetSignature",
    "SetTempo",
    "Status",
    "Suggest",
    "SuggestGet",
]

Req = Annotated[int, "number of this request, chosen by the client; every answer begins with it"]
ClipId = Annotated[str, "id from `/dawlink/clip/done`"]


@request("/dawlink/ping", answers=("/dawlink/pong",))
class Ping(Message):
    """Asks whether the engine is there; answered at once, even while it starts or works."""

    req: Req


@request("/dawlink/hello", answers=("/dawlink/welcome",))
class Hello(Message):
    """Introduces a client. From then on it gets the pushes, and the numbers of its ended requests
    may be used again; its session and clips stay until `bye`. It is answered as soon as the
    library is open.
    """

    req: Req
    client: Annotated[str, "name of the client, for the log"]
    version: Annotated[str, "its version"]
    protocol: Annotated[int, "protocol it speaks: 1; another one is error 8"]
    reply_port: Annotated[
        int, "port on its host to which answers and pushes go; 0: the port it sends from"
    ]
    caps: Annotated[str, "words separated by spaces; `token=…` where the engine asks for one"]


@request("/dawlink/bye", answers=("/dawlink/bye/done",))
class Bye(Message):
    """Ends the session: running requests of this client are cancelled, its state is forgotten."""

    req: Req


@request("/dawlink/set/tempo")
class SetTempo(Message):
    """The session's tempo."""

    bpm: Annotated[float, "beats per minute, 20 to 400"]


@request("/dawlink/set/signature")
class SetSignature(Message):
    """The session's time signature. A beat is a quarter note, as in Live: 6/8 has 3 of them."""

    numerator: Annotated[int, "1 to 12"]
    denominator: Annotated[int, "1, 2, 4, 8 or 16; a bar must be whole quarter notes"]


@request("/dawlink/set/key")
class SetKey(Message):
    """The session's key; without one the clip's own is used."""

    root: Annotated[int, "0 (C) to 11 (B), −1 for none"]
    scale: Annotated[
        str,
        "name as Live has it; a scale with a major third counts as major, any other as minor "
        "(super Locrian and half-whole too)",
    ]


@request("/dawlink/set/project")
class SetProject(Message):
    """The project's folder; renders go into `Samples/Processed/dawlink` inside it."""

    folder: Annotated[str, "absolute path of a folder that is there; empty for none"]


@request("/dawlink/clip", answers=("/dawlink/clip/done",))
class Clip(Message):
    """The clip that accompaniments are wanted for. A new clip cancels auditions of the one before.
    The same path and region have the same clip id. A warped clip is analysed along its warp
    markers; until they have come, the answer is a guess with confidence 0. Send the same clip again
    after `/dawlink/clip/warp/done` to get the analysed tempo and key.
    """

    req: Req
    path: Annotated[str, "absolute path of the audio file"]
    warped: Annotated[int, "1: start and end are beats of the clip; 0: seconds of the file"]
    start: Annotated[float, "where the region begins"]
    end: Annotated[float, "where it ends; start and end 0: the whole file"]
    pitch: Annotated[int, "semitones that the DAW already transposes the clip by, −48 to 48"]
    gain: Annotated[float, "dB that the DAW applies to the clip, 0 for none"]


@request("/dawlink/clip/warp", answers=("/dawlink/clip/warp/done",))
class ClipWarp(Message):
    """One warp marker of a clip; all of them, with the same `req`, make the clip's beat map, which
    is used as it is. The map goes on beyond its ends with the tempo of the outermost markers. A
    later transfer replaces an earlier one.
    """

    req: Req
    clip_id: ClipId
    index: Annotated[int, "0 to count − 1"]
    count: Annotated[int, "how many markers there are, 2 to 4096"]
    sec: Annotated[float, "seconds of the file; rising with the index"]
    beat: Annotated[float, "beat of the clip; rising with the index"]


@request("/dawlink/clip/tempo", answers=("/dawlink/clip/tempo/done",))
class ClipTempo(Message):
    """Counts the beats of a clip twice or half as fast, where its tempo was heard an octave off.
    That makes a clip of its own, with its own id. How a warped clip counts is set in the DAW.
    """

    req: Req
    clip_id: ClipId
    factor: Annotated[float, "0.5 or 2"]


@request(
    "/dawlink/suggest",
    answers=("/dawlink/suggest/begin", "/dawlink/suggest/hit", "/dawlink/suggest/end"),
)
class Suggest(Message):
    """Ranked accompaniments for a clip at the session's tempo and key. One hit comes for every
    stem; hits of the same rank belong together.
    """

    req: Req
    clip_id: ClipId
    limit: Annotated[int, "how many suggestions, 1 to 100; 0: as set in the settings"]
    roles: Annotated[
        str,
        "one stem of each in every suggestion, such as `harmonic percussion`; `*`: both of these "
        "as far as the library has them",
    ]


@request("/dawlink/suggest/get", answers=("/dawlink/suggest/hit", "/dawlink/suggest/end"))
class SuggestGet(Message):
    """The hits of one rank again, for a client that missed some."""

    req: Req
    of_req: Annotated[int, "`req` of the suggest"]
    rank: Annotated[int, "from 1"]


@request("/dawlink/audition", answers=("/dawlink/audition/done",))
class Audition(Message):
    """A loop to listen to, at the session's tempo and key, that begins on the clip's first bar.
    It stays in a cache. A newer audition of the same client cancels one that is still made.
    """

    req: Req
    ids: Annotated[str, "stem ids separated by spaces, usually those of one rank"]
    clip_id: ClipId
    bars: Annotated[float, "whole bars, 1 to 16; 0: as the clip, at most 16"]
    with_clip: Annotated[int, "1: the clip is heard as well"]


@request(
    "/dawlink/render",
    answers=("/dawlink/render/progress", "/dawlink/render/file", "/dawlink/render/done"),
)
class Render(Message):
    """Writes stems as files of exactly `bars` bars into the project's folder, or the output folder
    of the settings where no project was named.
    """

    req: Req
    ids: Annotated[str, "stem ids separated by spaces, usually those of one rank"]
    clip_id: ClipId
    start_beat: Annotated[
        float,
        "beat at which the files begin, counted from the clip's first bar line; usually 0. "
        "`-offset_beats` begins with the clip itself",
    ]
    bars: Annotated[float, "whole bars, 1 to 1024; 0: as the clip"]
    kinds: Annotated[
        str,
        "words: `wav` or `flac` (the stems, always written), `clip` (the clip warped to the "
        "session), `mix`, and the projects `als`, `alc`, `dawproject`, `rpp`, `ardour`. Kinds that "
        "this engine cannot write are left out; when none is left, error 1",
    ]


@request("/dawlink/inserted", answers=("/dawlink/inserted/done",))
class Inserted(Message):
    """Reports how an insertion went; it is noted in the log and in the jobs table."""

    req: Req
    ok: Annotated[int, "1: it worked"]
    implied_bpm: Annotated[float, "tempo that the DAW reads out of the file; 0 when unknown"]


@request("/dawlink/cancel", answers=("/dawlink/cancelled", "/dawlink/cancel/done"))
class Cancel(Message):
    """Stops a running request of the same client. A request that has ended stays ended: then only
    `/dawlink/cancel/done` comes.
    """

    req: Req
    job_req: Annotated[int, "`req` of the request to stop"]


@request("/dawlink/status", answers=("/dawlink/status/done",))
class Status(Message):
    """What the engine is doing."""

    req: Req
