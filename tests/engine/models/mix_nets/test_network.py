from __future__ import annotations

import pytest
import torch

from engine.models.mix_nets.network import (
    LABELS,
    MixNet,
    NetKind,
    NetSettings,
    SourceNet,
    for_listening,
    lsro_loss,
    mashability,
)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_networks_have_the_published_size() -> None:
    assert parameters(SourceNet(NetSettings("premixnet"))) == 259_776
    with torch.device("meta"):
        assert parameters(MixNet(NetSettings("premixnet"))) == 38_759_362  # 38.76 M
        assert parameters(MixNet(NetSettings("postmixnet"))) == 13_073_986  # 13.07 M


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
@pytest.mark.parametrize("bottleneck", [0, 4])
def test_two_probabilities_whatever_the_length(kind: NetKind, bottleneck: int) -> None:
    settings = NetSettings(kind, width=1 / 16, bottleneck=bottleneck)
    net = MixNet(settings).eval()
    for frames in (8, 33):
        logits = net(torch.randn(3, settings.sources, frames, 128))
        assert logits.shape == (3, 2)
        score = mashability(logits)
        assert torch.all((score > 0) & (score < 1))
        torch.testing.assert_close(score, torch.exp(torch.log_softmax(logits, 1))[:, 0])


def test_a_smaller_net_is_much_smaller() -> None:
    small = MixNet(NetSettings("premixnet", width=0.25, bottleneck=32))
    assert parameters(small) < 1_000_000


def test_source_nets_keep_the_bins_and_halve_time_twice() -> None:
    net = SourceNet(NetSettings("postmixnet", width=1 / 16))
    assert net(torch.randn(2, 1, 40, 128)).shape == (2, 8, 10, 128)


def test_every_stem_has_a_net_of_its_own() -> None:
    torch.manual_seed(0)
    net = MixNet(NetSettings("premixnet", width=1 / 16)).eval()
    spectra = torch.randn(1, 3, 16, 128)
    swapped = spectra[:, [1, 0, 2]]
    assert not torch.allclose(net(spectra), net(swapped))


@pytest.mark.parametrize("shape", [(1, 1, 16, 128), (1, 3, 16, 64), (3, 16, 128)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    net = MixNet(NetSettings("premixnet", width=1 / 16))
    with pytest.raises(ValueError, match="expected"):
        net(torch.zeros(shape))


@pytest.mark.parametrize("values", [{"width": 0.0}, {"width": 9.0}, {"bottleneck": -1}])
def test_impossible_settings(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot"):
        NetSettings("premixnet", **values)  # type: ignore[arg-type]


def test_lsro_is_half_of_both_log_probabilities() -> None:
    logits = torch.tensor([[2.0, -1.0]])
    p = torch.softmax(logits, 1)[0]
    expected = -0.5 * (p[0].log() + p[1].log())
    torch.testing.assert_close(lsro_loss(logits, [LABELS["unknown"]]), expected)
    torch.testing.assert_close(lsro_loss(logits, [LABELS["good"]]), -p[0].log())
    torch.testing.assert_close(lsro_loss(logits, [LABELS["bad"]]), -p[1].log())


@pytest.mark.parametrize("start", [-3.0, 0.5, 4.0])
def test_lsro_pulls_towards_one_half(start: float) -> None:
    logits = torch.tensor([[start, 0.0]], requires_grad=True)
    before = abs(float(mashability(logits).detach()) - 0.5)
    lsro_loss(logits, [LABELS["unknown"]]).backward()
    assert logits.grad is not None
    after = mashability(logits.detach() - 0.1 * logits.grad)
    assert abs(float(after) - 0.5) < before
    at_half = torch.zeros(1, 2, requires_grad=True)
    lsro_loss(at_half, [LABELS["unknown"]]).backward()
    assert at_half.grad is not None
    assert torch.all(at_half.grad == 0)


def as_published(net: MixNet, spectra: torch.Tensor) -> torch.Tensor:
    """The layers one after the other, with PyTorch's own convolution over all bins."""
    heard = torch.cat([one(spectra[:, i : i + 1]) for i, one in enumerate(net.source_nets)], dim=1)
    narrow = net.narrow(heard)
    met = torch.relu(net.met(narrow)) if net.settings.meeting else narrow
    over_time = net.mix(met).squeeze(3)
    summary = over_time.mean(dim=2) + over_time.amax(dim=2)
    logits: torch.Tensor = net.out(torch.relu(net.hidden(summary)))
    return logits


@pytest.mark.parametrize(("bottleneck", "meeting"), [(0, False), (2, False), (2, True)])
@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
def test_parts_of_sources_add_up_to_the_whole_network(
    kind: NetKind, bottleneck: int, meeting: bool
) -> None:
    torch.manual_seed(0)
    net = MixNet(NetSettings(kind, 1 / 16, bottleneck, 1 / 8, meeting)).eval()
    assert net.hidden.in_features == 32
    spectra = torch.randn(3, net.settings.sources, 48, 128)
    with torch.no_grad():
        parts = [net.part(i, spectra[:, i]) for i in range(net.settings.sources)]
        assert parts[0].shape == ((3, 2, 12, 128) if meeting else (3, 32, 12))
        wanted = as_published(net, spectra)
        torch.testing.assert_close(net.judged(sum(parts)), wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net(spectra), wanted, rtol=1e-4, atol=1e-5)


def test_stems_can_only_meet_in_a_bottleneck() -> None:
    with pytest.raises(ValueError, match="cannot"):
        NetSettings("premixnet", meeting=True)


@pytest.mark.parametrize("kind", ["premixnet", "postmixnet"])
@pytest.mark.parametrize(("bottleneck", "meeting"), [(0, False), (4, True)])
def test_a_net_to_listen_with_says_what_the_trained_one_says(
    kind: NetKind, bottleneck: int, meeting: bool
) -> None:
    torch.manual_seed(0)
    net = MixNet(NetSettings(kind, 1 / 16, bottleneck, meeting=meeting))
    planes = 3.0 * torch.randn(6, net.settings.sources, 24, 128)
    for _ in range(20):  # its batch norms have something to tell
        net(planes + 1.0)
    net.eval()
    quick = for_listening(net)
    norms = [m for m in quick.source_nets.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not norms
    with torch.no_grad():
        expected = net(planes)
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(quick(planes), expected, atol=1e-5, rtol=1e-4)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in net.source_nets.modules())
