"""Portions of work side by side: all results, one torch thread, and a stop that stops."""

import io
import re
import sys
import threading

import pytest
import torch

from neural.results.parallel import in_parallel, progress_bar, usable_cores


class Bar:
    """Counts what it is told, as tqdm does."""

    n = 0

    def update(self, count):
        self.n += count


def test_every_portion_comes_back_with_its_result_and_progress_adds_up():
    def work(n, report):
        for _ in range(n):
            report(1)
        return -n

    bar = Bar()
    assert sorted(in_parallel(work, list(range(11)), 3, bar)) == [(n, -n) for n in range(11)]
    assert bar.n == 55


def test_portions_do_run_beside_each_other():
    together = threading.Barrier(2, timeout=30)  # breaks, and fails the test, if only one thread arrives
    results = in_parallel(lambda n, report: together.wait() * 0 + n, [1, 2], 2, Bar())
    assert sorted(results) == [(1, 1), (2, 2)]


def test_each_portion_computes_on_one_torch_thread_and_the_setting_is_restored():
    before = torch.get_num_threads()
    seen = dict(in_parallel(lambda n, report: torch.get_num_threads(), [1, 2, 3], 2, Bar()))
    assert set(seen.values()) == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("where", ["portion", "loop"])
def test_an_exception_stops_the_other_portions(where):
    started, ended = threading.Event(), []

    def work(n, report):
        if n == 0:
            if where == "portion":
                assert started.wait(30)
                raise FloatingPointError("portion 0 diverged")
            return n
        started.set()
        for _ in range(10**9):  # reports until it is stopped; the test would hang otherwise
            try:
                report(1)
            except BaseException:
                ended.append(n)
                raise
        return n

    before = threading.active_count()

    def take():
        for portion, _ in in_parallel(work, [0, 1, 2, 3], 2, Bar()):
            assert portion == 0
            raise KeyboardInterrupt

    with pytest.raises((FloatingPointError, KeyboardInterrupt)):
        take()
    assert set(ended) <= {1, 2, 3}
    assert threading.active_count() <= before, "no thread of ours is left"


def test_there_is_a_core_to_use():
    assert usable_cores() >= 1


def test_progress_bar_counts_and_says_little_where_nobody_watches(capsys):
    with progress_bar(5000, " run-steps") as bar:
        for _ in range(2500):
            bar.update(2)
        assert bar.n == bar.total == 5000
        assert bar.mininterval >= 10, "seconds between lines of a log file"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert " run-steps" in printed.err
    assert "100%" in printed.err
    assert len(re.split(r"[\r\n]+", printed.err.strip())) <= 4, "begin, end, hardly anything between"


def test_progress_bar_is_redrawn_soon_where_somebody_watches(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(10, " cells") as bar:
        bar.update(10)
        assert bar.mininterval <= 1
    assert "10.0/10.0" in terminal.getvalue()
