from collections import Counter
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specloom import ConfigError
from specloom_cubes.splits import divide, items_of, split_ranges

NAMES = [f"{variety}_{day}_{n}" for variety in ("brown", "red") for day in "ab" for n in range(5)]
APART = ("train", "val", "test")


def sizes(splits):
    return [len(splits[split]) for split in APART]


def names_of(splits, split):
    return [NAMES[at] for at in splits[split]]


def test_shares():
    splits = divide(NAMES, "X")
    assert sizes(splits) == [10, 5, 5]
    assert splits["predict"] == splits["test"]
    assert splits == divide(NAMES, "X", (0.5, 0.25, 0.25), seed=0)
    assert splits != divide(NAMES, "X", seed=1)
    assert sorted(chain(*(splits[split] for split in APART))) == list(range(20))
    assert all(splits[split] == sorted(splits[split]) for split in APART)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=40),
    st.sampled_from([(0.5, 0.25, 0.25), (0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.0, 0.4, 0.6)]),
    st.integers(0, 3),
)
def test_shares_are_kept_and_groups_stay_together(groups, shares, seed):
    names = [f"g{group}_{n}" for n, group in enumerate(groups)]
    splits = divide(names, "X", shares, group="^(g.)_", seed=seed)
    assert sorted(chain(*(splits[split] for split in APART))) == list(range(len(names)))
    for one, two in combinations(APART, 2):
        assert not {groups[i] for i in splits[one]} & {groups[i] for i in splits[two]}
    largest = max(Counter(groups).values())
    for split, share in zip(APART, shares, strict=True):
        assert share or not splits[split]
        assert len(splits[split]) < share * len(names) + largest + 1e-9 or not share
    alone = divide(names, "X", shares, seed=seed)
    assert all(abs(len(alone[s]) - f * len(names)) <= 1 for s, f in zip(APART, shares, strict=True))


def test_folds_test_every_item_once():
    every = [divide(NAMES, "X", folds=5, fold=fold, seed=3) for fold in range(5)]
    assert all(sizes(splits) == [12, 4, 4] for splits in every)
    assert sorted(chain(*(splits["test"] for splits in every))) == list(range(20))
    for splits, following in zip(every, [*every[1:], every[0]], strict=True):
        assert splits["val"] == following["test"]
        assert not {*splits["train"]} & {*splits["val"], *splits["test"]}


def test_groups_stay_together():
    splits = divide(NAMES, "X", (0.5, 0.25, 0.25), group="^[a-z]+_[ab]")
    assert sizes(splits) == [10, 5, 5]
    days = [{name[:-2] for name in names_of(splits, split)} for split in APART]
    assert [len(day) for day in days] == [2, 1, 1]
    varieties = divide(NAMES, "X", (0.5, 0.0, 0.5), group="^([a-z]+)_[ab]")
    assert {name[:-4] for name in names_of(varieties, "train")} in ({"brown"}, {"red"})
    folded = divide(NAMES, "X", folds=4, fold=1, group="^[a-z]+_[ab]")
    assert sizes(folded) == [10, 5, 5]


def test_ids():
    ids = {"train": ["red_a_1", "red_a_0"], "val": ["red_b_0"], "test": ["brown_a_0"]}
    splits = divide(NAMES, "X", ids)
    assert names_of(splits, "train") == ["red_a_0", "red_a_1"]
    assert names_of(splits, "predict") == names_of(splits, "test") == ["brown_a_0"]
    named = divide(NAMES, "X", {**ids, "predict": ["red_a_1", "brown_a_4"]})
    assert names_of(named, "predict") == ["brown_a_4", "red_a_1"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"split": {"train": ["red_a_0"], "test": ["red_a_1", "red_a_0"]}},
            "X: 'red_a_0' is listed twice, in train and test\n  fix: list it once",
        ),
        ({"split": {"val": ["red_a_0", "red_a_0"]}}, "'red_a_0' is listed twice, in val and val"),
        (
            {"split": {"train": ["red_a_9"]}},
            "X: split train names 'red_a_9', which is not there\n  fix: did you mean 'red_a_4'?",
        ),
        ({"split": {"predict": ["blue"]}}, "split predict names 'blue', which is not there"),
        (
            {"split": {"train": ["red_a_0"]}, "folds": 5},
            "split names every item, so folds and group have no effect",
        ),
        (
            {"split": {"train": ["red_a_0"]}, "group": "_"},
            "split names every item, so folds and group have no effect",
        ),
        ({"split": (0.5, 0.25, 0.25), "folds": 5}, "X: split and folds exclude each other"),
        ({"split": (0.5, 0.5, 0.5)}, "split [0.5, 0.5, 0.5] is not three shares that sum to 1"),
        ({"split": (1.5, -0.5, 0.0)}, "is not three shares that sum to 1"),
        ({"folds": 2}, "X: folds is 2, but train, val and test need one each"),
        ({"folds": 5, "fold": 5}, "there is no fold 5 of 5\n  fix: write fold: 0 to 4"),
        ({"folds": 5, "fold": -1}, "there is no fold -1 of 5"),
        ({"folds": 21}, "X: 20 items cannot fill 21 folds\n  fix: write folds: 20 or fewer"),
        ({"folds": 5, "group": "^[a-z]+_[ab]"}, "X: 4 groups cannot fill 5 folds"),
        ({"folds": 3, "group": "^[a-z]+"}, "2 groups cannot fill 3 folds\n  fix: write split:"),
        ({"group": "("}, "X: group '(' is not a regular expression"),
        ({"group": "^red"}, "X: group '^red' finds nothing in 'brown_a_0'"),
    ],
)
def test_what_cannot_be_divided(wrong, message):
    with pytest.raises(ConfigError) as error:
        divide(NAMES, "X", **wrong)
    assert message in str(error.value)
    assert error.value.fix


def test_empty_and_unknown_splits():
    splits = divide(NAMES[:3], "X", (0.8, 0.1, 0.1))
    assert items_of("train", splits, "X") == [0, 1, 2]
    with pytest.raises(ConfigError) as error:
        items_of("val", splits, "X")
    assert "X: the split 'val' is empty (train 3, val 0, test 0)" in str(error.value)
    with pytest.raises(ConfigError, match="there is no split 'tset'") as error:
        items_of("tset", splits, "X")
    assert "did you mean 'test'?" in str(error.value)


def test_ranges_keep_the_order():
    assert split_ranges(7, (0.6, 0.2, 0.2), "X") == {
        "train": range(4),
        "val": range(4, 6),
        "test": range(6, 7),
        "predict": range(6, 7),
    }
