"""``dawlink render``: suggestions as aligned audio files with a mix."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawlink.cli import options as given
from dawlink.cli.context import invocation, open_engine
from dawlink.cli.output import emit_json, emit_text, progress
from dawlink.documents import Document, render_document, rendered_document
from dawlink.settings import Settings
from engine.delivery.records import ProjectMaker, RenderedSuggestion, RenderOptions, Stage
from engine.engine import Engine
from engine.errors import UnusableInput, UsageError
from engine.suggestions import Suggestion, SuggestReply

if TYPE_CHECKING:
    from dawlink.daw.live.own_set import OwnSet
    from engine.library.library import Library

app = typer.Typer(help="Render aligned stems and a mix.")
_LOGGER = logging.getLogger(__name__)

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")]
Format = Annotated[str | None, typer.Option("--format", metavar="wav|flac", help="File format.")]
BitDepth = Annotated[str | None, typer.Option(metavar="16|24|32f", help="Sample format.")]
SampleRate = Annotated[
    int | None, typer.Option(metavar="HZ", help="Sample rate; default the clip's.")
]


@app.command(cls=given.WithBareDuck)
def render(
    ctx: typer.Context,
    clip: given.Clip,
    out: Out,
    start: given.Start = 0.0,
    end: given.End = None,
    tempo: given.Tempo = None,
    key: given.SessionKey = None,
    transpose: given.Transpose = 0,
    bars: given.Bars = None,
    roles: given.Roles = "harmonic,percussion",
    limit: given.Limit = None,
    model: given.Model = None,
    exclude_song: given.ExcludeSong = None,
    max_semitones: given.MaxSemitones = None,
    tempo_range: given.TempoRange = None,
    include_own: given.IncludeOwn = False,
    clip_tempo: given.ClipTempo = None,
    clip_downbeat: given.ClipDownbeat = None,
    clip_metre: given.ClipMetre = None,
    clip_key: given.ClipKey = None,
    rank: Annotated[
        int | None, typer.Option(metavar="N", help="Render the suggestion of this rank; default 1.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="K", help="Render the K best suggestions.")
    ] = None,
    stems: Annotated[
        str | None, typer.Option(metavar="ID,ID", help="Render these stems, best placed.")
    ] = None,
    file_format: Format = None,
    bit_depth: BitDepth = None,
    sample_rate: SampleRate = None,
    no_mix: Annotated[bool, typer.Option("--no-mix", help="Write no mix.")] = False,
    no_clip: Annotated[bool, typer.Option("--no-clip", help="Do not write the clip.")] = False,
    duck: given.Duck = None,
    project: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Projects too: als, alc, dawproject, rpp, ardour."),
    ] = None,
    deliver: Annotated[
        str | None,
        typer.Option(
            metavar="rendered|warped",
            help="Projects play the rendered audio (default), or the sources with warp markers.",
        ),
    ] = None,
    midi: Annotated[
        bool | None,
        typer.Option(help="A MIDI file with tempo, bars and chords; by default with a project."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="SET", help="Add the tracks to a copy of this Live set."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
    json: given.Json = False,
) -> None:
    """Render aligned stems, the clip and a mix; every beat lies on the session's grid."""
    if sum(choice is not None for choice in (rank, top, stems)) > 1:
        raise UsageError("--rank, --top and --stems exclude each other.", hint="Give one of them.")
    wanted_rank = _positive(rank, "--rank")
    count = _positive(top, "--top")
    settings = invocation(ctx).settings(
        model=model,
        max_semitones=max_semitones,
        tempo_range=tempo_range,
        limit=limit,
        format=file_format,
        bit_depth=bit_depth,
        sample_rate=sample_rate,
    )
    request = given.clip_request(
        clip,
        start=start,
        end=end,
        bars=bars,
        clip_tempo=clip_tempo,
        clip_downbeat=clip_downbeat,
        clip_metre=clip_metre,
        clip_key=clip_key,
        settings=settings,
    )
    writing = render_options(
        settings,
        out=out,
        mix=not no_mix,
        clip=not no_clip,
        overwrite=overwrite,
        duck_db=duck,
        projects=project_maker(project, deliver=deliver, into=into),
        midi=midi,
    )
    own = None if into is None else own_set(into)
    if own is not None and tempo is None:
        tempo = own.tempo_bpm
    with open_engine(settings) as engine:
        chosen_stems, chosen_roles = named_stems(engine.library, stems, roles)
        wanted = given.suggest_options(
            tempo=tempo,
            key=key,
            transpose=transpose,
            roles=chosen_roles,
            exclude_song=exclude_song,
            include_own=include_own or bool(chosen_stems),
            only_stems=chosen_stems,
            limit=max(settings.limit, wanted_rank or 0, count or 0),
            settings=settings,
        )
        wanted = given.with_known_songs(wanted, engine.library)
        reply = engine.suggest(request, wanted, model=settings.model)
        chosen = choose(reply, rank=wanted_rank, top=count)
        for note in (*reply.notes, *notes_of_set(own, reply)):
            _LOGGER.warning(note)
        document, _ = render_and_describe(engine, reply, chosen, writing)
    if json:
        emit_json(document)
    else:
        print_rendered(document)


def render_options(
    settings: Settings,
    *,
    out: Path,
    mix: bool = True,
    clip: bool = True,
    overwrite: bool = False,
    duck_db: float | None = None,
    projects: ProjectMaker | None = None,
    midi: bool | None = None,
) -> RenderOptions:
    """How to write, from the settings.

    Raises:
        UsageError: a rate or depth that does not go together with the format, or a depth of
            ducking that cannot be meant.
    """
    asked_rate = settings.origin.get("sample_rate", "default") != "default"
    return RenderOptions(
        out=out,
        file_format=settings.format,
        bit_depth=settings.bit_depth,
        sample_rate=settings.sample_rate if asked_rate else None,
        mix=mix,
        clip=clip,
        overwrite=overwrite,
        mix_lufs=settings.mix_lufs,
        ceiling_db=settings.ceiling_db,
        duck_db=duck_db,
        projects=projects,
        midi=projects is not None if midi is None else midi,
    )


def project_maker(
    formats: str | None, *, deliver: str | None = None, into: Path | None = None
) -> ProjectMaker | None:
    """What makes the projects that were asked for; None when none were.

    ``--into`` alone means a Live set.

    Raises:
        UsageError: a format or a way of delivering that does not exist, or that do not go together.
    """
    if formats is None and into is None:
        if deliver is not None:
            raise UsageError("--deliver goes with --project.", hint="Name a format: --project als.")
        return None
    from dawlink.daw.maker import Projects, parse_delivery
    from dawlink.daw.writer import parse_formats

    names = parse_formats(formats if formats is not None else "als")
    return Projects(names, deliver=parse_delivery(deliver or "rendered"), into=into)


def own_set(path: Path) -> OwnSet:
    """The Live set to add to; its tempo is the session's unless another is asked for.

    Raises:
        UnusableInput: it is no Live set, or Live would refuse it.
    """
    from dawlink.daw.live.own_set import look_at

    return look_at(path)


def notes_of_set(own: OwnSet | None, reply: SuggestReply) -> tuple[str, ...]:
    """What a person should know of this answer in their own set."""
    if own is None:
        return ()
    return tuple(own.notes(reply.session.tempo_bpm, reply.session.beats_per_bar))


def choose(
    reply: SuggestReply, *, rank: int | None = None, top: int | None = None
) -> tuple[Suggestion, ...]:
    """The suggestions to render.

    Raises:
        UnusableInput: nothing fits, or there are fewer suggestions than the asked rank.
    """
    if not reply.suggestions:
        raise UnusableInput(
            "Nothing in the library fits this clip.",
            hint=" ".join(reply.notes) or "Widen --tempo-range, or add music: dawlink add FOLDER.",
            code="nothing_fits",
        )
    if top is not None:
        return reply.suggestions[:top]
    rank = rank or 1
    if rank > len(reply.suggestions):
        raise UnusableInput(
            f"There are {len(reply.suggestions)} suggestions, none of rank {rank}.",
            hint="dawlink suggest lists them.",
            code="no_such_rank",
        )
    return (reply.suggestions[rank - 1],)


def render_and_describe(
    engine: Engine,
    reply: SuggestReply,
    chosen: tuple[Suggestion, ...],
    writing: RenderOptions,
) -> tuple[Document, list[RenderedSuggestion]]:
    """Render ``chosen`` with a bar; the document that tells what was written, and the records."""
    documents: list[Document] = []

    def describe(rendered: RenderedSuggestion, suggestion: Suggestion) -> Document:
        documents.append(rendered_document(rendered, suggestion, reply))
        return documents[-1]

    with progress("rendering", total=100) as bar:
        shown = 0.0

        def advance(stage: Stage, share: float) -> None:
            nonlocal shown
            bar.describe(f"rendering the {stage}")
            bar.advance(100 * share - shown)
            shown = 100 * share

        rendered = engine.render(reply, chosen, writing, describe=describe, progress=advance)
    document = render_document(documents, [str(item.description) for item in rendered])
    return document, rendered


def print_rendered(document: Document) -> None:
    """Every file that was written, for a person."""
    renders = document["renders"]
    assert isinstance(renders, list)
    for render in renders:
        stems = [stem["path"] for stem in render["stems"]]
        others = [part["path"] for part in (render["clip"], render["mix"]) if part]
        for path in (*stems, *others, render["midi"], *render["projects"], render["json"]):
            if path:
                emit_text(str(path))


def named_stems(library: Library, text: str | None, roles: str) -> tuple[frozenset[str], str]:
    """The named stems and the roles that they play, in their order.

    Raises:
        UsageError: there is no such stem, or two of them play the same.
    """
    if text is None:
        return frozenset(), roles
    ids = [library.resolve(part, kind="stem") for part in text.replace(",", " ").split()]
    if not ids:
        raise UsageError("--stems names no stem.", hint="Give ids from dawlink suggest.")
    played = [library.stem(stem_id).role for stem_id in ids]
    names = ["percussion" if role == "drums" else role for role in played]
    if len(set(names)) != len(names):
        raise UsageError(
            f"Two of the stems are {max(names, key=names.count)}.",
            hint="Name one stem per role.",
        )
    return frozenset(ids), ",".join(names)


def _positive(value: int | None, option: str) -> int | None:
    if value is not None and value < 1:
        raise UsageError(f"{option} {value} is not a rank.", hint="Ranks begin with 1.")
    return value
