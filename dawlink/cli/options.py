"""Options that several commands share, and what they mean to the engine."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from dawlink.settings import Settings
from engine.clips.clip import ClipRequest
from engine.errors import UsageError
from engine.mashup.ducking import DEFAULT_DUCK_DB
from engine.suggestions import SuggestOptions, parse_roles
from engine.theory import Key, Role

if TYPE_CHECKING:
    from engine.library.library import Library

__all__ = [
    "Bars",
    "Clip",
    "ClipDownbeat",
    "ClipKey",
    "ClipTempo",
    "Cluster",
    "Duck",
    "End",
    "ExcludeSong",
    "IncludeOwn",
    "Json",
    "Limit",
    "MaxSemitones",
    "Model",
    "Roles",
    "SessionKey",
    "Start",
    "Tempo",
    "TempoRange",
    "Transpose",
    "WithBareDuck",
    "clip_request",
    "suggest_options",
    "with_known_songs",
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Clip = Annotated[Path, typer.Argument(metavar="CLIP", help="Audio file with the vocal.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Spread the work over a Dask cluster: tcp://HOST:8786 of its scheduler.",
    ),
]
Start = Annotated[float, typer.Option(metavar="SECONDS", help="Where the clip begins in the file.")]
End = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Where it ends; default the file's end.")
]
Tempo = Annotated[
    float | None, typer.Option(metavar="BPM", help="The session's tempo; default the clip's.")
]
SessionKey = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The session's key; default the clip's.")
]
Transpose = Annotated[
    int, typer.Option(metavar="SEMITONES", help="What the DAW already applies to the clip.")
]
Bars = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Length in bars; default as the clip: 1, 2, or rounded up to a multiple of 4.",
    ),
]
Roles = Annotated[
    str, typer.Option(metavar="ROLES", help="One stem of each role in every suggestion.")
]
Limit = Annotated[int | None, typer.Option(metavar="N", help="How many suggestions to list.")]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="Ranking model; default the best there is.")
]
ExcludeSong = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Leave this song out; may be repeated.")
]
MaxSemitones = Annotated[
    int | None, typer.Option(metavar="N", help="Widest transposition of a stem.")
]
TempoRange = Annotated[
    str | None,
    typer.Option(metavar="LOW,HIGH", help="Allowed output/source duration, such as 0.8,1.25."),
]
IncludeOwn = Annotated[
    bool, typer.Option("--include-own", help="Let the clip's own song take part.")
]
ClipTempo = Annotated[
    float | None,
    typer.Option(
        metavar="BPM", help="The clip's own tempo, when you know it; beats are looked for near it."
    ),
]
ClipDownbeat = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="A second of the file on which a bar begins."),
]
ClipMetre = Annotated[
    int | None, typer.Option(metavar="N", help="Beats in a bar of the clip, when you know it.")
]
ClipKey = Annotated[
    str | None, typer.Option(metavar="KEY", help="The clip's own key, when you know it.")
]
Duck = Annotated[
    float | None,
    typer.Option(
        metavar="[DB]",
        help=f"Turn the stems down while the voice sounds, at most so far; {DEFAULT_DUCK_DB:g} dB.",
    ),
]


class WithBareDuck(TyperCommand):
    """A command whose ``--duck`` may stand without a number, which Typer knows nothing of."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own context class is private
        """The arguments with a number after every ``--duck``."""
        end = args.index("--") if "--" in args else len(args)
        for place in reversed([n for n, text in enumerate(args[:end]) if text == "--duck"]):
            if place + 1 >= end or not _is_number(args[place + 1]):
                args[place] = f"--duck={DEFAULT_DUCK_DB:g}"
        return super().parse_args(ctx, args)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def clip_request(
    clip: Path,
    *,
    start: float = 0.0,
    end: float | None = None,
    bars: int | None = None,
    clip_tempo: float | None = None,
    clip_downbeat: float | None = None,
    clip_metre: int | None = None,
    clip_key: str | None = None,
    settings: Settings,
) -> ClipRequest:
    """The clip that the options mean.

    Raises:
        UsageError: a value that cannot be meant.
    """
    return ClipRequest(
        path=clip,
        start_s=start,
        end_s=end,
        tempo_bpm=clip_tempo,
        downbeat_s=clip_downbeat,
        beats_per_bar=clip_metre,
        key=Key.parse(clip_key) if clip_key else None,
        bars=bars if bars is not None else settings.bars or None,
    )


def with_known_songs(wanted: SuggestOptions, library: Library) -> SuggestOptions:
    """``wanted`` with the full ids of the songs that ``--exclude-song`` means.

    Raises:
        UsageError: one of them is not in the library.
    """
    ids = frozenset(library.resolve(song, kind="song") for song in wanted.exclude_songs)
    return replace(wanted, exclude_songs=ids)


def suggest_options(
    *,
    tempo: float | None,
    key: str | None,
    transpose: int,
    roles: str,
    exclude_song: list[str] | None,
    include_own: bool,
    only_stems: frozenset[str] = frozenset(),
    limit: int | None = None,
    settings: Settings,
) -> SuggestOptions:
    """What the options ask for.

    Raises:
        UsageError: a value that cannot be meant.
    """
    if tempo is not None and not (math.isfinite(tempo) and 20 <= tempo <= 400):
        raise UsageError(
            f"A tempo of {tempo:g} BPM is outside 20..400 BPM.",
            hint="Give the session's tempo in beats per minute, like --tempo 120.",
            code="bad_tempo",
        )
    return SuggestOptions(
        tempo_bpm=tempo,
        key=Key.parse(key) if key else None,
        transpose=transpose,
        roles=_distinct(parse_roles(roles)),
        limit=limit or settings.limit,
        max_semitones=settings.max_semitones,
        tempo_range=settings.tempo_range,
        exclude_songs=frozenset(exclude_song or ()),
        include_own=include_own,
        only_stems=only_stems,
    )


def _distinct(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    """The roles, if each of them is another kind of stem."""
    if "mix" in roles:
        raise UsageError(
            "A mix is not a stem that could accompany a clip.",
            hint="Ask for drums, bass, other, vocals, harmonic or percussion.",
            code="bad_role",
        )
    if {"drums", "percussion"} <= set(roles):
        raise UsageError(
            "drums and percussion are two names of one role.",
            hint="Write --roles harmonic,percussion.",
            code="bad_role",
        )
    return roles
