"""What the tests of metric nodes share."""

from specloom import MergeableMetric


def measured(node, *batches):
    """The metrics of a node that has seen batches of a stage."""
    node.build({})
    node.measure_start("test")
    for one in batches:
        assert node.forward(**one) == {}
    metrics = node.measure_end()["metrics"]
    assert all(type(value) in (int, float) for value in metrics.values())
    return metrics


def merged(make, *parts):
    """The metrics of a node that was merged with what others have collected of parts of a stage.

    Args:
        make: A node.
        parts: Lists of batches.
    """
    whole = make()
    whole.measure_start("test")
    for part in parts:
        node = make()
        node.measure_start("test")
        for one in part:
            node.forward(**one)
        whole.measure_merge(node.measure_state())
    assert isinstance(whole, MergeableMetric)
    return whole.measure_end()["metrics"]


def by_image(data):
    """A batch for each image of a batch."""
    images = range(len(data["targets"]))
    return [{name: array[at : at + 1] for name, array in data.items()} for at in images]
