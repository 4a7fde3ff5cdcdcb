"""Loewner order and range inclusion: textbook cases, exact verdicts, invariance, witnesses, messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit import symbolic
from fisherkit.loewner import Relation, compare, range_inclusion
from tests.comparators import assert_allclose_report
from tests.strategies import integer_root, orthogonal, psd_pairs, random_psd, seeds

I2 = np.eye(2)
MIRROR = {
    Relation.STRICTLY_BELOW: Relation.STRICTLY_ABOVE,
    Relation.BELOW: Relation.ABOVE,
    Relation.EQUAL: Relation.EQUAL,
    Relation.ABOVE: Relation.BELOW,
    Relation.STRICTLY_ABOVE: Relation.STRICTLY_BELOW,
    Relation.INCOMPARABLE: Relation.INCOMPARABLE,
}


@pytest.mark.parametrize(
    ("a", "b", "relation"),
    [
        (I2, 2 * I2, Relation.STRICTLY_BELOW),
        (I2, np.diag([1, 2]), Relation.BELOW),
        (I2, I2, Relation.EQUAL),
        (np.diag([1, 2]), I2, Relation.ABOVE),
        (2 * I2, I2, Relation.STRICTLY_ABOVE),
        (np.diag([1, 2]), np.diag([2, 1]), Relation.INCOMPARABLE),
        (np.zeros((2, 2)), [[0, 1], [1, 0]], Relation.INCOMPARABLE),
        (np.zeros((2, 2)), np.ones((2, 2)), Relation.BELOW),
        (np.zeros((0, 0)), np.zeros((0, 0)), Relation.EQUAL),
    ],
)
def test_relations_of_textbook_pairs(a, b, relation):
    result = compare(a, b)
    assert result.relation is relation
    assert compare(b, a).relation is MIRROR[relation]
    assert result.is_below == (relation in {Relation.STRICTLY_BELOW, Relation.BELOW, Relation.EQUAL})
    assert result.is_strictly_below == (relation is Relation.STRICTLY_BELOW)


@pytest.mark.parametrize("gap", [2e-2, -2e-2])
def test_a_small_coordinate_is_not_drowned_by_a_large_one(gap):
    """An absolute tolerance relative to 1e6 would call the second coordinate zero long before 1e-9 units."""
    for unit in (1.0, 1e-3, 1e-9):
        a = np.diag([1e6, 3e-2 * unit])
        result = compare(a, a + np.diag([0.0, gap * unit]))
        assert result.relation is (Relation.BELOW if gap > 0 else Relation.ABOVE)
        assert_allclose_report(result.positive if gap > 0 else result.negative, [0.0, 1.0])
    assert compare(np.zeros((2, 2)), np.diag([1e6, gap])).relation is (
        Relation.STRICTLY_BELOW if gap > 0 else Relation.INCOMPARABLE
    )


def test_rounding_of_one_coordinate_is_no_gap():
    a = np.diag([1e6, 1.0])
    assert compare(a, a * (1 + 1e-15)).relation is Relation.EQUAL
    assert compare(a, a + np.diag([1e-10, 0.0])).relation is Relation.EQUAL
    assert compare(a, a + np.diag([0.0, 1e-10])).relation is Relation.BELOW


def random_integer_pair(rng):
    """Two symmetric integer matrices; as a rule their gap is singular, semidefinite or zero."""
    d = int(rng.integers(1, 5))
    base = integer_root(rng, d, d)
    base = base + base.T
    kind = rng.integers(4)
    root = integer_root(rng, d, int(rng.integers(0, d + 1)))
    other = integer_root(rng, d, int(rng.integers(0, d + 1)))
    gap = [
        root @ root.T,
        -root @ root.T,
        root @ root.T - other @ other.T,
        root @ root.T + np.eye(d, dtype=int),
    ][kind]
    return base, base + gap


def test_relation_agrees_with_exact_inertia_on_integer_matrices():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(500):
        a, b = random_integer_pair(rng)
        exact = symbolic.relation(a, b)
        assert compare(a, b).relation is exact, (a.tolist(), b.tolist())
        assert compare(a / 7.0, b / 7.0).relation is exact
        seen.add(exact)
    assert seen == set(Relation)


@given(psd_pairs())
def test_eigenvalues_and_witnesses_are_what_they_say(pair):
    a, b = pair
    result = compare(a, b)
    exact = np.linalg.eigvalsh(b - a)
    size = np.abs(exact).max() + np.abs(a).max()
    assert_allclose_report(
        [result.min_eigenvalue, result.max_eigenvalue], exact[[0, -1]], rtol=1e-6, atol=1e-10 * size
    )
    for witness, sign in ((result.positive, 1), (result.negative, -1)):
        if witness is not None:
            assert_allclose_report(np.linalg.norm(witness), 1.0)
            assert sign * (witness @ (b - a) @ witness) > 0
    assert (result.positive is None) == (
        result.relation in {Relation.EQUAL, Relation.ABOVE, Relation.STRICTLY_ABOVE}
    )
    assert (result.negative is None) == (
        result.relation in {Relation.EQUAL, Relation.BELOW, Relation.STRICTLY_BELOW}
    )


def test_smallest_eigenvalue_of_a_definite_gap_keeps_its_sign_and_digits():
    rng = np.random.default_rng(5)
    units = np.array([1e9, 1.0, 1e-9])
    inner = random_psd(rng, 3, 3, condition=3.0)
    result = compare(np.zeros((3, 3)), inner * np.outer(units, units))
    assert result.relation is Relation.STRICTLY_BELOW
    schur = 1 / np.linalg.inv(inner)[2, 2] * 1e-18  # the other units are infinitely larger
    assert_allclose_report(result.min_eigenvalue, schur, rtol=1e-6)


@given(psd_pairs(max_condition=1e4), seeds)
def test_verdict_survives_change_of_units_and_basis(pair, seed):
    a, b = pair
    rng = np.random.default_rng(seed)
    verdict = compare(a, a + b)
    if abs(verdict.scaled_min) < 64 * verdict.tolerance and verdict.relation is Relation.STRICTLY_BELOW:
        return  # within a factor of rounding, another basis may count it as zero
    units = 10.0 ** rng.uniform(-8, 8, len(a))
    scaled = [m * np.outer(units, units) for m in (a, a + b)]
    assert compare(*scaled).relation is verdict.relation
    if verdict.relation is Relation.STRICTLY_BELOW or not b.any():
        size = 1 / np.sqrt(np.where((a + b).diagonal() > 0, (a + b).diagonal(), 1.0))
        q = orthogonal(rng, len(a))
        turned = [q @ (m * np.outer(size, size)) @ q.T for m in (a, a + b)]
        assert compare(*((m + m.T) / 2 for m in turned)).relation is verdict.relation


def test_indefinite_matrices_are_equilibrated():
    """Zero diagonals say nothing about scale; the off-diagonal entries do."""
    for unit in (1e-8, 1.0, 1e8):
        a = np.array([[0.0, unit], [unit, 0.0]])
        assert compare(a, a).relation is Relation.EQUAL
        assert compare(a, a + np.diag([0.0, unit])).relation is Relation.BELOW
        assert compare(np.zeros((2, 2)), a).relation is Relation.INCOMPARABLE


def test_rounding_is_judged_beside_off_diagonal_entries_too():
    a = np.array([[1.0, 1e8], [1e8, 1.0]])
    assert compare(a, a + np.array([[0.0, 1e-7], [1e-7, 0.0]])).relation is Relation.EQUAL
    assert compare(a, a + np.array([[0.0, 1.0], [1.0, 0.0]])).relation is Relation.INCOMPARABLE


@given(psd_pairs(max_condition=1e4, max_unit=10.0), seeds, st.integers(1, 8))
def test_restricted_comparison_is_comparison_of_restrictions(pair, seed, k):
    a, b = pair
    d = len(a)
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((d, min(k, d)))
    q = np.linalg.qr(basis)[0]
    result = compare(a, b, subspace=basis)
    exact = np.linalg.eigvalsh(q.T @ (b - a) @ q)
    size = np.abs(a).max() + np.abs(b).max()
    assert_allclose_report(
        [result.min_eigenvalue, result.max_eigenvalue], exact[[0, -1]], rtol=1e-6, atol=1e-9 * size
    )
    for witness, sign in ((result.positive, 1), (result.negative, -1)):
        if witness is not None:
            assert sign * (witness @ (b - a) @ witness) > 0
            assert np.linalg.norm(witness - q @ (q.T @ witness)) < 1e-9
    mixed = compare(a, b, subspace=basis @ (np.eye(min(k, d)) + np.triu(np.ones((min(k, d),) * 2), 1)))
    assert mixed.relation is result.relation


def test_subspace_can_make_comparable_what_is_not():
    a, b = np.diag([1.0, 2.0, 3.0]), np.diag([2.0, 1.0, 3.0])
    assert compare(a, b).relation is Relation.INCOMPARABLE
    assert compare(a, b, subspace=[[1], [0], [0]]).relation is Relation.STRICTLY_BELOW
    assert compare(a, b, subspace=[[1, 0], [0, 0], [0, 1]]).relation is Relation.BELOW
    assert compare(a, b, subspace=[[0], [0], [1]]).relation is Relation.EQUAL
    assert compare(a, b, subspace=np.zeros((3, 0))).relation is Relation.EQUAL


def test_rounding_of_computed_matrices_can_be_declared():
    a = np.eye(2)
    assert compare(a, a + 1e-9 * np.eye(2)).relation is Relation.STRICTLY_BELOW
    assert compare(a, a + 1e-9 * np.eye(2), rounding=1e-8).relation is Relation.EQUAL
    assert compare(a, a, rounding=1e-30).tolerance > 1e-14, "never below the policy's tolerance"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare(np.eye(2), np.eye(3)), r"B: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: compare(np.ones((2, 3)), np.eye(2)), r"A: expected a square matrix, got shape \(2, 3\)"),
        (lambda: compare([[1, 2], [0, 1]], I2), r"A: not symmetric: entry \(0, 1\) is 2 but \(1, 0\) is 0"),
        (lambda: compare(I2, [[np.nan, 0], [0, 1]]), r"B: NaN at index \(0, 0\)"),
        (lambda: compare(I2, I2, subspace=np.eye(3)), r"subspace: expected shape \(2, any\), got \(3, 3\)"),
        (
            lambda: compare(I2, I2, subspace=np.ones((2, 2))),
            r"subspace: the 2 columns have rank 1; pass linearly",
        ),
        (lambda: compare(I2, I2, rounding=0.0), r"rounding: must be positive, got 0.0"),
        (lambda: range_inclusion(np.eye(2), np.eye(3)), r"B: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: range_inclusion(-I2, I2), r"A: diagonal entry 0 is -1; not positive semidefinite"),
        (
            lambda: range_inclusion(I2, [[1, 2], [2, 1]]),
            r"B: not positive semidefinite: v'Mv = -1 < 0 for the unit",
        ),
    ],
)
def test_messages_name_the_argument_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_repr_is_mathematics():
    assert repr(compare(I2, 3 * I2)) == "A ≺ B: v'(B - A)v in [2, 2]"
    assert repr(fk.range_inclusion(np.diag([0, 1]), I2)) == "range(A) ⊆ range(B): ranks 1 ≤ 2"


def test_range_inclusion_agrees_with_exact_ranks_on_integer_matrices():
    rng = np.random.default_rng(2)
    answers = []
    for _ in range(400):
        d = int(rng.integers(1, 5))
        roots = [integer_root(rng, d, int(rng.integers(0, d + 1))) for _ in range(2)]
        if rng.random() < 0.4:  # force inclusion
            roots[0] = roots[1] @ integer_root(rng, roots[1].shape[1], int(rng.integers(0, 3)))
        a, b = (r @ r.T for r in roots)
        exact = symbolic.rank(np.concatenate([a, b], axis=1)) == symbolic.rank(b)
        result = range_inclusion(a, b)
        assert result.included == exact, (a.tolist(), b.tolist())
        assert (result.rank_a, result.rank_b) == (symbolic.rank(a), symbolic.rank(b))
        answers.append(exact)
        if not exact:
            blind, w = result.blind_spot, result.witness
            assert_allclose_report(b @ blind, np.zeros(d), atol=1e-9, what="B v at the blind spot")
            assert blind @ a @ blind > 1e-9
            assert np.linalg.norm(w - a @ np.linalg.lstsq(a, w, rcond=1e-10)[0]) < 1e-9
            assert np.linalg.norm(w - b @ np.linalg.lstsq(b, w, rcond=1e-10)[0]) > 1e-9
    assert 100 < sum(answers) < 300


@pytest.mark.parametrize("unit", [1.0, 1e-10, 1e10])
def test_ranges_are_compared_in_the_units_of_each_coordinate(unit):
    """Angles between ranges shrink to nothing when one coordinate is measured in huge units; inclusion does not."""
    units = np.array([1.0, unit])
    first, second = units * [1, 1], units * [1, 2]
    assert not range_inclusion(np.outer(first, first), np.outer(second, second)).included
    assert not range_inclusion(np.outer(first, first), np.diag([1.0, 0.0])).included
    assert range_inclusion(np.outer(first, first), np.outer(3 * first, 3 * first)).included


@given(psd_pairs(max_condition=1e4), seeds)
def test_range_inclusion_survives_change_of_units(pair, seed):
    a, b = pair
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.uniform(-6, 6, len(a))
    before = range_inclusion(a, b)
    after = range_inclusion(a * np.outer(units, units), b * np.outer(units, units))
    assert before.included == after.included
    assert range_inclusion(a, a + b).included
    assert range_inclusion(b, b).outside <= before.tolerance


@pytest.mark.parametrize("size", [1e-300, 1e300, 1.7e308])
def test_the_largest_floats_are_compared_too(size):
    big = size * I2
    assert compare(-big, big).relation is Relation.STRICTLY_BELOW
    assert compare(big, -big).relation is Relation.STRICTLY_ABOVE
    assert compare(big, big).relation is Relation.EQUAL
    assert compare(0 * big, big).relation is Relation.STRICTLY_BELOW
    assert_allclose_report(compare(0 * big, big).min_eigenvalue, size)
    tilted = size * np.array([[1.0, 0.5], [0.5, 1.0]])
    assert compare(tilted, big).relation is Relation.INCOMPARABLE
