"""Parameters from a run file: strict types, good texts; and back to a run file."""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field

from specloom.runfile import parameters


class Shade(StrEnum):
    DARK = "dark"


class Toy:
    python_only = ("source",)

    def __init__(
        self,
        n: int,
        scale: float = 1.0,
        hard: bool = False,
        mode: Literal["a", "b"] = "a",
        windows: tuple[tuple[float, float], ...] = (),
        pair: tuple[int, int] | None = None,
        names: list[str] | str = "all",
        file: Path | None = None,
        shade: Shade = Shade.DARK,
        limit: Annotated[float, Field(gt=0)] = 1.0,
        groups: dict[str, int] | None = None,
        source: object = None,
    ) -> None:
        self.n, self.scale, self.hard, self.mode = n, scale, hard, mode
        self.windows, self.pair, self.names, self.file = windows, pair, names, file
        self.shade, self.limit, self.groups, self.source = shade, limit, groups, source


class Nothing:
    pass


def checked(config, cls=Toy):
    good, problems = parameters.checked(cls, "toy.Toy", config, lambda name: f"run.yaml:{name}")
    return good, [str(problem) for problem in problems]


def test_good_values_get_their_types():
    good, problems = checked(
        {
            "n": 3,
            "scale": 2,
            "windows": [[1, 2.5]],
            "pair": [1, 2],
            "names": ["x"],
            "file": "a/b",
            "shade": "dark",
            "groups": {"a": 1},
        }
    )
    assert problems == []
    assert good == {
        "n": 3,
        "scale": 2.0,
        "windows": ((1.0, 2.5),),
        "pair": (1, 2),
        "names": ["x"],
        "file": Path("a/b"),
        "shade": Shade.DARK,
        "groups": {"a": 1},
    }
    assert type(good["scale"]) is float
    assert checked({"n": 1, "scale": math.inf})[0]["scale"] == math.inf
    assert math.isnan(checked({"n": 1, "scale": math.nan})[0]["scale"])


WRONG = [
    ({"n": 1.0}, "n should be a valid integer, got 1.0", "n"),
    ({"n": True}, "n should be a valid integer, got true", "n"),
    ({"n": "3"}, 'n should be a valid integer, got "3"', "n"),
    ({"n": None}, "n should be a valid integer, got null", "n"),
    ({"n": 1, "scale": "1e-6"}, 'scale should be a valid number, got "1e-6"', "scale"),
    ({"n": 1, "hard": 1}, "hard should be a valid boolean, got 1", "hard"),
    ({"n": 1, "hard": "no"}, 'hard should be a valid boolean, got "no"', "hard"),
    ({"n": 1, "mode": "c"}, "mode should be 'a' or 'b', got \"c\"", "mode"),
    (
        {"n": 1, "windows": [[1, 2], [3, "x"]]},
        'windows[1][1] should be a valid number, got "x"',
        "windows",
    ),
    ({"n": 1, "pair": [1]}, "pair[1] is missing, got [1]", "pair"),
    (
        {"n": 1, "names": 5},
        "names should be a valid array or should be a valid string, got 5",
        "names",
    ),
    ({"n": 1, "limit": -1}, "limit should be greater than 0, got -1", "limit"),
    ({"n": "x" * 200}, f'n should be a valid integer, got "{"x" * 76}...', "n"),
]


@pytest.mark.parametrize(("config", "said", "name"), WRONG)
def test_wrong_values(config, said, name):
    assert checked(config)[1] == [
        f"run.yaml:{name}: toy.Toy: {said}\n  fix: change {name}, or remove it to use the default"
        if name != "n"
        else f"run.yaml:n: toy.Toy: {said}\n  fix: change n"
    ]


def test_a_number_is_shown_as_it_stands_in_the_file():
    written = {"names": "1.10"}
    config = {"n": 1, "names": 1.1, "pair": [1.5, 2]}
    _, problems = parameters.checked(
        Toy, "toy.Toy", config, lambda name: "", lambda name: written.get(name, "")
    )
    assert [problem.what for problem in problems] == [
        "toy.Toy: names should be a valid array or should be a valid string, got 1.10",
        "toy.Toy: pair[0] should be a valid integer, got 1.5",
    ]


def test_unknown_and_missing_parameters_are_told_together():
    assert checked({"sclae": 1, "colour": 2, "source": 3})[1] == [
        "run.yaml:sclae: toy.Toy has no parameter 'sclae'\n  fix: did you mean 'scale'?",
        "run.yaml:colour: toy.Toy has no parameter 'colour'\n"
        "  fix: use one of: file, groups, hard, limit, mode, n, names, pair, scale, shade, windows",
        "run.yaml:source: toy.Toy has no parameter 'source'\n"
        "  fix: use one of: file, groups, hard, limit, mode, n, names, pair, scale, shade, windows",
        "run.yaml:: toy.Toy needs the parameter 'n'\n  fix: add n: … to its config",
    ]
    assert checked({"a": 1}, Nothing)[1] == [
        "run.yaml:a: toy.Toy has no parameter 'a'\n  fix: remove it: toy.Toy takes no parameters"
    ]


def test_values_are_what_a_run_file_can_hold():
    toy = Toy(
        np.int64(3), scale=np.float32(0.5), windows=((1, 2),), file=Path("a"), source=object()
    )
    assert parameters.values(toy) == {"n": 3, "scale": 0.5, "windows": [[1.0, 2.0]], "file": "a"}
    assert json.dumps(parameters.values(toy))
    assert type(parameters.values(toy)["n"]) is int
    assert parameters.values(Toy(1)) == {"n": 1}
    assert parameters.values(Nothing()) == {}


def test_what_is_written_is_read_back():
    toy = Toy(2, scale=math.inf, pair=(3, 4), names=["x"], groups={"a": 1})
    good, problems = checked(parameters.values(toy))
    assert problems == []
    assert vars(Toy(**good)) == vars(toy)
