"""Answers as JSON documents, field by field as the interface contract names them (schema 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dawlink
from engine.theory import fine_tuning_cents

if TYPE_CHECKING:
    from engine.analysis.records import KeyEstimate
    from engine.delivery.records import RenderedFile, RenderedSuggestion
    from engine.library.rows import SongRow, StemRow
    from engine.rendering.ducked_stems import Ducking
    from engine.suggestions import SuggestedStem, Suggestion, SuggestReply

__all__ = [
    "Document",
    "render_document",
    "rendered_document",
    "song_document",
    "stem_document",
    "suggest_document",
]

Document = dict[str, object]


def suggest_document(reply: SuggestReply) -> Document:
    """The answer to ``suggest``."""
    return {
        "schema": 1,
        "model": reply.model,
        "query": _query(reply),
        "session": {
            "tempo_bpm": round(reply.session.tempo_bpm, 3),
            "key": _text(reply.session.key),
            "beats_per_bar": reply.session.beats_per_bar,
        },
        "suggestions": [_suggestion(suggestion) for suggestion in reply.suggestions],
        "notes": list(reply.notes),
    }


def rendered_document(
    rendered: RenderedSuggestion, suggestion: Suggestion, reply: SuggestReply
) -> Document:
    """The description that lies beside a rendered suggestion: all that is needed to repeat it."""
    session = rendered.session
    return {
        "schema": 1,
        "tempo_bpm": session.tempo_bpm,
        "key": _text(reply.session.key),
        "beats_per_bar": session.beats_per_bar,
        "bars": session.bars,
        "sample_rate": session.sample_rate,
        "frames": session.frames,
        "clip": _clip(rendered, reply),
        "mix": None
        if rendered.mix is None
        else {
            "path": str(rendered.mix.path),
            "lufs": round(rendered.mix.lufs, 2),
            "true_peak_db": round(rendered.mix.true_peak_db, 2),
        },
        "stems": [
            _rendered_stem(file, stem)
            for file, stem in zip(rendered.stems, suggestion.stems, strict=True)
        ],
        **({} if rendered.ducking is None else {"duck": _ducking(rendered.ducking)}),
        "midi": None if rendered.midi is None else str(rendered.midi),
        "projects": [str(path) for path in rendered.projects],
        "dawlink": dawlink.__version__,
        "model": reply.model,
        "rank": suggestion.rank,
        "score": suggestion.score,
        "notes": list(reply.notes),
    }


def render_document(documents: Sequence[Document], descriptions: Sequence[str]) -> Document:
    """The answer to ``render``: every description; a single one also at the top level."""
    renders = [
        {**document, "json": path} for document, path in zip(documents, descriptions, strict=True)
    ]
    single = renders[0] if len(renders) == 1 else {}
    return {**single, "schema": 1, "renders": renders}


def song_document(song: SongRow, stems: Sequence[StemRow]) -> Document:
    """A song of the library with its stems."""
    return {
        "song_id": song.id,
        "title": song.title,
        "artist": song.artist,
        "kind": song.kind,
        "duration_s": round(song.duration_s, 3),
        "tempo_bpm": round(song.tempo.bpm, 3),
        "tempo_confidence": round(song.tempo.confidence, 3),
        "steady": song.tempo.steady,
        "tempo_hypotheses": [
            {
                "tempo_bpm": round(hypothesis.bpm, 3),
                "multiple": hypothesis.multiple,
                "weight": round(hypothesis.weight, 4),
            }
            for hypothesis in song.tempo.hypotheses
        ],
        **_key(song.key),
        "tuning_cents": round(song.tuning_cents, 1),
        "beats_per_bar": song.beats_per_bar,
        "bars": song.beats // song.beats_per_bar,
        "beat_confidence": round(song.grid_confidence, 3),
        "tracker": song.tracker,
        "tracked_on": song.tracked_on,
        "separator": song.separator or None,
        "added_at": song.added_at,
        "notes": list(song.notes),
        "stems": [stem_document(stem) for stem in stems],
    }


def stem_document(stem: StemRow) -> Document:
    """A stem of the library."""
    return {
        "stem_id": stem.id,
        "role": stem.role,
        "duration_s": round(stem.duration_s, 3),
        "sample_rate": stem.audio.sample_rate,
        "channels": stem.audio.channels,
        "loudness_lufs": round(stem.loudness_lufs, 2),
        "true_peak_db": round(stem.true_peak_db, 2),
    }


def _query(reply: SuggestReply) -> Document:
    clip = reply.clip
    return {
        "path": str(clip.request.path),
        "start_s": clip.request.start_s,
        "end_s": round(clip.end_s, 4),
        "tempo_bpm": round(clip.tempo_bpm, 3),
        **_key(clip.key),
        "bars": clip.bars,
        "downbeat_s": round(clip.downbeat_s, 4),
        "beats_from": clip.method,
        "beat_confidence": round(clip.grid.confidence, 3),
        "transpose": reply.options.transpose,
        "own_songs": [source.song_id for source in clip.sources],
    }


def _suggestion(suggestion: Suggestion) -> Document:
    parts = suggestion.parts
    return {
        "rank": suggestion.rank,
        "score": suggestion.score,
        "confidence": suggestion.confidence,
        "parts": {
            "harmony": _rounded(parts.harmony),
            "rhythm": _rounded(parts.rhythm),
            "balance": _rounded(parts.balance),
            "learned": _rounded(parts.learned),
        },
        "stems": [_suggested_stem(stem) for stem in suggestion.stems],
    }


def _suggested_stem(stem: SuggestedStem) -> Document:
    placement = stem.placement
    return {
        "stem_id": placement.stem_id,
        "song_id": placement.song_id,
        "title": stem.title,
        "role": placement.role,
        "path": str(stem.path),
        "tempo_bpm": round(stem.tempo_bpm, 3),
        "key": _text(stem.key.key),
        "semitones": placement.semitones,
        "cents": round(fine_tuning_cents(placement.role, stem.off_cents), 2),
        "ratio_out_in": round(stem.ratio_out_in, 6),
        "source_start_s": round(stem.source_start_s, 4),
        "source_end_s": round(stem.source_end_s, 4),
        "bars": placement.bars,
        "loop_bars": placement.loop_bars,
        "offset_beats": stem.offset_beats,
        "gain_db": placement.gain_db,
        "source_gain_db": round(stem.storage_gain_db, 4),
    }


def _clip(rendered: RenderedSuggestion, reply: SuggestReply) -> Document:
    source = str(reply.clip.request.path.resolve())
    document: Document = {
        "path": None if rendered.clip is None else str(rendered.clip.path),
        "source": source,
        "start_s": reply.clip.request.start_s,
        "end_s": round(reply.clip.end_s, 4),
        "semitones": reply.options.transpose,
    }
    if rendered.clip is not None:
        gain_db = reply.clip.request.gain_db - rendered.clip.lower_db
        document |= {"gain_db": round(gain_db, 2), "warp": _warp(rendered.clip)}
    return document


def _rendered_stem(file: RenderedFile, stem: SuggestedStem) -> Document:
    return {
        "path": str(file.path),
        "source": str(file.source),
        **{
            key: value
            for key, value in _suggested_stem(stem).items()
            if key not in ("path", "bars", "offset_beats")
        },
        "warp": _warp(file),
    }


def _ducking(ducking: Ducking) -> Document:
    """How the stems were turned down; bands between the edges, from low to high."""
    return {
        "curve": ducking.curve,
        "checkpoint": ducking.checkpoint,
        "depth_db": ducking.depth_db,
        "attack_s": ducking.attack_s,
        "release_s": ducking.release_s,
        "band_edges_hz": list(ducking.band_edges_hz),
        "deepest_db": round(ducking.deepest_db, 2),
        "mean_db": [round(mean_db, 2) for mean_db in ducking.mean_db],
        "share": round(ducking.share, 4),
    }


def _warp(file: RenderedFile) -> list[list[float]]:
    return [[round(point.source_s, 6), point.beat] for point in file.warp]


def _key(estimate: KeyEstimate) -> Document:
    return {"key": _text(estimate.key), "key_confidence": round(estimate.confidence, 3)}


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
