"""Which cubes, or blocks of one, are for training, for validation and for the test.

No item is ever in two splits. Items with the same key (by default each has its own) stay together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np

from specloom import STAGES, ConfigError, did_you_mean

Shares: TypeAlias = tuple[float, float, float]
"""Shares for train, val and test, which sum to 1."""

Ids: TypeAlias = dict[Literal["train", "val", "test", "predict"], list[str]]
"""The names of the items of each split."""

DEFAULT: Shares = (0.5, 0.25, 0.25)
APART: tuple[Literal["train"], Literal["val"], Literal["test"]] = ("train", "val", "test")
"""The splits that must not overlap; predict may."""


def divide(
    names: Sequence[str],
    label: str,
    split: Shares | Ids | None = None,
    folds: int | None = None,
    fold: int = 0,
    group: str | None = None,
    seed: int = 0,
) -> dict[str, list[int]]:
    """The numbers of the items of each split, ascending; predict is test unless ids name it.

    Args:
        names: The items.
        label: What the user calls the source, for messages.
        split: Shares for train, val and test, or names for each; None for shares of 0.5, 0.25
            and 0.25.
        folds: Cut into so many folds instead: one is the test, the next one val, the rest train.
        fold: Which fold is the test, from 0.
        group: A regular expression; items stay together where what it finds in their names (its
            first group, if it has one) is the same.
        seed: Shuffles the items, or groups of them, before they are dealt out.

    Raises:
        ConfigError: The parameters exclude each other, or an id is unknown or in two splits.
    """
    if isinstance(split, dict):
        if folds is not None or group is not None:
            raise ConfigError(
                f"{label}: split names every item, so folds and group have no effect",
                fix="remove folds and group, or the names",
            )
        return by_ids(names, split, label)
    keys = list(names)
    if group is not None:
        keys = [_key(name, group, label) for name in names]
    if folds is None:
        shares = DEFAULT if split is None else split
        return by_shares(keys, shares, label, seed)
    if split is not None:
        raise ConfigError(
            f"{label}: split and folds exclude each other", fix="remove one of the two"
        )
    return by_fold(keys, folds, fold, label, seed)


def by_shares(
    keys: Sequence[str], shares: Sequence[float], label: str, seed: int
) -> dict[str, list[int]]:
    """Deal items out by shares, as nearly as their keys allow."""
    check_shares(shares, label)
    splits = dict(zip(APART, _deal(keys, shares, seed), strict=True))
    return {**splits, "predict": splits["test"]}


def by_fold(
    keys: Sequence[str], folds: int, fold: int, label: str, seed: int
) -> dict[str, list[int]]:
    """Deal items out into equal folds: one is the test, the next one val, the rest train.

    Raises:
        ConfigError: There are fewer than three folds, no such fold, or fewer keys than folds.
    """
    if folds < 3:
        raise ConfigError(
            f"{label}: folds is {folds}, but train, val and test need one each",
            fix="write folds: 3 or more",
        )
    if not 0 <= fold < folds:
        raise ConfigError(
            f"{label}: there is no fold {fold} of {folds}", fix=f"write fold: 0 to {folds - 1}"
        )
    count = len(set(keys))
    if count < folds:
        what = "items" if count == len(keys) else "groups"
        fix = "write split: instead of folds:"
        if count >= 3:
            fix = f"write folds: {count} or fewer"
        raise ConfigError(f"{label}: {count} {what} cannot fill {folds} folds", fix=fix)
    dealt = _deal(keys, [1 / folds] * folds, seed)
    val = (fold + 1) % folds
    train: list[int] = []
    for number, items in enumerate(dealt):
        if number not in (fold, val):
            train += items
    test = dealt[fold]
    return {"train": sorted(train), "val": dealt[val], "test": test, "predict": test}


def by_ids(names: Sequence[str], ids: Ids, label: str) -> dict[str, list[int]]:
    """Look names up; items that no split names are excluded.

    Raises:
        ConfigError: A name is unknown, or listed twice in train, val and test together.
    """
    number = {name: i for i, name in enumerate(names)}
    splits_of: dict[str, list[str]] = {}
    numbers: dict[str, list[int]] = {}
    for split in (*APART, "predict"):
        for name in ids.get(split, ()):
            if name not in number:
                raise ConfigError(
                    f"{label}: split {split} names {name!r}, which is not there",
                    fix=did_you_mean(name, names, otherwise="check the names"),
                )
            if split != "predict":
                splits_of.setdefault(name, []).append(split)
        numbers[split] = sorted(number[name] for name in ids.get(split, ()))
    for name, splits in splits_of.items():
        if len(splits) > 1:
            raise ConfigError(
                f"{label}: {name!r} is listed twice, in {' and '.join(splits)}",
                fix="list it once: what was trained on is no test",
            )
    if "predict" not in ids:
        numbers["predict"] = numbers["test"]
    return numbers


def split_ranges(count: int, shares: Sequence[float], label: str) -> dict[str, range]:
    """Cut ``count`` items, in their order, into train, val and test; predict is test.

    Raises:
        ConfigError: The shares are negative or do not sum to 1.
    """
    check_shares(shares, label)
    first = round(count * sum(shares[:1]))
    second = round(count * sum(shares[:2]))
    test = range(second, count)
    return {"train": range(first), "val": range(first, second), "test": test, "predict": test}


def check_shares(shares: Sequence[float], label: str) -> None:
    """Accept three shares that sum to 1.

    Raises:
        ConfigError: They are no such thing.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"{label}: split {list(shares)} is not three shares that sum to 1",
            fix="write split: [train, val, test], such as [0.5, 0.25, 0.25]",
        )


def items_of(split: str, splits: Mapping[str, Sequence[int]], label: str) -> Sequence[int]:
    """The items of a split.

    Raises:
        ConfigError: There is no such split, or nothing is in it.
    """
    if split not in STAGES:
        raise ConfigError(f"there is no split {split!r}", fix=did_you_mean(split, STAGES))
    if not splits[split]:
        held = ", ".join(f"{name} {len(splits[name])}" for name in APART)
        raise ConfigError(
            f"{label}: the split {split!r} is empty ({held})",
            fix="give it a larger share, or name what is in it",
        )
    return splits[split]


def _deal(keys: Sequence[str], shares: Sequence[float], seed: int) -> list[list[int]]:
    """Numbers of items, one list for each share.

    The groups are dealt out from the largest to the smallest, each to the share that lacks most.
    """
    sizes = Counter(keys)
    ordered = sorted(sizes)
    shuffled = [ordered[i] for i in np.random.default_rng(seed).permutation(len(ordered))]
    lacking = [share * len(keys) for share in shares]
    share_of: dict[str, int] = {}
    for key in sorted(shuffled, key=lambda one: -sizes[one]):
        share_of[key] = max(range(len(shares)), key=lambda at: (round(lacking[at], 9), -at))
        lacking[share_of[key]] -= sizes[key]
    dealt: list[list[int]] = [[] for _ in shares]
    for number, key in enumerate(keys):
        dealt[share_of[key]].append(number)
    return dealt


def _key(name: str, group: str, label: str) -> str:
    try:
        match = re.search(group, name)
    except re.error as error:
        raise ConfigError(
            f"{label}: group {group!r} is not a regular expression: {error}",
            fix="write one like '^([^_]+)_'",
        ) from error
    if match is None:
        raise ConfigError(
            f"{label}: group {group!r} finds nothing in {name!r}",
            fix="write an expression that finds every cube's group",
        )
    number = 0
    if match.re.groups > 0:
        number = 1
    return match.group(number) or ""  # a group that takes no part is None
