"""Variances of weighted least squares as sums of squares, by direction and modality; no covariance is assembled first.

With u = W'v, v'theta_hat = sum_k q_k'(M_k u), and its variance is sum_k sigma_k^2 |M_k u|^2: every term is a square, so
that nothing cancels however the units or the noises differ. A form v'Cov v from the finished matrix can come out as zero or
negative.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.weighted import WeightedProblem

__all__ = ["Spread"]

Array = NDArray[np.float64]

#: Numbers held at a time (32 MB) where a matrix per replicate is needed on the way.
_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Spread:
    """Noise variances and weights, and what they do to the estimate.

    Directions are given as u = W'v, with W the basis of the problem: (r, n).

    Attributes:
        problem: the coordinates.
        weights: (K,) or (..., K), with which the estimate was computed.
        scale: (K,) or (..., K), noise variances; both in the problem's units.
    """

    problem: WeightedProblem
    weights: Array
    scale: Array

    def parts(self, u: Array) -> Array:
        """What each modality's noise contributes to the variance of v'theta.

        Args:
            u: (r, n).

        Returns:
            (..., K, n); the variances are the sums over K.
        """
        if self.weights.ndim == 1:
            maps = self.problem.maps(self.weights)
            squares = np.stack([np.square(m @ u).sum(axis=0) for m in maps])
        elif self.problem.shares is not None:
            shares = self.problem.shares
            over = self.weights[..., None] / (self.weights @ shares)[..., None, :]  # (..., K, r)
            squares = (np.square(over) * shares) @ np.square(u)
        else:
            squares = self._in_turns(u, lambda w, z: np.square(w)[..., None] * self._lengths(z))
        return self.scale[..., None] * squares

    def bends(self, u: Array) -> Array:
        """y'P_k y - y'P_k P_k y, the second-order effect of modality k's weight, for weights 1 / scale.

        P_k is modality k's part of the weighted information and y the direction, in coordinates where that
        information is the identity.

        Args:
            u: (r, n).

        Returns:
            (..., K, n), in units of the variance.
        """
        w = self.weights
        if self.problem.shares is not None:
            total = (w @ self.problem.shares)[..., None, :]
            pi = w[..., None] * self.problem.shares / total
            return (pi * (1 - pi) / total) @ np.square(u)

        def bend(w: Array, z: Array) -> Array:
            columns = []
            for k, a in enumerate(self.problem.local):
                pull = a.T @ (a @ z)  # A_k z
                back = self.problem.gram_solve(w, pull)
                part = w[..., k, None]
                columns.append(part * (z * pull).sum(axis=-2) - np.square(part) * (pull * back).sum(axis=-2))
            return np.maximum(np.stack(columns, axis=-2), 0.0)

        return self._in_turns(u, bend)

    def covariance(self, u: Array, v: Array | None = None) -> Array:
        """Covariances of the estimates of several v'theta.

        Args:
            u: (r, n).
            v: (r, m), default u.

        Returns:
            (..., n, m).
        """
        v = u if v is None else v
        if self.weights.ndim == 1:
            if (self.weights == 1).all() and (self.scale == 1).all():
                return u.T @ v
            pairs = [((m @ u).T @ (m @ v)).ravel() for m in self.problem.maps(self.weights)]
            return (self.scale @ np.stack(pairs)).reshape(*self.scale.shape[:-1], u.shape[1], v.shape[1])
        w = self.weights
        if self.problem.shares is not None:
            shares = self.problem.shares
            of_phi = (np.square(w) * self.scale) @ shares / np.square(w @ shares)
            products = (u[:, :, None] * v[:, None, :]).reshape(len(u), -1)
            return (of_phi @ products).reshape(*w.shape[:-1], u.shape[1], v.shape[1])
        flat, meat = w.reshape(-1, w.shape[-1]), np.square(w) * self.scale
        meat = meat.reshape(flat.shape)
        out = np.empty((len(flat), u.shape[1], v.shape[1]))
        for part in self._turns(len(flat), len(u) * (u.shape[1] + v.shape[1])):
            left, right = (self.problem.gram_solve(flat[part], x) for x in (u, v))
            out[part] = np.swapaxes(left, -1, -2) @ self.problem.gram(meat[part]) @ right
        return out.reshape(*w.shape[:-1], u.shape[1], v.shape[1])

    def _lengths(self, z: Array) -> Array:
        """|local_k z|^2, (..., K, n)."""
        return np.stack([np.square(a @ z).sum(axis=-2) for a in self.problem.local], axis=-2)

    def _in_turns(self, u: Array, function: Callable[[Array, Array], Array]) -> Array:
        """function(weights, gram^-1 u) for all replicates, (..., K, n), in blocks."""
        flat = self.weights.reshape(-1, self.weights.shape[-1])
        out = np.empty((*flat.shape, u.shape[1]))
        for part in self._turns(len(flat), len(u) * max(len(u), u.shape[1])):
            out[part] = function(flat[part], self.problem.gram_solve(flat[part], u))
        return out.reshape(*self.weights.shape, u.shape[1])

    @staticmethod
    def _turns(n: int, size: int) -> Iterator[slice]:
        step = max(1, _BLOCK // max(1, size))
        return (slice(start, start + step) for start in range(0, n, step))
