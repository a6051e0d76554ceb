"""The sentences made from a class name: templates around states, normal and abnormal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from specloom import ConfigError

TEMPLATES = (
    "a bad photo of a {}.",
    "a low resolution photo of the {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
)
NORMAL = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
)
ABNORMAL = ("damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage")

Ensemble: TypeAlias = Literal["adaclip", "cubert"]
STATES = {
    "adaclip": (NORMAL, ABNORMAL),
    "cubert": (
        (*NORMAL, "clean {}", "{} without foreign object", "{} without contamination"),
        (*ABNORMAL, "dirty {}", "{} with foreign object", "{} with contamination"),
    ),
}
PAIR = re.compile(r"\s*normal\s*:(.*?),\s*(?:anomaly|anomalous|abnormal)\s*:(.*)", re.I | re.S)
HALF_A_PAIR = re.compile(r"\b(normal|anomaly|anomalous|abnormal)\s*:", re.I)


class Nouns(NamedTuple):
    """The noun of the normal sentences and that of the abnormal ones."""

    normal: str
    abnormal: str


def parse_nouns(prompt_text: str) -> Nouns:
    """Return the nouns of a prompt: a class name, or ``normal: lentils, anomaly: stones``.

    Raises:
        ConfigError: The text has a part of a pair and is not one.

    >>> parse_nouns("lentils")
    Nouns(normal='lentils', abnormal='lentils')
    >>> parse_nouns("normal: lentils, anomaly: stones")
    Nouns(normal='lentils', abnormal='stones')
    """
    pair = PAIR.fullmatch(prompt_text)
    if pair:
        return Nouns(pair[1].strip(), pair[2].strip())
    if HALF_A_PAIR.search(prompt_text):
        fix = "write 'normal: lentils, anomaly: stones', or a class name alone"
        raise ConfigError(f"prompt_text {prompt_text!r} is half a pair of nouns", fix=fix)
    return Nouns(prompt_text, prompt_text)


class Sentences(NamedTuple):
    """The normal and the abnormal sentences."""

    normal: list[str]
    abnormal: list[str]


def sentences(nouns: Nouns, ensemble: Ensemble = "adaclip") -> Sentences:
    """Return the normal and the abnormal sentences: for every state every template.

    >>> normal, abnormal = sentences(parse_nouns("metal-nut"))
    >>> len(normal), len(abnormal), abnormal[0]
    (28, 20, 'a bad photo of a damaged metal nut.')
    """
    normal_states, abnormal_states = STATES[ensemble]
    return Sentences(
        normal=_fill_templates(nouns.normal, normal_states),
        abnormal=_fill_templates(nouns.abnormal, abnormal_states),
    )


def _fill_templates(noun: str, states: Sequence[str]) -> list[str]:
    filled = []
    for state in states:
        phrase = state.format(noun.replace("-", " "))
        filled += [template.format(phrase) for template in TEMPLATES]
    return filled
