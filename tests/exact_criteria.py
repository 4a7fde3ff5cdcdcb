"""The criteria c, A, D, E and what samples are worth, from exact informations, to 50 digits.

Everything up to the last step is rational; only logarithms (D) and eigenvalues (E) are rounded, to 50 digits.
Nothing here is from the library. Equal means equal to 30 digits: two different numbers of integers of this size
differ earlier.
"""

from dataclasses import dataclass, field

import mpmath
import numpy as np

from tests.reference import (
    as_fraction,
    as_mpf,
    column_space,
    elimination,
    exact,
    identity,
    null_space,
    number,
    quadratic_inverse,
    solve_all,
    solve_any,
)

DIGITS = 50
SAME = mpmath.mpf(10) ** -30
INFINITE = mpmath.inf


def same(a, b):
    """Equal numbers of 50 digits, infinities included."""
    if mpmath.isinf(a) or mpmath.isinf(b):
        return a == b
    return abs(a - b) <= SAME * max(abs(a), abs(b), SAME)


def close(got, want, rel=1e-6, floor=0.0):
    """A float against an exact number: infinite where that is, and within `rel` (or `floor`, absolutely)."""
    got = float(got)
    if mpmath.isinf(want) or np.isinf(got):
        return np.isinf(got) and bool(mpmath.isinf(want)) and (got > 0) == (want > 0)
    return bool(abs(got - want) <= max(rel * abs(want), floor))  # NaN is not


def _as_mp(matrix):
    return mpmath.matrix([[as_mpf(x) for x in row] for row in matrix])


@dataclass(frozen=True, eq=False)
class ExactCriterion:
    """phi of an exact information; `directions` (d, q) exact, for c."""

    name: str
    directions: np.ndarray | None = None
    known: dict = field(default_factory=dict)

    def phi(self, m):
        """phi(M) to 50 digits, infinite where it is not estimable; remembered."""
        if id(m) not in self.known:
            self.known[id(m)] = m, self._phi(m)  # with the matrix, which keeps its id
        return self.known[id(m)][1]

    def _phi(self, m):
        with mpmath.workdps(DIGITS):
            if self.name == "c":
                parts = quadratic_inverse(m, self.directions)
                return INFINITE if None in parts else as_mpf(sum(parts, number(0)))
            signs, det = elimination(m)
            if signs[2]:
                return INFINITE
            if self.name == "A":
                return as_mpf(sum(quadratic_inverse(m, identity(len(m))), number(0)))
            if self.name == "D":
                ratio = as_fraction(det)
                return mpmath.log(ratio.denominator) - mpmath.log(ratio.numerator)
            return 1 / min(mpmath.eigsy(_as_mp(m), eigvals_only=True))

    def marginal(self, m, s):
        """-d phi(M + t S) / dt at t = 0+, one-sided, to 50 digits (exactly 0 where it is 0).

        c: phi(M) = max 2 v'x - x'Mx, so by Danskin's theorem the least x'Sx over all solutions of M x = v, an
        equality-constrained least squares problem: over x0 + N u the normal equations are N'SN u = -N'S x0.
        """
        if mpmath.isinf(self.phi(m)):
            helped = any(s.ravel()) and not mpmath.isinf(self.phi(m + s))
            return INFINITE if helped else mpmath.mpf(0)
        with mpmath.workdps(DIGITS):
            if self.name == "c":
                kernel, total = null_space(m), number(0)
                for x in solve_any(m, self.directions):
                    total = total + x @ s @ x
                    if kernel.shape[1]:
                        pull = kernel.T @ s @ x
                        u = solve_any(kernel.T @ s @ kernel, -pull[:, None])[0]
                        total = total + pull @ u
                return as_mpf(total)
            if self.name in ("A", "D"):
                inverse = solve_all(m, identity(len(m)))
                worth = inverse @ s @ inverse if self.name == "A" else inverse @ s
                return as_mpf(sum(worth.diagonal(), number(0)))
            values, vectors = mpmath.eigsy(_as_mp(m))
            least = min(values)
            worst = [k for k in range(len(m)) if values[k] - least <= SAME * max(values)]
            frame = mpmath.matrix([[vectors[i, k] for k in worst] for i in range(len(m))])
            seen = min(mpmath.eigsy(frame.T * _as_mp(s) * frame, eigvals_only=True))
            size = max(abs(as_mpf(x)) for x in s.ravel())
            return seen / least**2 if seen > SAME * size else mpmath.mpf(0)

    def multiplicity(self, m):
        """How often the smallest eigenvalue of M occurs."""
        with mpmath.workdps(DIGITS):
            values = mpmath.eigsy(_as_mp(m), eigvals_only=True)
            return sum(v - min(values) <= SAME * max(values) for v in values)

    def limit(self, m, s):
        """phi(M + r S) as r grows without bound: what is left once all that S sees is known (D: -infinity)."""
        if mpmath.isinf(self.phi(m + s)):
            return INFINITE
        if not any(s.ravel()):
            return self.phi(m)
        kernel = null_space(s)
        if self.name == "D":
            return -INFINITE
        if not kernel.shape[1]:
            return mpmath.mpf(0)
        rest = kernel.T @ m @ kernel
        with mpmath.workdps(DIGITS):
            if self.name == "c":
                asked = kernel.T @ self.directions
                return as_mpf(sum(quadratic_inverse(rest, asked), number(0)))
            gram = kernel.T @ kernel
            if self.name == "A":
                inverse = solve_all(rest, gram)
                return as_mpf(sum(inverse.diagonal(), number(0)))
            half = mpmath.cholesky(_as_mp(gram)) ** -1
            return 1 / min(mpmath.eigsy(half * _as_mp(rest) * half.T, eigvals_only=True))

    def amount(self, base, step, level):
        """Which r >= 0 is the least with phi(base + r step) <= level: 0, infinity, or None for "between"."""
        if self._meets(self.phi(base), level):
            return 0.0
        limit = self.limit(base, step)
        if self.name == "E" and same(limit, level):
            # lambda_min may stay at an eigenvalue that the step does not touch from some r on: not only in the limit
            return None if same(self.phi(base + number(10**18) * step), limit) else np.inf
        return np.inf if limit > level or same(limit, level) else None

    def meets_at(self, base, step, r, level, delta=1e-6):
        """Whether r, to a relative `delta`, is where phi(base + r step) crosses the level (50 digits)."""
        below, above = (number(as_fraction(float(r)) * as_fraction(1 + sign * delta)) for sign in (-1, 1))
        return not self.phi(base + below * step) < level and self._meets(self.phi(base + above * step), level)

    @staticmethod
    def _meets(value, level):
        return value <= level or same(value, level)


def exact_directions(v):
    """(d, q) exact columns of a float vector or matrix."""
    v = np.asarray(v, dtype=float)
    return exact(v[:, None] if v.ndim == 1 else v)


def projector(m):
    """Orthogonal projector on the range of a symmetric matrix."""
    basis = column_space(m)
    if not basis.shape[1]:
        return 0 * m
    return basis @ solve_all(basis.T @ basis, basis.T)
