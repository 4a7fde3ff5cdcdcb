"""Certified order: claims against arithmetic of Fractions, radii, witnesses, exact verdicts, texts."""

import os
import re
import subprocess
import sys
from fractions import Fraction
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fisherkit import symbolic
from fisherkit.certified import (
    Certificate,
    Enclosed,
    Status,
    bounds,
    certify,
    certify_growth,
    certify_positive_definite,
    cholesky,
    enclosed_schur_complement,
    exact,
    exact_inertia,
)
from fisherkit.loewner import Relation
from tests.comparators import assert_allclose_report
from tests.strategies import integer_root, orthogonal, psd_pairs, random_psd, seeds

I2 = np.eye(2)
ROOT = Path(__file__).resolve().parent.parent


def fractions(matrix):
    """Nested lists of the exact values of floats."""
    return [[Fraction(x) for x in row] for row in np.asarray(matrix, float).tolist()]


def is_definite(rows):
    """Whether a symmetric matrix of Fractions is positive definite: elimination with positive pivots."""
    rows = [list(row) for row in rows]
    while rows:
        head, *rest = rows
        if head[0] <= 0:
            return False
        rows = [[x - row[0] * y / head[0] for x, y in zip(row[1:], head[1:], strict=True)] for row in rest]
    return True


def minus(b, a):
    return [
        [y - x for x, y in zip(p, q, strict=True)] for p, q in zip(fractions(a), fractions(b), strict=True)
    ]


def form(rows, v):
    """v'Mv of Fractions and floats."""
    w = [Fraction(float(x)) for x in v]
    return sum(x * sum(m * y for m, y in zip(row, w, strict=True)) for x, row in zip(w, rows, strict=True))


def mirrored(m):
    """The lower triangle on both sides: symmetric to the last bit."""
    return np.tril(m) + np.tril(m, -1).T


def rational_inertia(rows):
    """SymPy-backed exact inertia of a matrix of Fractions."""
    return symbolic.inertia([[f"{x.numerator}/{x.denominator}" for x in row] for row in rows])


@st.composite
def exact_pairs(draw, max_dim=6):
    """(A, B) of floats, in any units; the gap is singular, one unit or ulp off, indefinite or generic."""
    rng = np.random.default_rng(draw(seeds))
    d = draw(st.integers(1, max_dim))
    kind = draw(st.sampled_from(["singular", "unit", "ulp", "tenths", "generic", "indefinite"]))
    size = draw(st.sampled_from([2, 30, 5000]))
    root = integer_root(rng, d, int(rng.integers(0, d + 1)), size)
    gap = (root @ root.T).astype(float)
    base = integer_root(rng, d, d, size).astype(float)
    base = (base + base.T) * draw(st.booleans())
    if kind == "unit":
        i = int(rng.integers(d))
        gap[i, i] += rng.integers(-1, 2)
    elif kind == "tenths":
        gap, base = gap / 10, base / 10
    elif kind == "generic":
        gap = random_psd(rng, d, d, 10.0 ** rng.uniform(0, 16))
    elif kind == "indefinite":
        gap = gap - np.diag(rng.integers(0, 2, d) * 10.0 ** rng.uniform(-14, 2, d))
    a, b = base, base + gap
    if kind == "ulp":
        i, j = (int(n) for n in np.sort(rng.integers(d, size=2))[::-1])
        b[i, j] = np.nextafter(b[i, j], rng.choice([-np.inf, np.inf]))
    units = draw(st.sampled_from(["none", "powers of two", "any", "extreme"]))
    scale = {
        "none": np.ones(d),
        "powers of two": 2.0 ** rng.integers(-40, 41, d),
        "any": 10.0 ** rng.uniform(-9, 9, d),
        "extreme": 2.0 ** rng.integers(-530, 480, d),
    }[units]
    with np.errstate(under="ignore"):
        return mirrored(mirrored(a) * scale * scale[:, None]), mirrored(mirrored(b) * scale * scale[:, None])


@settings(max_examples=400)
@given(exact_pairs())
def test_certified_and_refuted_never_contradict_exact_arithmetic(pair):
    a, b = pair
    gap = minus(b, a)
    for answer in (certify(a, b), certify(a, b, check_factor=True)):
        if answer.status is Status.CERTIFIED_STRICT:
            assert answer.shift >= answer.bound > 0
            assert is_definite(gap)
        elif answer.status is Status.REFUTED:
            assert form(gap, answer.witness) <= Fraction(answer.value) < 0
        else:
            assert answer.status is Status.UNDECIDED
    assert certify(a, b, exact="auto").status is not Status.UNDECIDED


@given(exact_pairs(max_dim=5))
def test_exact_verdicts_agree_with_sympy_on_pairs(pair):
    a, b = pair
    inertia = rational_inertia(minus(b, a))
    answer = certify(a, b, exact=True)
    assert answer.inertia == inertia
    assert answer.relation is Relation.of_inertia(*inertia)
    assert answer.status.is_exact
    assert certify(b, a, exact=True).inertia == (inertia[1], inertia[0], inertia[2])


def test_three_thousand_adversarial_cases_without_a_false_claim(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    module = import_module("certified_order")
    wrong, seen = module.count_wrong_claims(3_000, seed=5)
    module.table(wrong, seen, 3_000)
    for name in set(sys.modules) - before:
        if (ROOT / "benchmarks" / f"{name}.py").exists():
            del sys.modules[name]
    assert sum(wrong["certify"].values()) == 0
    assert min(seen[s.value] for s in (Status.CERTIFIED_STRICT, Status.REFUTED, Status.UNDECIDED)) > 100
    assert sum(wrong["eigvalsh"].values()) > 100, "the cases are adversarial"
    assert sum(wrong["cholesky"].values()) > 100, "the cases are adversarial"
    assert "one ulp off" in capsys.readouterr().out


def test_singular_gaps_are_never_certified_strict():
    rng = np.random.default_rng(3)
    undecided = 0
    for _ in range(400):
        d = int(rng.integers(1, 12))
        root = integer_root(rng, d, int(rng.integers(0, d)), 40)
        base = integer_root(rng, d, d, 1000)
        answer = certify(base + base.T, base + base.T + root @ root.T)
        assert answer.status is Status.UNDECIDED
        undecided += 1
        below = certify(base + base.T, base + base.T + root @ root.T, exact="auto")
        assert below.status is (Status.EXACT_BELOW if root.any() else Status.EXACT_EQUAL)
        assert below.is_below
        assert not below.is_strictly_below
    assert undecided == 400


@pytest.mark.parametrize(("d", "decades"), [(1, 15), (10, 14), (50, 13), (200, 12)])
@pytest.mark.parametrize("check_factor", [False, True])
def test_condition_numbers_that_are_certified(d, decades, check_factor):
    rng = np.random.default_rng(d)
    q = orthogonal(rng, d)
    m = (q * np.geomspace(1.0, 10.0**-decades, d)) @ q.T
    assert certify_positive_definite((m + m.T) / 2, check_factor=check_factor).is_strictly_below


@pytest.mark.parametrize("check_factor", [False, True])
def test_units_of_parameters_do_not_matter(check_factor):
    rng = np.random.default_rng(0)
    m = random_psd(rng, 6, 6, 1e10)
    m = mirrored(m)
    base = certify_positive_definite(m, check_factor=check_factor)
    for spread in (50, 500):
        units = 2.0 ** rng.integers(-spread, spread, 6)
        with np.errstate(under="ignore"):
            scaled = m * units * units[:, None]
        answer = certify_positive_definite(scaled, check_factor=check_factor)
        assert answer.status is base.status is Status.CERTIFIED_STRICT
        assert answer.shift == base.shift, "powers of two change no bit"
    units = 10.0 ** rng.uniform(-100, 100, 6)
    assert certify_positive_definite(mirrored(m * units * units[:, None])).is_strictly_below


# --- radii
# ---------------------------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 5), st.floats(-6, 0))
def test_everything_within_the_radius_is_positive_definite(seed, d, exponent):
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.uniform(-3, 3, d)
    m = mirrored(random_psd(rng, d, d, 10.0 ** rng.uniform(0, 6)) * units * units[:, None])
    radius = mirrored(10.0**exponent * np.sqrt(np.outer(m.diagonal(), m.diagonal())) * rng.random((d, d)))
    answer = certify_positive_definite(m, radius=radius)
    vectors = np.linalg.eigh(m / units / units[:, None])[1].T / units
    signs = [np.sign(np.outer(v, v)) for v in vectors] + [np.eye(d), np.ones((d, d))]
    signs += [np.triu(s) + np.triu(s, 1).T for s in rng.choice([-1, 1], (8, d, d))]
    corners = [
        [
            [x - s * Fraction(r) for x, r, s in zip(*row, strict=True)]
            for row in zip(f, radius.tolist(), s.astype(int).tolist(), strict=True)
        ]
        for f, s in product([fractions(m)], signs)
    ]
    if answer.status is Status.CERTIFIED_STRICT:
        assert all(map(is_definite, corners))
    elif answer.status is Status.REFUTED:
        assert all(form(corner, answer.witness) <= Fraction(answer.value) < 0 for corner in corners)


def test_radius_decides_between_proof_refutation_and_silence():
    m = np.array([[2.0, 1.0], [1.0, 2.0]])  # smallest eigenvalue 1; an error of r in all entries takes 2 r
    assert certify_positive_definite(m, radius=0.4999).status is Status.CERTIFIED_STRICT
    assert certify_positive_definite(m, radius=0.5001).status is Status.UNDECIDED
    n = np.array([[1.0, 2.0], [2.0, 1.0]])  # smallest eigenvalue -1
    refuted = certify_positive_definite(n, radius=0.49)
    assert refuted.status is Status.REFUTED
    assert_allclose_report(refuted.value, -0.04, rtol=1e-9)
    assert certify_positive_definite(n, radius=0.51).status is Status.UNDECIDED
    assert "smaller radii" in certify_positive_definite(n, radius=0.51, exact="auto").reason


def test_radii_of_both_sides_add_up_and_shapes_agree():
    a, b = np.zeros((2, 2)), np.diag([1.0, 1.0])
    assert certify(a, b, radius_a=0.2, radius_b=0.29).is_strictly_below
    assert certify(a, b, radius_a=0.2, radius_b=0.31).status is Status.UNDECIDED
    assert certify(Enclosed(a, 0.1), b, radius_a=0.1, radius_b=np.full((2, 2), 0.29)).is_strictly_below
    assert certify(Enclosed(a, 0.1), Enclosed(b, 0.29), radius_a=0.12).status is Status.UNDECIDED
    diagonal = certify(a, b, radius_b=np.diag([0.9, 0.9]))
    assert diagonal.is_strictly_below
    assert not np.any(np.asarray(Enclosed(a).radius))


def test_asymmetry_by_rounding_is_a_radius():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((9, 4))
    weighted = root.T @ (rng.uniform(1, 2, 9)[:, None] * root)
    weighted[0, 1] = weighted[1, 0] * (1 + 1e-12)
    assert certify(np.zeros((4, 4)), weighted).is_strictly_below
    tight = np.array([[1.0, 1.0 - 1e-12], [1.0 - 3e-12, 1.0]])
    assert certify_positive_definite(tight).status is Status.UNDECIDED, "one triangle alone would be definite"
    assert certify_positive_definite(mirrored(tight)).is_strictly_below
    with pytest.raises(ValueError, match="symmetric to the last bit"):
        certify(np.zeros((2, 2)), tight, exact=True)
    with pytest.raises(ValueError, match=r"an exact verdict needs M == M\.T"):
        exact_inertia(tight)


# --- enclosures
# ----------------------------------------------------------------------------------------------------


def times(a, b):
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(row, col, strict=True)) for col in columns] for row in a]


def assert_encloses(enclosed, truth):
    for i, j in product(*map(range, enclosed.shape)):
        off = abs(truth[i][j] - Fraction(float(enclosed.midpoint[i, j])))
        assert off <= Fraction(float(enclosed.radius[i, j])), (i, j, float(off), enclosed.radius[i, j])


def random_matrix(rng, rows, columns):
    """Entries of very different size, some zero, some subnormal after multiplication."""
    exponents = rng.choice([0, 0, 0, -20, 30, -170], (rows, columns))
    return rng.standard_normal((rows, columns)) * 10.0**exponents * (rng.random((rows, columns)) < 0.9)


@given(seeds, st.integers(0, 20), st.integers(1, 4))
def test_gram_radius_encloses_the_exact_product(seed, rows, d):
    rng = np.random.default_rng(seed)
    root = random_matrix(rng, rows, d)
    gram = Enclosed.gram(root)
    np.testing.assert_array_equal(gram.midpoint, gram.midpoint.T)
    truth = times(list(zip(*fractions(root), strict=True)), fractions(root)) if rows else [[0] * d] * d
    assert_encloses(gram, truth)
    if rows and np.abs(root).max() < 1e10:
        slack = 1e-300 + 4 * rows * bounds.UNIT * np.linalg.norm(root, axis=0).max() ** 2
        assert gram.radius.max() <= slack


def test_gram_radius_is_large_enough_for_every_order_of_summation():
    rng = np.random.default_rng(1)
    root = rng.standard_normal((4000, 2)) * 10.0 ** rng.uniform(-8, 0, (4000, 1))
    gram = Enclosed.gram(root)
    for order in (np.argsort(root[:, 0] ** 2), np.argsort(-(root[:, 0] ** 2)), rng.permutation(4000)):
        one_by_one = 0.0
        for x, y in root[order]:
            one_by_one += x * y
        assert abs(one_by_one - gram.midpoint[0, 1]) <= gram.radius[0, 1] * 2
    assert_encloses(gram, times(list(zip(*fractions(root), strict=True)), fractions(root)))


@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_arithmetic_encloses_exact_results(seed, inner, d):
    rng = np.random.default_rng(seed)
    a, b = random_matrix(rng, d, inner), random_matrix(rng, inner, d)
    radii = [np.abs(m) * 10.0 ** rng.uniform(-17, -3) * rng.random(m.shape) for m in (a, b)]
    true = [
        [
            [x + Fraction(r) * s for x, r, s in zip(*row, strict=True)]
            for row in zip(fractions(m), radius.tolist(), signs.tolist(), strict=True)
        ]
        for m, radius, signs in zip(
            (a, b), radii, (rng.integers(-1, 2, m.shape) for m in (a, b)), strict=True
        )
    ]
    x, y = (Enclosed(m, r) for m, r in zip((a, b), radii, strict=True))
    flipped = [list(row) for row in zip(*true[1], strict=True)]
    assert_encloses(x @ y, times(*true))
    assert_encloses(a @ y, times(fractions(a), true[1]))
    assert_encloses(x @ b, times(true[0], fractions(b)))
    assert_encloses(
        x + y.T, [[p + q for p, q in zip(*r, strict=True)] for r in zip(true[0], flipped, strict=True)]
    )
    assert_encloses(
        x - y.T, [[p - q for p, q in zip(*r, strict=True)] for r in zip(true[0], flipped, strict=True)]
    )
    assert_encloses(
        b.T - x, [[q - p for p, q in zip(*r, strict=True)] for r in zip(true[0], fractions(b.T), strict=True)]
    )
    assert_encloses(
        b.T + x, [[q + p for p, q in zip(*r, strict=True)] for r in zip(true[0], fractions(b.T), strict=True)]
    )
    factor = float(10.0 ** rng.uniform(-3, 3))
    assert_encloses(x * factor, [[p * Fraction(factor) for p in row] for row in true[0]])
    assert_encloses(-0.1 * x, [[-p * Fraction(0.1) for p in row] for row in true[0]])
    assert_encloses(Enclosed.gram(x), times([list(row) for row in zip(*true[0], strict=True)], true[0]))


def test_information_is_compared_with_the_rounding_of_its_products():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((30, 4))
    information_x = Enclosed.gram(x)
    joint = information_x + Enclosed.gram(y)
    assert certify(information_x, joint).is_strictly_below
    nearly = np.concatenate(
        [y[:, :3], y[:, :3].sum(axis=1, keepdims=True)], axis=1
    )  # rounded: not quite dependent
    assert certify(information_x, information_x + Enclosed.gram(nearly)).status is Status.UNDECIDED


@given(seeds, st.integers(1, 3), st.integers(0, 3))
def test_schur_complement_encloses_the_exact_one(seed, kept, nuisance):
    rng = np.random.default_rng(seed)
    d = kept + nuisance
    units = 10.0 ** rng.uniform(-4, 4, d)
    m = mirrored(random_psd(rng, d, d, 10.0 ** rng.uniform(0, 8)) * units * units[:, None])
    order = rng.permutation(d)[:kept]
    truth = symbolic.schur_complement(
        [[f"{x.numerator}/{x.denominator}" for x in row] for row in fractions(m)], order.tolist()
    )
    truth = [[Fraction(int(truth[i, j].p), int(truth[i, j].q)) for j in range(kept)] for i in range(kept)]
    enclosed = enclosed_schur_complement(m, order)
    assert_encloses(enclosed, truth)
    size = np.sqrt(m.diagonal()[order])
    assert (enclosed.radius / size / size[:, None]).max() < 1e-13 * d * 1e8
    wide = enclosed_schur_complement(Enclosed(m, 1e-12 * np.outer(units, units) * 1e-8), order)
    assert_encloses(wide, truth)


def test_schur_complement_covers_the_error_of_its_solver(monkeypatch):
    rng = np.random.default_rng(0)
    m = mirrored(random_psd(rng, 5, 5, 100.0))
    good = enclosed_schur_complement(m, [0, 1])
    solve = np.linalg.solve
    monkeypatch.setattr(np.linalg, "solve", lambda *args: solve(*args) * (1 + 1e-3))
    poor = enclosed_schur_complement(m, [0, 1])
    off = np.abs(good.midpoint - poor.midpoint)
    assert (off > 1e-10).all(), "the error is there, squared,"
    assert (off + good.radius <= poor.radius).all(), "and inside the radius"


def test_schur_complement_is_sharp_and_takes_slices():
    m = np.array([[4.0, 1.0, 1.0], [1.0, 3.0, 0.5], [1.0, 0.5, 2.0]])
    enclosed = enclosed_schur_complement(m, slice(0, 1))
    assert_allclose_report(enclosed.midpoint, 4 - np.array([1, 1]) @ np.linalg.solve(m[1:, 1:], [1, 1]))
    assert enclosed.radius.max() < 1e-13
    assert enclosed_schur_complement(m, [0, 1, 2]).radius.max() == 0
    # An order of effective informations follows from one of full matrices, without any inverse.
    assert certify(np.diag([2.9, 0.0, 0.0]), m).is_strictly_below


# --- factors
# -------------------------------------------------------------------------------------------------------


def test_growth_is_certified_by_its_factor():
    rng = np.random.default_rng(0)
    tall, wide = rng.standard_normal((7, 4)), rng.standard_normal((2, 4))
    assert certify_growth(tall).status is Status.CERTIFIED_STRICT
    singular = certify_growth(wide)
    assert singular.status is Status.CERTIFIED_BY_FACTOR
    assert singular.is_below
    assert not singular.is_strictly_below
    assert singular.relation is None
    assert certify_growth([wide, wide]).status is Status.CERTIFIED_BY_FACTOR
    assert certify_growth([wide, tall]).status is Status.CERTIFIED_STRICT
    assert certify_growth(Enclosed(tall, 1e-9)).status is Status.CERTIFIED_STRICT
    assert certify_growth(Enclosed(tall, 10.0)).status is Status.CERTIFIED_BY_FACTOR
    assert certify_growth(np.zeros((3, 0))).status is Status.EXACT_EQUAL
    assert certify_growth(Enclosed(wide, 1e-9), exact="auto").status is Status.CERTIFIED_BY_FACTOR


def test_rank_of_a_factor_is_decided_exactly(engine):
    rng = np.random.default_rng(2)
    for _ in range(60):
        d, rows = int(rng.integers(1, 6)), int(rng.integers(0, 8))
        root = integer_root(rng, rows, d) * 2.0 ** rng.integers(-300, 300, d)
        if rows > 1:
            root[-1] = root[0] * 3
        rank = (
            symbolic.rank([[f"{x.numerator}/{x.denominator}" for x in row] for row in fractions(root)])
            if rows
            else 0
        )
        answer = certify_growth(root, exact=True)
        assert answer.inertia == (rank, 0, d - rank)
        assert certify_growth(root, exact="auto").is_strictly_below == (rank == d)
        assert certify(np.zeros((d, d)), None, roots=root, exact=True).inertia == answer.inertia


def test_roots_are_checked_against_the_matrices():
    rng = np.random.default_rng(0)
    a, root = rng.standard_normal((5, 4)), rng.standard_normal((2, 4))
    a = a.T @ a
    b = a + root.T @ root
    assert certify(a, b).status is not Status.CERTIFIED_STRICT
    assert certify(a, b, roots=root).status is Status.CERTIFIED_BY_FACTOR
    assert certify(a, None, roots=[root, root]).rows == 4
    assert certify(a, None, roots=np.eye(4)).status is Status.CERTIFIED_STRICT
    with pytest.raises(ValueError, match=r"roots: R'R is not B - A: entry \(\d, \d\) is"):
        certify(a, b + 1e-6 * np.eye(4), roots=root)
    assert certify(a, b + 1e-6 * np.eye(4), radius_b=1e-6, roots=root).is_below
    with pytest.raises(ValueError, match="roots: expected 4 columns, one per row of A, got 3"):
        certify(a, b, roots=root[:, :3])


# --- refutations
# ---------------------------------------------------------------------------------------------------


@given(psd_pairs(max_condition=1e6), seeds)
def test_witnesses_refute_in_exact_arithmetic(pair, seed):
    rng = np.random.default_rng(seed)
    a, b = map(mirrored, pair)
    b = mirrored(a - b * rng.uniform(1e-6, 1) + random_psd(rng, len(a), 1) * rng.uniform(0, 1))
    answer = certify(a, b)
    if answer.status is Status.REFUTED:
        gap = minus(b, a)
        assert form(gap, answer.witness) <= Fraction(answer.value) < 0
        assert answer.is_not_below
        assert answer.relation is None
    else:
        assert not answer.is_not_below


@pytest.mark.parametrize(
    "gap",
    [
        [[-1.0]],
        [[0.0, 1.0], [1.0, 0.0]],
        [[0.0, 1e-9], [1e-9, 1e9]],
        [[1.0, 1e200], [1e200, 1.0]],
        [[1e-300, 1e300], [1e300, 1e-300]],
        [[1.0, 1.0 + 2**-52], [1.0 + 2**-52, 1.0]],
        [[5e-324, 0.0], [0.0, -5e-324]],
        [[5e-324, 1e-323], [1e-323, 5e-324]],
        [[1.7e308, 0.0], [0.0, -1.7e308]],
    ],
)
def test_every_clear_failure_is_refuted(gap):
    answer = certify_positive_definite(gap)
    assert answer.status is Status.REFUTED
    assert form(fractions(gap), answer.witness) <= Fraction(answer.value) < 0
    assert certify_positive_definite(gap, exact=True).is_not_below


def test_large_matrices_are_refuted_from_the_failed_pivot():
    rng = np.random.default_rng(0)
    q = orthogonal(rng, 300)
    m = mirrored((q * np.concatenate([[-1e-6], np.ones(299)])) @ q.T)
    answer = certify_positive_definite(m)
    assert answer.status is Status.REFUTED
    assert answer.value < 0
    assert answer.witness @ m @ answer.witness < 0


# --- exact tier
# ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["flint", "integers"])
def engine(request, monkeypatch):
    """Both ways to exact inertia."""
    if request.param == "integers":
        monkeypatch.setitem(sys.modules, "flint", None)  # importing it now raises ImportError
        assert exact._flint() is None
    else:
        pytest.importorskip("flint")
    return request.param


def test_exact_inertia_agrees_with_sympy(engine):
    rng = np.random.default_rng(4)
    seen = set()
    for _ in range(120):
        d = int(rng.integers(1, 7))
        roots = [integer_root(rng, d, int(rng.integers(0, d + 1))) for _ in range(2)]
        m = (roots[0] @ roots[0].T - roots[1] @ roots[1].T).astype(float)
        if rng.random() < 0.3:
            np.fill_diagonal(m, 0)
        if rng.random() < 0.3:
            m = mirrored(m / 3)
        inertia = rational_inertia(fractions(m))
        assert exact_inertia(m) == inertia
        seen.add(Relation.of_inertia(*inertia))
    assert seen == set(Relation)


@pytest.mark.parametrize("d", [1, 12, 30])
def test_exact_inertia_of_larger_matrices_is_known_by_construction(engine, d):
    rng = np.random.default_rng(d)
    lower = np.tril(rng.integers(-2, 3, (d, d)), -1) + np.eye(d, dtype=np.int64)
    pivots = rng.integers(-1, 2, d)
    m = (lower * pivots) @ lower.T
    order = rng.permutation(d)
    expected = tuple(int((np.sign(pivots) == s).sum()) for s in (1, -1, 0))
    assert exact_inertia(m[np.ix_(order, order)]) == expected
    assert certify(np.zeros((d, d)), m, exact=True).inertia == expected


@pytest.mark.parametrize(
    ("matrix", "inertia"),
    [
        ([[2.0**1000, 1.0], [1.0, 2.0**-1000]], (1, 0, 1)),
        ([[2.0**1000, 1.0], [1.0, 2.0**-1001]], (1, 1, 0)),
        ([[2.0**1000, 0.0, 1.0], [0.0, 2.0**-1074, 0.0], [1.0, 0.0, 2.0**-1000]], (2, 0, 1)),
        ([[0.0, 5e-324], [5e-324, 1e308]], (1, 1, 0)),
        ([[1.0, 2.0**-1074], [2.0**-1074, 1.0]], (2, 0, 0)),
        ([[0.0, 0.0], [0.0, 0.0]], (0, 0, 2)),
        (np.zeros((0, 0)), (0, 0, 0)),
    ],
)
def test_exponents_may_spread(engine, matrix, inertia):
    assert exact_inertia(matrix) == inertia


def test_exact_verdict_sees_what_no_float_computation_can(engine):
    a = np.diag([1.0, 1.0])
    b = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert certify(a, b, exact=True).status is Status.EXACT_BELOW
    assert certify(a, b + np.diag([0, 2**-51]), exact="auto").status is Status.EXACT_STRICTLY_BELOW
    assert certify(a, b - np.diag([0, 2**-51]), exact=True).status is Status.EXACT_INCOMPARABLE
    assert certify(b, a, exact=True).status is Status.EXACT_ABOVE
    assert certify(3 * b, a, exact=True).status is Status.EXACT_STRICTLY_ABOVE
    # 1e16 + 1 is rounded in the difference of floats, not in the difference of rationals
    assert certify([[-1.0]], [[1e16]], exact=True).inertia == (1, 0, 0)
    big = certify(np.array([[1.0]]), np.array([[1.0 + 2**-52]]), exact=True)
    assert big.status is Status.EXACT_STRICTLY_BELOW


def test_long_exact_verdicts_are_asked_for_first(engine, monkeypatch):
    monkeypatch.setattr("fisherkit.certified.order.AUTO_SECONDS", 0.0)
    answer = certify(I2, np.diag([1.0, 2.0]), exact="auto")
    assert answer.status is Status.UNDECIDED
    assert "exact=True would decide in about 0 s" in answer.reason
    monkeypatch.undo()
    lower = [[1 << 60] * (i + 1) for i in range(2000)]
    assert exact.seconds_of_inertia(lower) > 1000
    assert exact.seconds_of_inertia([]) < 1e-3


# --- edges, texts, errors
# ------------------------------------------------------------------------------------------


def test_edges_of_size_and_range():
    empty = np.zeros((0, 0))
    assert certify(empty, empty).status is Status.EXACT_EQUAL
    assert certify_positive_definite(empty).relation is Relation.EQUAL
    assert certify([[1.0]], [[2.0]]).is_strictly_below
    assert certify([[2.0]], [[1.0]]).value == pytest.approx(-1.0)
    assert certify([[1.0]], [[1.0]]).status is Status.UNDECIDED
    assert certify(1e-320 * I2, 1e-319 * I2).is_strictly_below, "subnormal entries are scaled, exactly"
    assert certify_positive_definite([[5e-324]]).is_strictly_below
    assert certify_positive_definite(1.7e308 * I2).is_strictly_below
    assert certify(I2.astype(np.float32), 2 * I2.astype(int)).is_strictly_below
    assert certify(np.asfortranarray(I2), 2 * I2[::-1, ::-1]).is_strictly_below


def test_inputs_are_not_changed():
    a, b = I2.copy(), np.array([[4.0, 1.0], [1.0, 4.0]])
    kept = a.copy(), b.copy()
    for exact_mode in (False, True, "auto"):
        certify(a, b, exact=exact_mode)
        certify_positive_definite(b, exact=exact_mode)
        certify(b, a, exact=exact_mode)
    b.flags.writeable = False
    assert certify_positive_definite(b).is_strictly_below
    np.testing.assert_array_equal(a, kept[0])
    np.testing.assert_array_equal(b, kept[1])


def test_infinities_are_found_although_they_are_looked_for_last():
    for bad in (np.inf, -np.inf, np.nan):
        for i, j in ((0, 0), (1, 1), (0, 1)):
            m = 4 * np.eye(3)
            m[i, j] = m[j, i] = bad
            for call in (
                lambda m=m: certify(np.eye(3), m),
                lambda m=m: certify(m, np.eye(3)),
                lambda m=m: certify(m, m),
                lambda m=m: certify_positive_definite(m),
                lambda m=m: certify_positive_definite(m, check_factor=True),
            ):
                with pytest.raises(ValueError, match=r"(NaN|infinite value) at index"):
                    call()


def test_constants_are_upper_bounds():
    for n in (1, 7, 1000, 10**7):
        exact_gamma = Fraction(n) * Fraction(bounds.UNIT) / (1 - Fraction(n) * Fraction(bounds.UNIT))
        assert exact_gamma <= Fraction(bounds.gamma(n)) <= exact_gamma * Fraction(1 + 1e-14)
    for j, weight in enumerate(bounds.cholesky_weights(40).tolist(), start=1):
        g = Fraction(2 * (j + 2)) * Fraction(bounds.UNIT)
        g = g / (1 - g)
        assert g / (1 - g) <= Fraction(weight) <= 2 * g
    rng = np.random.default_rng(0)
    values = rng.random(500)
    total = sum(map(Fraction, values.tolist()))
    assert Fraction(bounds.as_upper(float(np.cumsum(values)[-1]), 500)) >= total
    assert bounds.inflate(0.0, 1) > 0


def test_change_of_rounding_or_subnormals_is_noticed(monkeypatch):
    monkeypatch.setattr(bounds, "UNIT", 2.0**-52)  # as if 1 + 2^-53 were rounded up
    with pytest.raises(FloatingPointError, match="does not round to nearest"):
        certify(I2, 2 * I2)
    monkeypatch.undo()
    monkeypatch.setattr(bounds, "TINY", 0.0)  # as if subnormal numbers were flushed
    with pytest.raises(FloatingPointError, match="gradual underflow"):
        certify(I2, 2 * I2)


def test_a_factor_with_nan_is_no_proof(monkeypatch):
    monkeypatch.setattr(cholesky, "_factor", lambda matrix, keep: (np.full_like(matrix, np.nan), 0))
    assert certify(I2, 2 * I2).status is Status.UNDECIDED
    monkeypatch.setattr(cholesky, "_factor", lambda matrix, keep: (np.eye(2, order="F"), 0))
    assert certify(I2, 2 * I2, check_factor=True).status is Status.UNDECIDED, "a wrong factor has a residual"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda: certify(I2, 3 * I2),
            r"A ≺ B, proved: Cholesky completes after a shift of [\d.e-]+ ≥ [\d.e-]+",
        ),
        (lambda: certify_growth([[1.0, 2.0]]), r"A ⪯ B, proved: B - A = R'R with R of shape \(1, 2\)"),
        (lambda: certify(I2, I2 * 0), r"A ⪯ B, refuted: v'\(B - A\)v ≤ -1 at v = \[1. 0.\]"),
        (lambda: certify_positive_definite(-I2), r"0 ⪯ M, refuted: v'Mv ≤ -1 at v = \[1. 0.\]"),
        (
            lambda: certify(I2, np.diag([0, 2]), exact=True),
            r"A ∥ B, exactly: eigenvalues of B - A: 1 positive, 1 negative, 0 zero",
        ),
        (
            lambda: certify(I2, I2),
            r"A ⪯ B undecided: the gap is singular up to rounding .*; exact=True decides",
        ),
        (lambda: Enclosed(I2, 1e-9), r"Enclosed\(\(2, 2\), radius at most 1e-09\)"),
    ],
)
def test_repr_is_mathematics(answer, text):
    assert re.fullmatch(text, repr(answer()))


def test_every_status_says_which_relation_it_proves():
    for status in Status:
        answer = Certificate(status, 2, inertia=(1, 0, 1))
        assert (answer.relation is not None) == (status.is_exact or status is Status.CERTIFIED_STRICT)
        assert not (answer.is_below and answer.is_not_below)
    assert [Status.of_relation(r).is_exact for r in Relation] == [True] * 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: certify(I2, np.eye(3)), r"B: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: certify(I2, np.eye(3).tolist()), r"B: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: certify(np.ones((2, 3)), I2), r"A: expected a square matrix, got shape \(2, 3\)"),
        (lambda: certify([1.0, 2.0], I2), r"A: expected 2 dimensions, got 1"),
        (lambda: certify([[1, 2], [0, 1]], I2), r"A: not symmetric: entry \(0, 1\) is 2 but \(1, 0\) is 0"),
        (lambda: certify(I2, [[np.nan, 0], [0, 1]]), r"B: NaN at index \(0, 0\)"),
        (lambda: certify(I2, np.diag([np.inf, 1])), r"B: infinite value at index \(0, 0\)"),
        (lambda: certify(I2, None), r"B: give a matrix, or roots=R with B - A = R'R"),
        (
            lambda: certify(I2, I2, radius_a=-1.0),
            r"radius_a: a radius must be finite and at least 0, got -1.0",
        ),
        (lambda: certify(I2, I2, radius_b=np.nan), r"radius_b: a radius must be finite"),
        (
            lambda: certify(I2, I2, radius_b=-I2),
            r"radius_b: a radius must be at least 0, entry \(0, 0\) is -1",
        ),
        (lambda: certify(I2, I2, radius_b=np.eye(3)), r"radius_b: expected shape \(2, 2\), got \(3, 3\)"),
        (
            lambda: certify(I2, I2, radius_a=1e-9, exact=True),
            r"exact=True: rational arithmetic needs the matrices",
        ),
        (lambda: certify(I2, I2, exact="yes"), r"exact: expected True, False or \"auto\", got 'yes'"),
        (lambda: certify(-1.7e308 * I2, 1.7e308 * I2), r"B - A: overflows; divide both matrices by 2 first"),
        (
            lambda: certify([[0]], [[2**53 + 1]]),
            r"B: entries of dtype int64 that double precision cannot hold",
        ),
        (lambda: certify_positive_definite([[2**63 + 1]]), r"M: entries of dtype uint64 that double"),
        (lambda: certify(I2, I2, exact=np.True_), r"exact: expected True, False or \"auto\", got np.True_"),
        (lambda: certify_growth(Enclosed(I2, 1e-9), exact=True), r"exact=True: rational arithmetic needs"),
        (
            lambda: Enclosed([[2**53 + 1]]),
            r"midpoint: entries of dtype int64 that double precision cannot hold",
        ),
        (lambda: Enclosed(I2, -1.0), r"radius: must be at least 0, got -1"),
        (lambda: Enclosed(I2, np.eye(3)), r"radius: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: Enclosed(I2) + np.eye(3), r"sum: shapes \(2, 2\) and \(3, 3\) differ"),
        (lambda: Enclosed(I2) @ np.eye(3), r"product: \(2, 2\) and \(3, 3\) do not match"),
        (
            lambda: Enclosed(np.ones((2, 3))).symmetric(),
            r"midpoint: expected a square matrix, got shape \(2, 3\)",
        ),
        (lambda: Enclosed.gram([[1e200]]), r"R'R: overflows; measure the parameters or the noise in other"),
        (lambda: Enclosed([[1e200]]) @ [[1e200]], r"product: overflows"),
        (lambda: Enclosed([[1.5e308]]) + np.array([[1.5e308]]), r"sum: overflows"),
        (lambda: 2 * Enclosed([[1.5e308]]), r"multiple: overflows"),
        (lambda: certify_growth([I2, np.eye(3)]), r"roots: different numbers of columns, \[2, 3\]"),
        (lambda: certify_growth([1.0, 2.0]), r"roots: expected 2 dimensions, got 1"),
        (
            lambda: enclosed_schur_complement(np.ones((2, 2)) * [[1, 0], [0, 0]], [0]),
            r"matrix: the nuisance block",
        ),
        (lambda: enclosed_schur_complement(np.ones((3, 3)), [0]), r"not provably positive definite"),
        (lambda: enclosed_schur_complement(I2, [0, 0]), r"keep: an index appears twice in \[0, 0\]"),
        (lambda: exact_inertia(np.ones((2, 3))), r"matrix: expected a square matrix"),
    ],
)
def test_messages_name_the_argument_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_import_stays_light():
    code = (
        "import sys, fisherkit.certified; "
        "print([m for m in ('scipy', 'sympy', 'flint', 'cvxpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ
    )
    assert done.stdout.strip() == "[]"
