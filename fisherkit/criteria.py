"""Criteria of optimality: how well an information matrix M pins the parameters down; less is better.

    c   sum of variances v' M^- v over chosen directions v (one direction: its Cramer-Rao bound)
    A   trace M^-1, the sum of variances of all parameters
    D   -log det M, twice the log-volume of the confidence ellipsoid up to a constant
    E   1 / lambda_min(M), the variance in the worst direction of unit length

All four are convex and decreasing in M (Pukelsheim 2006, Optimal Design of Experiments, ch. 5 and 6). They
are +infinity where something asked for is not estimable. Variances are in parameter units squared.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError, as_array, as_instance, as_matrix, as_number
from fisherkit.psd import PSD
from fisherkit.tolerances import RANGE_TOLERANCE

__all__ = ["Criterion", "a_criterion", "as_criterion", "c_criterion", "d_criterion", "e_criterion"]

Array = NDArray[np.float64]
NAMES = ("c", "A", "D", "E")

#: "Well above rounding" is so many times above it.
_CLEAR = 8.0
_CONTRIBUTION = "root of the contribution"


@dataclass(frozen=True, eq=False, repr=False)
class Criterion:
    """A criterion phi of an information matrix; build it with the functions of this module.

    Attributes:
        name: "c", "A", "D" or "E".
        directions: (d, n), columns are the directions of "c"; None for the others.

    Raises:
        UnknownNameError: no such criterion.
        ValueError: "c" without directions, others with them, or a direction that is zero.

    Example:
        >>> m = PSD.of(np.diag([4.0, 1.0]))
        >>> [round(as_criterion(name).value(m), 3) for name in ("A", "D", "E")]
        [1.25, -1.386, 1.0]
        >>> c_criterion([1.0, 0.0]).value(m), c_criterion([1.0, 0.0]).gradient(m).tolist()
        (0.25, [[0.0625, 0.0], [0.0, 0.0]])
    """

    name: str
    directions: Array | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in NAMES:
            raise UnknownNameError(self.name, NAMES, "criterion")
        if (self.name == "c") != (self.directions is not None):
            raise ValueError(
                "criterion 'c' needs directions: pass c_criterion(v) with v of the length of the parameters"
                if self.name == "c"
                else f"criterion {self.name!r} takes no directions; c_criterion does"
            )
        if self.directions is not None:
            v = as_array(self.directions, "directions", ndim=(1, 2)).astype(np.float64, copy=False)
            v = v[:, None] if v.ndim == 1 else v
            if not v.shape[1] or not v.any(axis=0).all():
                what = f"column {int(v.any(axis=0).argmin())} is zero" if v.shape[1] else "none"
                raise ValueError(f"directions: {what}; nothing would be asked for")
            object.__setattr__(self, "directions", v)

    def __repr__(self) -> str:
        if self.directions is None:
            return f"Criterion({self.name!r})"
        shown = np.array2string(self.directions.T, precision=3, threshold=8)
        return f"Criterion('c', directions {shown})"

    def value(self, psd: PSD) -> float:
        """The criterion phi(M).

        Args:
            psd: the information M, (d, d).

        Returns:
            phi, +infinity where something asked for is not estimable.

        Raises:
            ValueError: directions of another length than d.
        """
        as_instance(psd, PSD, "psd")
        if self.name == "c":
            return float(psd.variance(self._checked(psd)).sum())
        if not self.finite_at(psd):
            return float("inf")
        if self.name == "A":
            return float(np.square(psd.half_inverse).sum())
        if self.name == "D":
            return -2 * float(np.linalg.slogdet(psd.root / psd.scale)[1] + np.log(psd.scale).sum())
        return float(psd.principal_axes[1].max(initial=0.0) ** 2)

    def finite_at(self, psd: PSD) -> bool:
        """Whether everything that is asked for is estimable under the information M.

        Args:
            psd: the information M, (d, d).

        Returns:
            The verdict.
        """
        as_instance(psd, PSD, "psd")
        if self.name == "c":
            return bool(psd.contains(self._checked(psd)).all())
        return psd.rank == psd.dim

    def gradient(self, psd: PSD) -> Array:
        """W = -d phi / d M: one more sample of information S lowers phi at the rate trace(W S).

        c: sum of M^- v v' M^-; A: M^-2; D: M^-1; E: z z' / lambda_min^2, z the eigenvector of lambda_min.

        Two warnings. E is not smooth where lambda_min is multiple (`smooth_at`); the subgradient returned
        averages z z' over its eigenspace. And c at a singular M, which may well be finite, has no gradient in
        directions S that reach outside range(M): trace(W S) overstates what S is worth. `marginal_value` is
        exact in both cases.

        Args:
            psd: the information M, (d, d).

        Returns:
            (d, d) symmetric positive semidefinite, units of phi per unit of information.

        Raises:
            ValueError: phi is infinite at M, or directions of another length than d.
        """
        if not self.finite_at(psd):
            raise ValueError(
                f"criterion {self.name!r}: infinite at this information (rank {psd.rank} of {psd.dim}), "
                "so it has no gradient; add samples that make what is asked estimable"
            )
        half = psd.half_inverse
        if self.name == "c":
            x = half @ (half.T @ self._checked(psd))
            return x @ x.T
        inverse = half @ half.T
        if self.name == "A":
            return inverse @ inverse
        if self.name == "D":
            return inverse
        top, variance = self._worst(psd)
        return top @ top.T * (variance**2 / max(1, top.shape[1]))

    def marginal_value(self, psd: PSD, root: PSD | ArrayLike) -> float:
        """What the first bit of information S = root' root is worth: -d phi(M + t S) / dt at t = 0+.

        The one-sided derivative, exact also where phi is not smooth. For c at a singular M it is the least of
        x' S x over all solutions of M x = v (phi(M) = max 2 v'x - x'Mx; Danskin's theorem), and for E the
        least curvature of S on the eigenspace of lambda_min, times 1 / lambda_min^2.

        Args:
            psd: the information M, (d, d).
            root: (r, d), a square root of S, or S as a `PSD`.

        Returns:
            A value >= 0, exactly 0 where S is useless up to rounding: what one sample changes by a fraction of phi below the
            square of M's `resolution` (1e-20 as a rule, 1e-8 for noises 1e8 apart). Where phi(M) is infinite: +infinity if
            S alone makes it finite, else 0.

        Raises:
            ValueError: root or directions of another length than d.
        """
        as_instance(psd, PSD, "psd")
        more = root if isinstance(root, PSD) else PSD.from_root(as_matrix(root, _CONTRIBUTION, cols=psd.dim))
        r = as_matrix(more.root, _CONTRIBUTION, cols=psd.dim)
        if not self.finite_at(psd):
            return float("inf") if more.rank and self.finite_at(psd.plus(more)) else 0.0
        half = psd.half_inverse
        if self.name == "c":
            return self._least_curvature(psd, more, self._checked(psd))
        if self.name == "A":
            return float(np.square(r @ half @ half.T).sum())
        if self.name == "D":
            return float(np.square(r @ half).sum())
        top, variance = self._worst(psd)
        seen = r @ top
        if len(seen) < top.shape[1]:
            return 0.0
        least = float(np.linalg.svd(seen, compute_uv=False).min(initial=np.inf))
        floor = _doubt(psd) * float(np.linalg.norm(r @ half)) / np.sqrt(variance)
        return (least * variance) ** 2 if least > floor else 0.0

    def smooth_at(self, psd: PSD) -> bool:
        """Whether the gradient at M tells the value of every further sample.

        Args:
            psd: the information M, (d, d).

        Returns:
            False where phi is infinite, for E where lambda_min is multiple, for c where M is singular.
        """
        if not self.finite_at(psd):
            return False
        if self.name == "E":
            return self._worst(psd)[0].shape[1] == 1
        return psd.rank == psd.dim

    def factor_to_reach(self, psd: PSD, level: float) -> float:
        """The factor r with phi(r M) = level: phi(M) / level, or exp((phi(M) - level) / d) for D.

        Args:
            psd: the information M, (d, d).
            level: wanted value of phi; positive for c, A and E.

        Returns:
            r > 0, +infinity where phi(M) is infinite: no multiple of M will do.

        Raises:
            ValueError: a level that the criterion cannot take.
        """
        level = as_number(level, "level", finite=False)
        if not np.isfinite(level) or (self.name != "D" and level <= 0):
            kind = "finite" if self.name == "D" else "finite positive"
            raise ValueError(f"level: criterion {self.name!r} takes {kind} values, got {level:.6g}")
        value = self.value(psd)
        if self.name != "D":
            return value / level
        with np.errstate(over="ignore"):
            return float(np.exp((value - level) / max(1, psd.dim)))

    def _checked(self, psd: PSD) -> Array:
        v = self.directions
        assert v is not None
        if len(v) != psd.dim:
            raise ValueError(f"directions: expected length {psd.dim} (parameters asked about), got {len(v)}")
        return v

    @staticmethod
    def _worst(psd: PSD) -> tuple[Array, float]:
        """Orthonormal eigenvectors of lambda_min, (d, multiplicity), and 1 / lambda_min."""
        vectors, singular = psd.principal_axes
        largest = singular.max(initial=0.0)
        return vectors[:, singular >= largest * (1 - RANGE_TOLERANCE)], float(largest**2)

    @staticmethod
    def _least_curvature(psd: PSD, more: PSD, wanted: Array) -> float:
        """Sum over columns v of min x' S x over all solutions of M x = v."""
        half = psd.half_inverse
        whitened, target = more.root @ half, half.T @ wanted
        seen = whitened @ target
        # W is known up to a factor I + E on the right, E of the size of the condition's rounding
        floor = _doubt(psd) * np.linalg.norm(whitened) * np.linalg.norm(target, axis=0)
        if psd.rank < psd.dim:
            free, known = psd.null_directions, psd.lengths > 0
            units = float(np.linalg.norm(more.lengths[known] / psd.scale[known]))
            blind = PSD.from_root(
                more.root @ free,
                noise=max(_CLEAR * more.rounding, _doubt(psd)),
                scale=more.lengths @ np.abs(free) + units * np.linalg.norm((free.T * psd.lengths).T, axis=0),
            )
            # orthonormal columns: what moves in the null space can cancel
            reach = more.root @ free @ blind.half_inverse
            for _ in range(2):  # twice is enough
                seen = seen - reach @ (reach.T @ seen)
        return float(np.square(seen[:, np.linalg.norm(seen, axis=0) > floor]).sum())


def _doubt(psd: PSD) -> float:
    """Relative size below which what is computed from M's inverse root may be rounding."""
    return _CLEAR * psd.resolution


def c_criterion(directions: ArrayLike) -> Criterion:
    """Variance of v'theta, or the sum of variances over several directions.

    Args:
        directions: (d,) one direction, or (d, n) several as columns; d is the dimension of the information
            asked about, d_c for theta_c.

    Returns:
        The criterion.
    """
    return Criterion("c", directions)  # type: ignore[arg-type]


def a_criterion() -> Criterion:
    """Sum of the variances of all parameters, trace M^-1. Depends on their units.

    Returns:
        The criterion.
    """
    return Criterion("A")


def d_criterion() -> Criterion:
    """Log-volume of the confidence ellipsoid, -log det M. Exchange rates do not depend on units.

    Returns:
        The criterion.
    """
    return Criterion("D")


def e_criterion() -> Criterion:
    """Variance of the worst unit direction, 1 / lambda_min(M). Depends on units; not smooth everywhere.

    Returns:
        The criterion.
    """
    return Criterion("E")


def as_criterion(criterion: "str | Criterion") -> Criterion:
    """The criterion of a name; a Criterion is passed through.

    Args:
        criterion: "A", "D", "E", or a Criterion ("c" needs directions: `c_criterion`).

    Returns:
        The criterion.

    Raises:
        UnknownNameError: no criterion of this name.
        TypeError: neither a name nor a Criterion.

    Example:
        >>> as_criterion("B")
        Traceback (most recent call last):
        ...
        fisherkit.checks.UnknownNameError: unknown criterion 'B'; known: 'c', 'A', 'D', 'E'
    """
    if isinstance(criterion, Criterion):
        return criterion
    if not isinstance(criterion, str):
        raise TypeError(
            f"criterion: expected 'A', 'D', 'E' or c_criterion(v), got {type(criterion).__name__}; for "
            "directions pass c_criterion(directions)"
        )
    return Criterion(criterion)
