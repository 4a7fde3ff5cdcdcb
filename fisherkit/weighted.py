"""Weighted least squares on the statistics of several modalities, refined until rounding is small beside the noise.

The algebra behind `fisherkit.fit`. Everything is solved in coordinates phi, theta = W phi, in which the total information
at the declared noise is the identity, so that the length of a correction *is* its size in standard errors and the
units of theta do not matter. Two modalities share eigenvectors there (their parts of the identity commute): phi is
turned to them, so that every weighted information is diagonal.
"""

import functools
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.layout import Layout
from fisherkit.psd import PSD, stacked
from fisherkit.statistics import RootStatistics
from fisherkit.tolerances import tolerance

__all__ = ["ConditioningWarning", "WeightedProblem"]

Array = NDArray[np.float64]
Solver = Callable[[Sequence[Array]], Array]

#: Corrections to an estimate; one is enough up to condition 1e10 or so.
_MAX_CORRECTIONS = 6
#: A correction of at most this many standard errors is the last one: what it leaves is smaller still.
_SETTLED = 1e-4
#: Up to this condition a correction would change the 14th digit, and is left out if that is little noise as well:
_WELL_CONDITIONED = 16.0
#: rounding expected to move the estimate by less than this many standard errors.
_NEGLIGIBLE = 1e-9
#: A last correction above this many standard errors is reported.
_LOST = 1e-2
#: Relative rounding of a residual sum of squares above which an estimated noise is reported.
_RSS_LOST = 1e-3
#: Numbers in a stack of weighted informations (32 MB): more replicates than fit are taken in turns.
_BLOCK = 1 << 22
#: Ratio of estimated noise variances, in units of the declared ones, from which the units are changed.
_FAR_OFF = 1e4


class ConditioningWarning(UserWarning):
    """A result has fewer digits than its standard error says; the message names the cause and the remedy."""


@dataclass(frozen=True, eq=False)
class WeightedProblem:
    """Stacked least squares in coordinates phi, theta = basis phi, that orthonormalise the total information.

    Weights multiply squared errors in units of the declared noise; scales are noise variances in these units. Both are
    (K,), one number for each modality, or (..., K) where they differ between replicates.

    Attributes:
        precision: total information at the declared noise.
        basis: (d, r), W with W W' a generalised inverse of the information.
        roots: statistics of the modalities used.
        placed: R_k with columns placed in theta, each (r_k, d).
        local: R_k W, each (r_k, r); the sum of local' local is the identity, and each is diagonal where K <= 2.
    """

    precision: PSD
    basis: Array
    roots: Mapping[str, RootStatistics]
    placed: list[Array]
    local: list[Array]

    @classmethod
    def of(cls, layout: Layout, roots: Mapping[str, RootStatistics]) -> "WeightedProblem":
        """Set up the problem.

        Args:
            layout: the parameters.
            roots: {modality: its statistics}, at least one.

        Returns:
            The problem.
        """
        placed = []
        for name, root in roots.items():
            placed.append(np.zeros((len(root.matrix), layout.n_params)))
            placed[-1][:, layout.columns(name)] = root.matrix
        precision, local = stacked(placed, rounding=[root.rounding for root in roots.values()])
        return cls._around(precision, local, roots, placed)

    @classmethod
    def _around(
        cls, precision: PSD, local: list[Array], roots: Mapping[str, RootStatistics], placed: list[Array]
    ) -> "WeightedProblem":
        """In the coordinates of this total information."""
        basis = precision.half_inverse
        if len(local) == 2 and precision.rank:
            turn = np.linalg.svd(local[0])[2].T
            basis, local = basis @ turn, [a @ turn for a in local]
        return cls(precision, basis, roots, placed, local)

    def in_units_of(self, scale: Array) -> tuple["WeightedProblem", Array]:
        """The same problem in units near an estimated noise, if the declared one is far off.

        Weighted Gram matrices are then well conditioned, whatever was declared (a std of 1 for everything, say).

        Args:
            scale: (..., K), noise variances in units of the declared ones.

        Returns:
            Problem, and the (K,) variances that its units stand for, in units of this one's.
        """
        ones = np.ones(len(self.local))
        typical = np.exp(np.log(scale).reshape(-1, len(ones)).mean(axis=0))
        if typical.max() <= _FAR_OFF * typical.min():
            return self, ones
        placed, roots = [], {}
        for (name, root), rows, t in zip(self.roots.items(), self.placed, typical, strict=True):
            unit = np.sqrt(t)
            placed.append(rows / unit)
            roots[name] = replace(
                root,
                matrix=root.matrix / unit,
                target=root.target / unit,
                rss=root.rss / t,
                rss_error=root.rss_error / t,
            )
        precision, local = stacked(placed, rounding=[root.rounding for root in roots.values()])
        if precision.rank < self.precision.rank:  # what the declared noise could resolve would be lost
            return self, ones
        return self._around(precision, local, roots, placed), typical

    def solve(self, weights: Array, scale: Array) -> tuple[Array, Array]:
        """Weighted least squares; warns if rounding is not small beside the noise.

        Args:
            weights: (K,) or (..., K).
            scale: (K,) or (..., K), the noise that the corrections are measured by.

        Returns:
            (..., d) estimate W phi, not yet the minimum-norm one, and (..., r) phi.
        """
        solver = self._solver(weights)
        phi = solver([root.target for root in self.roots.values()])
        theta, size = phi @ self.basis.T, self._size(phi, scale)
        rounding = np.finfo(np.float64).eps * self.precision.condition * size
        graded = (
            self.precision.range_root is not None
        )  # noises far apart: rounding of the strong one is large for the weak
        if self.precision.condition <= _WELL_CONDITIONED and rounding <= _NEGLIGIBLE and not graded:
            return theta, phi
        for _ in range(_MAX_CORRECTIONS):
            # each correction multiplies the error by about eps times the condition number
            step, before = solver(self.residuals(theta)), size
            size = self._size(step, scale)
            if size <= before:
                theta, phi = theta + step @ self.basis.T, phi + step
            if size <= _SETTLED or not size < before / 2:
                break
        if not size <= _LOST:
            warnings.warn(
                f"rounding moves the estimate by {size:.2g} standard errors (condition {self.precision.condition:.2g} "
                "of the design in units of the noise): the declared noise is too small beside the data for float64; "
                "declare a noise no smaller than the data's own rounding, fit deviations from a reference solution, or "
                "drop parameters that are nearly dependent",
                ConditioningWarning,
                stacklevel=3,
            )
        return theta, phi

    def residuals(self, theta: Array) -> list[Array]:
        """Targets minus fit, each (..., r_k), in declared-noise units.

        Args:
            theta: (..., d).

        Returns:
            One array for each modality.
        """
        return [root.target - theta @ r.T for root, r in zip(self.roots.values(), self.placed, strict=True)]

    def _size(self, phi: Array, scale: Array) -> float:
        """Length in standard errors at this noise, the largest over replicates."""
        if (scale == 1).all():
            squared = np.einsum("...i,...i->...", phi, phi)
        else:
            squared = (
                np.stack([np.square(phi @ a.T).sum(axis=-1) for a in self.local], axis=-1) / scale
            ).sum(axis=-1)
        return float(np.sqrt(squared.max(initial=0.0)))

    def _solver(self, weights: Array) -> Solver:
        """From targets (..., r_k) to the phi of least weighted squares, (..., r)."""
        if weights.ndim == 1:
            maps = self.maps(weights)
            return lambda targets: _total(t @ a for t, a in zip(targets, maps, strict=True))

        def solve(targets: Sequence[Array]) -> Array:
            parts = (
                weights[..., k, None] * (t @ a)
                for k, (t, a) in enumerate(zip(targets, self.local, strict=True))
            )
            return self.gram_solve(weights, _total(parts)[..., None])[..., 0]

        return solve

    def maps(self, weights: Array) -> list[Array]:
        """M_k with phi = sum_k t_k M_k for one set of weights.

        Args:
            weights: (K,).

        Returns:
            (r_k, r) for each modality.
        """
        if (weights == 1).all():
            return self.local
        # by an orthogonal factorisation: noise levels may differ by more than a Gram matrix resolves
        roots = np.sqrt(weights)
        stack = np.concatenate([w * a for w, a in zip(roots, self.local, strict=True)])
        q, r = np.linalg.qr(stack)
        inverse = np.linalg.solve(r, q.T).T
        cuts = np.cumsum([len(a) for a in self.local])[:-1]
        return [w * m for w, m in zip(roots, np.split(inverse, cuts), strict=True)]

    @cached_property
    def shares(self) -> Array | None:
        """(K, r), what each modality gives to each coordinate of phi; None where K > 2 parts are not diagonal."""
        if len(self.local) > 2:
            return None
        return np.stack([np.square(a).sum(axis=0) for a in self.local])

    def gram(self, weights: Array) -> Array:
        """Weighted information in phi coordinates.

        Args:
            weights: (..., K).

        Returns:
            (..., r, r).
        """
        r = self.basis.shape[1]
        return (weights @ self._squares).reshape(*weights.shape[:-1], r, r)

    def gram_solve(self, weights: Array, rhs: Array) -> Array:
        """Solutions x of gram(weights) x = rhs.

        Args:
            weights: (..., K).
            rhs: (..., r, n), leading axes as those of the weights or none.

        Returns:
            (..., r, n).
        """
        lead = weights.shape[:-1]
        if self.shares is not None:
            return rhs / (weights @ self.shares)[..., None]
        flat = weights.reshape(-1, weights.shape[-1])
        given = rhs if rhs.ndim == 2 else rhs.reshape(-1, *rhs.shape[-2:])
        out = np.empty((len(flat), *rhs.shape[-2:]))
        step = max(1, _BLOCK // max(1, self.basis.shape[1] * max(self.basis.shape[1], rhs.shape[-1])))
        for start in range(0, len(flat), step):
            part = slice(start, start + step)
            gram, b = self.gram(flat[part]), given if given.ndim == 2 else given[part]
            out[part] = np.linalg.solve(gram, np.broadcast_to(b, (len(gram), *b.shape[-2:])))
        return out.reshape(*lead, *rhs.shape[-2:])

    @cached_property
    def _squares(self) -> Array:
        """(K, r * r), local' local of each modality."""
        return np.stack([(a.T @ a).ravel() for a in self.local])

    @cached_property
    def degrees(self) -> Array:
        """(K,), degrees of freedom n_obs - rank that each modality's own fit leaves for its noise."""
        return np.array([float(root.n_obs - root.own_fit()[0]) for root in self.roots.values()])

    def residual_variances(self, theta: Array) -> Array:
        """Mean squared residual of each modality.

        Args:
            theta: (..., d).

        Returns:
            (..., K), in units of the declared noise variance.
        """
        columns = [
            self._require_noise(name, root, root.rss + np.square(rest).sum(axis=-1)) / root.n_obs
            for (name, root), rest in zip(self.roots.items(), self.residuals(theta), strict=True)
        ]
        return np.stack(columns, axis=-1)

    def own_variances(self) -> Array:
        """Unbiased noise variance from each modality alone.

        Returns:
            (..., K), in units of the declared noise variance.

        Raises:
            ValueError: no more observations than parameters, or residuals that are nothing but rounding.
        """
        columns = []
        for name, root in self.roots.items():
            rank, rss = root.own_fit()
            if root.n_obs <= rank:
                raise ValueError(
                    f"{name}: {root.n_obs} observations cannot estimate a noise variance beside {rank} parameters; "
                    "collect more samples or declare the noise and use noise='known'"
                )
            columns.append(self._require_noise(name, root, rss) / (root.n_obs - rank))
        return np.stack(columns, axis=-1)

    @staticmethod
    def _require_noise(name: str, root: RootStatistics, rss: Array) -> Array:
        """The residual sum of squares itself, if there is more to it than rounding."""
        exact = np.square(tolerance(root.matrix.shape[1])) * (root.rss + np.square(root.target).sum(axis=-1))
        cancelled = root.rss_error > _RSS_LOST * rss
        remedy = "accumulate the samples with method='auto' or 'qr', or use noise='known'"
        if (cancelled & (rss <= root.rss_error)).any() and not (rss > 0).all():
            raise ValueError(
                f"{name}: the residual sum of squares was lost when squares of the data were subtracted, so that the "
                f"noise cannot be estimated; {remedy}"
            )
        if not (rss > exact).all():
            raise ValueError(
                f"{name}: the samples fit exactly, so that their noise cannot be estimated; use noise='known'"
            )
        if cancelled.any():
            worst = float((root.rss_error / rss).max())
            warnings.warn(
                f"{name}: the residual sum of squares may be wrong by a factor of {1 + worst:.3g}, since squares of the "
                f"data were subtracted; {remedy}",
                ConditioningWarning,
                stacklevel=4,
            )
        return rss


def _total(parts: Iterable[Array]) -> Array:
    """Sum without stacking."""
    return functools.reduce(operator.add, parts)
