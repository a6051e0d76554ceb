"""Parameters: what a class takes, and whether what the user gave fits."""

import inspect
import json
from collections.abc import Callable, Container, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean, shown, warn

EMPTY = inspect.Parameter.empty


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What ``cls`` takes from a run file: its ``__init__`` less ``self`` and ``python_only``.

    Nor is ``name`` of a node a parameter: a run file has it as the node's key.
    """
    _, *rest = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]  # its own
    hidden = {*getattr(cls, "python_only", ())}
    if hasattr(cls, "inputs"):
        hidden.add("name")
    loose = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p for p in rest if p.name not in hidden and p.kind not in loose}


def required(cls: type) -> set[str]:
    """The parameters that ``cls`` cannot be made without."""
    return {name for name, p in parameters(cls).items() if p.default is EMPTY}


def current(owner: Any, name: str, known: Container[str], label: str, where: str = "") -> str:
    """The present name of a port or a parameter, with a warning where ``name`` is an old one.

    Args:
        owner: The node or its class; its ``renamed`` has the present names by the old ones.
        name: What the user wrote.
        known: The names that may be meant.
        label: What the user calls the owner.
        where: The place in the user's file.
    """
    now = getattr(owner, "renamed", {}).get(name, "")
    if name in known or now not in known:
        return name
    warn(f"{label}: {name!r} is now called {now!r}: change it", where)
    return str(now)


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

    def bad(what: str, name: str, fix: str) -> None:
        problems.append(ConfigError(what, where=at(name), fix=fix))

    free = known.keys() - config.keys()  # so that an old name beside the new one is unknown
    names = {given: current(cls, given, free, label, at(given)) for given in config}
    for (given, name), value in zip(names.items(), config.values(), strict=True):
        if name not in known:
            fix = did_you_mean(name, known, otherwise=f"remove it: {label} takes no parameters")
            bad(f"{label} has no parameter {name!r}", name, fix)
            continue
        try:
            # As JSON, so that a list may stand for a tuple while 1 is no text and "1" no number.
            good[name] = adapter(cls, name).validate_json(json.dumps(value), strict=True)
        except ValidationError as e:
            optional = ", or remove it to use the default" if name not in required(cls) else ""
            for what in _type_problems(name, value, e.errors()):
                bad(f"{label}: {what}", given, f"change {name}{optional}")
    for name in sorted(required(cls) - set(names.values())):
        bad(f"{label} needs the parameter {name!r}", "", f"add {name}: … to its config")
    return good, problems


def _type_problems(name: str, value: Any, errors: list[Any]) -> list[str]:
    """One sentence for each wrong place in ``value``; types of which any would do are joined."""
    places: dict[tuple[str, str], list[str]] = {}
    for error in errors:
        inner = "".join(f"[{part}]" for part in error["loc"] if isinstance(part, int))
        said = error["msg"].removeprefix("Input ").removeprefix("Value error, ")
        said = "is missing" if error["type"] == "missing" else said
        places.setdefault((inner, shown(error["input"] if inner else value)), []).append(said)
    return [f"{name}{at} {' or '.join(said)}, got {got}" for (at, got), said in places.items()]
