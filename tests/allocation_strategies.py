"""Hypothesis strategies and slow oracles for allocation: information matrices, costs, limits; nothing from the library.

A strategy draws a seed, sizes and ranks, never raw floats.
"""

import itertools
from fractions import Fraction

import mpmath as mp
import numpy as np
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit import criteria
from tests.strategies import random_psd, seeds

CRITERIA = ("c", "c2", "A", "D", "E")


def make_criterion(kind, dim, rng):
    """One of `CRITERIA`; "c" has one random direction, "c2" two."""
    if kind in ("A", "D", "E"):
        return criteria.as_criterion(kind)
    return criteria.c_criterion(rng.standard_normal((dim, 1 if kind == "c" else 2)))


def dense_value(kind, directions, matrix):
    """The criterion of a regular matrix, from its definition."""
    inverse = np.linalg.inv(matrix)
    if kind == "A":
        return np.trace(inverse)
    if kind == "D":
        return -np.log(np.linalg.det(matrix))
    if kind == "E":
        return 1 / np.linalg.eigvalsh(matrix)[0]
    return np.trace(directions.T @ inverse @ directions)


def exact_criterion(kind, directions, matrix):
    """The criterion of an mpmath matrix, with the digits of the context; +infinity where half of them see it singular."""
    if smallest_eigenvalue(matrix) < mp.mpf(10) ** (-mp.mp.dps // 2):
        return mp.inf
    if kind == "D":
        return -mp.log(mp.det(matrix))
    if kind == "E":
        return 1 / min(mp.eigsy(matrix, eigvals_only=True))
    inverse = matrix**-1
    if kind == "A":
        return sum(inverse[i, i] for i in range(matrix.rows))
    v = mp.matrix(directions.tolist())
    seen = v.T * inverse * v
    return sum(seen[i, i] for i in range(v.cols))


def smallest_eigenvalue(matrix):
    """Of an mpmath matrix rescaled to unit diagonal."""
    unit = mp.diag([1 / mp.sqrt(matrix[i, i]) if matrix[i, i] > 0 else 1 for i in range(matrix.rows)])
    return min(mp.eigsy(unit * matrix * unit, eigvals_only=True))


def exact_information(modality, samples):
    """Effective information of the first samples about the shared parameters, in rational arithmetic: an mpmath matrix.

    Rows are weighted by the exact inverse of the noise covariance, private parameters eliminated one by one.
    """
    cov = _exact(modality.noise_covariance if modality.noise_std is None else np.zeros((0, 0)))
    design = modality.design(None if modality.repeated else samples)
    total_ = None
    for block in [design] if modality.repeated else design:
        rows = _exact(block)
        if modality.noise_std is None:
            weighted = _solve(cov, rows)
        else:
            weighted = [[x / Fraction(modality.noise_std) ** 2 for x in row] for row in rows]
        gram = [
            [sum(a[i] * b[j] for a, b in zip(rows, weighted, strict=True)) for j in range(len(rows[0]))]
            for i in range(len(rows[0]))
        ]
        total_ = (
            gram
            if total_ is None
            else [[x + y for x, y in zip(*pair, strict=True)] for pair in zip(total_, gram, strict=True)]
        )
    scale = samples if modality.repeated else 1
    total_ = [[scale * x for x in row] for row in total_]
    while len(total_) > modality.shared_dim:
        last = total_.pop()
        pivot = last.pop()
        heads = [row.pop() for row in total_]
        if pivot:
            total_ = [
                [x - h * y / pivot for x, y in zip(row, last, strict=True)]
                for h, row in zip(heads, total_, strict=True)
            ]
    return mp.matrix([[mp.mpf(x.numerator) / x.denominator for x in row] for row in total_])


def _exact(array):
    return [[Fraction(float(x)) for x in row] for row in array]


def _solve(matrix, right):
    """matrix^-1 right by elimination, in fractions."""
    rows = [a + b for a, b in zip(matrix, right, strict=True)]
    n = len(rows)
    for i in range(n):
        p = next(j for j in range(i, n) if rows[j][i])
        rows[i], rows[p] = rows[p], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(n):
            if j != i and rows[j][i]:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[n:] for row in rows]


def total(informations, counts, base=0.0):
    """Sum of n_k S_k, by a loop."""
    return base + sum(counts[name] * matrix for name, matrix in informations.items())


def grid(costs, budget, limits, steps, rng, count=60):
    """Feasible counts: corners, money spread over a simplex lattice, and random mixtures; none above a limit."""
    names = list(costs)
    low = np.array([limits.get(n, (0, None))[0] or 0.0 for n in names])
    high = np.array([np.inf if limits.get(n, (0, None))[1] is None else limits[n][1] for n in names])
    price = np.array([costs[n] for n in names])
    money = budget - price @ low
    shares = [
        np.array(s) / steps for s in itertools.product(range(steps + 1), repeat=len(names)) if sum(s) == steps
    ]
    shares += list(rng.dirichlet(np.full(len(names), 0.7), count))
    for share in shares:
        counts = np.minimum(low + money * share / price, high)
        yield dict(zip(names, counts.tolist(), strict=True))


@st.composite
def questions(draw, max_modalities=5, max_dim=4, limits=True, collected=True, full_rank=False):
    """(informations, costs, budget, limits, collected, rng): affordable, and estimable when everything is bought."""
    rng = np.random.default_rng(draw(seeds))
    dim = draw(st.integers(1, max_dim))
    names = [f"m{k}" for k in range(draw(st.integers(1, max_modalities)))]
    spread = draw(st.sampled_from([0.0, 0.5, 1.5]))
    informations = {}
    for k, name in enumerate(names):
        rank = dim if k == 0 or full_rank else draw(st.integers(0, dim))
        informations[name] = random_psd(rng, dim, rank, 10.0) * 10 ** rng.uniform(-spread, spread)
    costs = {name: float(10 ** rng.uniform(-1, 1)) for name in names}
    budget = float(10 ** rng.uniform(0, 2))
    bounds = {}
    if limits and draw(st.booleans()):
        for name in names:
            low = (
                float(rng.uniform(0, 0.5) * budget / costs[name] / len(names)) if draw(st.booleans()) else 0.0
            )
            room = float(rng.uniform(0.05, 1) * budget / costs[name])
            bounds[name] = (low, low + room if draw(st.booleans()) else None)
    there = {name: int(rng.integers(0, 5)) for name in names} if collected and draw(st.booleans()) else {}
    return informations, costs, budget, bounds, there, rng


def one_dimensional(*informations):
    """A model with no private parameters whose modalities have these scalar informations."""
    return fk.LinearGaussian({f"m{k}": fk.Modality([[np.sqrt(s)]]) for k, s in enumerate(informations)})
