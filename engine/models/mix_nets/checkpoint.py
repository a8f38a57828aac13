"""Trained mix networks, read from their checkpoints and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from engine.checkpoints import Plain, Recorded, build_network, load_checkpoint, recorded_settings
from engine.models.mix_nets.beat_mel import FRAMES_PER_BEAT
from engine.models.mix_nets.mel import MEL
from engine.models.mix_nets.network import MixNet, NetKind, NetSettings, channels_last

__all__ = ["load_mix_net", "spectra_record"]

#: How a checkpoint names the network's weights.
_MODEL: Final = "model."
#: Channels of a checkpoint's bottleneck; without one the widest network has 1536.
_MOST_BOTTLENECK: Final = 4096
#: Widest network, in published ones.
_MOST_WIDTH: Final = 4.0


def load_mix_net(path: Path, kind: NetKind) -> MixNet:
    """A trained network in evaluation mode.

    Raises:
        MissingDependency: the checkpoint is not there, damaged, not of this kind, or its network
            has seen other spectra than are made here.
    """
    checkpoint = load_checkpoint(path, kind)
    with recorded_settings(checkpoint) as said:
        settings = _net_of(said, kind)
    net = build_network(lambda: MixNet(settings), checkpoint, prefix=_MODEL)
    channels_last(net)
    return net


def _net_of(said: Recorded, kind: NetKind) -> NetSettings:
    """The network of a record; what older records do not tell is as it was then.

    Raises:
        ValueError: no network can be built of it, or it is of other spectra.
    """
    for name, made in {**spectra_record(), "net_mels": MEL.mels}.items():
        told = said.settings.get(name)
        if told is not None and told != made:
            raise ValueError(f"its spectra differ: {name} is {told!r:.40}, expected {made}")
    return NetSettings(
        kind,
        width=said.number("net_width", least=0.0, most=_MOST_WIDTH, default=1.0),
        bottleneck=said.whole("net_bottleneck", least=0, most=_MOST_BOTTLENECK, default=0),
        joint_width=said.number("net_joint_width", least=0.0, most=_MOST_WIDTH, default=0.0),
        meeting=said.flag("net_meeting", default=False),
        mels=MEL.mels,
    )


def spectra_record() -> dict[str, Plain]:
    """What decides the planes, as a checkpoint records it."""
    mel = {f"mel_{name}": value for name, value in asdict(MEL).items()}
    return {**mel, "mel_frames_per_beat": FRAMES_PER_BEAT}
