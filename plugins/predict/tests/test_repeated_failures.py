"""A fleet stops where half of the latest cubes failed with one message."""

from __future__ import annotations

from specloom_predict.cube_job import RepeatedFailures


def failed(number):
    what = f"/data/c{number}.npy has 61 bands, the pipeline was made for 12"
    return {"state": "failed", "line": {"errors": [{"what": what}]}}


def stopped_at(outcomes, *, ignored=False):
    repeated = RepeatedFailures(ignored=ignored)
    for number, outcome in enumerate(outcomes):
        error = repeated.add(f"/data/c{number}.npy", outcome)
        if error is not None:
            return number, error
    return None


def test_half_of_the_latest_hundred_stops():
    done = {"state": "done"}
    every_other = [failed(number) if number % 2 else done for number in range(300)]
    number, error = stopped_at(every_other)
    assert number == 99
    assert error.what == (
        "half of the latest 100 cubes failed with one message: …/… has 61 bands, the pipeline was "
        "made for 12"
    )
    assert error.fix == "check the cubes and the pipeline, or add --keep-going"
    assert error.exit_code == 2


def test_fewer_and_other_messages_do_not_stop():
    done = {"state": "done"}
    assert stopped_at([failed(at) if at % 3 == 0 else done for at in range(300)]) is None
    assert stopped_at([failed(at) for at in range(99)]) is None
    assert stopped_at([failed(at) for at in range(300)], ignored=True) is None
    varied = [{"state": "failed", "line": {"errors": [{"what": str(at)}]}} for at in range(300)]
    assert stopped_at(varied) is None
