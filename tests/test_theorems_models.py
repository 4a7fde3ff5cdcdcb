"""Theorems on a model's own matrices, where private columns confound directions on purpose, against exact fractions."""

from fractions import Fraction
from math import lcm

import numpy as np
import pytest

import fisherkit as fk
from fisherkit import theorems as th
from fisherkit.psd import PSD

STRONG = 0.95  # at least this share of verdicts on well-conditioned worlds of small integers is resolved


# --- exact linear algebra, from the definitions ----------------------------------------------------------------------


def exact(values):
    """Array of floats or integers as an object array of fractions."""
    return (
        np.vectorize(Fraction, otypes=[object])(np.asarray(values))
        if np.size(values)
        else np.asarray(values, object)
    )


def eliminate(matrix):
    """Reduced row echelon form and pivot columns."""
    work = [list(row) for row in matrix]
    pivots, row = [], 0
    for column in range(len(work[0]) if work else 0):
        found = next((i for i in range(row, len(work)) if work[i][column] != 0), None)
        if found is None:
            continue
        work[row], work[found] = work[found], work[row]
        head = work[row][column]
        work[row] = [x / head for x in work[row]]
        for i in range(len(work)):
            if i != row and work[i][column] != 0:
                factor = work[i][column]
                work[i] = [x - factor * y for x, y in zip(work[i], work[row], strict=True)]
        pivots.append(column)
        row += 1
    return work, pivots


def rank(matrix):
    return len(eliminate(matrix)[1]) if np.size(matrix) else 0


def solve(m, b):
    """One solution X of M X = B, None if there is none."""
    columns = m.shape[1]
    work, pivots = eliminate(np.concatenate([m, b], axis=1))
    if any(p >= columns for p in pivots):
        return None
    x = np.full((columns, b.shape[1]), Fraction(0), object)
    for row, column in enumerate(pivots):
        x[column] = work[row][columns:]
    return x


def variance(m, v):
    x = solve(m, v[:, None])
    return np.inf if x is None else v @ x[:, 0]


def basis(m):
    """Independent columns that span range(M)."""
    return m[:, eliminate(m)[1]]


def inverse(m):
    return solve(m, exact(np.eye(len(m), dtype=int)))


def pseudoinverse(m):
    """Of a symmetric M: B (B'M B)^{-1} B' with the columns of B a basis of the range."""
    b = basis(m)
    return b @ inverse(b.T @ m @ b) @ b.T if b.shape[1] else 0 * m


def projector(m):
    b = basis(m)
    return b @ inverse(b.T @ b) @ b.T if b.shape[1] else 0 * m


def signs(m):
    """Numbers of positive and negative eigenvalues, by congruence."""
    work, positive, negative = m.copy(), 0, 0
    while len(work):
        pivot = next((i for i in range(len(work)) if work[i, i] != 0), None)
        if pivot is None:
            pair = next(((i, j) for i in range(len(work)) for j in range(i) if work[i, j] != 0), None)
            if pair is None:
                break
            pivot, other = pair
            work[pivot] = work[pivot] + work[other]
            work[:, pivot] = work[:, pivot] + work[:, other]
        head = work[pivot, pivot]
        positive, negative = positive + (head > 0), negative + (head < 0)
        work = work - np.outer(work[:, pivot], work[pivot]) / head
        work = np.delete(np.delete(work, pivot, 0), pivot, 1)
    return positive, negative


def effective(c, s):
    """C'(I - P_S)C: what is left of C when S is unknown."""
    if not s.shape[1]:
        return c.T @ c
    return c.T @ c - c.T @ s @ solve(s.T @ s, s.T @ c)


def parallel(a, b):
    """Whether the two vectors are dependent, for b != 0: A v = lambda v."""
    k = next(i for i in range(len(b)) if b[i] != 0)
    return all(a[i] * b[k] == a[k] * b[i] for i in range(len(b)))


# --- worlds ----------------------------------------------------------------------------------------------------------


class World:
    """Two modalities of small integers, what is known about theta_c exactly, and directions to ask about."""

    def __init__(self, rng, perturbation=0, units=None):
        self.d = d = int(rng.integers(1, 6))
        self.units = np.ones(d) if units is None else 2.0 ** rng.integers(-units, units + 1, d)
        self.blocks, self.counts, self.noise = {}, {}, {}
        alike = rng.random() < 0.2
        for name in ("x", "y"):
            m = int(rng.integers(1, d + 4))
            c = rng.integers(-2, 3, (m, d)).astype(float)
            if name == "y" and alike:
                c = self.plain.copy()
                m = len(c)
            self.plain = c
            s = private_columns(rng, c).copy()
            if perturbation and s.shape[1]:
                column = int(rng.integers(s.shape[1]))
                change = 2.0**-perturbation * np.abs(s[:, column]).max() * rng.integers(-2, 3, m)
                s[:, column] += change
            self.blocks[name] = (c * self.units, s)
            self.counts[name], self.noise[name] = int(rng.integers(1, 4)), float(rng.choice([1.0, 2.0, 3.0]))
        self.look()
        self.x, self.y = (
            effective(*map(exact, self.blocks[n])) * Fraction(self.counts[n]) / Fraction(self.noise[n]) ** 2
            for n in "xy"
        )
        self.xy = self.x + self.y
        self.v = self.direction(rng)

    def look(self):
        """The model, and its own objects."""
        self.model = fk.LinearGaussian({
            name: fk.Modality(c, s, noise_std=self.noise[name]) for name, (c, s) in self.blocks.items()
        })
        self.given = fk.shared_information(self.model, self.counts)

    def rescale(self, units):
        """The same world with its shared parameters measured in other units."""
        factor = exact(units)
        self.blocks = {name: (c * units, s) for name, (c, s) in self.blocks.items()}
        self.units = self.units * units
        self.look()
        self.x, self.y, self.xy = (m * np.outer(factor, factor) for m in (self.x, self.y, self.xy))
        self.v = self.v * factor

    def direction(self, rng):
        """Exact direction: an axis, small integers, or in a range or null space; functionals carry the units."""
        units = exact(self.units)
        v = exact(rng.integers(-2, 3, self.d)) * units
        kind = rng.integers(5)
        if kind == 0:
            v = exact(np.eye(self.d, dtype=int)[int(rng.integers(self.d))])
        elif kind in (1, 2):
            v = (self.x, self.xy)[kind - 1] @ (v / units**2)
        elif kind == 3:
            v = v - projector(self.x) @ v
        if not v.any():
            v = exact(np.eye(self.d, dtype=int)[0])
        v = v * lcm(*(entry.denominator for entry in v))
        v = v / Fraction(2) ** int(max(map(abs, v))).bit_length()
        if any(Fraction(float(entry)) != entry for entry in v):  # rounded, it would be another direction
            v = exact(rng.integers(1, 3, self.d)) * units
        return v

    @property
    def floats(self):
        return np.array([float(entry) for entry in self.v])


def private_columns(rng, c):
    """No private columns, random ones, or columns that explain directions of C fully, alone or together."""
    m, d = c.shape
    kind = rng.integers(7)
    ones = np.ones((m, 1))
    combination = c @ rng.integers(-2, 3, (d, 1))
    return (
        np.zeros((m, 0)),
        rng.integers(-2, 3, (m, int(rng.integers(1, 4)))).astype(float),
        ones,
        c[:, : int(rng.integers(1, d + 1))],
        combination,
        np.concatenate([ones, combination], axis=1),
        np.concatenate([ones, ones + combination, c[:, :1]], axis=1),
    )[kind]


# --- the truth of every statement ------------------------------------------------------------------------------------


def drop_of(alone, joint):
    """Relative fall of a variance, with infinities as the library reads them."""
    if alone == np.inf:
        return 0 if joint == np.inf else 1
    return 1 - joint / alone


def statements(world):
    """(label, verdict, hypotheses in the order of the verdict without `RESOLVED`, conclusion, left and right and their scale or None)."""
    w, d = world, world.d
    x, y, xy, v = w.x, w.y, w.xy, w.v
    px, py, f = w.given["x"], w.given["y"], w.floats
    r_x, r_y, r_xy = rank(x), rank(y), rank(xy)
    alone, joint = variance(x, v), variance(xy, v)
    sees_x, sees_y, in_x, in_xy = (x @ v).any(), (y @ v).any(), alone != np.inf, joint != np.inf
    drop = drop_of(alone, joint)
    a, b = v @ x @ v, v @ y @ v
    s = projector(x)
    c_v = bool(in_x and (s @ y @ s @ pseudoinverse(x) @ v).any())
    n = exact(np.eye(d, dtype=int)) - s
    block = not (s @ y @ n).any()
    common = r_x + r_y - r_xy
    eigen_x, eigen_y = parallel(x @ v, v), parallel(y @ v, v)
    ratio_is = bool(a + b > 0 and 1 - drop == a / (a + b) and drop > 0)
    exceeds = signs(y - x)[0] > 0
    below = signs(pseudoinverse(x) - pseudoinverse(xy)) == (d, 0)
    both = joint, alone

    yield "theorem_1_information", th.theorem_1_information(px, py), [r_y == d], r_y == d, None
    stated = th.theorem_1_variance(px, py, reading="as_stated")
    yield "theorem_1_variance, stated", stated, [r_y == d], below, None
    yield "theorem_1_variance", th.theorem_1_variance(px, py), [r_y == d], r_xy == d == r_y, None
    designs = [[(c / w.noise[k], q / w.noise[k])] * w.counts[k] for k, (c, q) in w.blocks.items()]
    c, q = map(exact, w.blocks["y"])
    yield (
        "theorem_1_private, stated",
        th.theorem_1_private(*designs, reading="as_stated"),
        [rank(c) == d],
        r_y == d,
        None,
    )
    independent = rank(np.concatenate([c, q], axis=1)) == d + rank(q)
    yield "theorem_1_private", th.theorem_1_private(*designs), [independent], r_y == d, None
    yield (
        "theorem_2_information",
        th.theorem_2_information(px, py, f),
        [sees_y],
        sees_y,
        (a + b, a, v**2 @ xy.diagonal()),
    )
    for reading, more in (("as_stated", []), ("as_holds", [in_xy])):
        yield (
            f"theorem_2_outside, {reading}",
            th.theorem_2_outside(px, py, f, reading=reading),
            [sees_y, not in_x, *more],
            drop > 0,
            both,
        )
    inside = th.theorem_2_inside(px, py, f)
    yield "theorem_2_inside", inside, [in_x], in_x or drop > 0, both
    if in_x:
        yield "theorem_2_inside, note", inside, [in_x], ("≠" in inside.note) == (drop > 0), None
    yield (
        "theorem_2_inside, stated",
        th.theorem_2_inside(px, py, f, reading="as_stated"),
        [in_x, sees_y, c_v] if in_x else [in_x],
        drop > 0,
        both,
    )
    restricted = th.theorem_2_restricted(px, py, f)
    left = variance(s @ xy @ s, v) if in_x else None
    yield "theorem_2_restricted", restricted, [in_x], in_x, (left, alone) if in_x else None
    if in_x:
        yield "theorem_2_restricted, note", restricted, [in_x], ("not" in restricted.note) == (not c_v), None
    existence = th.theorem_2_existence(px, py)
    yield "theorem_2_existence", existence, [], existence.note.endswith(f"is {common}"), None
    yield (
        "theorem_2_existence, stated",
        th.theorem_2_existence(px, py, f, reading="as_stated"),
        [in_x, sees_y],
        common > 0,
        None,
    )
    yield "corollary_1", th.corollary_1(px, py, f), [eigen_x, eigen_y, sees_x, sees_y], ratio_is, None
    for reading, more in (("as_stated", []), ("as_holds", [in_xy])):
        yield (
            f"corollary_2, {reading}",
            th.corollary_2(px, py, f, reading=reading),
            [not sees_x, sees_y, *more],
            in_xy and not in_x,
            both,
        )
    for reading, more in (("as_stated", []), ("as_holds", [block])):
        yield (
            f"corollary_3, {reading}",
            th.corollary_3(px, py, f, reading=reading),
            [eigen_x, sees_x, sees_y, *more],
            bool(in_x and a > 0 and alone == (v @ v) ** 2 / a and drop > 0),
            both,
        )
    within = rank(np.concatenate([x, y], axis=1)) == r_x
    yield "theorem_3, stated", th.theorem_3(px, py, reading="as_stated"), [not within], exceeds, None
    third = th.theorem_3(px, py)
    yield "theorem_3", third, [], (third.witness is not None) == exceeds, None
    yield from least_squares(w, alone)
    for m, n_, name in ((px, px + py, "X, X + Y"), (px, py, "X, Y"), (px + py, px, "X + Y, X")):
        yield from lemmas(m, n_, *{"X, X + Y": (x, xy), "X, Y": (x, y), "X + Y, X": (xy, x)}[name], w, name)
    yield from additivity(w)


def least_squares(w, alone):
    noise = (1, 3)
    gram = w.x + w.y
    weighted = variance(w.x / noise[0] + w.y / noise[1], w.v)
    solution = solve(gram, w.v[:, None])
    plain = np.inf
    if solution is not None:
        u = solution[:, 0]
        plain = noise[0] * (u @ w.x @ u) + noise[1] * (u @ w.y @ u)
    px, py, f = w.given["x"], w.given["y"], w.floats
    for equal in (False, True):
        used = (1.0, 1.0) if equal else (1.0, 3.0)
        sides = (variance(gram, w.v),) * 2 if equal else (plain, weighted)
        yield (
            f"least_squares_is_mle, equal {equal}",
            th.least_squares_is_mle(px, py, used, f),
            [equal],
            sides[0] == sides[1],
            sides,
        )
    yield (
        "joint_fit_never_hurts, stated",
        th.joint_fit_never_hurts(px, py, (1.0, 3.0), f, reading="as_stated"),
        [],
        plain <= alone,
        (plain, alone),
    )
    yield (
        "joint_fit_never_hurts",
        th.joint_fit_never_hurts(px, py, (1.0, 3.0), f),
        [],
        True,
        (weighted, alone),
    )


def lemmas(given_m, given_n, m, n, w, name):
    d, v, f = w.d, w.v, w.floats
    definite = [rank(m) == d, rank(n) == d]
    up, down = signs(n - m)
    pm, pn = pseudoinverse(m), pseudoinverse(n)
    back = signs(pm - pn)
    yield (
        f"lemma_1({name})",
        th.lemma_1(given_m, given_n),
        [*definite, up == d],
        all(definite) and back[0] == d,
        None,
    )
    yield (
        f"lemma_1({name}), not strict",
        th.lemma_1(given_m, given_n, strict=False),
        [*definite, down == 0],
        all(definite) and back[1] == 0,
        None,
    )
    same = rank(m) == rank(n) == rank(np.concatenate([m, n], axis=1))
    for reading in ("as_stated", "as_holds"):
        wanted = rank(m) if same and reading == "as_holds" else d
        yield (
            f"lemma_2({name}), {reading}",
            th.lemma_2(given_m, given_n, reading=reading),
            [same, up == wanted],
            back[0] == wanted,
            None,
        )
    before, after = v @ pm @ v, v @ pn @ v
    condition = ((n - m) @ pm @ v).any()
    for reading, more in (("as_stated", [v @ m @ v < v @ n @ v]), ("as_holds", [])):
        yield (
            f"lemma_3({name}), {reading}",
            th.lemma_3(given_m, given_n, f, reading=reading),
            [*definite, down == 0, *more],
            all(definite) and after <= before and (after < before) == condition,
            (after, before) if all(definite) else None,
        )
    yield (
        f"lemma_3_existence({name})",
        th.lemma_3_existence(given_m, given_n, f),
        [*definite, down == 0, v @ m @ v < v @ n @ v],
        all(definite) and up > 0,
        None,
    )


def additivity(w):
    informations, plain = {}, 0
    for name, blocks in w.blocks.items():
        c, s = blocks
        size = np.sqrt(w.counts[name]) / w.noise[name]
        informations[name] = PSD.from_root(size * np.concatenate([c, s], axis=1))
        weight = Fraction(w.counts[name]) / Fraction(w.noise[name]) ** 2
        plain = plain + exact(c).T @ exact(c) * weight
    stated = th.proposition_1(informations, w.d, reading="as_stated")
    yield "proposition_1, stated", stated, [], not (plain - w.xy).any(), None
    yield "proposition_1", th.proposition_1(informations, w.d), [], True, None


def assert_right(label, verdict, hypotheses, holds, sides, digits=1e-6):
    found = [met for name, met in verdict.hypotheses.items() if name != th.RESOLVED]
    assert list(map(bool, found)) == list(map(bool, hypotheses)), (label, verdict)
    assert bool(verdict.holds) == bool(holds), (label, verdict)
    size = max((abs(side) for side in sides or () if side != np.inf), default=0)
    for number, wanted in zip((verdict.left, verdict.right), (sides or ())[:2], strict=False):
        assert number == wanted == np.inf or abs(number - wanted) <= digits * size, (label, verdict)


def check(rng, worlds, digits=1e-6, **kind):
    """Every statement on so many worlds; the share of verdicts that are resolved. Anything resolved has to be right."""
    resolved = asked = 0
    for _ in range(worlds):
        world = World(rng, **kind)
        for label, verdict, *truth in statements(world):
            asked += 1
            if verdict.hypotheses.get(th.RESOLVED, True):
                resolved += 1
                assert_right(label, verdict, *truth, digits=digits)
    return resolved / asked


# --- tests -----------------------------------------------------------------------------------------------------------


def test_statements_are_right_on_worlds_of_small_integers():
    """Columns that private ones explain fully, alone and together; hardly a verdict is left unresolved."""
    share = check(np.random.default_rng(0), 150)
    print(f"resolved: {share:.4f}")
    assert share >= STRONG


def test_statements_are_right_or_unresolved_where_private_columns_nearly_confound():
    rng = np.random.default_rng(1)
    shares = [check(rng, 1, digits=1e-2, perturbation=k) for k in rng.integers(20, 46, 100)]
    print(f"resolved: {np.mean(shares):.4f}")
    assert np.mean(shares) >= 0.5, "most can be told all the same"


def test_statements_are_right_or_unresolved_in_any_units():
    share = check(np.random.default_rng(2), 60, units=60)
    print(f"resolved: {share:.4f}")
    assert share >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "worlds", "kind"),
    [(3, 1500, {}), (4, 1000, {"perturbation": None}), (5, 500, {"units": 60})],
    ids=["small integers", "nearly confounded", "units"],
)
def test_statements_are_right_on_thousands_of_worlds(seed, worlds, kind):
    rng = np.random.default_rng(seed)
    if "perturbation" in kind:
        for k in rng.integers(20, 46, worlds):
            check(rng, 1, digits=1e-2, perturbation=int(k))
    else:
        assert check(rng, worlds, **kind) >= (STRONG if not kind else 0.9)


#: statements whose verdict does not depend on the units of parameters, v a functional
INVARIANT = (
    "theorem_1_information",
    "theorem_1_variance",
    "theorem_1_private",
    "theorem_2_inside",
    "theorem_2_existence",
    "theorem_3",
    "joint_fit_never_hurts",
    "lemma_1(X, X + Y)",
    "lemma_3(X, X + Y), as_holds",
)


def test_verdicts_do_not_depend_on_units():
    """Powers of two change no digit, so neither may they change any verdict of an invariant statement."""
    for seed in range(40):
        plain, scaled = (World(np.random.default_rng(seed)) for _ in range(2))
        units = 2.0 ** np.random.default_rng(seed + 1000).integers(-60, 61, plain.d)
        scaled.rescale(units)
        found = {label: verdict for label, verdict, *_ in statements(scaled)}
        for label, verdict, *_ in statements(plain):
            if label in INVARIANT:
                assert found[label].hypotheses == verdict.hypotheses, (label, verdict, found[label])
                assert found[label].holds == verdict.holds, (label, verdict, found[label])


def five_coordinates():
    """A level, which each modality's own intercept explains fully, and a slope."""
    return fk.LinearGaussian({
        "image": fk.Modality(np.c_[np.full(5, 0.7), [1.0, 2, 4, 5, 7]], np.ones((5, 1))),
        "text": fk.Modality(np.c_[np.full(5, 0.3), [1.0, 0, 2, 3, 5]], np.ones((5, 1)), noise_std=3.0),
    })


def test_a_confounded_level_is_no_information_to_any_statement():
    """The case of the audit: 1e-15 left of the level was taken for information that one modality has and one has not."""
    s = fk.shared_information(five_coordinates(), 10)
    outside = th.theorem_2_outside(s["image"], s["text"], [1.0, 0.0])
    assert outside.hypotheses == {
        "M_Y v ≠ 0": False, "v not in range(M_X)": True, "v in range(M_X + M_Y)": False, th.RESOLVED: True
    }  # fmt: skip
    assert outside.left == outside.right == np.inf
    assert not th.theorem_3(s["image"], s["text"], reading="as_stated").hypotheses["range(I_Y) ⊄ range(I_X)"]
    inside = th.theorem_2_inside(s["image"], s["text"], [0.0, 1.0])
    assert all(inside.hypotheses.values())
    assert th.theorem_2_existence(s["image"], s["text"]).note == "dim of range(M_X) ∩ range(M_Y) is 1"
    assert th.proposition_1(s, 2).holds


@pytest.mark.parametrize("exponent", range(20, 60, 3))
def test_drowned_information_is_unresolved_in_every_statement(exponent):
    """Y knows 2^-exponent of what X knows, in a direction that X is blind to."""
    x, y = np.ones((2, 2)), 2.0**-exponent * np.array([[1.0, -1.0], [-1.0, 1.0]])
    v = np.array([1.0, -1.0])
    third = th.theorem_3(x, y)
    assert not third.refuted
    if not third.holds:
        assert not third.hypotheses[th.RESOLVED]
    for verdict, truth in (
        (th.theorem_3(x, y, reading="as_stated"), [True]),
        (th.theorem_2_information(x, y, v), [True]),
        (th.theorem_2_outside(x, y, v), [True, True, True]),
        (th.theorem_1_variance(x, y), [False]),
        (th.theorem_1_information(x, y + y[::-1, ::-1] * [[1, -1], [-1, 1]]), [True]),
        (th.corollary_2(x, y, v), [True, True, True]),
    ):
        if verdict.hypotheses[th.RESOLVED]:
            assert [met for name, met in verdict.hypotheses.items() if name != th.RESOLVED] == truth, verdict
            assert verdict.holds or verdict.statement.endswith("(variance)"), verdict


def test_objects_and_arrays_mix():
    model = five_coordinates()
    s = fk.shared_information(model, 10)
    mixed = th.theorem_2_inside(s["image"], np.diag([1.0, 1.0]), [0.0, 1.0])
    assert mixed.applies
    assert mixed.holds
    with pytest.raises(ValueError, match=r"M_Y: expected shape \(2, 2\), got \(3, 3\)"):
        th.theorem_3(s["image"], np.eye(3))
    joint = th.lemma_2(s["image"], s["image"] + s["text"])
    assert joint.applies
    assert joint.holds


def test_proposition_1_takes_objects_of_a_model():
    rng = np.random.default_rng(7)
    near = 1 + 2.0**-25 * rng.integers(-2, 3, 5)
    roots = {"x": np.c_[rng.integers(-2, 3, (5, 2)), near], "y": np.c_[np.ones((5, 2)), near]}
    objects = {name: PSD.from_root(root) for name, root in roots.items()}
    verdict = th.proposition_1(objects, 2)
    assert verdict.applies
    assert verdict.holds
    assert verdict.tolerance < 1e-4
    assert th.proposition_1(objects, 2, reading="as_stated").refuted


def test_order_and_ranges_of_objects_are_exact():
    rng = np.random.default_rng(6)
    for _ in range(200):
        world = World(rng)
        x, y = world.given["x"], world.given["y"]
        positive, negative = signs(world.y - world.x)
        wanted = fk.Relation.of_inertia(positive, negative, world.d - positive - negative)
        assert fk.compare(x, y).relation is wanted
        within = rank(np.concatenate([world.x, world.y], axis=1)) == rank(world.y)
        assert fk.range_inclusion(x, y).included == within
        assert fk.range_inclusion(x, y).rank_a == rank(world.x)


@pytest.mark.parametrize("exponent", range(10, 46, 5))
def test_nearly_dependent_private_columns_still_explain_what_they_span(exponent):
    """The first shared column is 2^exponent times the difference of two private ones; rounding grows as much."""
    c = np.array([[1.0, 1], [2, 0], [4, 3], [1, 2], [0, 5]])
    s = np.c_[np.ones((5, 1)), np.ones((5, 1)) + 2.0**-exponent * c[:, :1]]
    own = fk.shared_information(fk.LinearGaussian({"x": fk.Modality(c, s)}))["x"]
    truth = effective(exact(c), exact(s))
    assert rank(truth) == 1
    assert own.rank == 1 or not own.sure
    if own.sure:
        np.testing.assert_array_equal(own[0], 0)
        assert abs(own[1, 1] / float(truth[1, 1]) - 1) <= own.resolution


@pytest.mark.parametrize("exponent", range(10, 46, 5))
def test_resolution_bounds_the_error_of_what_little_is_left(exponent):
    """A private column that is nearly the shared one leaves 2^-exponent of it, known to as many digits fewer."""
    c = np.array([[1.0], [2], [4]])
    s = c + 2.0**-exponent * np.array([[1.0], [0], [3]])
    own = fk.shared_information(fk.LinearGaussian({"x": fk.Modality(c, s)}))["x"]
    truth = effective(exact(c), exact(s))[0, 0]
    if own.rank:
        assert abs(own[0, 0] / float(truth) - 1) <= own.resolution
    else:
        assert not own.sure
