"""The gradients that a graph gives are those of the same formulas written in plain torch."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softmax

from specloom import Graph, Port
from specloom.contract.ports import Connection
from specloom.execution.plan import Plan
from specloom.testing import fit
from specloom.torch import TorchRuntime
from specloom_losses.cross_entropy import AnomalyBCEWithLogits
from specloom_rx.detector import RXGlobal
from specloom_rx.logit import ScoreToLogit
from specloom_selectors.soft import SoftChannelSelector

LINKS = [
    Connection("batch.cube", "selector.data"),
    Connection("selector.selected", "rx.data"),
    Connection("rx.scores", "logits.scores"),
    Connection("logits.logits", "bce.predictions"),
    Connection("batch.mask", "bce.targets"),
]
WEIGHT, SHRINKAGE = 10.0, 1e-4


def scene(bands=61):
    """Six smooth sources and noise: what hyperspectral data are like."""
    generator = torch.Generator().manual_seed(3)
    wave = torch.linspace(0, 1, bands)
    centres = torch.linspace(0.1, 0.9, 6)[:, None]
    sources = torch.exp(-(((wave - centres) / 0.3) ** 2))
    shares = torch.rand(2, 40, 40, 6, generator=generator) ** 2
    cube = shares / shares.sum(-1, keepdim=True) @ sources
    cube += 0.1 * torch.randn(cube.shape, generator=generator)
    mask = torch.rand(2, 40, 40, 1, generator=generator) < 0.02
    return cube + mask * 0.3 * torch.randn(cube.shape, generator=generator), mask


def graph_of(cube, links):
    selector = SoftChannelSelector(3, 61, init_method="variance", gumbel=False)
    fit(selector, [{"data": cube}])
    made = selector(data=cube)
    weights = {"weights": made["applied"]} if len(links) > len(LINKS) else {}
    rx = fit(RXGlobal(61, shrinkage=SHRINKAGE), [{"data": made["selected"], **weights}])
    scores = rx(data=made["selected"], **weights)["scores"]
    head = ScoreToLogit()
    head.build({})
    fit(head, [{"scores": scores}])
    nodes = {"selector": selector, "rx": rx, "logits": head}
    nodes["bce"] = AnomalyBCEWithLogits(weight=WEIGHT)
    ports = {"cube": Port("B H W C"), "mask": Port("B H W 1", "bool")}
    return Graph(nodes, links, batch=ports, batch_sizes={"C": 61}, companions=False)


def plain_loss(graph, cube, mask, logits, follow):
    """The loss of the graph as a function of the selector's logits, in float64 but for weights.

    Weights are what float32 makes of them: data far from zero show how they were rounded.
    """
    rx, head = graph.nodes["rx"], graph.nodes["logits"]
    weights = (3 * softmax(logits / graph.nodes["selector"].temperature, 0)).double()
    mean, covariance = rx.background_mean.detach(), rx.covariance
    if follow:
        mean, covariance = mean * weights, covariance * torch.outer(weights, weights)
    ridge = rx.eps**2 * covariance.diagonal() + SHRINKAGE * covariance.diagonal().mean()
    inverse = torch.linalg.inv(covariance + torch.diag(ridge))
    centred = (cube.double() * weights - mean).reshape(-1, 61)
    scores = ((centred @ inverse) * centred).sum(1)
    unit = (scores - head.score_mean - 2 * head.score_std) / head.score_std
    made = (head.scale * unit + head.bias).double()
    return WEIGHT * binary_cross_entropy_with_logits(made, mask.double().flatten())


@pytest.mark.parametrize("follow", [False, True])
def test_loss_and_gradient_of_the_selector(follow):
    cube, mask = scene()
    graph = graph_of(
        cube, [*LINKS, *([Connection("selector.applied", "rx.weights")] if follow else [])]
    )
    plan = Plan(graph, "train", TorchRuntime("cpu"), ["bce.loss"], fold=True)
    selector = graph.nodes["selector"]
    for name in ("selector", "rx", "logits"):
        graph.nodes[name].unfreeze()
        graph.nodes[name].train()
    loss = plan({"cube": cube, "mask": mask})["bce.loss"]
    loss.backward()

    logits = selector.logits.detach().clone().requires_grad_()
    want = plain_loss(graph, cube, mask, logits, follow)
    (gradient,) = torch.autograd.grad(want, logits)
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
    difference = (selector.logits.grad - gradient).norm() / gradient.norm()
    # Where RX follows the weights, what it leaves is a small difference of large gradients.
    assert difference < (1e-3 if follow else 1e-5)
