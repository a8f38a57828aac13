"""AutoMashUpper, the rule-based baseline, in two readings.

Davies, Hamel, Yoshii and Goto, "AutoMashUpper: automatic creation of multi-song music mashups",
IEEE/ACM TASLP 2014: harmonic match of beat-synchronous chroma over key shifts, rhythmic match of
kick and snare patterns at twelve steps per beat, spectral balance of three bands; weights 1, 0.2
and 0.2 (that of the rhythm is not stated in what could be read of the paper). Unlike there, both
spectra are normalised before they are added, not after, since stems are brought to one loudness.

The open tool that later papers measured against has no rhythm term. It is followed as it scores,
minus its bugs: signed transpositions, beats with their phase, the chroma correlation divided by
the norm of the compared section rather than of the whole candidate.

A triple of vocal, harmony and drums scores the mean of its three pairs (Huang et al., AAAI 2021).
"""

from __future__ import annotations

from engine.models.grid_rules import GridRules, Rules

__all__ = ["automashupper", "automashupper_tool"]


def automashupper() -> GridRules:
    """The paper's form; drums take part by rhythm and balance only."""
    return GridRules("automashupper", Rules(harmony=1.0, rhythm=0.2, balance=0.2))


def automashupper_tool() -> GridRules:
    """The open tool's form: no rhythm, drums compared by their chroma like everything else."""
    rules = Rules(harmony=1.0, rhythm=0.0, balance=0.2, whole_norm=True, harmony_of_drums=True)
    return GridRules("automashupper-tool", rules)
