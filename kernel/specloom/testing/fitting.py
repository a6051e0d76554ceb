"""What a node learns from a stream of batches: order, batch size and processes must not matter."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from specloom.contract.abilities import Stateful
from specloom.contract.errors import NodeError, SpecloomError
from specloom.testing.comparing import CLOSE, Values, agree, hold
from specloom.testing.driving import fit, fit_shares, quiet, run, saved
from specloom.testing.making import batch_for, built, cut, fit_batches, fitted, float_images
from specloom.torch import TorchRuntime

if TYPE_CHECKING:
    from specloom.contract.nodes import Batch


def unfitted_refuses(cls: Any) -> None:
    """A node that was not fitted says so by NodeError, also after its state was saved and restored.

    Its outputs would look like results.
    """
    node = built(cls)
    batch = batch_for(node)
    twin = built(cls)
    if isinstance(node, Stateful):
        twin.restore(saved(node, node.state()))
    _check_refusal(node, batch, "before a fit")
    _check_refusal(twin, batch, "after an unfitted state was restored")


def _check_refusal(node: Any, batch: Batch, when: str) -> None:
    hold(not node.fitted, node, f"it says that it is fitted {when}")
    try:
        run(node, batch)
    except NodeError as error:
        hold("fit" in str(error), node, f"its refusal does not mention the fit: {error}")
    else:
        hold(False, node, f"it runs {when}")


def fit_marks_as_fitted(cls: Any) -> None:
    """After the last pass, and not before, the node says that it is fitted."""
    node = built(cls)
    batches = fit_batches(node)
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        for pass_ in range(node.fit_passes):
            hold(not node.fitted, node, f"it says that it is fitted before pass {pass_}")
            node.fit_start(pass_)
            for batch in batches:
                node.fit_update(**batch)
            node.fit_end()
    hold(node.fitted, node, "it says that it is not fitted after its last pass")


def fit_forgets(cls: Any) -> None:
    """A second fit forgets the first: the node equals one that only saw the second data."""
    node = built(cls)
    one, *others = fit_batches(node)
    for first, second in (([one], others), (others, [one])):
        fresh = fit(built(cls), second)
        fit(node, first)
        fit(node, second)
        agree(_learned(node), _learned(fresh), node, "when the node was fitted before")


def fit_same_order_is_bit_identical(cls: Any) -> None:
    """The same batches in the same order give the same fit, bit for bit."""
    one = fitted(cls)
    two = fitted(cls)
    agree(_learned(one), _learned(two), one, "when the same data is fitted again")


def fit_order_independent(cls: Any) -> None:
    """Other batch sizes and another order give the same fit, up to float64 rounding."""
    node = fitted(cls)
    twin = built(cls)
    images = _images(node, fit_batches(node))
    fit(twin, images[::-1])
    agree(_learned(twin), _learned(node), node, "when images come one by one in reverse", CLOSE)


def fit_withstands_offset(cls: Any) -> None:
    """Order does not matter on a large offset either, where sums in float32 lose the data."""
    one = built(cls)
    two = built(cls)
    batches = fit_batches(one)
    for batch in batches:
        for name in float_images(one):
            batch[name] += 1000.0
    fit(one, batches)
    fit(two, _images(one, batches)[::-1])
    agree(_state(two), _state(one), one, "when images at an offset come in reverse", CLOSE)


def fit_merges(cls: Any) -> None:
    """Nodes that were fitted on shares of the data and merged equal one that saw it all."""
    whole = fitted(cls)
    batches = fit_batches(whole)
    splits = {"two shares": [batches[:1], batches[1:]], "all and an empty share": [batches, []]}
    for how, shares in splits.items():
        nodes = [built(cls), built(cls)]
        fit_shares(nodes, copy.deepcopy(shares))
        for node in nodes:
            agree(_learned(node), _learned(whole), whole, f"when {how} are merged", CLOSE)


def fit_merge_of_one_part_is_exact(cls: Any) -> None:
    """What is merged into a node that begins a pass is its state, bit for bit.

    So the last digits of a fit do not depend on how often states were passed on.
    """
    node = _replayed(cls, [])
    states = _states_by_pass(node)
    for number, state in enumerate(states):
        twin = _replayed(cls, states[:number])
        with quiet(), TorchRuntime("cpu").evaluation([twin]):
            twin.fit_start(number)
            twin.fit_merge(copy.deepcopy(state))
        merged = saved(twin, twin.fit_state())
        agree(merged, state, node, f"when its state is merged into a fresh node in pass {number}")


def replayed_passes_equal_living(cls: Any) -> None:
    """A node that only merges the states of finished passes equals one that lived through them.

    Another process can so take up a fit in its second pass, or a finished one.
    """
    node = _replayed(cls, [])
    states = _states_by_pass(node)
    for finished in range(1, node.fit_passes + 1):
        twin = _replayed(cls, states[:finished])
        _states_by_pass(twin, finished)
        agree(_learned(twin), _learned(node), node, f"when pass 0 to {finished - 1} are replayed")


def nan_pixel_left_out_of_fit(cls: Any) -> None:
    """Pixels that are NaN or infinite in one band count for a fit as if they were not there."""
    for value in (math.nan, math.inf):
        _check_excluded(cls, value)


def invalid_pixel_left_out_of_fit(cls: Any) -> None:
    """Pixels that ``valid`` excludes count for a fit as if they were not there."""
    _check_excluded(cls, 50.0, with_valid=True)


def nothing_to_fit_is_refused(cls: Any) -> None:
    """A fit that meets no usable pixel ends in an error, not in statistics of nothing."""
    node = built(cls)
    batches = fit_batches(node)
    for batch in batches:
        for name in float_images(node):
            batch[name][...] = math.nan
    try:
        fit(node, batches)
    except SpecloomError:
        return
    hold(False, node, "it can be fitted on pixels that are all NaN")


def _states_by_pass(node: Any, first: int = 0) -> list[dict[str, Any]]:
    """What a node has collected in each pass from ``first``, which are run here."""
    states = []
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        for number in range(first, node.fit_passes):
            node.fit_start(number)
            for batch in copy.deepcopy(fit_batches(node)):
                node.fit_update(**batch)
            states.append(saved(node, node.fit_state()))
            node.fit_end()
    return states


def _replayed(cls: Any, states: Sequence[Mapping[str, Any]]) -> Any:
    """A fresh node that went through the first passes by merging their states."""
    node = built(cls)
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        if hasattr(node, "seed"):
            node.seed(0)
        for number, state in enumerate(states):
            node.fit_start(number)
            node.fit_merge(copy.deepcopy(dict(state)))
            node.fit_end()
    return node


def _check_excluded(cls: Any, value: float, *, with_valid: bool = False) -> None:
    """Spoil the last column of every image; the fit must equal one without that column.

    Args:
        cls: The node's class.
        value: What the first band of the column is set to.
        with_valid: Whether ``valid`` is connected, and excludes the column.
    """
    node = built(cls)
    twin = built(cls)
    batches = fit_batches(node)
    if with_valid:
        _add_valid(node, batches)
    without_column = []
    for batch in batches:
        columns = cut(node, batch, "W", slice(0, -1))
        without_column.append(copy.deepcopy(columns))
        _spoil_last_column(node, batch, value)
        if with_valid:
            batch["valid"][:, :, -1] = False
    fit(node, batches)
    fit(twin, without_column)
    agree(_outputs(node), _outputs(twin), node, "when a spoilt column is cut away", CLOSE)


def _add_valid(node: Any, batches: list[Values]) -> None:
    """Add the input ``valid``, in which every pixel is valid."""
    for batch, full in zip(batches, fit_batches(node, optional=True), strict=True):
        batch["valid"] = full["valid"]
        batch["valid"][...] = True


def _spoil_last_column(node: Any, batch: Values, value: float) -> None:
    for name in float_images(node):
        batch[name][:, :, -1, ..., 0] = value


def _images(node: Any, batches: list[Values]) -> list[Values]:
    """Every image as a batch of its own."""
    images = []
    for batch in batches:
        for image in range(_count(node, batch)):
            part = slice(image, image + 1)
            images.append(cut(node, batch, "B", part))
    return images


def _count(node: Any, batch: Values) -> int:
    """The number of images of a batch; 1 where no input has the axis B."""
    for name, value in batch.items():
        port = node.inputs[name]
        if "B" in port.names and not port.many:
            count: int = value.shape[port.names.index("B")]
            return count
    return 1


def _learned(node: Any) -> Values:
    """What a fit led to: the state, and the outputs for one batch."""
    return {"state": _state(node), "outputs": _outputs(node)}


def _state(node: Any) -> Mapping[str, Any]:
    if not isinstance(node, Stateful):
        return {}
    return copy.deepcopy(dict(node.state()))


def _outputs(node: Any) -> Values:
    return copy.deepcopy(run(node, batch_for(node)))
