"""Counterexamples to the stronger readings of the paper's statements, each verified over the rationals.

`COUNTEREXAMPLES` maps a name to matrices and to the facts they establish. A fact is a sentence and a computation on
the matrices, so changing the matrices changes the answer. Every fact of every entry is true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import ImmutableMatrix, Rational, oo

from fisherkit.loewner import Relation
from fisherkit.symbolic.rational import (
    MatrixLike,
    as_rational,
    in_range,
    inertia,
    parallel_sum,
    pseudoinverse,
    rank,
    relation,
    schur_complement,
    variance,
)

__all__ = ["COUNTEREXAMPLES", "Counterexample"]

Data = Mapping[str, ImmutableMatrix]
Facts = Mapping[str, Callable[[Data], bool]]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counterexample:
    """Matrices that refute a statement in its stronger reading.

    Attributes:
        name: key in the registry.
        refutes: the statement, in words.
        data: {symbol: exact rational matrix}; vectors are columns.
        facts: {sentence: check of the data}.
    """

    name: str
    refutes: str
    data: Data
    facts: Facts

    def verify(self) -> dict[str, bool]:
        """Check every fact in exact arithmetic.

        Returns:
            {sentence: whether it is true}.

        Example:
            >>> all(COUNTEREXAMPLES["corollary 3"].verify().values())
            True
        """
        return {sentence: bool(check(self.data)) for sentence, check in self.facts.items()}

    def floats(self) -> dict[str, Array]:
        """The matrices for the floating-point functions.

        Returns:
            {symbol: float64 array}, columns flattened to vectors.
        """
        arrays = {name: np.array(m.tolist(), dtype=np.float64) for name, m in self.data.items()}
        return {name: a[:, 0] if name in _VECTORS else a for name, a in arrays.items()}


_VECTORS = ("v", "noise_var", "units")


def _joint(d: Data) -> ImmutableMatrix:
    return d["m_x"] + d["m_y"]


def _form(m: ImmutableMatrix, v: ImmutableMatrix) -> Rational:
    return (v.T * m * v)[0]


def _var_x(d: Data) -> sympy.Expr:
    return variance(d["m_x"], d["v"])


def _var_xy(d: Data) -> sympy.Expr:
    return variance(_joint(d), d["v"])


def _projector(m: ImmutableMatrix) -> ImmutableMatrix:
    return m * pseudoinverse(m)


def _restricted(m_x: ImmutableMatrix, m_y: ImmutableMatrix, v: ImmutableMatrix) -> sympy.Expr:
    """v'(P_S M_XY P_S)^+ v with S = range(M_X)."""
    p = _projector(m_x)
    return variance(p * (m_x + m_y) * p, v)


def _condition_c(d: Data) -> bool:
    """Condition C_v of Theorem 2: P_S M_Y P_S M_X^+ v is not zero."""
    p = _projector(d["m_x"])
    return any(p * d["m_y"] * p * pseudoinverse(d["m_x"]) * d["v"])


def _unweighted(d: Data) -> Rational:
    """Sandwich variance of joint least squares with all residuals counted alike."""
    s_x, s_y = d["noise_var"]
    g = pseudoinverse(d["gram_x"] + d["gram_y"])
    return _form(g * (s_x * d["gram_x"] + s_y * d["gram_y"]) * g, d["v"])


def _weighted(d: Data) -> sympy.Expr:
    s_x, s_y = d["noise_var"]
    return variance(d["gram_x"] / s_x + d["gram_y"] / s_y, d["v"])


def _effective(c: ImmutableMatrix, s: ImmutableMatrix) -> ImmutableMatrix:
    stacked = c.row_join(s)
    return schur_complement(stacked.T * stacked, range(c.cols))


def _rescaled(d: Data, name: str) -> ImmutableMatrix:
    """A matrix or direction when coordinate i of theta is divided by units_i."""
    unit = sympy.diag(*d["units"])
    return ImmutableMatrix(unit * d[name] if name == "v" else unit * d[name] * unit)


def _case(
    name: str, refutes: str, data: Mapping[str, MatrixLike], facts: Facts
) -> tuple[str, Counterexample]:
    return name, Counterexample(
        name, refutes, {key: as_rational(value, key) for key, value in data.items()}, facts
    )


_E1 = [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
_E2 = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]

#: name -> counterexample
COUNTEREXAMPLES: dict[str, Counterexample] = dict([
    _case(
        "unweighted least squares",
        "joint least squares is maximum likelihood, so it is never worse than X alone",
        {"gram_x": [[1]], "gram_y": [[1]], "noise_var": [1, 9], "v": [1]},
        {
            "X alone has variance 1": lambda d: variance(d["gram_x"] / d["noise_var"][0], d["v"]) == 1,
            "unweighted joint least squares has variance 5/2": lambda d: _unweighted(d) == Rational(5, 2),
            "weighted joint least squares has variance 9/10": lambda d: _weighted(d) == Rational(9, 10),
        },
    ),
    _case(
        "theorem 1, pseudoinverses",
        "Theorem 1 with covariances read as pseudoinverses: (M_X + M_Y)^+ < M_X^+ for M_Y positive definite",
        {"m_x": [[1, 0], [0, 0]], "m_y": [[1, 0], [0, 1]]},
        {
            "M_Y is positive definite": lambda d: inertia(d["m_y"]) == (2, 0, 0),
            "information grows strictly": lambda d: relation(d["m_x"], _joint(d)) is Relation.STRICTLY_BELOW,
            "M_X^+ - M_XY^+ = diag(1/2, -1)": lambda d: (
                pseudoinverse(d["m_x"]) - pseudoinverse(_joint(d)) == sympy.diag(Rational(1, 2), -1)
            ),
            "the pseudoinverses are incomparable": lambda d: (
                relation(pseudoinverse(_joint(d)), pseudoinverse(d["m_x"])) is Relation.INCOMPARABLE
            ),
            "the variance of e2 falls from infinity to 1": lambda d: (
                variance(d["m_x"], [0, 1]) == oo and variance(_joint(d), [0, 1]) == 1
            ),
        },
    ),
    _case(
        "theorem 1, private parameters",
        "Theorem 1 with unknown private parameters: B_c of full column rank suffices",
        {"b_c": [[1, 0], [0, 1]], "b_y": [[1, 0], [0, 1]]},
        {
            "B_c has full column rank": lambda d: rank(d["b_c"]) == d["b_c"].cols,
            "Y's effective information is zero": lambda d: not any(_effective(d["b_c"], d["b_y"])),
            "rank [B_c B_y] < d_c + rank B_y": lambda d: (
                rank(d["b_c"].row_join(d["b_y"])) < d["b_c"].cols + rank(d["b_y"])
            ),
        },
    ),
    _case(
        "theorem 1, full row rank",
        "Theorem 1 with 'full rank' not read as full column rank",
        {"m_x": [[1, 0], [0, 1]], "b_c": [[1, 0]]},
        {
            "B_c has full (row) rank": lambda d: rank(d["b_c"]) == min(d["b_c"].shape),
            "information does not grow strictly": lambda d: (
                relation(d["m_x"], d["m_x"] + d["b_c"].T * d["b_c"]) is Relation.BELOW
            ),
        },
    ),
    _case(
        "lemma 2, whole space",
        "Lemma 2 with '<' the order on the whole space",
        {"m": [[1, 0], [0, 0]], "n": [[2, 0], [0, 0]]},
        {
            "the kernels are equal": lambda d: rank(d["m"]) == rank(d["n"]) == rank(d["m"].row_join(d["n"])),
            "M < N is false on the whole space": lambda d: relation(d["m"], d["n"]) is Relation.BELOW,
            "so is N^+ < M^+": lambda d: (
                relation(pseudoinverse(d["n"]), pseudoinverse(d["m"])) is Relation.BELOW
            ),
            "both are true on S = range(M)": lambda d: (
                inertia(d["n"] - d["m"])[0]
                == inertia(pseudoinverse(d["m"]) - pseudoinverse(d["n"]))[0]
                == rank(d["m"])
            ),
        },
    ),
    _case(
        "lemma 2, different kernels",
        "order reversal for pseudoinverses without equal kernels",
        {"m": [[1, 0], [0, 0]], "n": [[1, 0], [0, 1]]},
        {
            "M <= N": lambda d: relation(d["m"], d["n"]) is Relation.BELOW,
            "N^+ <= M^+ is false": lambda d: (
                relation(pseudoinverse(d["n"]), pseudoinverse(d["m"])) is Relation.ABOVE
            ),
        },
    ),
    _case(
        "theorem 2, case 1",
        "Theorem 2, case 1: v outside range(M_X) and B_c v != 0 make the joint variance finite",
        {"m_x": _E1, "m_y": _E2, "v": [1, 1, 1]},
        {
            "v'M_Y v > 0": lambda d: _form(d["m_y"], d["v"]) > 0,
            "v is not in range(M_X)": lambda d: not in_range(d["m_x"], d["v"]),
            "the pseudoinverse number v'M_XY^+ v is 2": lambda d: (
                _form(pseudoinverse(_joint(d)), d["v"]) == 2
            ),
            "the joint variance is infinite": lambda d: _var_xy(d) == oo,
        },
    ),
    _case(
        "theorem 2, silent X",
        "Theorem 2, case 1, when X says nothing at all",
        {"m_x": [[0, 0], [0, 0]], "m_y": [[1, 0], [0, 0]], "v": [1, 1]},
        {
            "v'M_Y v > 0": lambda d: _form(d["m_y"], d["v"]) > 0,
            "the pseudoinverse number v'M_XY^+ v is 1": lambda d: (
                _form(pseudoinverse(_joint(d)), d["v"]) == 1
            ),
            "both variances are infinite": lambda d: _var_x(d) == _var_xy(d) == oo,
        },
    ),
    _case(
        "theorem 2, case 2",
        "Theorem 2, case 2: under C_v the variance falls at v in range(M_X)",
        {"m_x": [[1, 0], [0, 0]], "m_y": [[1, 1], [1, 1]], "v": [1, 0]},
        {
            "v is in range(M_X)": lambda d: in_range(d["m_x"], d["v"]),
            "v'M_Y v > 0": lambda d: _form(d["m_y"], d["v"]) > 0,
            "C_v is met": _condition_c,
            "the restricted quantity falls from 1 to 1/2": lambda d: (
                _var_x(d) == 1 and _restricted(d["m_x"], d["m_y"], d["v"]) == Rational(1, 2)
            ),
            "the true variance stays 1": lambda d: _var_x(d) == _var_xy(d) == 1,
            "M_Y M_XY^+ v = 0": lambda d: not any(d["m_y"] * pseudoinverse(_joint(d)) * d["v"]),
        },
    ),
    _case(
        "theorem 2, existence",
        "Theorem 2, last claim: some u in range(M_X) gains whenever B_c v != 0 for some v in range(M_X)",
        {"m_x": [[1, 0], [0, 0]], "m_y": [[1, 1], [1, 1]], "v": [1, 0]},
        {
            "v is in range(M_X) and v'M_Y v > 0": lambda d: (
                in_range(d["m_x"], d["v"]) and _form(d["m_y"], d["v"]) > 0
            ),
            "range(M_X) is the line through v": lambda d: rank(d["m_x"]) == 1,
            "the variance at v is the same": lambda d: _var_x(d) == _var_xy(d),
            "the parallel sum of M_X and M_Y is zero": lambda d: not any(parallel_sum(d["m_x"], d["m_y"])),
            "the ranges meet in 0 only": lambda d: rank(d["m_x"]) + rank(d["m_y"]) == rank(_joint(d)),
        },
    ),
    _case(
        "theorem 2, units",
        "the restricted variance of Theorem 2, case 2 belongs to the data: it does not depend on units",
        {"m_x": [[1, 1], [1, 1]], "m_y": [[1, 0], [0, 0]], "v": [1, 1], "units": [1, 2]},
        {
            "X's variance is 1 in both units": lambda d: (
                _var_x(d) == variance(_rescaled(d, "m_x"), _rescaled(d, "v")) == 1
            ),
            "so is the true joint variance": lambda d: (
                _var_xy(d) == variance(_rescaled(d, "m_x") + _rescaled(d, "m_y"), _rescaled(d, "v")) == 1
            ),
            "the restricted one changes from 4/5 to 25/26": lambda d: (
                _restricted(d["m_x"], d["m_y"], d["v"]) == Rational(4, 5)
                and _restricted(*(_rescaled(d, key) for key in ("m_x", "m_y", "v"))) == Rational(25, 26)
            ),
        },
    ),
    _case(
        "corollary 2",
        "Corollary 2: v'M_X v = 0 < v'M_Y v makes the joint variance finite",
        {"m_x": _E1, "m_y": _E2, "v": [0, 1, 1]},
        {
            "v'M_X v = 0": lambda d: _form(d["m_x"], d["v"]) == 0,
            "v'M_Y v = 1": lambda d: _form(d["m_y"], d["v"]) == 1,
            "the joint variance is infinite": lambda d: _var_xy(d) == oo,
        },
    ),
    _case(
        "corollary 3",
        "Corollary 3: at an eigenvector v of M_X, v'M_Y v > 0 makes the variance fall",
        {"m_x": [[1, 0], [0, 0]], "m_y": [[1, 1], [1, 1]], "v": [1, 0]},
        {
            "M_X v = v": lambda d: d["m_x"] * d["v"] == d["v"],
            "v'M_Y v = 1": lambda d: _form(d["m_y"], d["v"]) == 1,
            "P_S M_Y P_S-perp is not zero": lambda d: any(
                _projector(d["m_x"]) * d["m_y"] * (sympy.eye(2) - _projector(d["m_x"]))
            ),
            "both variances are 1": lambda d: _var_x(d) == _var_xy(d) == 1,
        },
    ),
    _case(
        "theorem 3, necessity",
        "Theorem 3: range(I_Y) not inside range(I_X) is necessary",
        {"m_x": [[1, 0], [0, 1]], "m_y": [[2, 0], [0, 2]]},
        {
            "the ranges are equal": lambda d: (
                rank(d["m_x"]) == rank(d["m_y"]) == rank(d["m_x"].row_join(d["m_y"]))
            ),
            "I_Y - I_X has a positive eigenvalue": lambda d: inertia(d["m_y"] - d["m_x"])[0] > 0,
        },
    ),
    _case(
        "proposition 1, nuisance parameters",
        "Proposition 1 with phi_x learned too: plain blocks add up to the information about phi_c",
        {"i_x": [[1, 1], [1, 1]], "i_y": [[1]]},
        {
            "the plain blocks add up to 2": lambda d: d["i_x"][0, 0] + d["i_y"][0, 0] == 2,
            "the effective information of the total is 1": lambda d: (
                schur_complement(d["i_x"] + sympy.diag(d["i_y"], 0), [0]) == ImmutableMatrix([[1]])
            ),
            "and is the sum of effective ones": lambda d: (
                schur_complement(d["i_x"], [0]) + schur_complement(d["i_y"], [0]) == ImmutableMatrix([[1]])
            ),
        },
    ),
])
