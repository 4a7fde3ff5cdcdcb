"""Certified comparisons: a theorem about the matrices given, a refutation with a witness, or no claim."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from fisherkit.certified.bounds import inflate, require_ieee
from fisherkit.certified.cholesky import shifted_cholesky
from fisherkit.certified.enclosure import Enclosed, as_float_matrix
from fisherkit.certified.exact import inertia_of_integers, integer_gap, integer_gram, seconds_of_inertia
from fisherkit.certified.gap import Matrix, Radius, read_gap
from fisherkit.certified.verdict import Certificate, Status
from fisherkit.certified.witness import refute
from fisherkit.loewner import Relation

__all__ = ["AUTO_SECONDS", "Exact", "certify", "certify_growth", "certify_positive_definite", "check_exact"]

#: An undecided comparison with ``exact="auto"`` goes on in rational arithmetic if that takes fewer seconds.
AUTO_SECONDS = 10.0

Exact = bool | Literal["auto"]
Roots = Matrix | Sequence[Matrix]

_NOT_EXACT = (
    "exact=True: rational arithmetic needs the matrices themselves: radius 0 and symmetric to the last bit; "
    "leave the radius out to ask about the floats as they are"
)


def certify(
    a: Matrix,
    b: Matrix | None,
    *,
    radius_a: Radius = 0.0,
    radius_b: Radius = 0.0,
    roots: Roots | None = None,
    exact: Exact = False,
    check_factor: bool = False,
) -> Certificate:
    """Prove A < B, or refute A <= B, for every pair of symmetric matrices within the radii of those given.

    Costs one difference, one rescaling by powers of two and one Cholesky factorisation if A < B is proved.
    Verdicts do not change when a parameter is measured in other units of powers of two.

    Args:
        a: (d, d) symmetric, array or `Enclosed`. A matrix that is symmetric up to rounding only stands for
            every symmetric matrix between its two triangles.
        b: (d, d) symmetric, in the same units; None with `roots`: B is A + R'R.
        radius_a: how far entries of the true A may be from those given, >= 0, number or (d, d); on top of the
            radius of an `Enclosed`. 0: the floats are meant as they are.
        radius_b: the same for B.
        roots: R (r, d), or several to be stacked, with B - A = R'R by construction, so that A <= B needs no
            proof. The claim is about these A and B, of which the `b` given may be a rounded version.
        exact: rational arithmetic on the floats as they are: True always, "auto" where floating point cannot
            tell (and it takes less than about 10 s), False never. Needs radii of zero. With `roots`: on R'R.
        check_factor: trust no LAPACK: bound the residual of the Cholesky factor by a product. Two to three
            times the time.

    Returns:
        Certificate, see `Status` for what is claimed.

    Raises:
        ValueError: not square, different sizes, not finite, clearly asymmetric, a negative radius, roots that
            do not give B - A, or an exact verdict asked for matrices with a radius.

    Source:
        docs/certified.md, Theorem 3; Rump (2006), BIT 46:433-452.

    Example:
        >>> certify(np.eye(2), 3 * np.eye(2), radius_b=0.5).status
        <Status.CERTIFIED_STRICT: 'certified strict'>
        >>> certify(np.eye(2), np.diag([3.0, 0.5]))
        A ⪯ B, refuted: v'(B - A)v ≤ -0.5 at v = [0. 1.]
        >>> certify(np.eye(2), np.diag([3.0, 1.0]), exact="auto")
        A ⪯ B, exactly: eigenvalues of B - A: 1 positive, 0 negative, 1 zero
    """
    require_ieee()
    check_exact(exact)
    if roots is not None:
        root = _require_sum(a, b, radius_a, radius_b, roots)
        return _growth(root, exact, check_factor)
    if b is None:
        raise ValueError("B: give a matrix, or roots=R with B - A = R'R")
    return _decide(a, b, radius_a, radius_b, ("A", "B"), exact, check_factor)


def certify_positive_definite(
    matrix: Matrix, *, radius: Radius = 0.0, exact: Exact = False, check_factor: bool = False
) -> Certificate:
    """Prove that every symmetric matrix within the radius is positive definite, or refute it with a witness.

    Args:
        matrix: (d, d) symmetric, array or `Enclosed`.
        radius: entrywise, >= 0, number or (d, d).
        exact: as in `certify`.
        check_factor: as in `certify`.

    Returns:
        Certificate of 0 < M.

    Raises:
        ValueError: as in `certify`.

    Example:
        >>> certify_positive_definite([[2.0, 1.0], [1.0, 2.0]], radius=0.49)
        0 ≺ M, proved: Cholesky completes after a shift of 0.245 ≥ 0.245
        >>> certify_positive_definite([[2.0, 1.0], [1.0, 2.0]], radius=0.51).status
        <Status.UNDECIDED: 'undecided'>
    """
    require_ieee()
    check_exact(exact)
    return _decide(None, matrix, 0.0, radius, ("0", "M"), exact, check_factor)


def certify_growth(roots: Roots, *, exact: Exact = False, check_factor: bool = False) -> Certificate:
    """Certificate of A <= A + R'R from the factor alone: more rows of data never take information away.

    Strict if R'R is provably positive definite, radius of the product included; else semidefinite by
    construction.

    Args:
        roots: R (r, d), rows of the added data in units of their noise, or several to be stacked; array or
            Enclosed.
        exact: as in `certify`; decides strictness, and equality, by the rank of R.
        check_factor: as in `certify`.

    Returns:
        CERTIFIED_STRICT, CERTIFIED_BY_FACTOR or an exact verdict.

    Raises:
        ValueError: not matrices with the same number of columns, not finite, or an exact verdict asked for a
            root with a radius.

    Example:
        >>> certify_growth(np.eye(2))
        A ≺ B, proved: Cholesky completes after a shift of ... ≥ ...
        >>> certify_growth([[1.0, 1.0]])
        A ⪯ B, proved: B - A = R'R with R of shape (1, 2)
        >>> certify_growth([[1.0, 1.0]], exact="auto")
        A ⪯ B, exactly: eigenvalues of B - A: 1 positive, 0 negative, 1 zero
    """
    require_ieee()
    check_exact(exact)
    return _growth(_stack(roots), exact, check_factor)


def _decide(
    a: Matrix | None,
    b: Matrix,
    radius_a: Radius,
    radius_b: Radius,
    names: tuple[str, str],
    exact: Exact,
    check_factor: bool,
) -> Certificate:
    gap = read_gap(a, b, radius_a, radius_b, names, finite=exact is True)
    d = gap.dim
    if d == 0:
        return Certificate(Status.EXACT_EQUAL, 0, inertia=(0, 0, 0), names=names)
    if exact is True:
        if not gap.is_exact:
            raise ValueError(_NOT_EXACT)
        return _exactly(integer_gap(gap.a, gap.b), names)
    attempt = shifted_cholesky(
        gap.mid, gap.radius, overwrite=gap.a is not None, rounded=gap.a is not None, check_factor=check_factor
    )
    if attempt.proved:
        return Certificate(Status.CERTIFIED_STRICT, d, attempt.shift, attempt.bound, names=names)
    gap = read_gap(a, b, radius_a, radius_b, names)  # look for infinities, rebuild what was overwritten
    found = refute(gap, attempt.direction)
    if found is not None:
        return Certificate(
            Status.REFUTED, d, attempt.shift, attempt.bound, witness=found[0], value=found[1], names=names
        )
    reason = f"the gap is singular up to rounding and radii ({attempt.bound:.2g} in units of its diagonal)"
    if not gap.is_exact:
        reason += "; smaller radii or a factor (roots=) may decide"
    elif exact == "auto":
        lower = integer_gap(gap.a, gap.b)
        needed = seconds_of_inertia(lower)
        if needed < AUTO_SECONDS:
            return _exactly(lower, names)
        reason += f"; exact=True would decide in about {needed:.0f} s"
    else:
        reason += "; exact=True decides"
    return Certificate(Status.UNDECIDED, d, attempt.shift, attempt.bound, reason=reason, names=names)


def _exactly(lower: list[list[int]], names: tuple[str, str] = ("A", "B")) -> Certificate:
    inertia = inertia_of_integers(lower)
    relation = Relation.of_inertia(*inertia)
    return Certificate(Status.of_relation(relation), len(lower), inertia=inertia, names=names)


def _growth(root: Enclosed, exact: Exact, check_factor: bool) -> Certificate:
    rows, d = root.shape
    if d == 0:
        return Certificate(Status.EXACT_EQUAL, 0, inertia=(0, 0, 0))
    is_exact = not root.radius.any()
    if exact is True:
        if not is_exact:
            raise ValueError(_NOT_EXACT)
        return _exactly(integer_gram(root.midpoint))
    if rows >= d:
        gram = Enclosed.gram(root)
        attempt = shifted_cholesky(
            gram.midpoint, np.asarray(gram.radius), rounded=False, check_factor=check_factor
        )
        if attempt.proved:
            return Certificate(Status.CERTIFIED_STRICT, d, attempt.shift, attempt.bound, rows=rows)
    if exact and is_exact:
        lower = integer_gram(root.midpoint)
        if seconds_of_inertia(lower) < AUTO_SECONDS:
            return _exactly(lower)
    return Certificate(Status.CERTIFIED_BY_FACTOR, d, rows=rows)


def _require_sum(a: Matrix, b: Matrix | None, radius_a: Radius, radius_b: Radius, roots: Roots) -> Enclosed:
    """The stacked root, once it is plausible that B - A = R'R up to the rounding of whoever computed B."""
    root = _stack(roots)
    d = root.shape[1]
    gap = read_gap(a, np.zeros((d, d)) if b is None else b, radius_a, radius_b, ("A", "B"))
    if gap.dim != d:
        raise ValueError(f"roots: expected {gap.dim} columns, one per row of A, got {d}")
    if b is not None and d:
        gram = Enclosed.gram(root)
        size = np.abs(gap.b) + np.abs(gap.b - gap.mid) + np.abs(gram.midpoint)
        allowed = inflate(4 * (gram.radius + gap.radius) + 1e-14 * size, 4)
        off = np.abs(gap.mid - gram.midpoint)
        if (off > allowed).any():
            i, j = (int(n) for n in np.unravel_index(int((off - allowed).argmax()), off.shape))
            raise ValueError(
                f"roots: R'R is not B - A: entry ({i}, {j}) is {gram.midpoint[i, j]:.6g}, "
                f"not {gap.mid[i, j]:.6g}"
            )
    return root


def _stack(roots: Roots) -> Enclosed:
    """Several roots as one, taken as exact where they are arrays."""
    if isinstance(roots, (list, tuple)) and any(isinstance(r, Enclosed) or np.ndim(r) == 2 for r in roots):
        parts = [_as_root(root) for root in roots]
    else:
        parts = [_as_root(roots)]
    columns = {part.shape[1] for part in parts}
    if len(columns) > 1:
        raise ValueError(f"roots: different numbers of columns, {sorted(columns)}")
    return Enclosed(
        np.concatenate([part.midpoint for part in parts]), np.concatenate([part.radius for part in parts])
    )


def _as_root(root: Any) -> Enclosed:  # noqa: ANN401, an array or Enclosed
    return root if isinstance(root, Enclosed) else Enclosed(as_float_matrix(root, "roots"))


def check_exact(exact: Exact) -> None:
    """Raise unless it says when to use rational arithmetic.

    Args:
        exact: True, False or "auto".

    Raises:
        ValueError: anything else.
    """
    if not isinstance(exact, bool) and not (isinstance(exact, str) and exact == "auto"):
        raise ValueError(f'exact: expected True, False or "auto", got {exact!r}')
