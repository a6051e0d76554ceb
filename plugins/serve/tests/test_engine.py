"""The engine: order, back-pressure, deadlines, warming up and a clean stop."""

import threading
import time

import numpy as np
import pytest

from specloom import ConfigError, DataError, Pipeline
from specloom_predict import Predictor
from specloom_rx import RXGlobal
from specloom_serve import DeadlineError, Engine, EngineStoppedError, Limits, QueueFullError

BANDS = 5


@pytest.fixture(scope="module")
def predictor():
    pipeline = Pipeline("rx")
    rx = pipeline.add("rx", RXGlobal())
    pipeline.connect("batch.cube", rx.data)
    pipeline.outputs = {"scores": rx.scores}
    return Predictor(pipeline.fit(cube(0)), device="cpu")


def cube(seed, height=20, width=24):
    return np.random.default_rng(seed).normal(10, 1, (height, width, BANDS)).astype(np.float32)


def hold(engine):
    """Keep the engine's thread busy until the event that is returned is set."""
    started = threading.Event()
    release = threading.Event()

    def work(predictor):
        started.set()
        assert release.wait(10)

    engine.submit(work)
    assert started.wait(10)
    return release


def test_threads_get_the_scores_of_their_own_cubes(predictor):
    cubes = [cube(seed, 20 + seed % 3) for seed in range(12)]
    expected = [predictor.predict(one).scores.tobytes() for one in cubes]
    found = {}

    def call(number):
        found[number] = engine.predict(cubes[number]).scores.tobytes()

    with Engine(predictor, waiting=12) as engine:
        threads = [threading.Thread(target=call, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[number] for number in range(12)] == expected


def test_more_requests_than_may_wait_are_refused(predictor):
    with Engine(predictor, waiting=2) as engine:
        release = hold(engine)
        waiting = [engine.submit(lambda predictor: 1), engine.submit(lambda predictor: 2)]
        assert engine.queued == 2
        with pytest.raises(QueueFullError) as caught:
            engine.predict(cube(1))
        assert str(caught.value) == (
            "2 requests wait, and no more may\n  fix: try again later, or let more requests wait"
        )
        assert waiting[0].cancel()
        third = engine.submit(lambda predictor: 3)
        release.set()
        assert (waiting[1].result(10), third.result(10)) == (2, 3)


def test_a_request_that_waits_too_long_is_not_computed(predictor):
    calls = []
    with Engine(predictor) as engine:
        release = hold(engine)
        late = engine.submit(calls.append, 0.01)
        with pytest.raises(DeadlineError) as caught:
            engine.predict(cube(1), deadline=0.02)
        assert str(caught.value) == (
            "there was no result within 0.02 s\n  fix: try again later, or with a longer deadline"
        )
        release.set()
        with pytest.raises(DeadlineError, match=r"there was no result within 0\.01 s"):
            late.result(10)
        assert engine.predict(cube(1)).scores.shape == (20, 24)
    assert calls == []


def test_a_request_that_is_late_takes_no_place(predictor):
    with Engine(predictor, waiting=1) as engine:
        release = hold(engine)
        late = engine.submit(lambda predictor: 1, 0.01)
        time.sleep(0.02)
        second = engine.submit(lambda predictor: 2)
        with pytest.raises(DeadlineError, match=r"there was no result within 0\.01 s"):
            late.result(10)
        release.set()
        assert second.result(10) == 2


def test_an_error_is_that_of_the_predictor_and_the_next_request_is_served(predictor):
    with Engine(predictor) as engine:
        with pytest.raises(DataError, match="has 4 bands, the pipeline was made for 5"):
            engine.predict(cube(1)[..., :4])
        with pytest.raises(TimeoutError, match="of the work itself"):
            engine.submit(_time_out).result(10)
        assert engine.predict(cube(1)).scores.shape == (20, 24)


def _time_out(predictor):
    raise TimeoutError("of the work itself")


def test_stop_ends_what_is_computed_and_refuses_what_waits(predictor):
    engine = Engine(predictor)
    with pytest.raises(EngineStoppedError) as caught:
        engine.predict(cube(1))
    assert str(caught.value) == ("the engine does not run\n  fix: start it, or use another server")
    engine.start()
    assert engine.is_ready
    assert engine.warm_up_error == ""
    with pytest.raises(ConfigError) as again:
        engine.start()
    assert str(again.value) == "the engine was started before\n  fix: make another engine"
    release = hold(engine)
    waiting = engine.submit(lambda predictor: 1)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    with pytest.raises(EngineStoppedError, match="the engine does not run"):
        waiting.result(10)
    assert stopping.is_alive()
    assert not engine.is_ready
    release.set()
    stopping.join(10)
    assert not stopping.is_alive()
    engine.stop()
    with pytest.raises(EngineStoppedError, match="the engine does not run"):
        engine.submit(lambda predictor: 1)


def test_a_warm_up_that_fails_says_why(predictor, monkeypatch):
    def refuse(*arguments, **options):
        raise DataError("no")

    monkeypatch.setattr(predictor, "predict", refuse)
    with Engine(predictor) as engine:
        assert engine.is_ready
        assert engine.warm_up_error == "no"


def test_the_first_request_follows_a_warm_up(predictor, monkeypatch):
    shapes = []
    predictions = []
    predict = predictor.predict

    def seen(cube, **options):
        shapes.append(cube.shape)
        predictions.append(predict(cube, **options))
        return predictions[-1]

    monkeypatch.setattr(predictor, "predict", seen)
    with Engine(predictor):
        assert shapes == [(32, 32, BANDS)]
        assert "measures" in vars(predictions[0])


def test_numbers_that_cannot_be(predictor):
    with pytest.raises(ConfigError) as caught:
        Engine(predictor, waiting=0)
    assert str(caught.value) == "0 requests may wait\n  fix: let at least 1 request wait"
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError) as caught:
            Engine(predictor, deadline=seconds)
        what = f"the deadline is {seconds:g} s\n  fix: set a number of seconds above 0"
        assert str(caught.value) == what
    with pytest.raises(ConfigError) as caught:
        Limits(pixels=0)
    assert str(caught.value) == "the limit 'pixels' is 0\n  fix: set a number above 0"
