"""Blocks computed by several threads: order, errors, warnings, modes, forks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from specloom import pool, threads
from specloom.pool import MergeTree
from specloom.threads import limited, one_thread
from specloom.torch import map_blocks, reduce_blocks

COUNTS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def three_threads_of_torch():
    """torch has three threads outside of our calls, to tell them from others."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def nothing():
    return None


@pytest.mark.parametrize("count", COUNTS)
def test_results_are_in_order_whoever_is_first(count):
    def work(number, _):
        time.sleep(0.001 * (number % 3))
        return number, threading.get_ident()

    with limited(count):
        results = map_blocks(work, 12, nothing)
    assert [number for number, _ in results] == list(range(12))
    assert 1 <= len({thread for _, thread in results}) <= count


def test_two_threads_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=30)
    with limited(2):
        map_blocks(lambda number, _: meeting.wait(), 2, nothing)


def test_each_thread_has_its_own_memory():
    with limited(3):
        results = map_blocks(lambda number, own: (threading.get_ident(), id(own)), 50, lambda: [0])
    pairs = set(results)
    assert len({memory for _, memory in pairs}) == len(pairs)


@pytest.mark.parametrize("count", COUNTS)
def test_the_tree_is_that_of_the_numbers_alone(count):
    def merge(parts):
        return f"({' '.join(parts)})"

    def work(number, _):
        time.sleep(0.001 * ((7 * number) % 5))
        return str(number)

    with limited(count):
        total = reduce_blocks(work, 18, nothing, merge)
    assert total == "((0 1 2 3 4 5 6 7) (8 9 10 11 12 13 14 15) (16 17))"


@pytest.mark.parametrize("count", COUNTS)
def test_the_error_is_that_of_the_first_block(count):
    started = []

    def work(number, _):
        started.append(number)
        time.sleep(0.002)
        if number in (5, 6, 7):
            time.sleep(0.002 * (8 - number))
            raise ValueError(f"block {number}")

    with limited(count), pytest.raises(ValueError, match=r"^block 5$"):
        map_blocks(work, 1000, nothing)
    assert len(started) < 1000
    assert torch.get_num_threads() == 3


def test_an_interruption_ends_the_work():
    def work(number, _):
        if number == 3:
            raise KeyboardInterrupt
        time.sleep(0.001)
        if number == 4:
            raise ValueError("another")

    with limited(2), pytest.raises(KeyboardInterrupt):
        map_blocks(work, 1000, nothing)
    assert torch.get_num_threads() == 3


def test_ctrl_c_ends_a_command(tmp_path):
    code = (
        "import sys, time\n"
        "from specloom.threads import limited\n"
        "from specloom.torch import map_blocks\n"
        "def work(number, _):\n"
        "    print(number, flush=True)\n"
        "    time.sleep(0.02)\n"
        "with limited(3):\n"
        "    map_blocks(work, 100_000, lambda: None)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background of a shell inherits that the signal is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (-2, 130)
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_warning_arrives_once():
    def work(number, _):
        warnings.warn("a block is odd", UserWarning, stacklevel=1)

    with limited(3), warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("once")
        map_blocks(work, 30, nothing)
    assert [str(one.message) for one in found] == ["a block is odd"]
    with limited(3), pytest.raises(UserWarning, match="a block is odd"):
        map_blocks(work, 30, nothing)


@pytest.mark.parametrize("most", [None, 1])
def test_blocks_inside_of_blocks_are_done_by_one_thread(most):
    def inner(number, _):
        time.sleep(0.001)
        return threading.get_ident(), number

    def outer(number, _):
        return threading.get_ident(), map_blocks(inner, 5, nothing)

    with limited(3):
        results = map_blocks(outer, 6, nothing, most)
        for thread, blocks in results:
            assert blocks == [(thread, number) for number in range(5)]
        meeting = threading.Barrier(2, timeout=30)
        map_blocks(lambda number, _: meeting.wait(), 2, nothing)  # several again


def test_modes_of_torch_and_numpy_hold_in_all_threads():
    meeting = threading.Barrier(2, timeout=30)

    def work(number, _):
        meeting.wait()
        modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        return modes, torch.get_num_threads(), np.geterr()["over"]

    with limited(2):
        with torch.inference_mode(), np.errstate(over="raise"):
            assert set(map_blocks(work, 2, nothing)) == {((True, False), 1, "raise")}
        with torch.no_grad(), np.errstate(over="ignore"):
            assert set(map_blocks(work, 2, nothing)) == {((False, False), 1, "ignore")}
        with np.errstate(over="ignore"):
            assert set(map_blocks(work, 2, nothing)) == {((False, True), 1, "ignore")}


def blas_threads():
    from threadpoolctl import threadpool_info

    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_the_caller_gets_its_threads_back_also_after_errors():
    from threadpoolctl import threadpool_limits

    most = min(os.cpu_count() or 1, 2)
    with threadpool_limits(most, user_api="blas"):
        with one_thread():
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
            with pytest.raises(ZeroDivisionError), one_thread():
                raise ZeroDivisionError
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
        assert torch.get_num_threads() == 3
        assert blas_threads() == {most}
        with pytest.raises(ZeroDivisionError):
            map_blocks(lambda number, _: number / 0, 4, nothing)
        assert torch.get_num_threads() == 3
        assert blas_threads() == {most}


def test_blas_is_restored_by_the_last_of_several_threads():
    from threadpoolctl import threadpool_limits

    most = min(os.cpu_count() or 1, 2)
    inside = threading.Event()
    leave = threading.Event()

    def other():
        with one_thread():
            inside.set()
            leave.wait(30)

    with threadpool_limits(most, user_api="blas"):
        thread = threading.Thread(target=other)
        with one_thread():
            thread.start()
            assert inside.wait(30)
        assert blas_threads() == {1}
        leave.set()
        thread.join()
        assert blas_threads() == {most}


def test_a_new_thread_of_the_caller_has_the_usual_number_afterwards():
    meeting = threading.Barrier(2, timeout=30)
    with limited(2):
        torch.set_num_threads(3)
        map_blocks(lambda number, _: meeting.wait(), 2, nothing)
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert found == [3]


def _double(number, _):
    return 2 * number


def _in_child(results):
    with limited(3):
        results.put(map_blocks(_double, 20, nothing))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_has_threads_of_its_own(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    with limited(3):
        expected = map_blocks(_double, 20, nothing)
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=_in_child, args=(results,))
    child.start()
    assert results.get(timeout=60) == expected
    child.join(30)
    assert child.exitcode == 0


def test_callers_share_the_threads():
    most = 3
    active = []
    seen = []
    lock = threading.Lock()

    def work(number, _):
        with lock:
            active.append(1)
            seen.append(len(active))
        time.sleep(0.002)
        with lock:
            active.pop()

    def call():
        map_blocks(work, 30, nothing)

    with limited(most):
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert max(seen) <= len(callers) + most - 1
    assert pool._pool._busy == 0


def test_a_wrong_count_of_results_is_no_tree():
    with pytest.raises(ValueError, match="there is no share"):
        MergeTree(sum).total()


@pytest.mark.parametrize(
    ("variables", "torch_threads", "count"),
    [
        ({}, 3, 3),
        ({}, 8, 5),
        ({"OMP_NUM_THREADS": "7"}, 3, 7),
        ({"OMP_NUM_THREADS": "7", "SPECLOOM_THREADS": "2"}, 3, 2),
        ({"OMP_NUM_THREADS": "x", "SPECLOOM_THREADS": "0"}, 2, 2),
    ],
    ids=str,
)
def test_the_number_from_python(monkeypatch, variables, torch_threads, count):
    for name in ("OMP_NUM_THREADS", "SPECLOOM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(threads, "cores", lambda: 5)
    torch.set_num_threads(torch_threads)
    assert threads.count() == count
    with one_thread():
        assert threads.count() == count
    with limited(4):
        assert threads.count() == 4
    assert threads.count() == count


def test_the_number_of_a_command(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with limited():
        assert threads.count() == 5
        assert torch.get_num_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with limited():
        assert threads.count() == 2


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 2),
        ({"a/cpu.max": "50000 100000", "cpu.max": "300000 100000"}, 1),
        ({"a/cpu.max": "max 100000", "cpu.max": "300000 100000"}, 3),
        ({"a/b/cpu.max": "rubbish", "a/cpu.max": "400000 100000"}, 4),
    ],
    ids=str,
)
def test_the_quota_of_control_groups_of_version_2(tmp_path, limits, count):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    for name, text in limits.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert threads.cpu_quota(tmp_path / "root", own) == count


@pytest.mark.parametrize(("quota", "count"), [("-1", None), ("250000", 3), ("1000", 1)])
def test_the_quota_of_control_groups_of_version_1(tmp_path, quota, count):
    own = tmp_path / "own"
    own.write_text("12:memory:/x\n4:cpu,cpuacct:/a\n")
    folder = tmp_path / "root/cpu,cpuacct/a"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert threads.cpu_quota(tmp_path / "root", own) == count


def test_cores_are_not_more_than_the_quota(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: 3)
    assert threads.cores() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert threads.cores() == 1
