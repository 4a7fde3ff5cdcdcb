"""From the log-likelihood to score, Hessian, information and maximum likelihood, by symbolic differentiation.

Nothing here knows the closed forms of `fisherkit.information` or `fisherkit.estimation`: the only formula put in is
the Gaussian log-density of one sample, x = C theta_c + S theta_k + eps with eps ~ N(0, Sigma_k).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import ImmutableMatrix, Matrix, Symbol

from fisherkit.symbolic.rational import pseudoinverse

__all__ = ["Derivation", "SymbolicModality", "derive", "information_blocks"]


@dataclass(frozen=True)
class SymbolicModality:
    """One modality with a repeated design; entries are exact numbers or symbols.

    Args:
        shared: (m, d_c) block C.
        private: (m, d_k) block S; None for no private parameters.
        noise_cov: (m, m) covariance Sigma; None for the identity.
        count: number of samples.

    Raises:
        ValueError: shapes that do not fit, or a count below 1.
    """

    shared: ImmutableMatrix
    private: ImmutableMatrix = None
    noise_cov: ImmutableMatrix = None
    count: int = 1

    def __post_init__(self) -> None:
        shared = ImmutableMatrix(self.shared)
        m = shared.rows
        private = ImmutableMatrix.zeros(m, 0) if self.private is None else ImmutableMatrix(self.private)
        noise = ImmutableMatrix.eye(m) if self.noise_cov is None else ImmutableMatrix(self.noise_cov)
        if private.rows != m:
            raise ValueError(f"private: expected {m} rows as in shared, got {private.rows}")
        if noise.shape != (m, m):
            raise ValueError(f"noise_cov: expected shape ({m}, {m}), got {noise.shape}")
        if self.count < 1:
            raise ValueError(f"count: must be at least 1, got {self.count}")
        object.__setattr__(self, "shared", shared)
        object.__setattr__(self, "private", private)
        object.__setattr__(self, "noise_cov", noise)


@dataclass(frozen=True)
class Derivation:
    """What differentiation of one log-likelihood yields.

    Attributes:
        theta: (d, 1) parameter symbols, theta_c first, then private blocks in order.
        data: {modality: (count, m) symbols of the observations}.
        log_likelihood: expression in theta and data, without the constant that depends on neither.
        score: (d, 1) gradient.
        information: (d, d) minus the Hessian.
        score_covariance: (d, d) covariance of the score under the model; equals `information` (Definition 4).
        mle: (d, 1) maximum-likelihood estimator as an expression in the data, of minimum norm if the information is
            singular (exact numbers only).
    """

    theta: ImmutableMatrix
    data: Mapping[str, ImmutableMatrix]
    log_likelihood: sympy.Expr
    score: ImmutableMatrix
    information: ImmutableMatrix
    score_covariance: ImmutableMatrix
    mle: ImmutableMatrix


def derive(modalities: Mapping[str, SymbolicModality]) -> Derivation:
    """Write the log-likelihood down and differentiate it.

    Args:
        modalities: {name: SymbolicModality}, all with the same number of shared parameters.

    Returns:
        Score, information in both forms of its definition, and estimator.

    Raises:
        ValueError: no modality, different numbers of shared parameters, or symbolic designs with a singular
            information matrix.

    Example:
        >>> s = sympy.Symbol("s", positive=True)
        >>> world = {"x": SymbolicModality([[1]]), "y": SymbolicModality([[1]], noise_cov=[[s**2]])}
        >>> derive(world).information
        Matrix([[1 + s**(-2)]])
        >>> derive(world).mle            # residuals weighted by inverse noise variance
        Matrix([[(s**2*x_0_0 + y_0_0)/(s**2 + 1)]])
    """
    blocks = _parameters(modalities)
    theta = ImmutableMatrix([symbol for block in blocks.values() for symbol in block])
    data = {
        name: ImmutableMatrix(
            m.count, m.shared.rows, lambda i, r, name=name: Symbol(f"{name}_{i}_{r}", real=True)
        )
        for name, m in modalities.items()
    }
    total = sympy.S.Zero
    for name, m in modalities.items():
        shared, private = (Matrix(len(blocks[key]), 1, blocks[key]) for key in ("", name))
        mean = m.shared * shared + m.private * private
        precision = m.noise_cov.inv()
        for i in range(m.count):
            residual = data[name].row(i).T - mean
            total -= (residual.T * precision * residual)[0] / 2
    score = ImmutableMatrix([sympy.expand(sympy.diff(total, t)) for t in theta])
    information = (-score.jacobian(theta)).applyfunc(sympy.simplify)
    covariance = sympy.zeros(len(theta), len(theta))
    for name, m in modalities.items():
        for i in range(m.count):
            slope = score.jacobian(data[name].row(i).T)  # the score is linear in the data
            covariance += slope * m.noise_cov * slope.T
    at_zero = score.subs(dict.fromkeys(theta, 0))
    return Derivation(
        theta,
        data,
        total,
        score,
        information,
        ImmutableMatrix(covariance.applyfunc(sympy.simplify)),
        _solve_score(information, at_zero),
    )


def information_blocks(modalities: Mapping[str, SymbolicModality]) -> ImmutableMatrix:
    """The closed form: sum over modalities of count * [C S]' Sigma^{-1} [C S], placed by parameter block.

    Args:
        modalities: {name: SymbolicModality}.

    Returns:
        (d, d), laid out as `Derivation.theta`.
    """
    blocks = _parameters(modalities)
    order = [symbol for block in blocks.values() for symbol in block]
    total = sympy.zeros(len(order), len(order))
    for name, m in modalities.items():
        design = sympy.zeros(m.shared.rows, len(order))
        for source, symbols in ((m.shared, blocks[""]), (m.private, blocks[name])):
            for column, symbol in enumerate(symbols):
                design[:, order.index(symbol)] = source.col(column)
        total += m.count * design.T * m.noise_cov.inv() * design
    return ImmutableMatrix(total.applyfunc(sympy.simplify))


def _parameters(modalities: Mapping[str, SymbolicModality]) -> dict[str, list[Symbol]]:
    """Parameter symbols by block; the shared block has the empty name."""
    if not modalities:
        raise ValueError("modalities: give at least one")
    widths = {name: m.shared.cols for name, m in modalities.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"shared designs must have the same number of columns, got {widths}")
    d_c = next(iter(widths.values()))
    blocks = {"": [Symbol(f"theta_c{i}", real=True) for i in range(d_c)]}
    for name, m in modalities.items():
        blocks[name] = [Symbol(f"theta_{name}{i}", real=True) for i in range(m.private.cols)]
    return blocks


def _solve_score(information: ImmutableMatrix, at_zero: ImmutableMatrix) -> ImmutableMatrix:
    """Root of score = at_zero - information * theta."""
    if not information.free_symbols:
        return ImmutableMatrix(pseudoinverse(information) * at_zero)
    if sympy.simplify(information.det()) == 0:
        raise ValueError(
            "the information matrix is singular for symbolic designs; put numbers in, or drop parameters"
        )
    return ImmutableMatrix(information.LUsolve(at_zero).applyfunc(sympy.simplify))
