import signal
import time

import pytest

from bod_keras.data.processes import worker_pool
from bod_keras.data.processes.process_map import process_map
from tests.leaks import children


def run(function, items, workers=2, seconds=60.0):
    return list(process_map(function, items, workers, lambda item: seconds))


def test_every_item_has_its_result():
    found = run(abs, range(-20, 0))
    assert sorted(found) == [(n, -n, None) for n in range(-20, 0)]
    assert run(abs, []) == []


def test_a_call_that_hangs_is_ended_and_the_rest_goes_on():
    found = run(time.sleep, [3600, 0.01, 0.02, 0.03], seconds=0.5)
    assert sorted(found) == [
        *((n, None, None) for n in (0.01, 0.02, 0.03)),
        (3600, None, "no answer for 0.5 s"),
    ]


def test_a_process_that_crashes_is_replaced():
    found = run(signal.raise_signal, [signal.SIGSEGV, 0, signal.SIGABRT], workers=1)
    assert {number: reason for number, _, reason in found} == {
        signal.SIGSEGV: "the process that read it died twice (SIGSEGV)",
        0: None,
        signal.SIGABRT: "the process that read it died twice (SIGABRT)",
    }


def test_an_exception_is_a_reason():
    found = run(int, ["x", "3"])
    assert dict((item, (result, reason)) for item, result, reason in found) == {
        "x": (None, "ValueError: invalid literal for int() with base 10: 'x'"),
        "3": (3, None),
    }


def test_a_caller_that_stops_leaves_no_process(monkeypatch):
    monkeypatch.setattr(worker_pool, "_END_SECONDS", 1.0)  # until a call that hangs is killed
    before = children()
    results = process_map(time.sleep, [0, *[600] * 100], 2, lambda item: 900.0)
    next(results)
    assert len(children().keys() - before) == 2
    results.close()
    assert children() == before


def test_wrong_number_of_workers():
    with pytest.raises(ValueError, match="workers must be at least 1. Received: workers=0"):
        process_map(abs, [1], 0, lambda item: 60.0)
