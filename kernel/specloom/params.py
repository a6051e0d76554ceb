"""Parameters: what a class takes, and whether what the user gave fits."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from specloom.errors import ConfigError, SpecloomError, did_you_mean

EMPTY = inspect.Parameter.empty


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What ``cls`` takes from a run file: its ``__init__`` less ``self`` and ``python_only``."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]  # the class's own, not an instance's
        return {}
    _, *rest = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]  # as above
    hidden = getattr(cls, "python_only", ())
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p for p in rest if p.name not in hidden and p.kind not in loose}


def required(cls: type) -> set[str]:
    """The parameters that ``cls`` cannot be made without."""
    return {name for name, p in parameters(cls).items() if p.default is EMPTY}


def values(node: Any) -> dict[str, Any]:
    """The current parameters of an object, as a run file would give them, less the defaults."""
    cls: type = type(node)
    found = {}
    for name, parameter in parameters(cls).items():
        value = getattr(node, name)
        value = value.item() if hasattr(value, "item") else value  # of an array without axes
        if parameter.default is EMPTY or value != parameter.default:
            found[name] = adapter(cls, name).dump_python(value, mode="json", warnings=False)
    return found


@lru_cache(maxsize=512)
def adapter(cls: type, name: str) -> Any:
    """Pydantic's validator of one parameter of ``cls``."""
    from pydantic import TypeAdapter

    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]  # its own
    return TypeAdapter(hints.get(name, Any))


def checked(
    cls: type, label: str, config: Mapping[str, Any], at: Callable[[str], str]
) -> tuple[dict[str, Any], list[SpecloomError]]:
    """The parameters of ``cls`` with their types, and everything that is wrong with ``config``.

    Args:
        cls: The class to be made.
        label: What the user calls it: ``rx.RXGlobal``.
        config: The parameters as the run file gives them.
        at: The place of a parameter in the run file.
    """
    from pydantic import ValidationError

    known, good, problems = parameters(cls), dict[str, Any](), list[SpecloomError]()
    for name, value in config.items():
        if name not in known:
            what = f"{label} has no parameter {name!r}"
            fix = did_you_mean(name, known, otherwise=f"remove it: {label} takes no parameters")
            problems.append(ConfigError(what, where=at(name), fix=fix))
            continue
        try:
            # As JSON, so that a list may stand for a tuple while 1 is no text and "1" no number.
            good[name] = adapter(cls, name).validate_json(json.dumps(value), strict=True)
        except ValidationError as e:
            optional = known[name].default is not EMPTY
            fix = f"change {name}" + (", or remove it to use the default" if optional else "")
            said = _type_problems(name, value, e.errors())
            problems += [ConfigError(f"{label}: {one}", where=at(name), fix=fix) for one in said]
    for name in sorted(required(cls) - config.keys()):
        what, fix = f"{label} needs the parameter {name!r}", f"add {name}: … to its config"
        problems.append(ConfigError(what, where=at(""), fix=fix))
    return good, problems


def _type_problems(name: str, value: Any, errors: list[Any]) -> list[str]:
    """One sentence for each wrong place in ``value``; types of which any would do are joined."""
    places: dict[str, tuple[list[str], Any]] = {}
    for error in errors:
        inner = "".join(f"[{part}]" for part in error["loc"] if isinstance(part, int))
        said = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
        said = "is missing" if error["type"] == "missing" else said
        places.setdefault(inner, ([], error["input"] if inner else value))[0].append(said)
    return [
        f"{name}{inner} {' or '.join(said)}, got {_shown(wrong)}"
        for inner, (said, wrong) in places.items()
    ]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 80 else text[:77] + "..."
