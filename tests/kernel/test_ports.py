"""Ports: what fits through them, and what they say when it does not."""

import re

import numpy as np
import pytest
import torch

from specloom import Port, PortError
from specloom.contract.ports import dtype_name, fixed_size, mismatch


class Owner:
    n_select = 3
    num_channels = None


def refused(port, value, sizes=None):
    with pytest.raises(PortError) as caught:
        port.check(value, Owner(), {} if sizes is None else sizes, "rx.data")
    return caught.value.what


def test_axes():
    sizes = {}
    port = Port("B H W C")
    port.check(np.zeros((2, 3, 4, 5), "f4"), Owner(), sizes, "")
    assert sizes == {"B": 2, "H": 3, "W": 4, "C": 5}
    port.check(torch.zeros(2, 3, 4, 5), Owner(), sizes, "")
    assert refused(port, np.zeros((2, 3, 4, 6), "f4"), sizes) == (
        "axis C is 6 but should be 5 (shape (2, 3, 4, 6), axes B H W C)"
    )
    assert refused(port, np.zeros((3, 4, 5), "f4")) == "wants axes (B H W C), got shape (3, 4, 5)"
    assert refused(port, [1, 2]) == "wants an array (B H W C), got list"


def test_parameters_and_numbers_as_axes():
    port = Port("H n_select")
    port.check(np.zeros((9, 3), "f4"), Owner(), {}, "")
    assert refused(port, np.zeros((9, 4), "f4")) == (
        "axis n_select is 4 but should be 3 (shape (9, 4), axes H n_select)"
    )
    assert refused(Port("H 1"), np.zeros((9, 2), "f4")) == (
        "axis 1 is 2 but should be 1 (shape (9, 2), axes H 1)"
    )
    free = Port("H num_channels")
    free.check(np.zeros((9, 4), "f4"), Owner(), {}, "")
    assert (fixed_size("7", None), fixed_size("n_select", Owner())) == (7, 3)
    assert fixed_size("num_channels", Owner()) is None


def test_scalars_and_open_fronts():
    Port("").check(torch.tensor(1.0), Owner(), {}, "")
    assert refused(Port(""), torch.zeros(1)) == "wants axes (), got shape (1,)"
    port, sizes = Port("... C"), {}
    for shape in [(5,), (2, 5), (2, 3, 4, 5)]:
        port.check(np.zeros(shape, "f4"), Owner(), sizes, "")
    assert sizes == {"C": 5}
    assert refused(port, np.zeros((), "f4")) == "wants axes (... C), got shape ()"
    assert refused(port, np.zeros((2, 6), "f4"), sizes) == (
        "axis C is 6 but should be 5 (shape (2, 6), axes ... C)"
    )


@pytest.mark.parametrize(
    ("wanted", "offered", "fits"),
    [
        ("float32", "float32", True),
        ("float32", "float64", False),
        ("float", "bfloat16", True),
        ("integer", "uint16", True),
        ("integer", "bool", False),
        ("real", "int8", True),
        ("real", "integer", True),
        ("real", "float", True),
        ("float", "real", False),
        ("float32", "float", False),
        ("bool", "bool", True),
    ],
)
def test_element_types_and_their_groups(wanted, offered, fits):
    assert Port("C", dtype=wanted).takes_dtype(offered) is fits


def test_element_types_of_both_libraries_have_one_name():
    assert (
        dtype_name(np.zeros(1, "u2")) == dtype_name(torch.zeros(1, dtype=torch.uint16)) == "uint16"
    )
    assert refused(Port("C"), np.zeros(3)) == "wants float32, got float64"
    with pytest.raises(PortError, match="fix: convert it to float32 in the node before"):
        Port("C").check(np.zeros(3), Owner(), {}, "")


def test_values_that_are_no_arrays():
    record = Port(dtype="record", fields=("strategy", "bands"))
    good = {"strategy": "x", "bands": [1]}
    record.check(good, Owner(), {}, "")
    record.check([good, good], Owner(), {}, "")
    assert refused(record, {"strategy": "x"}) == "lacks the keys bands"
    assert refused(record, [good, 3]) == "wants a mapping, got int"
    scalars = Port(dtype="scalars")
    scalars.check({"iou": 0.5}, Owner(), {}, "")
    assert refused(scalars, [1.0]) == "wants a mapping, got list"
    Port(dtype="object").check(object(), Owner(), {}, "")


def test_many_values():
    port = Port(dtype="scalars", many=True)
    port.check([{"a": 1}, {"b": 2}], Owner(), {}, "")
    assert refused(port, [{"a": 1}, 2]) == "wants a mapping, got int"


def test_a_port_has_axes_or_says_what_else_flows():
    for wrong in [{"axes": "C", "dtype": "record"}, {"dtype": "float32"}]:
        with pytest.raises(ValueError, match="a port has axes, or else a dtype of object, record"):
            Port(**wrong)
    assert Port("C").required
    assert not any(Port("C", **{flag: True}).required for flag in ("optional", "for_fit", "many"))


@pytest.mark.parametrize(
    ("axes", "dtype", "message"),
    [
        ("B H W 1", "boolean", "there is no dtype 'boolean': did you mean 'bool'?"),
        (None, "dict", "a port has axes, or else a dtype of object, record, scalars: "),
        (
            "B, H, W, C",
            "float32",
            "'B, H, W, C' are no axes: write names and numbers with spaces between them, "
            "as in 'B H W C'",
        ),
        ("B ... C", "float32", "'B ... C' are no axes: "),
    ],
)
def test_a_port_that_is_misspelt_is_refused_where_it_is_declared(axes, dtype, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Port(axes, dtype)


@pytest.mark.parametrize("axes", ["", "...", "... C", "B H W 1", "B H W num_bands", "C_in 3"])
def test_axes_are_names_numbers_and_dots_in_front(axes):
    assert Port(axes).names == tuple(axis for axis in axes.split() if axis != "...")


CUBE = Port("B H W C", kind="toy.cube")


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (CUBE, Port("B H W C"), ""),
        (CUBE, CUBE, ""),
        (CUBE, Port("B H W 1"), ""),  # sizes are compared over the whole graph
        (CUBE, Port("... C"), ""),
        (CUBE, Port("B H W C", kind="toy.mask"), "is toy.cube but {target} wants toy.mask"),
        (CUBE, Port("B H W C", dtype="bool"), "is float32 but {target} wants bool"),
        (CUBE, Port("B H W"), "has axes (B H W C) but {target} wants (B H W)"),
        (Port(""), Port("... C"), "has axes () but {target} wants (... C)"),
        (Port(dtype="scalars"), CUBE, "is scalars but {target} wants float32"),
        (
            Port(dtype="scalars", per_stage=True),
            Port(dtype="scalars"),
            "is known when a stage ends but {target} wants what is made for each batch",
        ),
        (
            Port(dtype="scalars"),
            Port(dtype="scalars", per_stage=True),
            "is made for each batch but {target} wants what is known when a stage ends",
        ),
    ],
)
def test_what_can_be_connected(source, target, why):
    assert mismatch(source, target) == why
