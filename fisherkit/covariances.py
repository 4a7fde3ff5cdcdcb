"""Centred Gaussian data, known by their covariance: information about its parameters, and the error of linear codes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_matrix, as_number, as_symmetric, as_whole

__all__ = ["covariance_information_root", "linear_code_error"]

Array = NDArray[np.float64]


def linear_code_error(covariance: ArrayLike, code_dim: int, *, fitted_to: ArrayLike | None = None) -> float:
    """Mean squared reconstruction error of the best linear code of given width (principal components).

    A linear autoencoder with unlimited data ends here; a nonlinear one can go lower in principle. With `fitted_to`,
    the code is the best one for that covariance (the attenuated training data), the error is under `covariance`
    (un-attenuated validation data).

    Args:
        covariance: (m, m) of the data that is reconstructed.
        code_dim: width of the code, 0..m.
        fitted_to: (m, m) of the data that the code was fitted to; default the same.

    Returns:
        tr((I - P) S) / m with P the projector on the leading `code_dim` eigenvectors of `fitted_to`; data units
        squared.

    Raises:
        ValueError: `code_dim` out of range.

    Example:
        >>> linear_code_error(np.diag([4.0, 2.0, 1.0]), 1)
        1.0
        >>> linear_code_error(np.diag([4.0, 2.0, 1.0]), 1, fitted_to=np.diag([1.0, 2.0, 1.0])).__round__(6)
        1.666667
    """
    s = as_symmetric(covariance, "covariance")
    basis = s if fitted_to is None else as_symmetric(fitted_to, "fitted_to", dim=len(s))
    code_dim = as_whole(code_dim, "code_dim", least=0)
    if code_dim > len(s):
        raise ValueError(f"code_dim: must lie between 0 and {len(s)}, got {code_dim}")
    discarded = np.linalg.eigh(basis)[1][:, : len(s) - code_dim]
    return float(np.einsum("ij,ik,kj->", discarded, s, discarded)) / len(s)


def covariance_information_root(
    covariance: Callable[[Array], Array], parameters: ArrayLike, *, step: float = 1.0
) -> Array:
    """Root R of the information of one sample of N(0, S(p)) about p, so that n samples carry n R'R.

        I_ij = 1/2 tr(S^-1 dS_i S^-1 dS_j)

    dS comes from central differences of the map, which are exact, up to rounding, for any `step` if S is a
    polynomial of degree two in p, as it is in loadings. Nothing about which parameters matter is assumed.

    Args:
        covariance: maps (p,) parameters to an (m, m) positive definite covariance.
        parameters: (p,) point at which to differentiate.
        step: half-width of the difference, parameter units; make it small for maps that are not quadratic.

    Returns:
        (m (m + 1) / 2, p).

    Raises:
        TypeError: `covariance` is no function.
        ValueError: S is not symmetric positive definite at `parameters`, or the step is not positive.

    Example:
        >>> root = covariance_information_root(lambda p: np.diag(p), [2.0, 1.0])    # I = 1 / (2 variance^2)
        >>> (root.T @ root).round(6)
        array([[0.125, 0.   ],
               [0.   , 0.5  ]])
    """
    p = as_array(parameters, "parameters", ndim=1)
    if not as_number(step, "step") > 0:
        raise ValueError(f"step: must be positive, got {step}")
    if not callable(covariance):
        raise TypeError(f"covariance: expected a function of the parameters, got {type(covariance).__name__}")
    s = as_symmetric(covariance(p), "covariance at the parameters")
    try:
        factor = np.linalg.cholesky(s)
    except np.linalg.LinAlgError:
        raise ValueError(
            "covariance at the parameters: not positive definite; the information of a degenerate Gaussian is not "
            "defined, give it some noise"
        ) from None
    whiten = np.linalg.inv(factor)
    rows, columns = np.tril_indices(len(s))
    weight = np.where(
        rows == columns, np.sqrt(0.5), 1.0
    )  # an off-diagonal entry stands for two, I has a half
    root = np.empty((len(rows), len(p)))
    for i in range(len(p)):
        shift = np.zeros_like(p)
        shift[i] = step
        above, below = (
            as_matrix(covariance(q), "covariance at a step", rows=len(s), cols=len(s))
            for q in (p + shift, p - shift)
        )
        slope = (above - below) / (2 * step)
        root[:, i] = weight * (whiten @ slope @ whiten.T)[rows, columns] if slope.any() else 0.0
    return root
