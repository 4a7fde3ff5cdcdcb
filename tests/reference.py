"""Slow oracles, written from the definitions and sharing no code with the library.

Everything loops over samples, builds dense systems, differentiates numerically or counts in exact fractions.

The second half is linear algebra over the rationals: matrices are object arrays of numbers of one exact type,
flint's where python-flint is there (fast), else `fractions.Fraction`. A float is the dyadic rational that it is.
"""

import math
from fractions import Fraction

import mpmath
import numpy as np
from scipy.linalg import inv, sqrtm
from scipy.stats import multivariate_normal

try:
    import flint
except ImportError:  # an optional dependency
    flint = None


def offsets(model):
    """First index of every private block, computed by counting."""
    start = {}
    position = next(iter(model.modalities.values())).shared.shape[-1]
    for name, modality in model.modalities.items():
        start[name] = position
        position += modality.private.shape[-1]
    return start, position


def sample_design(model, name, i):
    """Design row block of sample i placed in all parameters, (m, d)."""
    start, d = offsets(model)
    modality = model.modalities[name]
    c = modality.shared[i] if modality.shared.ndim == 3 else modality.shared
    s = modality.private[i] if modality.private.ndim == 3 else modality.private
    placed = np.zeros((c.shape[0], d))
    placed[:, : c.shape[1]] = c
    placed[:, start[name] : start[name] + s.shape[1]] = s
    return placed


def noise_covariance(modality):
    m = modality.shared.shape[-2]
    if modality.noise_cov is not None:
        return np.asarray(modality.noise_cov)
    if modality.noise_var is not None:
        return np.diag(modality.noise_var)
    return modality.noise_std**2 * np.eye(m)


def dense_system(model, data):
    """Whitened stacked design and observations, by symmetric inverse square roots, sample by sample."""
    rows, targets = [], []
    for name, x in data.items():
        half = np.real(inv(sqrtm(noise_covariance(model.modalities[name]))))
        for i in range(len(x)):
            rows.append(half @ sample_design(model, name, i))
            targets.append(half @ x[i])
    return np.concatenate(rows), np.concatenate(targets)


def dense_information(model, counts):
    d = offsets(model)[1]
    total = np.zeros((d, d))
    for name, n in counts.items():
        for i in range(n):
            a = sample_design(model, name, i)
            total += a.T @ inv(noise_covariance(model.modalities[name])) @ a
    return total


def log_likelihood(model, data, theta):
    total = 0.0
    for name, x in data.items():
        for i in range(len(x)):
            mean = sample_design(model, name, i) @ theta
            total += multivariate_normal.logpdf(x[i], mean, noise_covariance(model.modalities[name]))
    return total


def hessian(function, theta, step=1e-2):
    """Central differences; exact up to rounding for a quadratic."""
    d = len(theta)
    out = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            ei, ej = step * np.eye(d)[i], step * np.eye(d)[j]
            out[i, j] = (
                function(theta + ei + ej) - function(theta + ei - ej) - function(theta - ei + ej)
                + function(theta - ei - ej)
            ) / (4 * step**2)  # fmt: skip
    return out


def score(model, data, theta):
    """Gradient of the log-likelihood, from the definition."""
    total = np.zeros(len(theta))
    for name, x in data.items():
        for i in range(len(x)):
            a = sample_design(model, name, i)
            total += a.T @ inv(noise_covariance(model.modalities[name])) @ (x[i] - a @ theta)
    return total


def effective_by_minimisation(information, keep, v):
    """v'I_eff v as the least curvature over all nuisance moves: min over u of (v, u)' I (v, u)."""
    d = len(information)
    drop = [i for i in range(d) if i not in set(keep)]
    i_nn, i_nk = information[np.ix_(drop, drop)], information[np.ix_(drop, keep)]
    u = -np.linalg.lstsq(i_nn, i_nk @ v, rcond=1e-10)[0] if drop else np.zeros(0)
    move = np.zeros(d)
    move[keep], move[drop] = v, u
    return move @ information @ move


def exact_rank_and_variance(matrix, v):
    """Rank of an integer matrix, and v' M^- v or None where v is not in range(M), by Gauss-Jordan in fractions."""
    n = len(matrix)
    rows = [[Fraction(int(x)) for x in row] + [Fraction(int(b))] for row, b in zip(matrix, v, strict=True)]
    pivots, r = [], 0
    for c in range(n):
        p = next((i for i in range(r, n) if rows[i][c]), None)
        if p is None:
            continue
        rows[r], rows[p] = rows[p], rows[r]
        rows[r] = [x / rows[r][c] for x in rows[r]]
        for i in range(n):
            if i != r and rows[i][c]:
                rows[i] = [x - rows[i][c] * y for x, y in zip(rows[i], rows[r], strict=True)]
        pivots.append(c)
        r += 1
    if any(rows[i][n] for i in range(r, n)):
        return r, None
    solution = [Fraction(0)] * n
    for i, c in enumerate(pivots):
        solution[c] = rows[i][n]
    return r, sum(Fraction(int(b)) * x for b, x in zip(v, solution, strict=True))


def number(value, kind=None):
    """An exact number from an int, a float, a Fraction or one of flint's.

    `kind` is "flint" or "fractions"; default flint's where there is one.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "fractions" or flint is None:
        return as_fraction(value)
    if isinstance(value, flint.fmpq):
        return value
    return flint.fmpq(*value.as_integer_ratio())


def as_fraction(value):
    """A standard library fraction, from any exact number."""
    if isinstance(value, int | float | Fraction):
        return Fraction(value)
    return Fraction(int(value.p), int(value.q))


def exact(array, kind=None):
    """Object array of exact numbers with the entries of an array."""
    given = np.asarray(array)
    out = np.empty(given.shape, dtype=object)
    out.ravel()[:] = [number(x, kind) for x in given.ravel().tolist()]
    return out


def identity(d, kind=None):
    return exact(np.eye(d), kind)


def row_reduced(matrix):
    """Reduced row echelon form and its pivot columns: flint's where the entries are, else Gauss-Jordan."""
    rows, columns = matrix.shape
    kinds = {type(x) for x in matrix.flat}
    if int in kinds:  # what NumPy makes of empty sums
        matrix = exact(matrix, "fractions" if Fraction in kinds else None)
    if flint is not None and flint.fmpq in {type(x) for x in matrix.flat}:
        reduced, rank = flint.fmpq_mat(rows, columns, list(matrix.ravel())).rref()
        out = np.empty(matrix.shape, dtype=object)
        out.ravel()[:] = reduced.entries()
        return out, [next(j for j in range(columns) if out[i, j]) for i in range(rank)]
    out, pivots = matrix.copy(), []
    for j in range(columns):
        i = len(pivots)
        p = next((k for k in range(i, rows) if out[k, j]), None)
        if p is None:
            continue
        out[[i, p]] = out[[p, i]]
        out[i] = out[i] / out[i, j]
        for k in range(rows):
            if k != i and out[k, j]:
                out[k] = out[k] - out[k, j] * out[i]
        pivots.append(j)
    return out, pivots


def exact_rank(matrix):
    return len(row_reduced(matrix)[1])


def solve_any(matrix, rhs):
    """Some X with matrix X = rhs, free unknowns zero; None for each column that has no solution."""
    n = matrix.shape[1]
    reduced, pivots = row_reduced(np.concatenate([matrix, rhs], axis=1))
    if any(p >= n for p in pivots):  # then columns are judged one by one
        if rhs.shape[1] == 1:
            return [None]
        return [solve_any(matrix, rhs[:, j : j + 1])[0] for j in range(rhs.shape[1])]
    out = exact(np.zeros((n, rhs.shape[1])))
    if matrix.size and isinstance(matrix.flat[0], Fraction):
        out = exact(np.zeros((n, rhs.shape[1])), "fractions")
    for i, p in enumerate(pivots):
        out[p] = reduced[i, n:]
    return [out[:, j] for j in range(rhs.shape[1])]


def solve_all(matrix, rhs):
    """Some X with matrix X = rhs, which has a solution; (n, columns)."""
    if not rhs.shape[1]:
        return np.empty((matrix.shape[1], 0), dtype=object)
    return np.stack(solve_any(matrix, rhs), axis=1)


def null_space(matrix):
    """Columns that span the null space, one per free unknown."""
    n = matrix.shape[1]
    reduced, pivots = row_reduced(matrix)
    free = [j for j in range(n) if j not in pivots]
    like = "fractions" if matrix.size and isinstance(matrix.flat[0], Fraction) else None
    out = exact(np.zeros((n, len(free))), like)
    for k, j in enumerate(free):
        out[j, k] = number(1, like)
        for i, p in enumerate(pivots):
            out[p, k] = -reduced[i, j]
    return out


def column_space(matrix):
    """The pivot columns."""
    return matrix[:, row_reduced(matrix)[1]]


def elimination(matrix):
    """Signs of the eigenvalues (positive, negative, zero) and the determinant of a symmetric matrix.

    Symmetric elimination (Sylvester's law of inertia); a diagonal of zeros is left by a 2 x 2 step, which has
    one positive and one negative eigenvalue.
    """
    m, signs, det = matrix.copy(), [0, 0], 1
    while len(m):
        k = next((i for i in range(len(m)) if m[i, i]), None)
        if k is not None:
            pivot, rest = m[k, k], [i for i in range(len(m)) if i != k]
            signs[0 if pivot > 0 else 1] += 1
            det = det * pivot
            m = m[np.ix_(rest, rest)] - np.multiply.outer(m[rest, k], m[k, rest]) / pivot
            continue
        pair = next(((i, j) for i in range(len(m)) for j in range(i) if m[i, j]), None)
        if pair is None:
            return (*signs, len(m)), 0 * det
        (i, j), b = pair, m[pair]
        rest = [k for k in range(len(m)) if k not in pair]
        cross = np.multiply.outer(m[rest, i], m[j, rest]) + np.multiply.outer(m[rest, j], m[i, rest])
        signs, det = [signs[0] + 1, signs[1] + 1], -det * b * b
        m = m[np.ix_(rest, rest)] - cross / b
    return (*signs, 0), det


def quadratic_inverse(matrix, vectors):
    """v' M^- v of each column, None where it is not in the range of M."""
    solutions = solve_any(matrix, vectors)
    return [None if x is None else v @ x for v, x in zip(vectors.T, solutions, strict=True)]


def pseudoinverse(matrix):
    """Moore-Penrose inverse of a symmetric matrix: M (M^3)^- M."""
    cube = matrix @ matrix @ matrix
    return matrix @ solve_all(cube, matrix)


def schur(matrix, keep, drop):
    """Information about the kept coordinates when the dropped ones are unknown."""
    cross = matrix[np.ix_(drop, keep)]
    if not drop:
        return matrix[np.ix_(keep, keep)]
    return matrix[np.ix_(keep, keep)] - cross.T @ solve_all(matrix[np.ix_(drop, drop)], cross)


def minus_log(value):
    """-log of a positive rational, from its integers."""
    ratio = as_fraction(value)
    return math.log(ratio.denominator) - math.log(ratio.numerator)


def eigenvalues(matrix, digits=50):
    """Ascending, with multiplicities, to so many digits (mpmath)."""
    with mpmath.workdps(digits):
        entries = [[as_mpf(x) for x in row] for row in matrix]
        return sorted(mpmath.eigsy(mpmath.matrix(entries), eigvals_only=True)) if len(matrix) else []


def as_mpf(value):
    if isinstance(value, int | float | Fraction):
        ratio = Fraction(value)
        return mpmath.mpf(ratio.numerator) / ratio.denominator
    return mpmath.mpf(int(value.p)) / int(value.q)
