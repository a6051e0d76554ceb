"""Plain values are converted as pydantic converts them, or left to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from specloom.runfile.plain_types import DOUBTFUL, convert

TYPES = (
    *(bool, int, float, str, None, Any),
    *(bool | None, int | None, float | None, str | None, int | float, float | int, bool | int),
    *(str | list[str], list[int] | list[float], tuple[float, float] | None, list[str] | str | None),
    *(list[int], list[float], list[str] | None, Sequence[int], Sequence[float]),
    *(tuple[int, ...], tuple[float, float], tuple[float, str], tuple[tuple[float, float], ...]),
    *(
        Literal["a", "b"],
        Literal[4, 8],
        Literal["a"] | None,
        Literal["a"] | float,
        Literal[1, True],
    ),
    *(dict[str, Any], dict[str, Any] | None, dict[str, int], dict[str, Any] | list[int]),
    *(tuple[float, float, float] | dict[Literal["train", "val"], list[str]] | None, set[int]),
)
VALUES = (
    *(True, False, 0, 1, 4, -3, 2**53, 2**80, 0.0, 1.0, 2.5, 1e300, float("nan"), float("inf")),
    *("", "a", "b", "1", "true", "Ü", None, [], [1], [1, 2], [1.5, 2], ["a"], ["a", 1], [1, "a"]),
    *([True, 1], [[1, 2], [3.5, 4]], [1, 2, 3], {}, {"a": 1}, {"a": [1.5, None]}, {"train": ["a"]}),
)


def by_pydantic(annotation, value):
    try:
        return TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return DOUBTFUL


@pytest.mark.parametrize("annotation", TYPES, ids=str)
def test_a_value_that_is_converted_is_what_pydantic_gives(annotation):
    for value in VALUES:
        converted = convert(annotation, json.loads(json.dumps(value)))
        if converted is not DOUBTFUL:
            expected = by_pydantic(annotation, value)
            assert repr(converted) == repr(expected), value


def test_common_values_need_no_pydantic():
    common = (
        *((bool, True), (int, 3), (float, 3), (float, 2.5), (str, "a"), (float | None, None)),
        *((list[int], [1, 2]), (Sequence[int], [1]), (tuple[str, ...], ["a"])),
        *((Literal["a", "b"], "b"), (Literal[4, 8], 8), (dict[str, Any] | None, {"a": 1})),
        (tuple[float, float, float] | dict[str, Any] | None, [1, 2, 3]),
    )
    for annotation, value in common:
        assert convert(annotation, value) is not DOUBTFUL, annotation
    wrong = list(product((bool, int, str, list[int]), (2.5, None, {}, ["a"])))
    assert [convert(annotation, value) for annotation, value in wrong] == [DOUBTFUL] * len(wrong)
