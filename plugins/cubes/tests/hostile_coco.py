"""COCO files as a generator of any number of hostile ones makes them, from a seed."""

import json
import random
from copy import deepcopy

SIZE = (20, 30)
"""Rows and columns of the cube that the files pretend to annotate."""

NUMBERS = [0, 1, -1, 0.5, 7, 19.99, 30, 31, 1e9, -1e9, 2**31, 2**63, 10**40, 1e308, -0.0]
STRANGE = [None, True, "", "x", "1", [], {}, [[]], [None], "\x00", "\ud800", float("nan")]
TEXTS = ["a.png", "b/a.png", "..", "/", "a\x00", "a.json", "\u202e", "C:\\a.png", "x" * 5000]
LETTERS = "".join(map(chr, range(32, 127)))


def good():
    """A file without a fault."""
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "categories": [{"id": 1, "name": "stone"}, {"id": 2, "name": "husk"}],
        "annotations": [
            annotation(1, [[2, 2, 12, 2, 12, 9, 2, 9]]),
            annotation(2, {"size": [20, 30], "counts": [100, 40, 460]}),
            annotation(2, {"size": [20, 30], "counts": "T3X1\\>"}),
        ],
    }


def annotation(category, segmentation, **others):
    """An annotation of the only image."""
    return {"image_id": 1, "category_id": category, "segmentation": segmentation, **others}


def hostile_files(count, seed=0):
    """Yield the bytes of ``count`` files."""
    chance = random.Random(seed)
    kinds = [_replaced, _replaced, _shape, _shape, _bytes, _many, _deep]
    for number in range(count):
        yield kinds[number % len(kinds)](chance)


def _value(chance):
    if chance.random() < 0.5:
        return chance.choice(NUMBERS)
    return deepcopy(chance.choice([*STRANGE, *TEXTS]))


def _written(values):
    return json.dumps(values).encode()


def _replaced(chance):
    """One or several values replaced, removed or repeated."""
    values = good()
    for _ in range(chance.randint(1, 3)):
        holder = values
        while True:
            keys = range(len(holder))
            if isinstance(holder, dict):
                keys = list(holder)
            if not keys:
                break
            key = chance.choice(list(keys))
            inner = holder[key]
            if isinstance(inner, dict | list) and inner and chance.random() < 0.8:
                holder = inner
                continue
            if chance.random() < 0.2:
                del holder[key]
            else:
                holder[key] = _value(chance)
            break
    return _written(values)


def _shape(chance):
    """An annotation with a random outline, or random run lengths."""
    values = good()
    kind = chance.randint(0, 3)
    if kind == 0:
        numbers = [chance.choice([chance.uniform(-20, 60), *NUMBERS]) for _ in range(8)]
        shape = [numbers[: chance.randint(0, 8)]]
    elif kind == 1:
        counts = [chance.choice([chance.randint(0, 600), *NUMBERS]) for _ in range(3)]
        shape = {"size": [20, 30], "counts": counts}
    elif kind == 2:
        text = "".join(chance.choice(LETTERS) for _ in range(chance.randint(0, 30)))
        shape = {"size": [20, 30], "counts": text}
    else:
        shape = {"size": [_value(chance), 30], "counts": _value(chance)}
    values["annotations"].append(annotation(1, shape))
    return _written(values)


def _bytes(chance):
    """Bytes changed, removed or cut off."""
    data = bytearray(_written(good()))
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.5:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def _many(chance):
    """More of something than there should be."""
    values = good()
    kind = chance.randint(0, 3)
    if kind == 0:
        values["annotations"] *= chance.randint(1, 300)
    elif kind == 1:
        values["images"] *= 2
    elif kind == 2:
        values["annotations"].append(annotation(1, [[0, 0, 30, 20] * chance.randint(1, 2000)]))
    else:
        values["annotations"].append(annotation(1, {"size": [20, 30], "counts": [0] * 5000}))
    return _written(values)


def _deep(chance):
    depth = chance.choice([10, 1000, 100_000])
    opening, closing = chance.choice([("[", "]"), ('{"images":', "}")])
    return (opening * depth + "1" + closing * depth).encode()
