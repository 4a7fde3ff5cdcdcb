"""Linear algebra over the rationals: ranges, pseudoinverses, variances, Schur complements, the Loewner order."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import QQ, ImmutableMatrix, Rational, S
from sympy.polys.matrices import DomainMatrix

from fisherkit.checks import as_indices, as_list
from fisherkit.loewner import Relation

__all__ = [
    "as_rational",
    "in_range",
    "inertia",
    "parallel_sum",
    "pseudoinverse",
    "rank",
    "relation",
    "schur_complement",
    "variance",
]

#: Exact matrix or vector: SymPy matrix, nested lists of ints, Rationals or strings such as "1/3", integer array.
MatrixLike: TypeAlias = (
    ImmutableMatrix | Sequence[Sequence[int | str]] | Sequence[int | str] | NDArray[np.integer]
)


def as_rational(value: MatrixLike, name: str = "matrix") -> ImmutableMatrix:
    """Exact rational matrix; a vector becomes a column.

    Args:
        value: nested lists, NumPy integers or a SymPy matrix; entries are ints, Rationals or strings such as "1/3".
        name: how error messages call it.

    Returns:
        Matrix of Rationals.

    Raises:
        TypeError: a floating-point or symbolic entry; such an entry is not an exact rational.

    Example:
        >>> as_rational([["1/3", 2]])
        Matrix([[1/3, 2]])
    """
    matrix = as_expressions(value, name)
    for i, entry in enumerate(matrix):
        if not isinstance(entry, Rational):
            row, column = divmod(i, matrix.cols)
            raise TypeError(
                f"{name}: entry ({row}, {column}) is {entry} ({type(entry).__name__}), not an exact rational; "
                'pass an int, a sympy.Rational or a string such as "1/3"'
            )
    return matrix


def as_expressions(value: MatrixLike, name: str) -> ImmutableMatrix:
    """SymPy matrix of numbers or symbols.

    Args:
        value: nested lists, NumPy integers or a SymPy matrix.
        name: how error messages call it.

    Returns:
        The matrix.

    Raises:
        TypeError: nothing that SymPy reads as a matrix of expressions.
    """
    rows = value.tolist() if isinstance(value, np.ndarray) else value
    try:
        matrix = ImmutableMatrix(rows)
        expressions = all(isinstance(entry, sympy.Expr) for entry in matrix)
    except Exception as error:
        raise TypeError(f"{name}: expected a matrix, got {type(value).__name__} ({error})") from error
    if not expressions:
        raise TypeError(f"{name}: expected a matrix of numbers or symbols, got entries of other types")
    return matrix


def _as_square(value: MatrixLike, name: str, dim: int | None = None) -> ImmutableMatrix:
    matrix = as_rational(value, name)
    if matrix.rows != matrix.cols or dim not in (None, matrix.rows):
        size = "square" if dim is None else f"{dim} x {dim}"
        raise ValueError(f"{name}: expected a {size} matrix, got {matrix.rows} x {matrix.cols}")
    return matrix


def rank(m: MatrixLike) -> int:
    """Exact rank.

    Args:
        m: rational matrix.

    Returns:
        Number of pivots.

    Example:
        >>> rank([[1, 2], [2, 4]])
        1
    """
    matrix = as_rational(m)
    return len(_domain(matrix).rref()[1]) if matrix.rows and matrix.cols else 0


def pseudoinverse(m: MatrixLike) -> ImmutableMatrix:
    """Moore-Penrose pseudoinverse by full-rank factorisation M = B C: M^+ = C'(C C')^{-1} (B'B)^{-1} B'.

    Args:
        m: rational matrix, any shape.

    Returns:
        M^+.

    Example:
        >>> pseudoinverse([[1, 1], [1, 1]])
        Matrix([
        [1/4, 1/4],
        [1/4, 1/4]])
    """
    matrix = as_rational(m)
    reduced, pivots = _domain(matrix).rref()
    if not pivots:
        return ImmutableMatrix.zeros(matrix.cols, matrix.rows)
    c = reduced.extract(list(range(len(pivots))), list(range(matrix.cols)))
    b = _domain(matrix).extract(list(range(matrix.rows)), list(pivots))
    inverse = c.transpose() * (c * c.transpose()).inv() * (b.transpose() * b).inv() * b.transpose()
    return ImmutableMatrix(inverse.to_Matrix())


def in_range(m: MatrixLike, v: MatrixLike) -> bool:
    """Whether M x = v has a solution.

    Args:
        m: rational matrix (d, n).
        v: rational vector (d,).

    Returns:
        Whether v lies in range(M).

    Example:
        >>> in_range([[1, 0], [0, 0]], [0, 1])
        False
    """
    return _solve(as_rational(m), as_rational(v, "v")) is not None


def variance(m: MatrixLike, v: MatrixLike) -> sympy.Expr:
    """v'M^+ v for v in range(M), infinity (``sympy.oo``) otherwise, by elimination (no pseudoinverse).

    Args:
        m: rational positive semidefinite (d, d).
        v: rational vector (d,).

    Returns:
        Rational or ``oo``.

    Example:
        >>> variance([[2, 0], [0, 0]], [1, 0]), variance([[2, 0], [0, 0]], [1, 1])
        (1/2, oo)
    """
    direction = as_rational(v, "v")
    x = _solve(as_rational(m), direction)
    return sympy.oo if x is None else (direction.T * x)[0]


def schur_complement(m: MatrixLike, keep: Sequence[int]) -> ImmutableMatrix:
    """M_kk - M_kn M_nn^+ M_nk, also where M_nn is singular.

    Args:
        m: rational symmetric (d, d).
        keep: indices k of the kept coordinates; negative ones count from the end.

    Returns:
        (k, k) effective information.

    Raises:
        ValueError: no index, one out of range, or one twice.

    Example:
        >>> schur_complement([[2, 1], [1, 1]], [0])
        Matrix([[1]])
    """
    matrix = _as_square(m, "matrix")
    kept = as_indices(as_list(keep, "keep", "indices"), matrix.rows, "keep").tolist()
    rest = [i for i in range(matrix.rows) if i not in kept]
    if not rest:
        return ImmutableMatrix(matrix.extract(kept, kept))
    cross = matrix.extract(kept, rest)
    return ImmutableMatrix(
        matrix.extract(kept, kept) - cross * pseudoinverse(matrix.extract(rest, rest)) * cross.T
    )


def parallel_sum(a: MatrixLike, b: MatrixLike) -> ImmutableMatrix:
    """A (A + B)^+ B, the parallel sum of positive semidefinite A and B (Anderson and Duffin 1969).

    Its range is range(A) ∩ range(B).

    Args:
        a: rational (d, d).
        b: rational (d, d).

    Returns:
        (d, d), symmetric positive semidefinite.

    Example:
        >>> parallel_sum([[1]], [[3]])
        Matrix([[3/4]])
    """
    first = _as_square(a, "A")
    second = _as_square(b, "B", first.rows)
    return ImmutableMatrix(first * pseudoinverse(first + second) * second)


def inertia(m: MatrixLike) -> tuple[int, int, int]:
    """Numbers of positive, negative and zero eigenvalues, by congruence (Sylvester's law): no eigenvalue is computed.

    Args:
        m: rational symmetric (d, d).

    Returns:
        (positive, negative, zero).

    Raises:
        ValueError: not square or not symmetric.

    Example:
        >>> inertia([[0, 1], [1, 0]])
        (1, 1, 0)
    """
    matrix = as_rational(m)
    if matrix.rows != matrix.cols or matrix != matrix.T:
        raise ValueError(f"matrix: expected a symmetric matrix, got {matrix}")
    work = [list(matrix.row(i)) for i in range(matrix.rows)]
    signs = [0, 0, 0]
    while work:
        d = len(work)
        pivot = next((i for i in range(d) if work[i][i] != 0), None)
        if pivot is None:
            pair = next(((i, j) for i in range(d) for j in range(i) if work[i][j] != 0), None)
            if pair is None:
                signs[2] += d
                break
            pivot, other = pair  # add row and column `other` to `pivot`: its diagonal becomes 2 M_ij
            work[pivot] = [p + q for p, q in zip(work[pivot], work[other], strict=True)]
            for row in work:
                row[pivot] += row[other]
        head = work[pivot]
        signs[0 if head[pivot] > 0 else 1] += 1
        rest = [i for i in range(d) if i != pivot]
        work = [[work[i][j] - work[i][pivot] * head[j] / head[pivot] for j in rest] for i in rest]
    return signs[0], signs[1], signs[2]


def relation(a: MatrixLike, b: MatrixLike) -> Relation:
    """Exact Loewner relation of A to B.

    Args:
        a: rational symmetric (d, d).
        b: rational symmetric (d, d).

    Returns:
        Where A stands relative to B.

    Example:
        >>> relation([[1, 0], [0, 1]], [[1, 0], [0, "3/2"]])
        <Relation.BELOW: 'below'>
    """
    first = _as_square(a, "A")
    return Relation.of_inertia(*inertia(_as_square(b, "B", first.rows) - first))


def _domain(matrix: ImmutableMatrix) -> DomainMatrix:
    return DomainMatrix.from_Matrix(matrix).convert_to(QQ)


def _solve(m: ImmutableMatrix, v: ImmutableMatrix) -> ImmutableMatrix | None:
    """One solution of M x = v, None if there is none."""
    if v.shape != (m.rows, 1):
        raise ValueError(f"v: expected a vector of length {m.rows}, got {v.rows} x {v.cols}")
    reduced, pivots = _domain(m.row_join(v)).rref()
    if m.cols in pivots:
        return None
    table = reduced.to_Matrix()
    x = [S.Zero] * m.cols
    for row, column in enumerate(pivots):
        x[column] = table[row, m.cols]
    return ImmutableMatrix(x)
