"""The exact oracle itself, by independent routes: pure fractions, SymPy, difference quotients, minimisation.

Nothing of the library but `fisherkit.symbolic` is used, and that as one of the routes.
"""

import mpmath
import numpy as np
import pytest

from fisherkit import symbolic
from tests.exact_criteria import DIGITS, ExactCriterion, close, same
from tests.exact_worlds import KINDS, ExactWorld
from tests.reference import (
    as_fraction,
    effective_by_minimisation,
    elimination,
    exact,
    exact_rank,
    exact_rank_and_variance,
    null_space,
    number,
    pseudoinverse,
    quadratic_inverse,
    schur,
    solve_all,
    solve_any,
)
from tests.reference import dense_information as dense

SEEDS = range(50)


def worlds(*kinds, seeds=SEEDS):
    return (ExactWorld(kind, seed) for kind in kinds or KINDS for seed in seeds)


def fractions(array):
    """The same numbers in pure Python."""
    return exact(np.asarray(array, dtype=object), "fractions")


def as_fractions(array):
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [as_fraction(x) for x in array.ravel()]
    return out


def test_flint_and_pure_fractions_agree():
    pytest.importorskip("flint")
    for world in worlds(seeds=range(25)):
        whole, block = world.information(world.counts), world.slices["shared"]
        rest = [i for i in range(len(whole)) if i not in block]
        pure = as_fractions(whole)
        assert exact_rank(whole) == exact_rank(pure), world
        assert (as_fractions(schur(whole, block, rest)) == schur(pure, block, rest)).all(), world
        assert (as_fractions(null_space(whole)) == null_space(pure)).all(), world
        signs, det = elimination(whole)
        assert (signs, as_fraction(det)) == (elimination(pure)[0], elimination(pure)[1]), world
        v = exact(world.directions)
        one, two = quadratic_inverse(whole, v), quadratic_inverse(pure, as_fractions(v))
        assert [None if x is None else as_fraction(x) for x in one] == two, world


def test_solutions_solve_and_null_spaces_vanish():
    for world in worlds():
        whole = world.information(world.counts)
        v = exact(world.directions)
        for x, column in zip(solve_any(whole, v), v.T, strict=True):
            if x is not None:
                assert not any(whole @ x - column), world
        kernel = null_space(whole)
        assert not any((whole @ kernel).ravel()), world
        assert kernel.shape[1] + exact_rank(whole) == len(whole), world
        # not solvable: by Fredholm's alternative some vector of the null space is not orthogonal to it
        for x, column in zip(solve_any(whole, v), v.T, strict=True):
            assert (x is None) == any(kernel.T @ column), world


def test_eliminating_private_parameters_keeps_variances():
    # v'S^-v from the effective information = (v, 0)'I^-(v, 0) from all of it
    for world in worlds():
        v = exact(world.shared_directions)
        padded = np.concatenate([v, 0 * exact(np.ones((world.n_params - len(v), v.shape[1])))])
        assert quadratic_inverse(world.effective(world.counts), v) == quadratic_inverse(
            world.information(world.counts), padded
        ), world


def test_information_against_the_dense_sum_and_minimisation():
    for world in worlds("plain", "samples", seeds=range(60)):
        floats = dense(world.model, world.counts)
        whole = np.array([[float(x) for x in row] for row in world.information(world.counts)])
        np.testing.assert_allclose(whole, floats, rtol=1e-12, atol=1e-10)
        s = world.effective(world.counts)
        for v in world.shared_directions.T:
            want = float(exact(v) @ s @ exact(v))
            got = effective_by_minimisation(floats, world.slices["shared"], v)
            assert abs(got - want) <= 1e-9 * (v @ v) * np.trace(floats), world


def test_against_sympy():
    for world in worlds("plain", seeds=range(25)):
        whole = world.information(world.counts)
        rows = [[as_fraction(x) for x in row] for row in whole]
        v = [as_fraction(x) for x in exact(world.directions[:, -2])]
        assert symbolic.rank(rows) == exact_rank(whole), world
        assert tuple(symbolic.inertia(rows)) == elimination(whole)[0], world
        want = quadratic_inverse(whole, exact(world.directions[:, -2:-1]))[0]
        got = symbolic.variance(rows, v)
        assert (not got.is_finite) if want is None else as_fraction_of(got) == as_fraction(want), world
        block = world.slices["shared"]
        rest = [i for i in range(len(whole)) if i not in block]
        mine = as_fractions(schur(whole, block, rest))
        theirs = symbolic.schur_complement(rows, block)
        assert all(as_fraction_of(theirs[i, j]) == mine[i, j] for i, j in np.ndindex(mine.shape)), world


def as_fraction_of(value):
    return as_fraction(1) * value.p / value.q


def test_integer_matrices_against_the_older_oracle():
    rng = np.random.default_rng(0)
    for _ in range(300):
        root = rng.integers(-3, 4, (int(rng.integers(1, 5)), int(rng.integers(1, 5))))
        m, v = root.T @ root, rng.integers(-3, 4, root.shape[1])
        rank, variance = exact_rank_and_variance(m, v)
        mine = quadratic_inverse(exact(m), exact(v)[:, None])[0]
        assert exact_rank(exact(m)) == rank
        assert variance == (None if mine is None else as_fraction(mine))


def test_inertia_and_determinant_of_indefinite_matrices():
    rng = np.random.default_rng(1)
    for _ in range(300):
        half = rng.integers(-2, 3, (int(rng.integers(1, 6)),) * 2)
        m = half + half.T
        if rng.random() < 0.3:
            np.fill_diagonal(m, 0)
        signs, det = elimination(exact(m))
        values = np.linalg.eigvalsh(m.astype(float))
        assert signs == (
            int((values > 1e-9).sum()),
            int((values < -1e-9).sum()),
            int((abs(values) <= 1e-9).sum()),
        )
        assert abs(float(det) - np.linalg.det(m.astype(float))) <= 1e-9 * max(1.0, abs(float(det)))


def test_moore_penrose_conditions():
    for world in worlds("plain", seeds=range(60)):
        m = world.effective(world.counts)
        p = pseudoinverse(m)
        for zero in (m @ p @ m - m, p @ m @ p - p, (m @ p) - (m @ p).T, (p @ m) - (p @ m).T):
            assert not any(zero.ravel()), world


def test_marginal_values_are_difference_quotients():
    # exact arithmetic loses nothing: (phi(M) - phi(M + t S)) / t at t = 1e-16 of the size is the derivative
    positive = zero = 0
    for world in worlds("plain", "units", seeds=range(60)):
        m = world.effective(world.counts)
        for label, _, exactly in world.criteria:
            for name in world.names:
                s, worth = world.parts[name].effective(1), None
                worth = exactly.marginal(m, s)
                if mpmath.isinf(exactly.phi(m)):
                    helped = not mpmath.isinf(exactly.phi(m + s))
                    assert mpmath.isinf(worth) if helped else worth == 0, (world, label, name)
                    continue
                t = number(1) / 10**16
                with mpmath.workdps(DIGITS):
                    quotient = (exactly.phi(m) - exactly.phi(m + t * s)) * 10**16
                    assert abs(quotient - worth) <= 1e-8 * max(abs(worth), mpmath.mpf("1e-14")), (
                        world, label, name,
                    )  # fmt: skip
                positive, zero = positive + (worth > 0), zero + (worth == 0)
    assert positive > 200
    assert zero > 50


def test_limits_are_what_very_many_samples_reach():
    for world in worlds("plain", seeds=range(60)):
        m = world.effective(world.counts)
        for label, _, exactly in world.criteria:
            for name in world.names:
                s = world.parts[name].effective(1)
                limit, far = exactly.limit(m, s), exactly.phi(m + number(10**18) * s)
                if label == "D" and mpmath.isinf(limit) and limit < 0:
                    assert far < exactly.phi(m + s) - 20, (world, name)
                else:
                    assert close(far, limit, 1e-9, 1e-9), (world, label, name, far, limit)


def test_amounts_agree_with_bisection():
    found = 0
    for world in worlds("plain", seeds=range(30)):
        if len(world.names) < 2:
            continue
        s_x, s_y = (world.parts[name].effective(1) for name in world.names[:2])
        for label, _, exactly in world.criteria:
            level = exactly.phi(s_x + number(2) * s_y)
            if mpmath.isinf(level):
                continue
            if label == "E" and same(exactly.phi(s_x + number(1) * s_y), level):
                continue  # the level is reached before
            want = exactly.amount(s_x, s_y, level)
            reached = [exactly.phi(s_x + number(r) * s_y) <= level for r in (0, 1.99, 2, 2.01, 1e9)]
            if want is None:
                found += 1
                assert reached == [False, False, True, True, True], (world, label)
                assert exactly.meets_at(s_x, s_y, 2.0, level), (world, label)
                assert not exactly.meets_at(s_x, s_y, 2.001, level), (world, label)
                assert not exactly.meets_at(s_x, s_y, 1.999, level), (world, label)
            else:
                assert want == 0.0, (world, label)
                assert same(exactly.phi(s_x), level), (world, label)
    assert found > 20


def test_e_may_reach_its_limit():
    # diag(1, 0) + r diag(0, 1): lambda_min is 1 from r = 1 on; with a coupling it is approached only
    criterion, step = ExactCriterion("E"), exact([[0, 0], [0, 1]])
    base = exact([[1, 0], [0, 0]])
    assert criterion.amount(base, step, mpmath.mpf(1)) is None
    assert criterion.meets_at(base, step, 1.0, mpmath.mpf(1))
    coupled = exact([[2, 1], [1, 1]])
    assert criterion.amount(coupled, step, criterion.limit(coupled, step)) == np.inf


def test_units_change_no_exact_answer():
    # the same integers in other units: what is estimable keeps its variance
    for seed in range(60):
        world = ExactWorld("units", seed)
        plain = exact(2.0 ** -world.exponents.astype(float))
        whole = world.information(world.counts)
        integers = plain[:, None] * whole * plain
        assert exact_rank(integers) == exact_rank(whole)
        assert quadratic_inverse(integers, exact(world.integer_directions)) == quadratic_inverse(
            whole, exact(world.directions)
        ), world


def test_worlds_are_the_hard_ones():
    # singular effective information is the rule, finite and infinite answers both occur, ranks of all sizes
    singular = finite = infinite = useless = total = 0
    for world in worlds("plain", seeds=range(300)):
        m = world.effective(world.counts)
        total, singular = total + 1, singular + (exact_rank(m) < len(m))
        useless += any(not exact_rank(part.effective(1)) for part in world.parts.values())
        parts = quadratic_inverse(m, exact(world.shared_directions))
        finite, infinite = finite + sum(x is not None for x in parts), infinite + parts.count(None)
    assert singular > total / 2
    assert useless > total / 10
    assert min(finite, infinite) > total / 2


def test_worlds_are_reproduced_by_their_number():
    for world in worlds(seeds=range(5)):
        again = ExactWorld(world.kind, world.seed)
        assert again.counts == world.counts
        assert np.array_equal(again.directions, world.directions)
        assert all(np.array_equal(again.parts[n].shared, part.shared) for n, part in world.parts.items())
    assert solve_all(exact(np.eye(2)), exact(np.eye(2))[:, :0]).shape == (2, 0)
