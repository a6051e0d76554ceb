"""Rules for verdicts, such as ``objects > 0 and largest >= 4 px``: a small language of its own.

    rule       = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = { "not" } ( comparison | "(" rule ")" )
    comparison = operand ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) operand
    operand    = name of a column | number [ unit ]

Nothing of a rule is ever run as Python.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from specloom import ConfigError, did_you_mean

Truth: TypeAlias = bool | None
"""Whether something holds; None where a value that decides it is not known."""

Values: TypeAlias = Mapping[str, float | None]

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

UNITS = {
    "%": ("share", 0.01),
    "px": ("pixels", 1.0),
    "ms": ("seconds", 0.001),
    "s": ("seconds", 1.0),
    "min": ("seconds", 60.0),
}
"""The units of numbers: the kind of column that they are for, and what one of them is."""

KIND_NAMES = {"share": "a percentage", "pixels": "pixels", "seconds": "a time"}
WORDS = ("and", "or", "not")
MAX_DEPTH = 20
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|==|!=|[<>()%-]))",
    re.ASCII,
)
HOW = "write a rule such as 'objects > 0 and largest >= 4 px'"


class Expression(Protocol):
    """A part of a rule."""

    def holds(self, values: Values) -> Truth:
        """Whether it holds for the values of one cube."""
        ...

    def columns(self) -> list[str]:
        """The columns that it reads, in its order."""
        ...


@dataclass(frozen=True)
class Operand:
    """One side of a comparison: a column, or a number.

    Args:
        column: The name of the column; empty for a number.
        number: The number, in the unit of the column that it is compared with.
        kind: What it measures: ``share``, ``pixels``, ``seconds``; empty for a plain number.
    """

    column: str = ""
    number: float = 0.0
    kind: str = ""

    def value(self, values: Values) -> float | None:
        """The number, or the value of the column; None where that is not known."""
        if self.column:
            return values[self.column]
        return self.number


@dataclass(frozen=True)
class Comparison:
    """Two operands and a sign between them."""

    left: Operand
    sign: str
    right: Operand

    def holds(self, values: Values) -> Truth:
        """Whether it holds; None where a column has no value."""
        left = self.left.value(values)
        right = self.right.value(values)
        if left is None or right is None:
            return None
        return COMPARISONS[self.sign](left, right)

    def columns(self) -> list[str]:
        """The columns on both sides."""
        return [side.column for side in (self.left, self.right) if side.column]


@dataclass(frozen=True)
class Negation:
    """``not`` of an expression."""

    part: Expression

    def holds(self, values: Values) -> Truth:
        """The opposite; None stays None."""
        truth = self.part.holds(values)
        if truth is None:
            return None
        return not truth

    def columns(self) -> list[str]:
        """The columns of the expression."""
        return self.part.columns()


@dataclass(frozen=True)
class Combination:
    """Expressions that are joined by ``and`` or ``or``, in the logic of Kleene.

    Args:
        parts: The expressions.
        decisive: The truth of one part that decides the whole: True for ``or``.
    """

    parts: Sequence[Expression]
    decisive: bool

    def holds(self, values: Values) -> Truth:
        """Whether it holds; None where it depends on a part that is not known."""
        truths = [part.holds(values) for part in self.parts]
        if self.decisive in truths:
            return self.decisive
        if None in truths:
            return None
        return not self.decisive

    def columns(self) -> list[str]:
        """The columns of all parts."""
        found: list[str] = []
        for part in self.parts:
            found += part.columns()
        return found


@dataclass(frozen=True)
class Rule:
    """A rule as it was written, and what it says."""

    text: str
    expression: Expression

    def holds(self, values: Values) -> Truth:
        """Whether it holds for the values of one cube."""
        return self.expression.holds(values)

    def columns(self) -> list[str]:
        """The columns that it reads, each once."""
        return list(dict.fromkeys(self.expression.columns()))


def parse_rule(text: str, kinds: Mapping[str, str], where: str = "--reject-when") -> Rule:
    """Read a rule.

    Args:
        text: The rule.
        kinds: What each column measures: ``share``, ``pixels``, ``seconds``, or nothing.
        where: The option that it comes from, for messages.

    Raises:
        ConfigError: It is no rule, or names a column or a unit that does not exist.
    """
    parser = _Parser(text, kinds, f"{where} {text!r}")
    return Rule(text, parser.parse())


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


class _Parser:
    """Reads one rule from left to right."""

    def __init__(self, text: str, kinds: Mapping[str, str], where: str) -> None:
        self._kinds = kinds
        self._where = where
        self._tokens = self._split(text)
        self._next = 0
        self._depth = 0

    def parse(self) -> Expression:
        """The whole rule."""
        found = self._disjunction()
        if self._token().kind != "end":
            raise self._error(f"there is {self._shown()} after the end of the rule")
        return found

    def _split(self, text: str) -> list[_Token]:
        tokens = []
        rest = text.rstrip()
        at = 0
        while at < len(rest):
            match = TOKEN.match(rest, at)
            if match is None:
                sign = rest[at:].split()[0]
                raise self._error(f"{sign!r} has no meaning here")
            tokens.append(_Token(str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        return [*tokens, _Token("end", "")]

    def _disjunction(self) -> Expression:
        parts = [self._conjunction()]
        while self._takes("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Combination(parts, decisive=True)

    def _conjunction(self) -> Expression:
        parts = [self._negation()]
        while self._takes("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else Combination(parts, decisive=False)

    def _negation(self) -> Expression:
        negated = False
        while self._takes("not"):
            negated = not negated
        found = self._group() if self._takes("(") else self._comparison()
        return Negation(found) if negated else found

    def _group(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"there are more than {MAX_DEPTH} parentheses in one another")
        found = self._disjunction()
        if not self._takes(")"):
            raise self._error("a parenthesis is not closed", "add a ')'")
        self._depth -= 1
        return found

    def _comparison(self) -> Expression:
        left = self._operand()
        sign = self._token().text
        if sign not in COMPARISONS:
            what = f"a comparison is needed after {self._name_of(left)}, not {self._shown()}"
            raise self._error(what, f"use one of: {', '.join(COMPARISONS)}")
        self._next += 1
        right = self._operand()
        if not left.column and not right.column:
            raise self._error("two numbers are compared", self._use_columns())
        self._check_units(left, right)
        if self._token().text in COMPARISONS:
            raise self._error("a comparison has two sides", "join two comparisons with 'and'")
        return Comparison(left, sign, right)

    def _operand(self) -> Operand:
        token = self._token()
        if token.kind == "number":
            self._next += 1
            return self._number(float(token.text))
        if token.text == "-":
            self._next += 1
            return self._negative()
        if token.kind == "name" and token.text not in WORDS:
            if token.text not in self._kinds:
                what = f"the summary has no column {token.text!r} of numbers"
                raise self._error(what, did_you_mean(token.text, self._kinds))
            self._next += 1
            return Operand(token.text, kind=self._kinds[token.text])
        raise self._error(f"a column or a number is needed, not {self._shown()}")

    def _negative(self) -> Operand:
        token = self._token()
        if token.kind != "number":
            raise self._error(f"a number is needed after '-', not {self._shown()}")
        self._next += 1
        return self._number(-float(token.text))

    def _number(self, number: float) -> Operand:
        unit = self._token()
        if unit.text in UNITS:
            self._next += 1
            kind, size = UNITS[unit.text]
            return Operand(number=number * size, kind=kind)
        if unit.kind == "name" and unit.text not in WORDS:
            raise self._error(f"there is no unit {unit.text!r}", did_you_mean(unit.text, UNITS))
        return Operand(number=number)

    def _check_units(self, left: Operand, right: Operand) -> None:
        """Refuse a number in a unit that is not the column's."""
        for column, number in ((left, right), (right, left)):
            if column.column and not number.column and number.kind not in ("", column.kind):
                fitting = [unit for unit, (kind, _) in UNITS.items() if kind == column.kind]
                fix = "write the number without a unit"
                if fitting:
                    fix += f", or with one of: {', '.join(fitting)}"
                what = f"{column.column!r} is compared with {KIND_NAMES[number.kind]}"
                raise self._error(what, fix)

    def _takes(self, text: str) -> bool:
        if self._token().text != text:
            return False
        self._next += 1
        return True

    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _shown(self) -> str:
        token = self._token()
        if token.kind == "end":
            return "the end"
        return repr(token.text)

    def _name_of(self, operand: Operand) -> str:
        return repr(operand.column) if operand.column else f"{operand.number:g}"

    def _use_columns(self) -> str:
        return f"compare a column: {', '.join(self._kinds)}"

    def _error(self, what: str, fix: str = HOW) -> ConfigError:
        return ConfigError(what, where=self._where, fix=fix)
