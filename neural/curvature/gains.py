"""Proposition 1 on a network, and what one modality adds to another in each direction of the trunk."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from fisherkit.checks import as_matrix
from fisherkit.loewner import Comparison, compare
from fisherkit.projection import project_out
from fisherkit.psd import PSD
from neural.curvature.fisher import (
    Inputs,
    Likelihoods,
    exact_cotangents,
    information_root,
    likelihood_of,
    trunk_fisher,
)
from neural.curvature.jacobian import Branch
from neural.curvature.partition import Partition

__all__ = ["Additivity", "Gains", "additivity", "modality_gains"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Additivity:
    """Both sides of I_XY(phi_c) = I_X(phi_c) + I_Y(phi_c) (Gupta et al. 2025, Proposition 1), any number of modalities.

    Attributes:
        joint: (d_c, d_c) left side, from all samples as one experiment.
        separate: {modality: (d_c, d_c) decided matrix}, whose sum is the right side.
        private: whether modality-specific parameters were "known" or "unknown".
        relative_gap: largest |left - right| entry, each relative to sqrt(s_i s_j) with s the diagonal of the joint
            information at known private parameters; 0 where nothing is seen.
    """

    joint: PSD | Array
    separate: dict[str, PSD]
    private: Literal["known", "unknown"]
    relative_gap: float

    @property
    def total(self) -> Array:
        """(d_c, d_c), the right side."""
        return np.sum([part.matrix for part in self.separate.values()], axis=0)


def additivity(
    net: nn.Module,
    inputs: Inputs,
    likelihood: Likelihoods,
    partition: Partition | None = None,
    *,
    private: Literal["known", "unknown"] = "unknown",
    batch_size: int = 256,
    dtype: torch.dtype = torch.float64,
) -> Additivity:
    """Whether exact information about the trunk adds over modalities, both sides computed on their own.

    The left side treats all samples as one experiment in all parameters (phi_c, phi_1, ..., phi_K): every sample is
    differentiated in every modality's parameters, so that their being private is found, not assumed. With private
    parameters unknown all of them are then eliminated at once. The right side takes each modality by itself. (Of
    finished matrices, `fisherkit.theorems.additivity.proposition_1` checks the same, and what the printed statement
    leaves out.)

    Args:
        net: as in `trunk_fisher`.
        inputs: {modality: (n_k, ...)}.
        likelihood: of all outputs, or {modality: likelihood}.
        partition: shared and private parameters; default `Partition.of`.
        private: "known" compares plain blocks I_cc, "unknown" effective information (Schur complements).
        batch_size: samples at a time.
        dtype: to compute in.

    Returns:
        Both sides and their relative gap. Costs O((d_c + sum_k d_k)^3).

    Raises:
        ValueError: `private` is neither, or as in `trunk_fisher`.
    """
    if private not in ("known", "unknown"):
        raise ValueError(f"private must be 'known' or 'unknown', got {private!r}")
    parts = Partition.of(net) if partition is None else partition
    known = private == "known"
    parts = parts.with_private_known() if known else parts
    single = trunk_fisher(net, inputs, likelihood, parts, root=not known, batch_size=batch_size, dtype=dtype)
    separate, d = single.effective(), single.shared_dim
    entries = parts.entries(net, *inputs)
    roots = []
    for name, rows in inputs.items():
        columns = exact_cotangents(likelihood_of(likelihood, name))
        roots.append(information_root(Branch(net, name, dtype), rows, columns, entries, batch_size))
    root = np.asarray(np.linalg.qr(np.concatenate(roots), mode="r"))
    plain = root[:, :d].T @ root[:, :d]
    joint = plain if known else project_out(root[:, :d], root[:, d:])
    unit = np.sqrt(np.where(plain.diagonal() > 0, plain.diagonal(), 1.0))
    both = Additivity(joint, separate, private, np.nan)
    gap = np.abs(np.asarray(joint) - both.total) / np.outer(unit, unit)
    return replace(both, relative_gap=float(gap.max(initial=0.0)))


@dataclass(frozen=True, eq=False)
class Gains:
    """What information B adds to information A, direction by direction.

    Attributes:
        directions: (d_c, r), columns v.
        shares: (r,) B's share v'Bv / v'(A + B)v, in [0, 1]: 0 where only A informs, 1 where only B does, NaN where
            neither.
        own_variances: (r,) v'A^+ v, the Cramer-Rao bound of v'phi_c under A; +infinity outside range(A).
        joint_variances: (r,) v'(A + B)^+ v, likewise.
        order: A against B in the Loewner order.
    """

    directions: Array
    shares: Array
    own_variances: Array
    joint_variances: Array
    order: Comparison

    @property
    def factors(self) -> Array:
        """(r,) information v'(A + B)v / v'Av = 1 / (1 - share), +infinity where A sees nothing."""
        own = 1 - self.shares
        return np.divide(1.0, own, out=np.full_like(own, np.inf), where=own != 0)


def modality_gains(own: ArrayLike, other: ArrayLike, directions: ArrayLike | None = None) -> Gains:
    """What a modality adds to another in chosen directions, or in those that separate the two best.

    Args:
        own: (d_c, d_c) information A about the trunk, e.g. X's, array or `PSD`.
        other: (d_c, d_c) information B in the same units, e.g. Y's.
        directions: (d_c,) or (d_c, r) columns v; default the generalised eigenvectors of (B, A + B), r the rank of
            A + B, in ascending order of B's share, unit length. Their shares do not depend on parameter units.

    Returns:
        The gains.

    Raises:
        ValueError: not symmetric positive semidefinite, or of different size.

    Example:
        >>> gains = modality_gains(np.diag([1.0, 1.0, 0.0]), np.diag([0.0, 3.0, 2.0]))
        >>> gains.shares, gains.factors
        (array([0.  , 0.75, 1.  ]), array([ 1.,  4., inf]))
        >>> gains.own_variances, gains.joint_variances
        (array([ 1.,  1., inf]), array([1.  , 0.25, 0.5 ]))
        >>> gains.order.relation
        <Relation.INCOMPARABLE: 'incomparable'>
    """
    order = compare(own, other)
    first, second = PSD.of(own, name="own"), PSD.of(other, name="other")
    if isinstance(own, PSD) or isinstance(other, PSD):
        joint = first.plus(second)
    else:
        both = np.asarray(own, dtype=np.float64) + np.asarray(other, dtype=np.float64)
        joint = PSD.of(both, name="own + other")
    if directions is None:
        half = second.root @ joint.half_inverse
        v = joint.half_inverse @ np.linalg.eigh(half.T @ half)[1]
        v = v / np.linalg.norm(v, axis=0)
    else:
        given = np.asarray(directions)
        v = as_matrix(given[:, None] if given.ndim == 1 else given, "directions", rows=order.dim)
    seen = [np.square(part.root @ v).sum(axis=0) for part in (first, second)]
    total = seen[0] + seen[1]
    # roots are known to this fraction of their scales, and quadratic forms to its square
    floor = np.square(v.T) @ np.square(joint.rounding * joint.lengths)
    seen = [np.where(part > floor, part, 0.0) for part in seen]
    shares = np.divide(seen[1], seen[0] + seen[1], out=np.full_like(total, np.nan), where=total > floor)
    return Gains(v, shares, first.variance(v), joint.variance(v), order)
