"""From the log-likelihood to score, Hessian, information and maximum likelihood, by symbolic differentiation.

Nothing here knows the closed forms of `fisherkit.information` or `fisherkit.estimation`: the only formula put in is
the Gaussian log-density of one sample, x = C theta_c + S theta_k + eps with eps ~ N(0, Sigma_k).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import Dummy, ImmutableMatrix, Matrix, Symbol

from fisherkit.checks import as_instance, as_whole
from fisherkit.symbolic.rational import as_expressions, pseudoinverse

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
        ValueError: shapes that do not fit, a covariance that is not symmetric or (where it is made of numbers) not
            positive definite, or a count below 1.
    """

    shared: ImmutableMatrix
    private: ImmutableMatrix = None
    noise_cov: ImmutableMatrix = None
    count: int = 1

    def __post_init__(self) -> None:
        shared = as_expressions(self.shared, "shared")
        m = shared.rows
        private = (
            ImmutableMatrix.zeros(m, 0) if self.private is None else as_expressions(self.private, "private")
        )
        noise = (
            ImmutableMatrix.eye(m) if self.noise_cov is None else as_expressions(self.noise_cov, "noise_cov")
        )
        if private.rows != m:
            raise ValueError(f"private: expected {m} rows as in shared, got {private.rows}")
        if noise.shape != (m, m):
            raise ValueError(f"noise_cov: expected shape ({m}, {m}), got {noise.shape}")
        _check_covariance(noise)
        if as_whole(self.count, "count", least=0) < 1:
            raise ValueError(f"count: must be at least 1, got {self.count}")
        object.__setattr__(self, "count", int(self.count))
        object.__setattr__(self, "shared", shared)
        object.__setattr__(self, "private", private)
        object.__setattr__(self, "noise_cov", noise)


def _check_covariance(noise: ImmutableMatrix) -> None:
    if any(sympy.simplify(entry) != 0 for entry in noise - noise.T):
        raise ValueError(f"noise_cov: not symmetric: {noise.tolist()}")
    # leading principal minors (Sylvester); with symbols in them nothing is claimed
    minors = (noise[:k, :k].det() for k in range(1, noise.rows + 1))
    for k, minor in enumerate(minors, start=1):
        if not minor.free_symbols and not minor > 0:
            raise ValueError(
                f"noise_cov: not positive definite: the leading minor of size {k} is {minor}; add measurement noise"
            )


@dataclass(frozen=True)
class Derivation:
    """What differentiation of one log-likelihood yields.

    Attributes:
        theta: (d, 1) parameter symbols, theta_c first, then private blocks in order; a symbol whose name is taken (by
            the designs, or because a modality is called "c") is a ``sympy.Dummy``.
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
        ValueError: no modality, one without a name, different numbers of shared parameters, or symbolic designs with a
            singular information matrix.

    Example:
        >>> s = sympy.Symbol("s", positive=True)
        >>> world = {"x": SymbolicModality([[1]]), "y": SymbolicModality([[1]], noise_cov=[[s**2]])}
        >>> derive(world).information
        Matrix([[1 + s**(-2)]])
        >>> derive(world).mle            # residuals weighted by inverse noise variance
        Matrix([[(s**2*x_0_0 + y_0_0)/(s**2 + 1)]])
    """
    taken = _names_in(modalities)
    blocks = _parameters(modalities, taken)
    theta = ImmutableMatrix([symbol for block in blocks.values() for symbol in block])
    data = {
        name: ImmutableMatrix([
            [_fresh(f"{name}_{i}_{r}", taken) for r in range(m.shared.rows)] for i in range(m.count)
        ])
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
    blocks = _parameters(modalities, _names_in(modalities))
    order = [symbol for block in blocks.values() for symbol in block]
    total = sympy.zeros(len(order), len(order))
    for name, m in modalities.items():
        design = sympy.zeros(m.shared.rows, len(order))
        for source, symbols in ((m.shared, blocks[""]), (m.private, blocks[name])):
            for column, symbol in enumerate(symbols):
                design[:, order.index(symbol)] = source.col(column)
        total += m.count * design.T * m.noise_cov.inv() * design
    return ImmutableMatrix(total.applyfunc(sympy.simplify))


def _names_in(modalities: Mapping[str, SymbolicModality]) -> set[str]:
    """Names of the symbols that designs and noise are made of."""
    for name, m in as_instance(modalities, Mapping, "modalities").items():
        as_instance(m, SymbolicModality, f"modalities: {name}")
    return {
        symbol.name
        for m in modalities.values()
        for part in (m.shared, m.private, m.noise_cov)
        for symbol in part.free_symbols
    }


def _fresh(name: str, taken: set[str]) -> Symbol:
    """A symbol that is no other one; a dummy where the name is taken."""
    if name in taken:
        return Dummy(name, real=True)
    taken.add(name)
    return Symbol(name, real=True)


def _parameters(modalities: Mapping[str, SymbolicModality], taken: set[str]) -> dict[str, list[Symbol]]:
    """Parameter symbols by block; the shared block has the empty name."""
    if not modalities:
        raise ValueError("modalities: give at least one")
    if "" in modalities:
        raise ValueError('modalities: a modality needs a name; "" is reserved for the shared parameters')
    widths = {name: m.shared.cols for name, m in modalities.items()}
    if len(set(widths.values())) > 1:
        raise ValueError(f"shared designs must have the same number of columns, got {widths}")
    d_c = next(iter(widths.values()))
    blocks = {"": [_fresh(f"theta_c{i}", taken) for i in range(d_c)]}
    for name, m in modalities.items():
        blocks[name] = [_fresh(f"theta_{name}{i}", taken) for i in range(m.private.cols)]
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
