"""A decider that takes the logits' function over decides each pixel as it does without."""

import math

import numpy as np
import pytest
import torch

from specloom_deciders import BinaryDecider
from specloom_rx import ScoreToLogit

KINDS = {torch.float32: np.int32, torch.float64: np.int64}


def head_of(mean, std, scale, bias, *, calibrate=True):
    head = ScoreToLogit(init_scale=scale, init_bias=bias, calibrate=calibrate)
    head.build({})
    head.finish_fit(1)
    if calibrate:
        head.score_mean.fill_(mean)
        head.score_std.fill_(std)
    return head


def scores_near(values, dtype):
    """Numbers, and the 300 next ones of their type on both sides; zeros, and what is not finite."""
    steps = np.arange(-300, 301)
    around = []
    for value in values:
        bits = np.asarray(value, torch.empty(0, dtype=dtype).numpy().dtype).view(KINDS[dtype])
        around.append((bits + steps.astype(bits.dtype)).view(f"f{bits.itemsize}"))
    special = [0.0, -0.0, math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45]
    everything = np.concatenate([*around, np.asarray(special, around[0].dtype)])
    return torch.from_numpy(everything).view(1, 1, -1, 1)


def cut_of(head, logit):
    """About the score with a logit."""
    factor, offset = head.logit_map()
    return (logit - offset) / factor


STATES = {
    "usual": (61.2, 11.7, 1.0, 0.0),
    "a small scale": (1e6, 3e5, 1e-7, 2.5),
    "a large scale": (0.01, 1e-6, 1e7, -3.3),
    "equal scores": (7.0, 0.0, 1.5, 0.25),
    "negative scores": (-500.0, 2.0, 0.7, 0.1),
}


@torch.no_grad()
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_decisions_are_the_same(state, dtype):
    head = head_of(*state)
    for threshold in (0.0, 0.01, 0.5, 0.7310585786300049, 0.999999, 1.0):
        decider = BinaryDecider(threshold)
        inside = min(max(threshold, 1e-9), 1 - 1e-9)
        middle = cut_of(head, math.log(inside / (1 - inside)))
        scores = scores_near([middle, state[0]], dtype)
        valid = torch.rand(scores.shape, generator=torch.Generator().manual_seed(0)) < 0.9
        for mask in (None, valid):
            plain = decider(logits=head(scores=scores)["logits"], valid=mask)
            lazy = head.forward_lazy(scores=scores)["logits"]
            assert not isinstance(lazy, torch.Tensor)
            folded = decider(logits=lazy, valid=mask)
            alone = decider.forward_for(["decisions"])(logits=lazy, valid=mask)
            assert torch.equal(folded["decisions"], plain["decisions"])
            assert torch.equal(folded["unjudged"], plain["unjudged"])
            assert torch.equal(alone["decisions"], plain["decisions"])


@torch.no_grad()
def test_scores_that_are_logits_already():
    head = head_of(0, 1, 1.0, 0.0, calibrate=False)
    scores = scores_near([0.3], torch.float32)
    lazy = head.forward_lazy(scores=scores)["logits"]
    decider = BinaryDecider(0.57)
    plain = decider(logits=head(scores=scores)["logits"])["decisions"]
    assert torch.equal(decider(logits=lazy)["decisions"], plain)


@torch.no_grad()
@pytest.mark.parametrize(("scale", "bias"), [(-1.0, 0.0), (0.0, 1.0)])
def test_a_function_that_may_decrease_is_computed(scale, bias):
    head = head_of(5.0, 2.0, scale, bias)
    scores = torch.tensor([1.0, 9.0]).view(1, 1, 2, 1)
    assert isinstance(head.forward_lazy(scores=scores)["logits"], torch.Tensor)


def test_logits_are_computed_with_gradients():
    head = head_of(5.0, 2.0, 1.0, 0.0)
    head.unfreeze()
    scores = torch.tensor([1.0, 9.0]).view(1, 1, 2, 1)
    logits = head.forward_lazy(scores=scores)["logits"]
    assert logits.requires_grad


@torch.no_grad()
def test_a_change_of_the_head_changes_the_decisions():
    head = head_of(5.0, 2.0, 1.0, 0.0)
    decider = BinaryDecider()
    scores = torch.tensor([8.0, 10.0]).view(1, 1, 2, 1)
    for mean, expected in ((5.0, [False, True]), (3.0, [True, True]), (7.0, [False, False])):
        head.score_mean.fill_(mean)
        lazy = head.forward_lazy(scores=scores)["logits"]
        assert decider(logits=lazy)["decisions"].flatten().tolist() == expected


@torch.no_grad()
def test_other_types_are_decided_by_their_values():
    head = head_of(5.0, 2.0, 1.0, 0.0)
    scores = torch.linspace(0, 20, 64).bfloat16().view(1, 8, 8, 1)
    lazy = head.forward_lazy(scores=scores)["logits"]
    plain = BinaryDecider()(logits=head(scores=scores)["logits"])["decisions"]
    assert torch.equal(BinaryDecider()(logits=lazy)["decisions"], plain)
