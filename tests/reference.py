"""Slow oracles, written from the definitions and sharing no code with the library.

Everything loops over samples, builds dense systems, differentiates numerically or counts in exact fractions.
"""

from fractions import Fraction

import numpy as np
from scipy.linalg import inv, sqrtm
from scipy.stats import multivariate_normal


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
