"""``dawlink suggest``: ranked accompaniments for a clip, without rendering anything."""

from __future__ import annotations

import logging

import typer

from dawlink.cli import options as given
from dawlink.cli.context import invocation, open_engine
from dawlink.cli.output import emit_json, emit_text, print_table
from dawlink.documents import suggest_document
from engine.suggestions import Suggestion, SuggestReply

app = typer.Typer(help="Rank accompaniments for a clip.")
_LOGGER = logging.getLogger(__name__)


@app.command()
def suggest(
    ctx: typer.Context,
    clip: given.Clip,
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
    json: given.Json = False,
) -> None:
    """Rank accompaniments for a vocal clip from your library, placed and explained."""
    settings = invocation(ctx).settings(
        model=model, max_semitones=max_semitones, tempo_range=tempo_range, limit=limit
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
    wanted = given.suggest_options(
        tempo=tempo,
        key=key,
        transpose=transpose,
        roles=roles,
        exclude_song=exclude_song,
        include_own=include_own,
        settings=settings,
    )
    with open_engine(settings) as engine:
        wanted = given.with_known_songs(wanted, engine.library)
        reply = engine.suggest(request, wanted, model=settings.model)
    if json:
        emit_json(suggest_document(reply))
    else:
        print_reply(reply)


def print_reply(reply: SuggestReply) -> None:
    """The answer for a person: what was understood, then a table."""
    clip, session = reply.clip, reply.session
    emit_text(
        f"{clip.title}: {clip.tempo_bpm:.1f} BPM, {clip.key.key or 'no key'} "
        f"({clip.key.confidence:.0%} sure), {clip.bars} bars "
        f"-> session {session.tempo_bpm:g} BPM, {session.key or 'no key'}"
    )
    for note in reply.notes:
        _LOGGER.warning(note)
    if not reply.suggestions:
        emit_text("Nothing in the library fits this clip.")
        return
    rows = [row for suggestion in reply.suggestions for row in _rows(suggestion)]
    print_table(
        ["#", "fit", "why", "role", "title", "stretch", "semitones", "bars", "gain", "stem"], rows
    )


def _rows(suggestion: Suggestion) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for number, stem in enumerate(suggestion.stems):
        head: tuple[object, ...] = ("", "", "")
        if number == 0:
            head = (str(suggestion.rank), f"{suggestion.score:.2f}", _reasons(suggestion))
        placement = stem.placement
        looped = placement.loop_bars < placement.bars
        rows.append(
            (
                *head,
                placement.role,
                stem.title,
                f"{stem.ratio_out_in:.3f}",
                f"{placement.semitones:+d}",
                f"{placement.bars} (loop of {placement.loop_bars})" if looped else placement.bars,
                f"{placement.gain_db:+.1f} dB",
                placement.stem_id,
            )
        )
    return rows


def _reasons(suggestion: Suggestion) -> str:
    parts = suggestion.parts
    named = (
        ("harmony", parts.harmony),
        ("rhythm", parts.rhythm),
        ("balance", parts.balance),
        ("learned", parts.learned),
    )
    return " ".join(f"{name} {value:.2f}" for name, value in named if value is not None)
