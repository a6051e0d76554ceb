"""Changes of a run file on the command line: ``--set PATH=VALUE`` and ``--set PATH+=VALUE``."""

from collections.abc import Sequence
from typing import Any

from specloom.contract.errors import ConfigError, did_you_mean
from specloom.runfile.yaml import Document, Keys, parse

#: Mappings that an override creates where the file has none.
CREATED = ("config", "metadata", "outputs")
#: Mappings and lists whose entries ``null`` removes; elsewhere it is a value like others.
REMOVABLE = ("nodes", "connections", "outputs", "phases", "metadata")
#: A character of no language, in place of ``#`` while YAML is parsed.
NUMBER_SIGN = "\ue023"


def override(document: Document, text: str) -> None:
    """Make one change to a run file.

    ``nodes.selector.config.n_select=5`` sets a value, ``connections+=[a.x, b.y]`` appends one to
    a list, ``nodes.metrics=null`` removes a node with its connections and outputs. In a value
    ``#`` is a character like others.

    Raises:
        ConfigError: The text has another form, or the file has no such value.
    """
    path, equals, raw = text.partition("=")
    appends = path.endswith("+")
    path = path.removesuffix("+")
    if not equals or not path:
        what = f"{text!r} is not of the form path=value"
        fix = "write --set nodes.NAME.config.PARAMETER=VALUE"
        raise ConfigError(what, where="--set", fix=fix)
    place = f"--set {text}"
    written = _parse_value(raw, place)
    value = written.value
    parts = path.split(".")
    if appends:
        _append(document, parts, written, place)
        return
    container, keys = _find_container(document, parts, place)
    if value is None and len(keys) == 2 and keys[0] in REMOVABLE:
        _remove(document, container, keys, place)
        return
    container[keys[-1]] = value
    _replace_places(document, keys, place)
    _add_texts(document, keys, written)


def _parse_value(raw: str, place: str) -> Document:
    """The YAML value of an override; text without any character is empty text."""
    if not raw.strip():
        return Document(place, "")
    parsed = parse(raw.replace("#", NUMBER_SIGN), place)
    parsed.value = _restore_number_signs(parsed.value)
    return parsed


def _restore_number_signs(value: Any) -> Any:
    """The same value, with ``#`` where it was written."""
    if isinstance(value, str):
        return value.replace(NUMBER_SIGN, "#")
    if isinstance(value, list):
        return [_restore_number_signs(item) for item in value]
    if isinstance(value, dict):
        restored = {}
        for key, item in value.items():
            restored[_restore_number_signs(key)] = _restore_number_signs(item)
        return restored
    return value


def _find_container(document: Document, parts: Sequence[str], place: str) -> tuple[Any, Keys]:
    """The mapping or list that holds a value, and all keys that lead to the value.

    Raises:
        ConfigError: A key on the way is not there.
    """
    *above, last = parts
    keys: Keys = ()
    container = document.value
    for part in above:
        if isinstance(container, dict) and part in CREATED and container.get(part) is None:
            container[part] = {}
        key = _key(container, part, keys, place)
        keys = (*keys, key)
        container = container[key]
    last_key: str | int = last
    if not isinstance(container, dict):
        last_key = _key(container, last, keys, place)
    return container, (*keys, last_key)


def _append(document: Document, parts: Sequence[str], written: Document, place: str) -> None:
    """Append a value to a list; one that the file does not have, or leaves empty, begins with it.

    Raises:
        ConfigError: A key on the way is not there, or the value is no list.
    """
    container, keys = _find_container(document, parts, place)
    last = keys[-1]
    items = _existing(container, last)
    if items is None:
        items = []
        document.places[keys] = place
    if not isinstance(items, list):
        what = f"{'.'.join(parts)} is no list, so nothing can be appended to it"
        fix = "write = in place of +=, or name a list such as connections or phases"
        raise ConfigError(what, where=place, fix=fix)
    container[last] = [*items, written.value]
    document.places[*keys, len(items)] = place
    _add_texts(document, (*keys, len(items)), written)


def _existing(container: Any, key: str | int) -> Any:
    """The value of a mapping's key, None where it has none; or an item of a list."""
    if isinstance(container, dict):
        return container.get(key)
    return container[key]


def _remove(document: Document, container: Any, keys: Keys, place: str) -> None:
    """Remove an entry of a mapping or a list; of a node, its connections and outputs as well.

    Raises:
        ConfigError: There is no such entry.
    """
    section, last = keys
    _key(container, str(last), keys[:1], place)
    del container[last]
    if isinstance(container, list):
        _close_gap(document, str(section), int(last))
    else:
        _drop_places(document, keys)
    if section == "nodes":
        _remove_connections(document, str(last))
        _remove_outputs(document, str(last))


def _remove_connections(document: Document, node: str) -> None:
    """Remove the connections from and to a node."""
    connections = document.value.get("connections")
    if not isinstance(connections, list):
        return
    for number in reversed(range(len(connections))):
        pair = connections[number]
        if isinstance(pair, list) and any(_is_port_of(port, node) for port in pair):
            del connections[number]
            _close_gap(document, "connections", number)


def _remove_outputs(document: Document, node: str) -> None:
    """Remove the outputs of the run that are ports of a node."""
    outputs = document.value.get("outputs")
    if not isinstance(outputs, dict):
        return
    for name in list(outputs):
        if _is_port_of(outputs[name], node):
            del outputs[name]
            _drop_places(document, ("outputs", name))


def _is_port_of(port: Any, node: str) -> bool:
    return isinstance(port, str) and port.startswith(f"{node}.")


def _close_gap(document: Document, section: str, removed: int) -> None:
    """Forget the places of an item of a list, and move those of the items after it."""
    _drop_places(document, (section, removed))
    for by_keys in (document.places, document.texts):
        moved = {}
        for keys in list(by_keys):
            is_behind = keys[:1] == (section,) and len(keys) > 1 and int(keys[1]) > removed
            if is_behind:
                moved[section, int(keys[1]) - 1, *keys[2:]] = by_keys.pop(keys)
        by_keys |= moved


def _drop_places(document: Document, keys: Keys) -> None:
    """Forget the places and texts of a value and of all that is inside it."""
    depth = len(keys)
    for by_keys in (document.places, document.texts):
        for other in list(by_keys):
            if other[:depth] == keys:
                del by_keys[other]


def _add_texts(document: Document, keys: Keys, written: Document) -> None:
    """Add how the numbers of a new value are written."""
    for inner, text in written.texts.items():
        document.texts[(*keys, *inner)] = text


def _replace_places(document: Document, keys: Keys, place: str) -> None:
    """Make ``place`` the place of a value; whatever was inside it before has none any more."""
    _drop_places(document, keys)
    document.places[keys] = place


def _key(container: Any, part: str, keys: Keys, place: str) -> str | int:
    """``part`` as a key of the mapping, or an index of the list, that ``container`` is.

    Raises:
        ConfigError: It has no such key.
    """
    options: Sequence[str | int] = ()
    if isinstance(container, dict):
        options = list(container)
    elif isinstance(container, list):
        options = range(len(container))
    by_text = {str(option): option for option in options}
    if part not in by_text:
        label = ".".join(map(str, keys)) or "the file"
        what = f"{label} has no {part!r}"
        fix = did_you_mean(part, by_text, otherwise="shorten the path")
        raise ConfigError(what, where=place, fix=fix)
    return by_text[part]
