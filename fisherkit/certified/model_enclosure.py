"""Floating-point enclosures of what the exact image of a model holds: the fast way to a proof, where it is one."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fisherkit.certified.bounds import TINY, UNIT, inflate
from fisherkit.certified.enclosure import Enclosed
from fisherkit.certified.schur import enclosed_schur_complement
from fisherkit.layout import SHARED
from fisherkit.model import LinearGaussian, Modality

__all__ = ["NoEnclosure", "enclosed_effective", "enclosed_information"]

Array = NDArray[np.float64]
Sizes = Mapping[str, tuple[int, Fraction]]

_MOST_PRODUCTS = 1 << 12  # a full covariance and per-sample designs need two products a sample


class NoEnclosure(ArithmeticError):
    """Floating point has no enclosure of what was asked; the message says why."""


def enclosed_information(modality: Modality, count: int, name: str) -> Enclosed:
    """Information of a modality's first samples about (theta_c, theta_k).

    Args:
        modality: designs and noise.
        count: number of samples, at least 1.
        name: for the message.

    Returns:
        (p, p) enclosure of the exact image's.

    Raises:
        NoEnclosure: overflow, or a covariance whose inverse floating point cannot enclose.
    """
    if count > 2**53:
        raise NoEnclosure(f"{name}: {count} samples are no double")
    design = modality.design(None if modality.repeated else count).astype(np.float64)
    rows = design.reshape(-1, design.shape[-1])
    try:
        if modality.noise_cov is None:
            deviation = np.full(modality.obs_dim, modality.noise_std, dtype=np.float64)
            if modality.noise_var is not None:
                deviation = np.sqrt(modality.noise_var.astype(np.float64))
            with np.errstate(over="ignore", under="ignore"):
                white = rows / np.tile(deviation, len(rows) // modality.obs_dim)[:, None]
            # a rounded root, then a rounded quotient
            total = Enclosed.gram(
                Enclosed(white, inflate(2.5 * UNIT * np.abs(white) + TINY, 2) * (white != 0))
            )
            total = _with_underflow(total, rows, white)
        else:
            total = _with_covariance(modality, design.reshape(-1, modality.obs_dim, design.shape[-1]), name)
        return float(count) * total if modality.repeated and count > 1 else total
    except ValueError as error:
        raise NoEnclosure(f"{name}: {error}") from None


def enclosed_effective(model: LinearGaussian, sizes: Sizes, about: str | None) -> Enclosed | None:
    """Effective information of samples, None if there are none.

    Args:
        model: the world.
        sizes: {modality: (first n samples, factor)}, factors positive.
        about: "shared", a modality for its private block, None for all parameters.

    Returns:
        Enclosure of the exact image's, in parameter units.

    Raises:
        NoEnclosure: floating point cannot tell, such as where a private design has not full column rank.
    """
    taken = {name: (n, factor) for name, (n, factor) in sizes.items() if n and factor}
    if not taken:
        return None
    parts = {
        name: _times(enclosed_information(model[name], n, name), factor)
        for name, (n, factor) in taken.items()
    }
    try:
        if about == SHARED:
            keep = slice(0, model.shared_dim)
            each = [_complement(part, keep, name) for name, part in parts.items()]
            return sum(each[1:], each[0])
        d = model.n_params
        total = Enclosed(np.zeros((d, d)))
        for name, part in parts.items():
            place = np.ix_(model.layout.columns(name), model.layout.columns(name))
            middle, radius = np.zeros((d, d)), np.zeros((d, d))
            middle[place], radius[place] = part.midpoint, part.radius
            total += Enclosed(middle, radius)
        if about is None:
            return total
        block = np.arange(d)[model.slices[about]]
        others = [model.slices[n] for n in taken if n != about]
        seen = np.concatenate([block, np.arange(model.shared_dim), *(np.arange(d)[s] for s in others)])
        part = Enclosed(total.midpoint[np.ix_(seen, seen)], total.radius[np.ix_(seen, seen)])
        return _complement(part, slice(0, len(block)), about)
    except ValueError as error:
        raise NoEnclosure(str(error)) from None


def _complement(whole: Enclosed, keep: slice, name: str) -> Enclosed:
    if keep.stop == 0:
        return Enclosed(np.zeros((0, 0)))
    return enclosed_schur_complement(whole, keep, name=name)


def _times(value: Enclosed, factor: Fraction) -> Enclosed:
    """A multiple by a positive rational number that need not be a double."""
    rounded = float(factor)
    if rounded == factor:
        return value if rounded == 1 else rounded * value
    result = rounded * value
    return Enclosed(
        result.midpoint, inflate(result.radius + 2 * UNIT * (np.abs(result.midpoint) + result.radius), 4)
    )


def _with_underflow(total: Enclosed, rows: Array, white: Array) -> Enclosed:
    """Refuse where a quotient underflowed to zero: its radius would be lost with it."""
    if ((white == 0) & (rows != 0)).any():
        raise ValueError("a design underflows in units of the noise; measure in other units")
    return total


def _with_covariance(modality: Modality, designs: Array, name: str) -> Enclosed:
    """Sum of A' Sigma^-1 A; the inverse is a Schur complement of [[0, I], [I, Sigma]]."""
    m = modality.obs_dim
    if len(designs) > _MOST_PRODUCTS:
        raise NoEnclosure(f"{name}: {len(designs)} designs with a full covariance")
    cov = np.asarray(modality.noise_cov, dtype=np.float64)
    bordered = np.block([[np.zeros((m, m)), np.eye(m)], [np.eye(m), cov]])
    precision = -enclosed_schur_complement(bordered, slice(0, m), name="noise_cov")
    total = None
    for a in designs:
        term = (a.T @ precision @ a).symmetric()
        total = term if total is None else total + term
    assert total is not None
    return total
