"""What Stem-JEPA hears of a sound: its log-mel image in the session's tempo and key.

A render would stretch the audio beat by beat and transpose it, which costs half a second for every
stem that is tried. The image needs no phases, so it is made without a stretcher: the audio is read
at a rate that puts it in the wanted key, and every 10 ms of the session looks at the moment of the
recording that sounds there. Formants move with the key.

Tempi are brought to four values per octave, 59.5, 70.7, 84.1, 100 … BPM: clip and stem share one,
at most 9 % from the session's, and one image of a stem serves many sessions.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engine.models.audio_source import Sound, own_audio
from engine.models.stem_jepa.log_mel import HOP_SAMPLES, SAMPLE_RATE, LogMel
from engine.models.stem_jepa.network import PATCH

__all__ = ["heard_tempo", "sound_image"]

#: Tempi per octave, and one of them [BPM].
_TEMPI_PER_OCTAVE: Final = 4
_A_TEMPO_BPM: Final = 100.0


def heard_tempo(sound: Sound) -> float:
    """The shared tempo that is nearest to a sound's own [BPM]."""
    own = 60.0 * sound.beats / sound.duration_s
    steps = round(_TEMPI_PER_OCTAVE * math.log2(own / _A_TEMPO_BPM))
    return float(_A_TEMPO_BPM * 2.0 ** (steps / _TEMPI_PER_OCTAVE))


def sound_image(log_mel: LogMel, sound: Sound, tempo_bpm: float) -> Tensor:
    """(80, frames) of a sound as it lies in a session, whole columns of patches.

    Raises:
        UnusableInput: the audio cannot be read.
    """
    semitones = sound.semitones - sound.tuning_cents / 100.0
    rate = round(SAMPLE_RATE * 2.0 ** (-semitones / 12.0))
    samples = own_audio(sound, rate)
    frames = max(round(sound.beats * 60.0 / tempo_bpm * SAMPLE_RATE / HOP_SAMPLES), PATCH)
    beats = np.arange(frames) * HOP_SAMPLES / SAMPLE_RATE * tempo_bpm / 60.0
    edges = np.concatenate([[0.0], np.cumsum(np.diff(sound.spans_s, axis=1)[:, 0])])
    moments = np.interp(beats, np.arange(edges.size), edges)
    centres = np.clip(np.round(moments * rate), 0, samples.size - 1).astype(np.int64)
    image = log_mel.at(torch.from_numpy(samples), torch.from_numpy(centres))
    silence = log_mel.at(torch.zeros(SAMPLE_RATE), torch.zeros(1, dtype=torch.long))
    return torch.cat([image, silence.expand(-1, -frames % PATCH)], dim=1)
