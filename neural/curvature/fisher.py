"""Fisher information of the trunk and of the modality-specific parameters: exact, empirical and Monte-Carlo.

Per modality k, over its n_k samples, with phi = (phi_c, phi_k) the shared and its own parameters:

    exact        I_k = sum_n J_n' F_n J_n                    expectation over targets, in closed form
    empirical    sum_n g_n g_n', g_n the score at the target that was observed
    Monte-Carlo  the mean of sum_n g_n g_n' at targets drawn from the network's own predictions

The exact one does not look at targets (Amari 1998; Martens 2020, "New insights and perspectives on the natural
gradient method"). The empirical one is not an estimate of it unless the network is the true model, and can point
elsewhere (Kunstner, Balles and Hennig 2019, "Limitations of the empirical Fisher approximation"). The
Monte-Carlo one is unbiased for the exact one, with rank n_k draws at most.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError, as_whole
from fisherkit.information import schur_complement
from fisherkit.projection import project_out
from fisherkit.psd import PSD
from fisherkit.streams import Seed
from neural.curvature.jacobian import Branch, sample_jacobians
from neural.curvature.likelihood import Likelihood
from neural.curvature.partition import Entry, Partition
from neural.minibatches import torch_generator

__all__ = [
    "Cotangents",
    "Inputs",
    "Likelihoods",
    "TrunkInformation",
    "chunks",
    "empirical_fisher",
    "exact_cotangents",
    "information_root",
    "likelihood_of",
    "monte_carlo_fisher",
    "trunk_fisher",
]

Array = NDArray[np.float64]
Inputs = Mapping[str, Tensor | ArrayLike]
Likelihoods = Likelihood | Mapping[str, Likelihood]
#: maps a slice of the samples and their outputs (n, m) to the (r, n, m) columns of a root of the information
Cotangents = Callable[[slice, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class TrunkInformation:
    """Fisher information of each modality's samples about (phi_c, phi_k), the shared parameters first.

    Attributes:
        matrices: {modality: (d_c + d_k, d_c + d_k)}, 1 / parameter units squared.
        roots: {modality: (rows, d_c + d_k)} with root' root the matrix, where they were asked for.
        shared_dim: d_c.
        kind: "exact", "empirical" or "Monte-Carlo".

    Example:
        >>> from neural.curvature import Gaussian, Partition, trunk_fisher
        >>> from neural.autoencoder.model import Architecture, SharedAutoencoder
        >>> net = SharedAutoencoder(Architecture((("x", 3), ("y", 2)), 2, 2, 1), seed=0, dtype=torch.float64)
        >>> rows = {"x": torch.ones(5, 3), "y": torch.eye(2)}
        >>> information = trunk_fisher(net, rows, Gaussian(0.09))
        >>> information.shared_dim, information.matrices["x"].shape
        (19, (36, 36))
        >>> sorted(information.effective())
        ['x', 'y']
    """

    matrices: Mapping[str, Array]
    roots: Mapping[str, Array]
    shared_dim: int
    kind: str

    def plain(self) -> dict[str, Array]:
        """{modality: (d_c, d_c)} information about phi_c with its own parameters known: the blocks I_k,cc."""
        block = slice(0, self.shared_dim)
        return {name: matrix[block, block] for name, matrix in self.matrices.items()}

    def effective(self) -> dict[str, PSD]:
        """Information about phi_c with each modality's own parameters unknown: I_cc - I_cs I_ss^+ I_sc.

        Private parameters are disjoint, so that contributions add up over modalities. From a root, nuisance directions
        of condition up to 1e12 are told from rounding; from a matrix, up to about 1e6, and what is weaker counts as
        carrying nothing (`fisherkit.psd`). Nuisance blocks may be singular, as those of networks with dead units are.

        Returns:
            {modality: (d_c, d_c) decided matrix}, which works as an array does. Costs O((d_c + d_k)^3).
        """
        d = self.shared_dim
        found = {}
        for name, matrix in self.matrices.items():
            if name in self.roots:
                found[name] = project_out(self.roots[name][:, :d], self.roots[name][:, d:])
            else:
                found[name] = schur_complement(matrix, slice(0, d), name=f"{name}: information")
        return found


def trunk_fisher(
    net: nn.Module,
    inputs: Inputs,
    likelihood: Likelihoods,
    partition: Partition | None = None,
    *,
    root: bool = False,
    batch_size: int = 256,
    dtype: torch.dtype = torch.float64,
) -> TrunkInformation:
    """Exact Fisher information sum_n J_n' F_n J_n at the network's parameters, all blocks, nothing approximated.

    About N P^2 operations where the parameters are weights of linear layers (`neural.curvature.jacobian`), P = d_c + d_k;
    r N P^2, r outputs per sample, for others. Memory O(P^2).

    Args:
        net: maps ``{modality: (n, ...)}`` to ``{modality: (n, m_k)}``, samples independent of each other. The
            computation runs on the device of its parameters; they and their gradients are left alone.
        inputs: {modality: (n_k, ...)}.
        likelihood: of all outputs, or {modality: likelihood}.
        partition: shared and private parameters; default `Partition.of`.
        root: also keep a root of each matrix: takes r n_k P^2 operations, makes `TrunkInformation.effective` sharper.
        batch_size: samples at a time.
        dtype: to compute in, whatever the type of the parameters.

    Returns:
        The information.

    Raises:
        UnknownNameError: a modality without a likelihood.
        ValueError: no samples, or outputs that are not finite or not a sample's own.
    """

    def cotangents(name: str) -> Cotangents:
        return exact_cotangents(likelihood_of(likelihood, name))

    return _information(net, inputs, cotangents, partition, "exact", root, batch_size, dtype)


def empirical_fisher(
    net: nn.Module,
    inputs: Inputs,
    targets: Inputs,
    likelihood: Likelihoods,
    partition: Partition | None = None,
    *,
    root: bool = False,
    batch_size: int = 256,
    dtype: torch.dtype = torch.float64,
) -> TrunkInformation:
    """Empirical Fisher: sum_n g_n g_n', g_n the derivative of log p(observed target | outputs) of one sample.

    Of a well-fitted network it vanishes with the residuals, however much the outputs depend on the parameters.

    Args:
        net: as in `trunk_fisher`.
        inputs: {modality: (n_k, ...)}.
        targets: {modality: (n_k, m_k) numbers, or (n_k,) classes}.
        likelihood: of all outputs, or {modality: likelihood}.
        partition: shared and private parameters; default `Partition.of`.
        root: also keep the scores, (n_k, d_c + d_k).
        batch_size: samples at a time.
        dtype: to compute in.

    Returns:
        The information, of rank n_k at most.

    Raises:
        UnknownNameError: a modality without targets or likelihood.
        ValueError: as in `trunk_fisher`, or targets that do not fit the outputs.
    """
    observed = {name: torch.as_tensor(values) for name, values in targets.items()}
    for name, rows in inputs.items():
        if name not in observed:
            raise UnknownNameError(name, observed, "modality in targets")
        if len(observed[name]) != len(torch.as_tensor(rows)):
            raise ValueError(
                f"{name}: {len(torch.as_tensor(rows))} inputs need as many targets, got {len(observed[name])}"
            )

    def cotangents(name: str) -> Cotangents:
        law, given = likelihood_of(likelihood, name), observed[name]
        return lambda part, outputs: law.score(outputs, given[part].to(outputs.device))[None]

    return _information(net, inputs, cotangents, partition, "empirical", root, batch_size, dtype)


def monte_carlo_fisher(
    net: nn.Module,
    inputs: Inputs,
    likelihood: Likelihoods,
    partition: Partition | None = None,
    *,
    draws: int,
    seed: Seed,
    root: bool = False,
    batch_size: int = 256,
    dtype: torch.dtype = torch.float64,
) -> TrunkInformation:
    """Monte-Carlo estimate of the exact Fisher: mean over draws of sum_n g_n g_n' at targets the network predicts.

    What is approximated: the expectation over targets, and that alone; the estimate of each matrix is unbiased, entries
    have standard error of order 1 / sqrt(draws n_k). Its rank is at most draws * n_k. A Schur complement is concave in
    the matrix, so `TrunkInformation.effective` of an estimate is biased downwards, and it is zero as long as
    draws * n_k does not exceed the number of private parameters that matter. `directional_information` has no such
    bias.

    Args:
        net: as in `trunk_fisher`.
        inputs: {modality: (n_k, ...)}.
        likelihood: of all outputs, or {modality: likelihood}.
        partition: shared and private parameters; default `Partition.of`.
        draws: targets per sample, >= 1.
        seed: of the targets; every modality has a stream of its own.
        root: also keep a root.
        batch_size: samples at a time.
        dtype: to compute in.

    Returns:
        The estimate.

    Raises:
        UnknownNameError: a modality without a likelihood.
        ValueError: as in `trunk_fisher`, or draws below one.
    """
    draws = as_whole(draws, "draws", least=1)
    generators = {name: torch_generator(seed, f"targets of {name}") for name in inputs}

    def cotangents(name: str) -> Cotangents:
        law = likelihood_of(likelihood, name)
        return lambda _, outputs: law.draw_scores(outputs, draws, generators[name]) / draws**0.5

    return _information(net, inputs, cotangents, partition, "Monte-Carlo", root, batch_size, dtype)


def likelihood_of(likelihood: Likelihoods, name: str) -> Likelihood:
    """Likelihood of one modality; `UnknownNameError` where none is given for it."""
    if not isinstance(likelihood, Mapping):
        return likelihood
    if name not in likelihood:
        raise UnknownNameError(name, likelihood, "modality in likelihood")
    return likelihood[name]


def exact_cotangents(likelihood: Likelihood) -> Cotangents:
    """The root L_n of the information F_n about outputs (n, m), column by column: (m, n, m)."""

    def columns(_: slice, outputs: Tensor) -> Tensor:
        n, m = outputs.shape
        unit = torch.eye(m, dtype=outputs.dtype, device=outputs.device)
        return likelihood.root(outputs, unit[:, None].expand(m, n, m))

    return columns


def chunks(branch: Branch, rows: Tensor | ArrayLike, batch_size: int) -> Iterator[tuple[Tensor, slice]]:
    """Checked inputs of one modality in the branch's type and device, a batch at a time, and which samples they are."""
    size = as_whole(batch_size, "batch_size", least=1)
    given = torch.as_tensor(rows)
    if given.ndim < 1 or not len(given):
        raise ValueError(f"{branch.name}: no samples (shape {tuple(given.shape)}); give at least one")
    for start in range(0, len(given), size):
        part = slice(start, min(start + size, len(given)))
        batch = branch.cast(given[part].to(branch.device))
        branch.check_samples(batch)
        yield batch, part


def _information(
    net: nn.Module,
    inputs: Inputs,
    cotangents: Callable[[str], Cotangents],
    partition: Partition | None,
    kind: str,
    root: bool,
    batch_size: int,
    dtype: torch.dtype,
) -> TrunkInformation:
    if not inputs:
        raise ValueError("inputs: give at least one modality")
    parts = Partition.of(net) if partition is None else partition
    matrices: dict[str, Array] = {}
    roots: dict[str, Array] = {}
    for name, rows in inputs.items():
        branch, entries, columns = Branch(net, name, dtype), parts.entries(net, name), cotangents(name)
        if root:
            roots[name] = information_root(branch, rows, columns, entries, batch_size)
            matrices[name] = roots[name].T @ roots[name]
        else:
            matrices[name] = _matrix(branch, rows, columns, entries, batch_size)
    return TrunkInformation(matrices, roots, parts.shared_dim(net), kind)


def information_root(
    branch: Branch,
    rows: Tensor | ArrayLike,
    cotangents: Cotangents,
    entries: tuple[Entry, ...],
    batch_size: int,
) -> Array:
    """Root R (min(r n, P), P) of one modality's information R'R, by orthogonal reduction of the Jacobian in batches."""
    columns = sum(entry.size for entry in entries)
    stacked: list[Tensor] = []
    for batch, part in chunks(branch, rows, batch_size):
        stacked.append(sample_jacobians(branch, batch, partial(cotangents, part), entries).rows())
        if sum(map(len, stacked)) > 2 * columns:
            stacked = [torch.linalg.qr(torch.cat(stacked), mode="r").R]
    root = torch.cat(stacked)
    if len(root) > columns:
        root = torch.linalg.qr(root, mode="r").R
    return root.to("cpu", torch.float64).numpy()


def _matrix(
    branch: Branch,
    rows: Tensor | ArrayLike,
    cotangents: Cotangents,
    entries: tuple[Entry, ...],
    batch_size: int,
) -> Array:
    columns = sum(entry.size for entry in entries)
    total = torch.zeros(columns, columns, dtype=branch.dtype, device=branch.device)
    for batch, part in chunks(branch, rows, batch_size):
        sample_jacobians(branch, batch, partial(cotangents, part), entries).add_gram(total)
    return total.to("cpu", torch.float64).numpy()
