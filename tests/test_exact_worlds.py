"""Every public answer against exact rational arithmetic, on worlds where singular information is the rule.

A mismatch names its world; `check(ExactWorld(kind, number))` reproduces it. The slow run takes 5,000 worlds
through all answers: `pytest tests/test_exact_worlds.py --slow -k thousand`.
"""

import inspect
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given, settings

from tests import exact_checks, exact_checks_order, exact_checks_plans, exact_checks_worth
from tests.exact_worlds import ExactWorld, exact_worlds

#: {check: kinds of worlds it says something about}; the rest of the kinds it passes by.
CHECKS = {
    exact_checks.check_cramer_rao: ("plain", "units", "noise", "samples"),
    exact_checks.check_information: ("plain", "units", "samples"),
    exact_checks.check_shared_information: ("plain", "units", "noise", "samples"),
    exact_checks.check_effective_information: ("plain", "units", "noise", "samples"),
    exact_checks.check_schur_complement: ("plain", "units", "samples"),
    exact_checks.check_estimate: ("plain", "units", "noise", "samples"),
    exact_checks.check_dtype: ("plain", "noise", "samples"),
    exact_checks.check_frozen: ("plain", "samples"),
    exact_checks_worth.check_criteria: ("plain", "units", "noise", "samples"),
    exact_checks_worth.check_marginal_value: ("plain", "units", "noise"),
    exact_checks_worth.check_exchange_rate: ("plain", "units", "noise"),
    exact_checks_worth.check_equivalent_count: ("plain", "units"),
    exact_checks_worth.check_isoline: ("plain", "units"),
    exact_checks_worth.check_surface: ("plain", "units"),
    exact_checks_worth.check_useless: ("plain", "units"),
    exact_checks_worth.check_samples: ("samples",),
    exact_checks_order.check_compare: ("plain", "units", "samples"),
    exact_checks_order.check_ranges: ("plain", "units", "samples"),
    exact_checks_order.check_certified: ("plain", "units", "samples"),
    exact_checks_order.check_theorems: ("plain", "samples"),
    exact_checks_order.check_theorem_1_private: ("plain", "units", "samples"),
    exact_checks_plans.check_allocate: ("plain", "units"),
    exact_checks_plans.check_allocate_target: ("plain", "units"),
    exact_checks_plans.check_next_sample: ("plain", "units"),
    exact_checks_plans.check_plans_of_samples: ("samples",),
}
CASES = [
    pytest.param(check, kind, id=f"{check.__name__.removeprefix('check_')}-{kind}")
    for check, kinds in CHECKS.items()
    for kind in kinds
]
#: The mixture of the slow run.
MIXTURE = ("plain",) * 5 + ("units",) * 3 + ("samples", "noise")
WORLDS = 5_000
#: Worlds that a process takes through all checks before it is given the next ones.
CHUNK = 100


def test_every_check_is_run():
    modules = (exact_checks, exact_checks_worth, exact_checks_order, exact_checks_plans)
    written = {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("check_")
    }
    assert written == set(CHECKS)


@pytest.mark.parametrize(("check", "kind"), CASES)
def test_answer(check, kind):
    @settings(max_examples=40)
    @given(exact_worlds(kind))
    def right(world):
        wrong = check(world)
        assert not wrong, f"{world}: " + "\n".join(wrong[:5])

    right()


def run_through(start):
    """Take a chunk of worlds through all checks: (worlds asked, worlds wrong, mismatches) by check and kind."""
    asked, failed, first = Counter(), Counter(), {}
    for number in range(start, start + CHUNK):
        world = ExactWorld(MIXTURE[number % len(MIXTURE)], number)
        for check, kinds in CHECKS.items():
            if world.kind not in kinds:
                continue
            key = (check.__name__, world.kind)
            asked[key] += 1
            if wrong := check(world):
                failed[key] += 1
                first.setdefault(key, []).append(f"{world}: {wrong[0]}")
    return asked, failed, first


def table(asked, failed, first, examples=5):
    """One line per check and kind, and the first mismatches of each."""
    lines = []
    for key in asked:
        lines.append(f"{key[0]:30s} {key[1]:8s} {failed[key]:5d} wrong of {asked[key]}")
        lines += [f"      {text}" for text in first.get(key, [])[:examples]]
    return "\n".join(lines)


@pytest.mark.slow
def test_five_thousand_worlds():
    asked, failed, first = Counter(), Counter(), {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for some_asked, some_failed, some_first in pool.map(run_through, range(0, WORLDS, CHUNK)):
            asked, failed = asked + some_asked, failed + some_failed
            for key, texts in some_first.items():
                first.setdefault(key, []).extend(texts)
    assert sum(asked.values()) > 10 * WORLDS
    assert not failed, f"{sum(failed.values())} answers wrong\n" + table(asked, failed, first)


def test_small_integers_are_decided():
    # "not resolved in floating point" is an honest answer, but not to questions about integers up to 3
    asked, left = 0, 0
    for number in range(100):
        counts = exact_checks_order.unresolved(ExactWorld("plain", number))
        asked, left = asked + counts[0], left + counts[1]
    assert asked > 1000
    assert left <= 0.02 * asked, f"{left} of {asked} statements left open"
