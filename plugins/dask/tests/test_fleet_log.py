"""The logs of Dask go into the folder of results, and the rate is that of the last minute."""

from __future__ import annotations

import logging

from specloom_dask.fleet_log import LOGGER, logged_into
from specloom_dask.fleet_watch import Rate


def test_warnings_are_written_where_the_results_are(tmp_path, capfd):
    folder = tmp_path / "out"
    with logged_into(folder):
        logging.getLogger("distributed.nanny").warning("too early")
        assert not folder.exists()
        folder.mkdir()
        logging.getLogger("distributed.nanny").info("nothing to see")
        assert list(folder.iterdir()) == []
        logging.getLogger("distributed.nanny").warning("worker killed")
    text = (folder / "fleet.log").read_text()
    assert text.splitlines()[0].endswith("distributed.nanny WARNING worker killed")
    assert "too early" not in text
    assert capfd.readouterr() == ("", "")
    assert LOGGER.propagate
    with logged_into(None):
        logging.getLogger("distributed.nanny").warning("nowhere")
    assert capfd.readouterr() == ("", "")


def test_the_rate_is_that_of_the_last_minute():
    rate = Rate()
    start = rate._started
    rate.add(600, start + 10)
    assert rate.value(start + 20) == 30
    assert rate.value(start + 65) == 10
    assert rate.value(start + 100) == 0
    rate.add(120, start + 100)
    assert rate.value(start + 110) == 2


def test_the_rate_forgets_what_is_older_than_a_minute_without_an_observer():
    rate = Rate()
    for second in range(1000):
        rate.add(1, float(second))
    assert len(rate._done) == 61
