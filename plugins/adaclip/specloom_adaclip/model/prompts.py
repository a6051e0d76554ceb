"""The sentences that a class name becomes: templates around states, normal and abnormal."""

from __future__ import annotations

import re
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
BEGINS_A_PAIR = re.compile(r"\s*(normal|anomaly|anomalous|abnormal)\s*:", re.I)


class Nouns(NamedTuple):
    """What is in the picture where it is normal, and where it is not."""

    normal: str
    abnormal: str


def nouns(prompt_text: str) -> Nouns:
    """The nouns of a prompt: a class name, or ``normal: lentils, anomaly: stones``.

    Raises:
        ConfigError: The text begins like a pair and is none.

    >>> nouns("lentils")
    Nouns(normal='lentils', abnormal='lentils')
    >>> nouns("normal: lentils, anomaly: stones")
    Nouns(normal='lentils', abnormal='stones')
    """
    if pair := PAIR.fullmatch(prompt_text):
        return Nouns(pair[1].strip(), pair[2].strip())
    if BEGINS_A_PAIR.match(prompt_text):
        fix = "write 'normal: lentils, anomaly: stones', or a class name alone"
        raise ConfigError(f"prompt_text {prompt_text!r} is half a pair of nouns", fix=fix)
    return Nouns(prompt_text, prompt_text)


def sentences(named: Nouns, ensemble: Ensemble = "adaclip") -> tuple[list[str], list[str]]:
    """The normal and the abnormal sentences: for every state every template.

    >>> normal, abnormal = sentences(nouns("metal-nut"))
    >>> len(normal), len(abnormal), abnormal[0]
    (28, 20, 'a bad photo of a damaged metal nut.')
    """
    made = []
    for noun, states in zip(named, STATES[ensemble], strict=True):
        phrases = [state.format(noun.replace("-", " ")) for state in states]
        made.append([template.format(phrase) for phrase in phrases for template in TEMPLATES])
    return made[0], made[1]
