"""The kit's checks of tasks and executors, each held to a class that is wrong in one way."""

import pytest

from specloom import Outcome, SpecloomError
from specloom.testing import failures_of
from specloom_jobs import Here


class NoMerge:
    def begin(self, job):
        pass

    def do(self, tickets):
        return b""


class Whole(NoMerge):
    def merge(self, parts):
        return b"".join(parts)


class NoTotal(Here):
    total = None


class Reversed(Here):
    def total(self, job, shares):
        return super().total(job, self._renumbered([*shares][::-1]))

    def _renumbered(self, shares):
        return [type(share)(number, share.tickets) for number, share in enumerate(shares)]


class LosesTheLast(Here):
    def each(self, job, shares):
        yield from [*super().each(job, shares)][:-1]


class StopsAtAnError(Here):
    def each(self, job, shares):
        for outcome in super().each(job, shares):
            yield outcome
            if outcome.errors:
                return


class LosesTheFix(Here):
    def each(self, job, shares):
        for outcome in super().each(job, shares):
            errors = [{**error, "fix": ""} for error in outcome.errors]
            yield Outcome(outcome.number, outcome.data, errors)


class PassesOverErrors(Here):
    def total(self, job, shares):
        try:
            return super().total(job, shares)
        except SpecloomError:
            return b"[]"


WRONG = {
    LosesTheLast: {"executor_does_jobs"},
    StopsAtAnError: {"executor_does_jobs"},
    LosesTheFix: {"executor_does_jobs"},
    Reversed: {"executor_does_jobs"},
    PassesOverErrors: {"executor_does_jobs"},
    NoTotal: {"executor_is_whole", "executor_does_jobs"},
}


@pytest.mark.parametrize(
    ("cls", "caught"), WRONG.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_wrong_executors_fail_exactly_their_checks(cls, caught):
    assert set(failures_of(cls, "executors")) == caught


def test_the_executor_in_this_process_passes():
    assert failures_of(Here, "executors") == {}


def test_a_task_without_merge_is_no_task():
    assert set(failures_of(NoMerge, "tasks")) == {"task_is_whole"}
    assert failures_of(Whole, "tasks") == {}
