"""Comparators that explain a failure, one per notion of equality; independent of the library's own verdicts."""

import numpy as np


def assert_allclose_report(actual, expected, *, rtol=1e-9, atol=0.0, what="value"):
    """Entrywise |actual - expected| <= atol + rtol |expected|; infinities must match; lists the worst entries."""
    actual, expected = np.broadcast_arrays(np.asarray(actual, float), np.asarray(expected, float))
    with np.errstate(invalid="ignore"):
        gap = np.where(actual == expected, 0.0, np.abs(actual - expected))  # equal infinities have no gap
    allowed = atol + rtol * np.where(np.isfinite(expected), np.abs(expected), 0.0)
    bad = ~(gap <= allowed)  # NaN is bad
    if not bad.any():
        return
    order = np.argsort(-np.where(np.isnan(gap), np.inf, gap), axis=None)[: min(8, int(bad.sum()))]
    lines = [
        f"  {np.unravel_index(i, gap.shape)}: got {actual.flat[i]!r}, expected {expected.flat[i]!r}, "
        f"off by {gap.flat[i]:.3g}, allowed {allowed.flat[i]:.3g}"
        for i in order
    ]
    raise AssertionError(
        f"{what}: {int(bad.sum())} of {gap.size} entries differ (rtol={rtol:g}, atol={atol:g}), worst first:\n"
        + "\n".join(lines)
    )


def assert_loewner_geq(larger, smaller, *, slack=1e-9, what="matrices"):
    """larger - smaller is positive semidefinite up to `slack` in units of the larger diagonal; shows the direction."""
    larger, smaller = np.asarray(larger, float), np.asarray(smaller, float)
    size = np.sqrt(np.maximum(np.abs(larger.diagonal()), np.abs(smaller.diagonal())))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh((larger - smaller) / np.outer(size, size))
    if values.size and values[0] < -slack:
        v = vectors[:, 0] / size
        raise AssertionError(
            f"{what}: not ordered: v'(larger)v = {v @ larger @ v:.6g} < {v @ smaller @ v:.6g} = v'(smaller)v at "
            f"v = {v}, relative gap {values[0]:.3g} below -{slack:g}"
        )
