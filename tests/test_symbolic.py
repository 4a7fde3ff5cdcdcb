"""Exact arithmetic: its own laws, the theory's identities over the rationals, and agreement with floating point."""

from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest
import sympy
from sympy import ImmutableMatrix, Rational, oo

import fisherkit as fk
from fisherkit import symbolic as sym
from fisherkit import theorems as th
from fisherkit.loewner import Relation
from tests.comparators import assert_allclose_report
from tests.reference import exact_rank_and_variance
from tests.strategies import integer_instance, integer_root


def exact(m):
    return sym.as_rational(m)


def form(m, v):
    return (v.T * m * v)[0]


# --- the exact functions themselves --------------------------------------------------------------------------------


def test_pseudoinverse_meets_penrose_and_variance_agrees_with_it():
    rng = np.random.default_rng(0)
    for _ in range(150):
        m_x, _, v = integer_instance(rng)
        m, p = exact(m_x), sym.pseudoinverse(m_x)
        assert m * p * m == m
        assert p * m * p == p
        assert (m * p).T == m * p
        inside = m * p * exact(v) == exact(v)
        assert sym.in_range(m_x, v) == inside
        assert sym.variance(m_x, v) == (form(p, exact(v)) if inside else oo)


def test_pseudoinverse_of_rectangles_and_zeros():
    a = exact([[1, 2, 3], [2, 4, 6]])
    p = sym.pseudoinverse(a)
    assert (a * p * a, p * a * p, (p * a).T, (a * p).T) == (a, p, p * a, a * p)
    assert sym.pseudoinverse([[0, 0]]) == ImmutableMatrix([[0], [0]])


def test_rank_and_variance_agree_with_elimination_in_fractions():
    rng = np.random.default_rng(1)
    for _ in range(200):
        m_x, _, v = integer_instance(rng, max_dim=5)
        rank, variance = exact_rank_and_variance(m_x, v)
        assert sym.rank(m_x) == rank
        found = sym.variance(m_x, v)
        assert (found == oo) == (variance is None)
        assert variance is None or found == Rational(variance.numerator, variance.denominator)


def test_inertia_counts_signs_of_characteristic_roots():
    """Descartes' rule is exact for symmetric matrices: all roots of the characteristic polynomial are real."""
    rng = np.random.default_rng(2)
    t = sympy.Symbol("t")
    for _ in range(60):
        d = int(rng.integers(1, 5))
        root = integer_root(rng, d, d)
        m = root + root.T if rng.random() < 0.7 else root @ root.T
        coefficients = sympy.Poly(exact(m).charpoly(t).as_expr(), t).all_coeffs()
        zero = next(i for i, c in enumerate(reversed(coefficients)) if c != 0)
        nonzero = [c for c in coefficients if c != 0]
        positive = sum(bool(a * b < 0) for a, b in pairwise(nonzero))
        assert sym.inertia(m) == (positive, d - positive - zero, zero)


def test_schur_complement_is_the_minimum_over_nuisance_moves():
    rng = np.random.default_rng(3)
    for _ in range(60):
        d = int(rng.integers(2, 5))
        root = integer_root(rng, d, int(rng.integers(1, d + 1)))
        m = exact(root @ root.T)
        u = sympy.symbols(f"u0:{d - 1}")
        move = ImmutableMatrix([1, *u])
        objective = sympy.expand(form(m, move))
        stationary = next(iter(sympy.linsolve([sympy.diff(objective, s) for s in u], u)))
        least = objective.subs(dict(zip(u, stationary, strict=True)), simultaneous=True)
        assert sympy.expand(least) == sym.schur_complement(m, [0])[0, 0]
    assert sym.schur_complement(m, range(m.rows)) == m


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sym.as_rational([[0.5]]), TypeError, r"matrix: entry \(0, 0\) is 0.5.* \(Float\), not an exact rational"),
        (lambda: sym.variance([[1]], [sympy.Symbol("a")]), TypeError, r"v: entry \(0, 0\) is a \(Symbol\)"),
        (lambda: sym.inertia([[1, 2], [0, 1]]), ValueError, "matrix: expected a symmetric matrix"),
        (lambda: sym.derive({}), ValueError, "modalities: give at least one"),
        (lambda: sym.SymbolicModality([[1]], [[1], [2]]), ValueError, "private: expected 1 rows as in shared, got 2"),
        (lambda: sym.SymbolicModality([[1]], noise_cov=[[1, 0], [0, 1]]), ValueError, r"noise_cov: expected shape \(1, 1\)"),
        (lambda: sym.SymbolicModality([[1]], count=0), ValueError, "count: must be at least 1, got 0"),
        (
            lambda: sym.derive({"x": sym.SymbolicModality([[1]]), "y": sym.SymbolicModality([[1, 0]])}),
            ValueError,
            "shared designs must have the same number of columns",
        ),
        (
            lambda: sym.derive({"x": sym.SymbolicModality([[1]], [[sympy.Symbol("a")]])}),
            ValueError,
            "information matrix is singular for symbolic designs",
        ),
    ],
)  # fmt: skip
def test_messages_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- identities of the theory, over the rationals -------------------------------------------------------------------


def test_exact_condition_of_theorem_2_on_integer_instances():
    """For v in range(M_X): the variance falls iff M_Y M_XY^+ v != 0, iff no y solves M_X y = v, M_Y y = 0."""
    rng = np.random.default_rng(4)
    strict = equal = 0
    while strict + equal < 400:
        x, y, v = integer_instance(rng)
        if not sym.in_range(x, v):
            continue
        m_x, m_y, v = exact(x), exact(y), exact(v)
        falls = bool(sym.variance(m_x + m_y, v) < sym.variance(m_x, v))
        assert falls == any(m_y * sym.pseudoinverse(m_x + m_y) * v)
        stacked, target = m_x.col_join(m_y), v.col_join(sympy.zeros(len(v), 1))
        assert falls != sym.in_range(stacked, target)
        strict, equal = strict + falls, equal + (not falls)
    assert min(strict, equal) > 60, (strict, equal)


def test_variance_reduction_is_a_quadratic_form_of_the_parallel_sum():
    """At v = M_X x the drop is x'(M_X : M_Y)x, also y'M_Y y + z'M_X^+ z with y = M_XY^+ v and z = M_Y y."""
    rng = np.random.default_rng(5)
    for _ in range(150):
        a, b, x = integer_instance(rng)
        m_x, m_y, x = exact(a), exact(b), exact(x)
        v = m_x * x
        drop = sym.variance(m_x, v) - sym.variance(m_x + m_y, v)
        parallel = sym.parallel_sum(m_x, m_y)
        assert parallel == parallel.T
        assert sym.rank(parallel) == sym.rank(m_x) + sym.rank(m_y) - sym.rank(m_x + m_y)
        assert drop == form(parallel, x)
        y = sym.pseudoinverse(m_x + m_y) * v
        z = m_y * y
        assert drop == form(m_y, y) + form(sym.pseudoinverse(m_x), z)


def test_variance_is_the_maximum_that_the_proof_says():
    """2v'y - y'My is at most v'M^+v, with equality where My = v; unbounded for v outside range(M)."""
    rng = np.random.default_rng(6)
    for _ in range(60):
        a, _, v = integer_instance(rng)
        m, v = exact(a), exact(v)
        best = sym.variance(m, v)
        y = sym.pseudoinverse(m) * v
        if best == oo:
            kernel = v - m * y  # M kernel = 0 and v'kernel > 0: the objective grows without bound along it
            assert not any(m * kernel)
            assert form(sympy.eye(len(v)), kernel) == (v.T * kernel)[0] > 0
            continue
        assert 2 * (v.T * y)[0] - form(m, y) == best
        for _ in range(3):
            other = exact(rng.integers(-3, 4, len(v)))
            assert 2 * (v.T * other)[0] - form(m, other) <= best


def test_effective_information_adds_over_modalities_exactly():
    rng = np.random.default_rng(7)
    gained = 0
    for _ in range(60):
        d_c, d_x, d_y = (int(n) for n in rng.integers(1, 3, 3))
        parts = []
        for d_k in (d_x, d_y):
            root = integer_root(rng, d_c + d_k, int(rng.integers(1, d_c + d_k + 1)))
            parts.append(exact(root @ root.T))
        total = sympy.zeros(d_c + d_x + d_y)
        start = d_c
        for part in parts:
            place = [*range(d_c), *range(start, start + part.rows - d_c)]
            for i, row in enumerate(place):
                for j, column in enumerate(place):
                    total[row, column] += part[i, j]
            start += part.rows - d_c
        own = [sym.schur_complement(part, range(d_c)) for part in parts]
        assert sym.schur_complement(total, range(d_c)) == own[0] + own[1]
        plain = parts[0][:d_c, :d_c] + parts[1][:d_c, :d_c]
        assert sym.relation(own[0] + own[1], plain) in {
            Relation.BELOW,
            Relation.STRICTLY_BELOW,
            Relation.EQUAL,
        }
        gained += plain != own[0] + own[1]
    assert gained > 20


def test_private_parameters_leave_full_information_iff_columns_stay_independent():
    rng = np.random.default_rng(8)
    definite = 0
    for _ in range(150):
        c, s = rng.integers(-1, 2, (4, 2)), rng.integers(-1, 2, (4, int(rng.integers(1, 4))))
        stacked = exact(np.concatenate([c, s], axis=1))
        effective = sym.schur_complement(stacked.T * stacked, [0, 1])
        independent = sym.rank(stacked) == 2 + sym.rank(s)
        assert (sym.inertia(effective) == (2, 0, 0)) == independent
        definite += independent
    assert 20 < definite < 130


def test_order_reversal_of_pseudoinverses_needs_equal_kernels():
    """For M <= N: N^+ <= M^+ iff the ranks, and so the kernels, are equal."""
    rng = np.random.default_rng(9)
    reversed_count = 0
    for _ in range(200):
        x, y, _ = integer_instance(rng)
        order = sym.relation(sym.pseudoinverse(x + y), sym.pseudoinverse(x))
        is_below = order in {Relation.EQUAL, Relation.BELOW, Relation.STRICTLY_BELOW}
        assert is_below == (sym.rank(x) == sym.rank(x + y))
        reversed_count += is_below
    assert 30 < reversed_count < 170


# --- from the log-likelihood ----------------------------------------------------------------------------------------


def small_worlds():
    a, b, c, s, t = sympy.symbols("a b c s t", positive=True)
    modality = sym.SymbolicModality
    return {
        "scalar, unequal noise": {"x": modality([[1]], noise_cov=[[s**2]], count=2), "y": modality([[1]], noise_cov=[[t]])},
        "confounded Y": {"x": modality([[a]], count=1), "y": modality([[b], [c]], [[1], [0]], noise_cov=[[s, 0], [0, t]])},
        "correlated noise": {"x": modality([[1, 0], [1, 2]], noise_cov=[[2, 1], [1, 3]]), "y": modality([[0, 1]], count=3)},
        "singular": {"x": modality([[1, 0]], [[1]]), "y": modality([[1, 0], [1, 0]], [[2], [0]])},
    }  # fmt: skip


@pytest.mark.parametrize("name", small_worlds())
def test_differentiation_of_the_log_likelihood_gives_the_blocks(name):
    world = small_worlds()[name]
    derived = sym.derive(world)
    assert sympy.simplify(derived.information - sym.information_blocks(world)).is_zero_matrix
    assert sympy.simplify(derived.score_covariance - derived.information).is_zero_matrix, (
        "Definition 4, both forms"
    )
    at_mle = derived.score.subs(dict(zip(derived.theta, derived.mle, strict=True)), simultaneous=True)
    assert sympy.simplify(at_mle).is_zero_matrix


def test_derived_information_and_estimator_are_the_library_s():
    rng = np.random.default_rng(10)
    for _ in range(4):
        blocks = {
            "x": (rng.integers(-2, 3, (3, 2)), rng.integers(-2, 3, (3, 1))),
            "y": (rng.integers(-2, 3, (2, 2)), np.zeros((2, 0), int)),
        }
        variances, counts = {"x": 1, "y": 4}, {"x": 2, "y": 1}
        derived = sym.derive({
            name: sym.SymbolicModality(
                ImmutableMatrix(c.tolist()),
                ImmutableMatrix(s.shape[0], s.shape[1], s.ravel().tolist()),
                variances[name] * sympy.eye(len(c)),
                counts[name],
            )
            for name, (c, s) in blocks.items()
        })
        model = fk.LinearGaussian({
            n: fk.Modality(c, s, noise_std=variances[n] ** 0.5) for n, (c, s) in blocks.items()
        })
        numeric = np.array(derived.information.tolist(), dtype=float)
        assert_allclose_report(fk.information(model, counts), numeric, rtol=1e-12, atol=1e-12)
        data = {name: rng.integers(-3, 4, (counts[name], len(blocks[name][0]))) for name in blocks}
        values = {
            symbol: int(x)
            for name in data
            for symbol, x in zip(derived.data[name], data[name].ravel(), strict=True)
        }
        estimate = fk.fit(fk.Samples(model, {name: x.astype(float) for name, x in data.items()}))
        assert_allclose_report(
            estimate.theta,
            np.array(derived.mle.subs(values).tolist(), dtype=float)[:, 0],
            rtol=1e-9,
            atol=1e-9,
        )


def test_effective_information_of_a_confounded_modality_in_closed_form():
    """Y = (b theta_c + theta_y + eps, c theta_c + eps): only the second coordinate counts, c^2 / t."""
    derived = sym.derive(small_worlds()["confounded Y"])
    a, c, t = sympy.symbols("a c t", positive=True)
    i = derived.information
    assert sympy.simplify(i[0, 0] - i[0, 1] ** 2 / i[1, 1] - (a**2 + c**2 / t)) == 0


# --- counterexamples and agreement with floating point --------------------------------------------------------------


@pytest.mark.parametrize("name", sym.COUNTEREXAMPLES)
def test_counterexample_is_verified_exactly_and_could_fail(name):
    entry = sym.COUNTEREXAMPLES[name]
    assert entry.name == name
    assert len(entry.facts) >= 2
    assert all(entry.verify().values()), entry.verify()
    for key, matrix in entry.data.items():
        assert all(isinstance(number, Rational) for number in matrix), key
    for sentence in entry.facts:
        assert any(not holds_of(entry, sentence, data) for data in alterations(entry.data)), sentence


def alterations(data):
    """Other matrices of the same shapes: zero, identity, ones, negative, generic, and exchanged with one another."""
    yield {key: 0 * m for key, m in data.items()}
    yield {key: ImmutableMatrix.eye(m.rows, m.cols) for key, m in data.items()}
    yield {key: ImmutableMatrix.ones(*m.shape) for key, m in data.items()}
    yield {key: -m for key, m in data.items()}
    yield {
        key: 3 * (m + m.T if m.rows == m.cols else m) + ImmutableMatrix.ones(*m.shape)
        for key, m in data.items()
    }
    keys = list(data)
    for silent in (keys[0], keys[-1]):
        yield {key: 0 * m if key == silent else m for key, m in data.items()}
    yield {key: data[other] for key, other in zip(keys, [*keys[1::-1], *keys[2:]], strict=True)}


def holds_of(entry, sentence, data):
    fact = sym.Counterexample(entry.name, entry.refutes, data, {sentence: entry.facts[sentence]})
    try:
        return fact.verify()[sentence]
    except (ZeroDivisionError, ValueError, sympy.ShapeError):
        return False  # a division by a variance of zero, or a matrix without an inverse


class Truth:
    """What is exactly true of one instance, written from the statements alone."""

    def __init__(self, x, y, v):
        self.x, self.y, self.v = exact(x), exact(y), exact(v)
        self.xy = self.x + self.y
        self.d = self.x.rows

    @cached_property
    def variances(self):
        return sym.variance(self.xy, self.v), sym.variance(self.x, self.v)

    @property
    def falls(self):
        joint, alone = self.variances
        return bool(joint < alone)

    @property
    def in_x(self):
        return sym.in_range(self.x, self.v)

    @property
    def seen_by_y(self):
        return form(self.y, self.v) > 0

    @cached_property
    def projector(self):
        return self.x * sym.pseudoinverse(self.x)

    @property
    def c_v(self):
        p = self.projector
        return any(p * self.y * p * sym.pseudoinverse(self.x) * self.v)

    def eigenvector(self, m):
        image = m * self.v
        return sym.rank(image.row_join(self.v)) <= 1

    def statements(self):
        """{(function, reading): (hypotheses met, conclusion true)}."""
        definite_y = sym.inertia(self.y) == (self.d, 0, 0)
        a, b = form(self.x, self.v), form(self.y, self.v)
        in_xy = sym.in_range(self.xy, self.v)
        gaps = sym.inertia(self.y - self.x)
        drop = self.x - self.x * sym.pseudoinverse(self.xy) * self.x
        included = sym.rank(self.x.row_join(self.y)) == sym.rank(self.x)
        p = self.projector
        block_diagonal = not any(p * self.y * (sympy.eye(self.d) - p))
        joint, alone = self.variances
        contraction = in_xy and self.in_x and a + b > 0 and joint * (a + b) == alone * a and self.falls
        eigen = self.eigenvector(self.x)
        finite = joint < oo and alone == oo
        common = sym.rank(self.x) + sym.rank(self.y) - sym.rank(self.xy)
        ordered = sym.relation(self.x, self.xy) is Relation.STRICTLY_BELOW
        pinv_ordered = (
            sym.relation(sym.pseudoinverse(self.xy), sym.pseudoinverse(self.x)) is Relation.STRICTLY_BELOW
        )
        shrinks = sym.rank(self.xy) == self.d and sym.inertia(drop)[0] == sym.rank(self.x)
        exists = any(sym.parallel_sum(self.x, self.y))
        truth = {
            (th.theorem_1_information, "as_stated"): (definite_y, ordered),
            (th.theorem_1_variance, "as_stated"): (definite_y, pinv_ordered),
            (th.theorem_1_variance, "as_holds"): (definite_y, shrinks),
            (th.theorem_2_information, "as_stated"): (self.seen_by_y, form(self.xy, self.v) > a),
            (th.theorem_2_outside, "as_stated"): (self.seen_by_y and not self.in_x, self.falls),
            (th.theorem_2_outside, "as_holds"): (self.seen_by_y and not self.in_x and in_xy, self.falls),
            (th.theorem_2_inside, "as_stated"): (self.in_x and self.seen_by_y and self.c_v, self.falls),
            (th.theorem_2_existence, "as_stated"): (self.in_x and self.seen_by_y, exists),
            (th.theorem_2_existence, "as_holds"): (True, exists == (common > 0)),
            (th.corollary_1, "as_stated"): (
                eigen and self.eigenvector(self.y) and a > 0 and b > 0,
                contraction,
            ),
            (th.corollary_2, "as_stated"): (a == 0 and b > 0, finite),
            (th.corollary_2, "as_holds"): (a == 0 and b > 0 and in_xy, finite),
            (th.corollary_3, "as_stated"): (eigen and a > 0 and b > 0, self.falls),
            (th.corollary_3, "as_holds"): (eigen and a > 0 and b > 0 and block_diagonal, self.falls),
            (th.theorem_3, "as_stated"): (not included, gaps[0] > 0),
            (th.theorem_3, "as_holds"): (True, True),
        }
        if self.in_x:
            condition = any(self.y * sym.pseudoinverse(self.xy) * self.v)
            restricted = sym.variance(p * self.xy * p, self.v)
            truth[th.theorem_2_inside, "as_holds"] = (True, self.falls == condition)
            truth[th.theorem_2_restricted, "as_stated"] = (True, (restricted < alone) == self.c_v)
        return {key: (bool(applies), bool(holds)) for key, (applies, holds) in truth.items()}


def special_instance(rng):
    """Common eigenvectors, kernels and block-diagonal pairs: random integers hardly ever have them."""
    basis = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    if rng.random() < 0.5:
        basis = np.eye(4, dtype=int)
    m_x = (basis * rng.integers(0, 3, 4)) @ basis.T
    if rng.random() < 0.5:
        m_y = (basis * rng.integers(0, 3, 4)) @ basis.T
    else:
        root = integer_root(rng, 4, int(rng.integers(1, 3)))
        m_y = root @ root.T
    v = basis[:, int(rng.integers(4))] + rng.integers(0, 2) * basis[:, int(rng.integers(4))]
    return m_x, m_y, v


def test_floating_point_verdicts_agree_with_exact_ones():
    """Both readings of every statement on 500 integer instances, exactly singular ones included."""
    rng = np.random.default_rng(13)
    asked, checked, met, refuted = {}, {}, {}, {}
    for i in range(500):
        x, y, v = integer_instance(rng) if i % 2 else special_instance(rng)
        for (function, reading), (applies, holds) in Truth(x, y, v).statements().items():
            arguments = (
                (x, y)
                if function in {th.theorem_1_information, th.theorem_1_variance, th.theorem_3}
                else (x, y, v)
            )
            verdict = function(*arguments, reading=reading)
            key = function.__name__, reading
            hypotheses = {k: met_ for k, met_ in verdict.hypotheses.items() if k != th.RESOLVED}
            context = (key, x.tolist(), y.tolist(), v.tolist(), verdict)
            asked[key] = asked.get(key, 0) + 1
            if not verdict.hypotheses[th.RESOLVED]:
                assert not verdict.refuted
                continue
            checked[key] = checked.get(key, 0) + 1
            assert all(hypotheses.values()) == applies, context
            if applies or function not in {th.corollary_1, th.corollary_3}:
                assert verdict.holds == holds, context
            met[key] = met.get(key, 0) + applies
            refuted[key] = refuted.get(key, 0) + (applies and not holds)
            assert not (reading == "as_holds" and applies and not holds), "the theory itself would be wrong"
    assert min(met.values()) >= 10, met
    assert all(checked[key] >= 0.99 * asked[key] for key in asked), (asked, checked)
    wrong = {name for (name, reading), count in refuted.items() if count}
    assert wrong == {
        "theorem_1_variance",
        "theorem_2_outside",
        "theorem_2_inside",
        "theorem_2_existence",
        "corollary_2",
        "corollary_3",
    }, "random instances find the same gaps as the named counterexamples"


def test_floating_point_least_squares_variances_agree_with_exact_ones():
    rng = np.random.default_rng(14)
    worse = 0
    for _ in range(300):
        x, y, v = integer_instance(rng)
        s_x, s_y = (int(s) for s in rng.integers(1, 12, 2))
        three = th.joint_variances(x, y, (s_x, s_y), v)
        m_x, m_y, w = exact(x), exact(y), exact(v)
        g = sym.pseudoinverse(m_x + m_y)
        sandwich = form(g * (s_x * m_x + s_y * m_y) * g, w) if sym.in_range(m_x + m_y, w) else oo
        expected = [sym.variance(m_x / s_x, w), sandwich, sym.variance(m_x / s_x + m_y / s_y, w)]
        found = [three.alone, three.unweighted, three.weighted]
        assert_allclose_report(found, [float(e) for e in expected], rtol=1e-9)
        assert expected[2] <= expected[0]
        assert expected[2] <= expected[1], "Gauss-Markov"
        verdict = th.joint_fit_never_hurts(x, y, (s_x, s_y), v, reading="as_stated")
        assert verdict.refuted == (expected[1] > expected[0])
        worse += verdict.refuted
        same = th.least_squares_is_mle(x, y, (s_x, s_y), v, reading="as_stated")
        assert same.holds == (expected[1] == expected[2])
    assert worse > 5


# --- derivations whose symbols or inputs would clash ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["c", "theta", "theta_c", "x"])
def test_names_of_modalities_do_not_clash_with_symbols(name):
    def world(key):
        first = sym.SymbolicModality([[1], [0]], [[1], [1]])
        return {
            key: first,
            f"{key}_0": sym.SymbolicModality([[1]], [[1]]),
            f"{key}1": sym.SymbolicModality([[2]]),
        }

    derived, plain = sym.derive(world(name)), sym.derive(world("plain"))
    symbols = [*derived.theta, *(s for block in derived.data.values() for s in block)]
    assert len(set(symbols)) == len(symbols)
    assert derived.information == plain.information == sym.information_blocks(world(name))
    values = iter(range(1, 100))
    numbers = [
        {s: v for block in d.data.values() for s, v in zip(block, values, strict=False)}
        for d in (derived, derived)
    ]
    assert derived.mle.subs(numbers[0]) == plain.mle.subs(
        dict(zip((s for b in plain.data.values() for s in b), numbers[0].values(), strict=True))
    )


def test_symbols_of_a_design_are_not_those_of_the_data():
    a = sympy.Symbol("x_0_0", real=True, positive=True)
    b = sympy.Symbol("theta_c0", real=True)
    derived = sym.derive({"x": sym.SymbolicModality([[a * b]])})
    assert derived.information == ImmutableMatrix([[a**2 * b**2]])
    assert sympy.simplify(derived.mle[0] - derived.data["x"][0] / (a * b)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sym.derive({"": sym.SymbolicModality([[1]])}), "modalities: a modality needs a name"),
        (lambda: sym.SymbolicModality([[1], [1]], noise_cov=[[1, 2], [0, 1]]), "noise_cov: not symmetric"),
        (lambda: sym.SymbolicModality([[1], [1]], noise_cov=[[1, 2], [2, 1]]), "leading minor of size 2 is -3"),
        (lambda: sym.SymbolicModality([[1], [1]], noise_cov=[[1, 1], [1, 1]]), "leading minor of size 2 is 0"),
        (lambda: sym.SymbolicModality([[1]], noise_cov=[[-1]]), "noise_cov: not positive definite: .* size 1 is -1"),
        (lambda: sym.schur_complement([[2, 1], [1, 1]], [2]), "keep: index 2 is out of range"),
        (lambda: sym.schur_complement([[2, 1], [1, 1]], []), "keep: no index given"),
        (lambda: sym.schur_complement([[2, 1], [1, 1]], [1, -1]), "keep: an index appears twice"),
    ],
)  # fmt: skip
def test_clashing_derivations_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_negative_indices_count_from_the_end():
    assert sym.schur_complement([[2, 1], [1, 1]], [-1]) == ImmutableMatrix([[Rational(1, 2)]])
    rng = np.random.default_rng(5)
    for _ in range(50):
        m, _, _ = integer_instance(rng)
        d = len(m)
        kept = rng.permutation(d)[: int(rng.integers(1, d + 1))]
        assert sym.schur_complement(m, kept - d) == sym.schur_complement(m, kept)
