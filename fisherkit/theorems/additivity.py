"""Proposition 1: information about shared parameters adds, with private ones known or unknown."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_instance, as_symmetric, as_whole
from fisherkit.information import schur_complement
from fisherkit.psd import PSD
from fisherkit.theorems.designs import total_information
from fisherkit.theorems.results import RESOLVED, Reading, Verdict, check_reading, clear
from fisherkit.tolerances import tolerance

__all__ = ["proposition_1", "proposition_1_scores"]

Array = NDArray[np.float64]

#: z-score beyond which a mean is not zero; two-sided false alarm 2e-9 for each entry that is tested.
_Z = 6.0


def proposition_1(
    informations: Mapping[str, ArrayLike], shared_dim: int, *, reading: Reading = "as_holds"
) -> Verdict:
    """Information about the shared block adds over modalities (Gupta et al. 2025, Proposition 1), any number of them.

    As stated, I(phi_c) is a plain block: the score in phi_c with phi_x, phi_y *fixed*. Read as the information about
    phi_c in a model that also learns phi_x and phi_y (a network trunk with its heads), sum_k I_k,cc overstates it,
    unless phi_c is Fisher-orthogonal to them. As it holds: private blocks are disjoint, so *effective* informations
    add, I_eff = sum_k (I_k,cc - I_k,cs I_k,ss^+ I_k,sc), the Schur complement of the total. The left side is
    that Schur complement in both readings.

    Args:
        informations: {modality: (d_c + d_k, d_c + d_k)} about (phi_c, phi_k), shared block first, array or `PSD`.
        shared_dim: d_c.
        reading: "as_stated" sums plain blocks, "as_holds" effective ones.

    Returns:
        Verdict with left the effective information of the total and right the sum; minus the margin is the largest
        difference of entries relative to the plain diagonal; the witness is the direction of the largest difference.

    Raises:
        ValueError: no modality, or a matrix smaller than the shared block.

    Example:
        >>> confounded = {"x": [[1.0, 1.0], [1.0, 1.0]], "y": [[1.0]]}
        >>> proposition_1(confounded, 1, reading="as_stated").refuted
        True
        >>> proposition_1(confounded, 1).right
        array([[1.]])
    """
    check_reading(reading)
    as_instance(informations, Mapping, "informations")
    shared_dim = as_whole(shared_dim, "shared_dim", least=0)
    if not informations:
        raise ValueError("informations: give at least one modality")
    parts: dict[str, PSD | Array] = {}
    for name, value in informations.items():
        part = value if isinstance(value, PSD) else as_symmetric(value, f"{name}: information")
        parts[name] = part
        if len(part) < shared_dim:
            raise ValueError(
                f"{name}: information has {len(part)} rows, fewer than the {shared_dim} shared parameters"
            )
    block = slice(0, shared_dim)
    plain = sum((part[block, block] for part in parts.values()), np.zeros((shared_dim, shared_dim)))
    unit = np.sqrt(np.where(plain.diagonal() > 0, plain.diagonal(), 1.0))
    joint = schur_complement(total_information(list(parts.values()), shared_dim), block)
    own = [schur_complement(part, block, name=f"{name}: information") for name, part in parts.items()]
    left = joint.matrix
    if reading == "as_stated":
        right = plain
    else:
        right = sum((part.matrix for part in own), np.zeros((shared_dim, shared_dim)))
    if all(isinstance(part, PSD) for part in parts.values()):
        # columns of a root are known to the rounding of their scale, and entries to that times a column of length one
        found = (joint, *own)
        noise = max(2 * m.rounding * float((m.lengths / unit).max(initial=1.0)) for m in found)
        sure = all(m.sure for m in found)
        along = max((_projected(part, shared_dim, unit) for part in parts.values()), default=0.0)
    else:
        worst = max(PSD.of(part, name=name).condition ** 2 for name, part in parts.items())
        # matrices resolve nuisance directions up to the square root of the tolerance only (see schur_complement)
        noise = np.sqrt(tolerance(sum(map(len, parts.values())))) * min(np.sqrt(worst), 1e6)
        sure, along = True, 0.0
    values, vectors = np.linalg.eigh((right - left) / np.outer(unit, unit))
    gap = float(np.abs(values).max(initial=0.0))
    witness = None
    if gap > noise:
        witness = vectors[:, int(np.abs(values).argmax())] / unit
        witness /= np.linalg.norm(witness)
    if reading == "as_stated" and gap <= noise:  # equal to second order is not equal
        sure = sure and along <= noise
    hypotheses = {
        RESOLVED: sure and clear(noise, gap)
    }  # disjoint private blocks: true by how the total is put together
    kind = "sum of plain blocks" if reading == "as_stated" else "sum of effective informations"
    return Verdict(
        "Gupta et al. 2025, Proposition 1", f"information about phi_c = {kind}", reading, hypotheses, gap <= noise,
        left, right, -gap, float(noise), witness,
    )  # fmt: skip


def proposition_1_scores(
    scores_x: ArrayLike, scores_y: ArrayLike, *, reading: Reading = "as_holds"
) -> Verdict:
    """E[(g_X + g_Y)(g_X + g_Y)'] = E[g_X g_X'] + E[g_Y g_Y'] on draws of the scores (Gupta et al. 2025, Proposition 1).

    The cross term E[g_X g_Y'] = E[g_X] E[g_Y]' needs independence and *one* zero mean; the paper asks for both.
    All three hypotheses and the conclusion are tested statistically, each entry by its z-score at threshold 6
    (two-sided false alarm 2e-9 per entry for many draws). Draw r of X and draw r of Y must be independent experiments:
    there is no pairing.

    Args:
        scores_x: (n, d_c) draws of X's score in the shared parameters, n >= 30.
        scores_y: (n, d_c) draws of Y's.
        reading: "as_stated" asks for two zero means, "as_holds" for one.

    Returns:
        Verdict with left the Monte-Carlo information of the joint score and right the sum; the margin is
        6 minus the largest z-score of the difference.

    Raises:
        ValueError: different shapes, or fewer than 30 draws.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> g_x, g_y = rng.standard_normal((2, 4000, 2))
        >>> proposition_1_scores(g_x, g_y).holds, proposition_1_scores(g_x, g_x).holds
        (True, False)
    """
    check_reading(reading)
    x, y = (
        as_array(g, n, ndim=2).astype(np.float64, copy=False)
        for g, n in ((scores_x, "scores_x"), (scores_y, "scores_y"))
    )
    if x.shape != y.shape:
        raise ValueError(f"scores_y: expected shape {x.shape} as scores_x, got {y.shape}")
    n = len(x)
    if n < 30:
        raise ValueError(f"scores_x: {n} draws are too few for z-scores; give at least 30")
    zero = [_largest_z(g) <= _Z for g in (x, y)]
    centred = [g - g.mean(axis=0) for g in (x, y)]
    products = np.einsum("ri,rj->rij", *centred).reshape(n, -1)
    hypotheses = {"scores uncorrelated across modalities": _largest_z(products) <= _Z}
    if reading == "as_stated":
        hypotheses |= {"E[g_X] = 0": zero[0], "E[g_Y] = 0": zero[1]}
    else:
        hypotheses |= {"E[g_X] = 0 or E[g_Y] = 0": any(zero)}
    joint = x + y
    left, right = joint.T @ joint / n, (x.T @ x + y.T @ y) / n
    cross = np.einsum("ri,rj->rij", x, y)
    z = _largest_z((cross + cross.transpose(0, 2, 1)).reshape(n, -1))
    return Verdict(
        "Gupta et al. 2025, Proposition 1 (scores)", "E[g g'] = E[g_X g_X'] + E[g_Y g_Y']", reading, hypotheses,
        z <= _Z, left, right, _Z - z, 0.0, None, f"largest z-score of the difference {z:.2f}",
    )  # fmt: skip


def _projected(part: PSD | Array, shared_dim: int, unit: Array) -> float:
    """Largest part of a shared column, in the units, that lies in the range of the private columns."""
    root = PSD.of(part).root
    size = np.linalg.norm(root[:, shared_dim:], axis=0)
    basis = PSD.from_root((root[:, shared_dim:] / np.where(size > 0, size, 1.0)).T).range_basis
    return float((np.linalg.norm(basis.T @ root[:, :shared_dim], axis=0) / unit).max(initial=0.0))


def _largest_z(samples: Array) -> float:
    """Largest |mean| in standard errors over columns; 0 for a column that is identically zero."""
    mean, spread = samples.mean(axis=0), samples.std(axis=0, ddof=1)
    z = np.divide(
        np.abs(mean) * np.sqrt(len(samples)), spread, out=np.where(mean != 0, np.inf, 0.0), where=spread > 0
    )
    return float(z.max(initial=0.0))
