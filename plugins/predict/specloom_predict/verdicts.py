"""Accept, reject or unjudged: the verdict on each cube, and ``summary.csv`` with one row a cube."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from specloom import ConfigError, did_you_mean, write_file
from specloom_predict.measures import KINDS, OF_DECISIONS, OF_DOMAIN, WHOLE, Measures
from specloom_predict.rules import Rule, parse_rule
from specloom_predict.scratch import WriteError, write_errors
from specloom_predict.spool import Spool

if TYPE_CHECKING:
    from specloom import SpecloomError

Word: TypeAlias = Literal["accept", "reject", "unjudged"]

ACCEPT: Word = "accept"
REJECT: Word = "reject"
UNJUDGED: Word = "unjudged"
WORDS: Sequence[Word] = (ACCEPT, REJECT, UNJUDGED)
FAILING: Sequence[Word] = (REJECT, UNJUDGED)

DEFAULT_RULE = "objects > 0"
"""The rule where none is named and the pipeline makes decisions."""

SUMMARY = "summary.csv"
COLUMNS = ("cube", "verdict", *KINDS, "reason", "folder")
FAILED_CHECK = 1
"""The exit code where a verdict is one of ``--fail-on``."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one cube.

    Args:
        cube: The input.
        word: ``accept``, ``reject`` or ``unjudged``.
        reason: Why it is not accepted.
        measures: The numbers that rules are about.
        folder: Where its results are; empty where there are none.
    """

    cube: str
    word: Word
    reason: str = ""
    measures: Measures = field(default_factory=Measures)
    folder: str = ""

    def row(self) -> list[str]:
        """The fields of its row, in the order of ``COLUMNS``."""
        numbers = [_shown(value) for value in self.measures.values().values()]
        return [self.cube, self.word, *numbers, self.reason, self.folder]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "cube": self.cube,
            "verdict": self.word,
            **self.measures.values(),
            "reason": self.reason,
            "folder": self.folder,
        }


def verdict_spool() -> Spool[Verdict]:
    """A list of verdicts that grows without taking memory."""
    return Spool(_plain_verdict, _verdict_of)


def _plain_verdict(verdict: Verdict) -> list[Any]:
    measures = verdict.measures.as_json()
    return [verdict.cube, verdict.word, verdict.reason, measures, verdict.folder]


def _verdict_of(plain: Sequence[Any]) -> Verdict:
    cube, word, reason, measures, folder = plain
    return Verdict(cube, word, reason, Measures(**measures), folder)


def read_rules(texts: Sequence[str], decisions_are_made: bool, domain_is_known: bool) -> list[Rule]:
    """Read rules, and check that the pipeline can give what they are about.

    Without any, ``objects > 0`` is the rule where decisions are made.

    Raises:
        ConfigError: One is no rule, is about decisions, which the pipeline does not make, or about
            the cubes of its fit, of which it stores nothing.
    """
    if not texts and decisions_are_made:
        texts = [DEFAULT_RULE]
    rules = [parse_rule(text, KINDS) for text in texts]
    for rule in rules:
        for column in rule.columns():
            if column in OF_DECISIONS and not decisions_are_made:
                raise ConfigError(
                    f"{column!r} is not known: no output that is made is a map of decisions",
                    where=f"--reject-when {rule.text!r}",
                    fix="add 'decisions' to the outputs of the run file, and to --outputs "
                    "where that is used",
                )
            if column in OF_DOMAIN and not domain_is_known:
                raise ConfigError(
                    f"{column!r} is not known: the pipeline stores nothing of its fit",
                    where=f"--reject-when {rule.text!r}",
                    fix="run its run file again with this version",
                )
    return rules


def check_fail_on(words: Collection[str]) -> None:
    """Accept verdicts that can make a call fail.

    Raises:
        ConfigError: One is none of them.
    """
    for word in words:
        if word not in FAILING:
            what = f"no verdict to fail on is called {word!r}"
            raise ConfigError(what, where="--fail-on", fix=did_you_mean(word, FAILING))


def give_verdict(cube: str, folder: str, measures: Measures, rules: Sequence[Rule]) -> Verdict:
    """The verdict on a cube that was predicted.

    It is rejected where a rule holds, even where there is doubt. It is unjudged where there is
    doubt, where a rule depends on a value that is not known, and where there is no rule. Else it is
    accepted.
    """
    values = measures.values()
    truths = [(rule, rule.holds(values)) for rule in rules]
    holding = [_described(rule, values) for rule, truth in truths if truth]
    unknown = [_described(rule, values) for rule, truth in truths if truth is None]
    if holding:
        return Verdict(cube, REJECT, "; ".join([*holding, *measures.doubts]), measures, folder)
    doubts = [*measures.doubts, *unknown]
    if not rules:
        doubts.append("no rule: the pipeline makes no map of decisions")
    if doubts:
        return Verdict(cube, UNJUDGED, "; ".join(doubts), measures, folder)
    return Verdict(cube, ACCEPT, "", measures, folder)


def failed_verdict(cube: str, error: SpecloomError) -> Verdict:
    """The verdict on a cube that could not be predicted."""
    return Verdict(cube, UNJUDGED, " ".join(error.what.split()))


def count_verdicts(verdicts: Iterable[Verdict]) -> str:
    """How many have each verdict, as ``3 accept, 1 reject, 0 unjudged``."""
    counts = Counter(one.word for one in verdicts)
    return ", ".join(f"{counts[word]} {word}" for word in WORDS)


class SummaryFile:
    """``summary.csv``, which has every verdict so far, whenever the call is stopped.

    Rows are written as verdicts come. At the end the file is written again where it differs: in the
    order of the inputs, and without what another call into the folder wrote meanwhile.

    Args:
        folder: The folder of all results.
        verdicts: The verdicts, in the order of the inputs at the end.
    """

    def __init__(self, folder: Path, verdicts: Iterable[Verdict]) -> None:
        self._path = folder / SUMMARY
        self._verdicts = verdicts
        self._file: IO[bytes] | None = None
        write_file(self._path, _csv_line(COLUMNS))

    def __enter__(self) -> SummaryFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()
        with suppress(WriteError):  # every row is there, in another order
            self._finish()

    def add(self, verdict: Verdict) -> None:
        """Add a row.

        Raises:
            WriteError: It cannot be written.
        """
        with write_errors(self._path.parent):
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            self._file.write(_csv_line(verdict.row()))

    def _finish(self) -> None:
        """Write the file again, where it does not hold just the verdicts in their order.

        Raises:
            WriteError: It cannot be written.
        """
        with write_errors(self._path.parent):
            if not self._is_as_it_ends():
                write_file(self._path, b"".join(self._lines()))

    def _lines(self) -> Iterator[bytes]:
        """The lines that the file has at the end."""
        yield _csv_line(COLUMNS)
        for verdict in self._verdicts:
            yield _csv_line(verdict.row())

    def _is_as_it_ends(self) -> bool:
        """Whether the file has just these lines; one after another is compared."""
        with self._path.open("rb") as file:
            for line in self._lines():
                if file.read(len(line)) != line:
                    return False
            return not file.read(1)


def _csv_line(values: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _described(rule: Rule, values: dict[str, float | None]) -> str:
    """A rule with the values of its columns, as ``objects > 0 (objects: 3)``."""
    shown = []
    for name in rule.columns():
        value = values[name]
        text = "not known" if value is None else f"{value:.6g}"
        if value is not None and name in WHOLE:
            text = str(value)
        shown.append(f"{name}: {text}")
    return f"{rule.text} ({', '.join(shown)})"
