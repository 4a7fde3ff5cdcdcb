"""Fisher information of unpaired samples: blocks, effective information, Cramer-Rao bounds.

Private parameters belong to one modality each. Whatever is unknown besides theta_c can therefore be eliminated
modality by modality, and the effective information about theta_c is a *sum* of small (d_c, d_c) matrices,

    I_eff = sum_k n_k S_k,     S_k = C' (I - P_S) C   per sample, in whitened units,

with P_S the projector onto the range of the private design (theory.md section 1). Most questions of this library
are questions about the S_k. They are `fisherkit.psd.PSD` objects, which work as arrays do and remember what was projected out:
hand them on as they are, and what private parameters explain fully stays nothing.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.accumulation import design_root
from fisherkit.checks import UnknownNameError, as_array, as_counts, as_indices, as_instance, as_whole
from fisherkit.directions import as_directions
from fisherkit.layout import SHARED
from fisherkit.model import LinearGaussian, Modality
from fisherkit.projection import project_out
from fisherkit.psd import PSD, stacked, total
from fisherkit.statistics import RootStatistics
from fisherkit.tolerances import tolerance

__all__ = [
    "cramer_rao",
    "effective_information",
    "information",
    "information_by_modality",
    "sample_information",
    "schur_complement",
    "shared_information",
]

Array = NDArray[np.float64]
Counts = Mapping[str, int] | int


def information_by_modality(
    model: LinearGaussian, counts: Counts | None = None, *, unit_noise: bool = False
) -> dict[str, Array]:
    """Fisher information of each modality's samples about all parameters, placed in the full matrix.

    I_k = sum_i [C S]' Sigma_k^{-1} [C S] in the (theta_c, theta_k) rows and columns (Gupta et al. 2025, C.2).

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all; None for one sample of each: exactly one for a
            repeated design, the average one for per-sample designs (`sample_information` has each of them).
        unit_noise: the paper's blocks, sum A'A without the noise covariance. They order the modalities rightly only
            if all noises are equal.

    Returns:
        {modality: (d, d)}, 1 / parameter units squared.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality([[2.0]]), "y": Modality([[1.0]], [[1.0]], noise_std=0.5)})
        >>> information_by_modality(model)["y"]
        array([[4., 4.],
               [4., 4.]])
    """
    as_instance(model, LinearGaussian, "model")
    placed = {}
    for name, n in _sizes(model, counts).items():
        placed[name] = np.zeros((model.n_params, model.n_params))
        if n:
            root = _design_root(model[name], n, name, unit_noise).matrix
            columns = model.layout.columns(name)
            placed[name][np.ix_(columns, columns)] = root.T @ root / (n if counts is None else 1)
    return placed


def sample_information(
    model: LinearGaussian, modality: str, sample: int = 0, *, unit_noise: bool = False
) -> Array:
    """Fisher information of a single sample about all parameters, placed in the full matrix: one term of I_k.

    Args:
        model: the world.
        modality: name.
        sample: which one; with a repeated design all are alike.
        unit_noise: leave the noise covariance out, as the paper does.

    Returns:
        (d, d), of rank m_k at most; `information_by_modality` is the sum over samples.

    Raises:
        ValueError: no such sample.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality([[[1.0, 0.0]], [[0.0, 3.0]]])})      # two samples, a design each
        >>> sample_information(model, "x", 1)
        array([[0., 0.],
               [0., 9.]])
    """
    as_instance(model, LinearGaussian, "model")
    source = model[modality]
    index = as_whole(sample, f"{modality}: sample", least=0)
    if source.n_designs is not None and index >= source.n_designs:
        raise ValueError(
            f"{modality}: sample {index} asked for, but there are {source.n_designs} per-sample designs, 0 first"
        )
    shared, private = (b[index] if b.ndim == 3 else b for b in (source.shared, source.private))
    noise = {} if unit_noise else {n: getattr(source, n) for n in ("noise_std", "noise_var", "noise_cov")}
    root = design_root(Modality(shared, private, **noise), 1, name=modality).matrix
    columns = model.layout.columns(modality)
    placed = np.zeros((model.n_params, model.n_params))
    placed[np.ix_(columns, columns)] = root.T @ root
    return placed


def information(model: LinearGaussian, counts: Counts, *, unit_noise: bool = False) -> Array:
    """Fisher information of all samples about all parameters: the sum over modalities.

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all.
        unit_noise: the paper's blocks without noise, see `information_by_modality`.

    Returns:
        (d, d), laid out by ``model.slices``.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality(np.eye(1), noise_std=0.5), "y": Modality(np.eye(1), np.eye(1))})
        >>> information(model, {"x": 2, "y": 3})
        array([[11.,  3.],
               [ 3.,  3.]])
    """
    return sum(information_by_modality(model, counts, unit_noise=unit_noise).values(), np.zeros(()))


def shared_information(
    model: LinearGaussian,
    counts: Counts | None = None,
    *,
    unit_noise: bool = False,
    fisher_orthogonal: bool = False,
) -> dict[str, PSD]:
    """What each modality contributes to the effective information about theta_c; contributions add.

    Args:
        model: the world.
        counts: {modality: number of samples}; None for one average sample of each modality (S_k).
        unit_noise: leave the noise covariances out, as the paper does.
        fisher_orthogonal: the paper's special case I_cs = 0: private parameters cost nothing, S_k = C'C.

    Returns:
        {modality: (d_c, d_c) decided matrix}, with rounding-level eigenvalues exactly zero.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> confounded = Modality(np.eye(2), np.eye(2))     # full-rank shared design, and still nothing
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": confounded})
        >>> shared_information(model)["y"]
        PSD(rank 0 of 2, [[0. 0.] [0. 0.]])
    """
    as_instance(model, LinearGaussian, "model")
    contributions = {}
    for name, n in _sizes(model, counts).items():
        if not n:
            contributions[name] = PSD.zero(model.shared_dim)
            continue
        root = _design_root(model[name], n, name, unit_noise)
        share, private = np.split(root.matrix, [model.shared_dim], axis=1)
        nuisance = private[:, :0] if fisher_orthogonal else private
        own = project_out(share, nuisance, noise=root.rounding)
        contributions[name] = own.times(1 / n) if counts is None else own
    return contributions


def effective_information(
    model: LinearGaussian,
    counts: Counts,
    about: str | ArrayLike = SHARED,
    *,
    unit_noise: bool = False,
    fisher_orthogonal: bool = False,
) -> PSD | Array:
    """Information about some parameters when all others are unknown too (Schur complement).

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all.
        about: "shared", a modality (its private block), or one direction v of length d; for a direction the result
            is 1 / (v' I^+ v), and 0 where v'theta is not estimable.
        unit_noise: leave the noise covariances out, as the paper does.
        fisher_orthogonal: the paper's special case: treat cross blocks with the nuisance as zero; for a direction, all
            cross blocks between parameter blocks.

    Returns:
        (d_b, d_b) decided matrix for a block, a scalar array for a direction.

    Raises:
        UnknownNameError: `about` names no block.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality(np.eye(1)), "y": Modality(np.ones((2, 1)), np.eye(2)[:, :1])})
        >>> effective_information(model, {"x": 1, "y": 1})
        PSD(rank 1 of 1, [[2.]])
        >>> float(effective_information(model, {"x": 0, "y": 1}, [0.0, 1.0]).round(6))
        0.5
    """
    as_instance(model, LinearGaussian, "model")
    if not isinstance(about, str):
        v = as_array(about, "direction", ndim=1)
        variance = cramer_rao(model, counts, v, unit_noise=unit_noise, fisher_orthogonal=fisher_orthogonal)
        return np.divide(1.0, variance) if np.any(v) else np.asarray(np.inf)
    if about not in model.slices:
        raise UnknownNameError(about, model.slices, "parameter block")
    if about == SHARED:
        parts = shared_information(model, counts, unit_noise=unit_noise, fisher_orthogonal=fisher_orthogonal)
        return total(model.shared_dim, [(1.0, part) for part in parts.values()])
    roots, rounding = _placed(model, counts, unit_noise)
    root, block = np.concatenate(roots), model.slices[about]
    others = np.delete(root, block, axis=1)
    return project_out(root[:, block], others[:, :0] if fisher_orthogonal else others, noise=max(rounding))


def cramer_rao(
    model: LinearGaussian,
    counts: Counts,
    directions: ArrayLike,
    *,
    unit_noise: bool = False,
    fisher_orthogonal: bool = False,
) -> Array:
    """Smallest variance of an unbiased estimator of v'theta: v' I^+ v, or +infinity outside range(I).

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all.
        directions: (d,) or (d, n) over all parameters, or (d_c,) / (d_c, n) over the shared ones.
        unit_noise: leave the noise covariances out, as the paper does.
        fisher_orthogonal: the paper's special case: treat cross blocks between parameter blocks as zero, so that
            variances of the blocks' parts of v add.

    Returns:
        Scalar array or (n,), parameter units squared.

    Raises:
        ValueError: directions of any other length.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality([[1.0, 0.0]]), "y": Modality([[0.0, 2.0]])})
        >>> cramer_rao(model, {"x": 1}, np.eye(2)), cramer_rao(model, {"x": 1, "y": 1}, np.eye(2))
        (array([ 1., inf]), array([1.  , 0.25]))
    """
    as_instance(model, LinearGaussian, "model")
    v = as_directions(directions, model.layout)
    roots, rounding = _placed(model, counts, unit_noise)
    if not fisher_orthogonal:
        return stacked(roots, rounding=rounding)[0].variance(v)
    blocks = {b.start: [r[:, b] for r in roots] for b in model.slices.values()}
    parts = (
        stacked(blocks[b.start], rounding=rounding)[0].variance(v[b])
        for b in model.slices.values()
        if b.stop > b.start
    )
    return sum(parts, np.zeros(v.shape[1:]))


def schur_complement(matrix: ArrayLike, keep: slice | ArrayLike, *, name: str = "information") -> PSD:
    """Effective information of a finished matrix: I_kk - I_kn I_nn^+ I_nk, also where I or I_nn is singular.

    Inverting, cutting out a block and inverting again gives the wrong rank for singular information; this does not.
    A finished matrix resolves designs of condition up to about 1e6; the functions that take a model do better.

    Args:
        matrix: (d, d) positive semidefinite; a `PSD` keeps the digits of its root.
        keep: slice, index or indices of the parameters asked about; negative ones count from the end.
        name: how error messages call the matrix.

    Returns:
        (k, k) decided matrix.

    Raises:
        ValueError: not positive semidefinite, or `keep` is empty, repeats an index or goes beyond the matrix.

    Example:
        >>> schur_complement([[2.0, 1.0], [1.0, 1.0]], [0])
        PSD(rank 1 of 1, [[1.]])
    """
    m = PSD.of(matrix, name=name)
    kept = as_indices(keep, m.dim, "keep")
    others = np.setdiff1d(np.arange(m.dim), kept)
    scale = m.lengths[np.concatenate([kept, others])]
    return project_out(m.root[:, kept], m.root[:, others], noise=m.rounding, scale=scale)


def _design_root(modality: Modality, n: int, name: str, unit_noise: bool) -> RootStatistics:
    modality.check_count(n, name)
    return design_root(Modality(modality.shared, modality.private) if unit_noise else modality, n, name=name)


def _sizes(model: LinearGaussian, counts: Counts | None) -> dict[str, int]:
    """Sample counts; None for all per-sample designs, or one sample of a repeated one."""
    if counts is None:
        return {name: model[name].n_designs or 1 for name in model.names}
    return as_counts(counts, model.names)


def _placed(model: LinearGaussian, counts: Counts, unit_noise: bool) -> tuple[list[Array], list[float]]:
    """Roots of each modality's information, each (rows, d), and the sizes of their rounding."""
    roots, rounding = [np.zeros((0, model.n_params))], [tolerance(model.n_params)]
    for name, n in as_counts(counts, model.names).items():
        if n:
            own = _design_root(model[name], n, name, unit_noise)
            roots.append(np.zeros((len(own.matrix), model.n_params)))
            roots[-1][:, model.layout.columns(name)] = own.matrix
            rounding.append(own.rounding)
    return roots, rounding
