"""Hypothesis strategies for matrices: a seed, sizes, ranks and a conditioning are drawn, never raw floats.

Every strategy builds its arrays from a numpy Generator with a drawn seed, so that examples shrink to small sizes and
reproduce. Models of whole modalities are in `tests.model_strategies`.
"""

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)


def orthogonal(rng, d):
    """Haar-random orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.where(r.diagonal() < 0, -1.0, 1.0)


def random_psd(rng, d, rank, condition=10.0, basis=None):
    """(d, d) of given rank and condition; `basis` (d, k >= rank) restricts the range to its first columns."""
    frame = orthogonal(rng, d) if basis is None else basis @ orthogonal(rng, basis.shape[1])
    root = frame[:, :rank] * np.sqrt(np.geomspace(1.0, 1.0 / condition, rank)) if rank else np.zeros((d, 0))
    return root @ root.T


@st.composite
def psd_pairs(draw, max_dim=8, max_condition=1e6, max_unit=1e3, full_rank=False):
    """(M_X, M_Y): ranks 0 to d, conditions to `max_condition`, units of coordinates spread over `max_unit`.

    Half of the pairs have ranges inside subspaces spanned by subsets of one frame, so that the ranges meet, include
    one another or are disjoint; generic ranges hardly ever do.
    """
    rng = np.random.default_rng(draw(seeds))
    d = draw(st.integers(1, max_dim))
    condition = 10.0 ** draw(st.floats(0, np.log10(max_condition)))
    units = 10.0 ** rng.uniform(0, draw(st.floats(0, np.log10(max_unit))), d)
    aligned = draw(st.booleans()) and not full_rank
    frame = orthogonal(rng, d)
    pair = []
    for _ in range(2):
        if aligned:
            chosen = frame[:, rng.permutation(d)[: draw(st.integers(0, d))]]
            m = random_psd(rng, d, chosen.shape[1], condition, chosen)
        else:
            m = random_psd(rng, d, d if full_rank else draw(st.integers(0, d)), condition)
        m = m * 10.0 ** rng.uniform(-2, 2) / np.outer(units, units)
        pair.append((m + m.T) / 2)
    return pair[0], pair[1]


@st.composite
def directions(draw, m_x, m_y):
    """A direction: generic, in range(M_X), in range(M_X + M_Y), an eigenvector of M_X, or in the kernel of M_X."""
    rng = np.random.default_rng(draw(seeds))
    d = len(m_x)
    kind = draw(st.sampled_from(["generic", "range x", "range joint", "eigenvector", "kernel"]))
    v = rng.standard_normal(d)
    if kind == "range x":
        v = m_x @ v
    elif kind == "range joint":
        v = (m_x + m_y) @ v
    elif kind in ("eigenvector", "kernel"):
        vectors = np.linalg.eigh(m_x)[1]
        v = vectors[:, 0 if kind == "kernel" else int(rng.integers(d))]
    return v if np.abs(v).max() > 0 else rng.standard_normal(d)


def integer_root(rng, d, rank, size=2):
    """(d, rank) of small integers; the rank is at most `rank`."""
    return rng.integers(-size, size + 1, (d, rank))


def integer_instance(rng, max_dim=4):
    """(M_X, M_Y, v) of integers: exactly singular as a rule; v in range(M_X), in range(M_XY) or anywhere."""
    d = int(rng.integers(1, max_dim + 1))
    roots = [integer_root(rng, d, int(rng.integers(0, d + 1))) for _ in range(2)]
    if rng.random() < 0.3 and roots[0].shape[1]:  # let the ranges meet
        roots[1] = np.concatenate([roots[1], roots[0][:, :1]], axis=1)
    m_x, m_y = (r @ r.T for r in roots)
    v = rng.integers(-2, 3, d)
    kind = rng.integers(3)
    if kind == 1:
        v = m_x @ v
    elif kind == 2:
        v = (m_x + m_y) @ v
    if not v.any():
        v = np.eye(d, dtype=np.int64)[int(rng.integers(d))]
    return m_x, m_y, v
