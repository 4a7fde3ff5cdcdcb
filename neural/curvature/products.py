"""Trunks too large for a matrix: products with Jacobians, and effective information along chosen directions.

For directions V (d_c, q) and J = [J_c J_k] the stacked, likelihood-weighted Jacobian of one modality (r n rows),

    V' I_eff V = min over U of (J_c V + J_k U)'(J_c V + J_k U),

a least-squares problem in the private parameters. It is solved by LSMR (Fong and Saunders 2011), whose products with
J and J' are backward passes (J through the derivative of J'w in w); no matrix of the size of the parameters is formed and a singular nuisance block
makes no difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, lsmr
from torch import Tensor, nn

from fisherkit.checks import as_array, as_whole
from neural.curvature.fisher import Inputs, Likelihoods, chunks, likelihood_of
from neural.curvature.jacobian import Branch
from neural.curvature.likelihood import Likelihood
from neural.curvature.partition import Entry, Partition

__all__ = ["DirectionalInformation", "JacobianOperator", "directional_information"]

Array = NDArray[np.float64]


class JacobianOperator(LinearOperator):
    """The weighted Jacobian L'J of one modality as a linear map; exact, (L'J)'(L'J) is the exact Fisher matrix.

    ``operator.rmatvec(operator.matvec(v))`` is the product of the Fisher matrix with v, at the cost of a few passes
    through the network. The activations of all samples stay in memory.

    Args:
        net: as in `trunk_fisher`.
        name: modality.
        rows: (n, ...) inputs.
        likelihood: of its outputs.
        partition: shared and private parameters; default `Partition.of`.
        group: "all" for (phi_c, phi_k), "shared" or "private" for one of them.
        batch_size: samples at a time.
        dtype: to compute in.

    Raises:
        ValueError: another group, or as in `trunk_fisher`.

    Example:
        >>> from neural.curvature import Gaussian
        >>> net = nn.ModuleDict({"trunk": nn.Linear(2, 1)})
        >>> net.forward = lambda batch: {name: net["trunk"](rows) for name, rows in batch.items()}
        >>> rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> JacobianOperator(net, "x", rows, Gaussian(0.25), Partition(("trunk",))) @ np.array([1.0, 0.0, 1.0])
        array([4., 8.])
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        rows: Tensor | ArrayLike,
        likelihood: Likelihood,
        partition: Partition | None = None,
        *,
        group: Literal["all", "shared", "private"] = "all",
        batch_size: int = 256,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        parts = Partition.of(net) if partition is None else partition
        entries, d = parts.entries(net, name), parts.shared_dim(net)
        if group not in ("all", "shared", "private"):
            raise ValueError(f"group must be 'all', 'shared' or 'private', got {group!r}")
        if group != "all":
            entries = tuple(e for e in entries if (e.start < d) == (group == "shared"))
        offset = entries[0].start if entries else 0
        self._entries = tuple(Entry(e.parameter, e.row, e.start - offset, e.size) for e in entries)
        self._branch, self._likelihood = Branch(net, name, dtype), likelihood
        self._parameters = {e.parameter: self._branch.leaf(e.parameter) for e in self._entries}
        self._graphs = [self._graph(batch) for batch, _ in chunks(self._branch, rows, batch_size)]
        n_rows = sum(graph.outputs.numel() for graph in self._graphs)
        super().__init__(np.dtype(np.float64), (n_rows, sum(e.size for e in entries)))

    def _graph(self, batch: Tensor) -> "_Graph":
        with torch.enable_grad():
            outputs = self._branch(self._parameters, batch)
            weights = torch.zeros_like(outputs, requires_grad=True)
            if not outputs.requires_grad:
                return _Graph(outputs, weights, {})
            gradients = torch.autograd.grad(
                outputs, list(self._parameters.values()), weights, create_graph=True, allow_unused=True
            )
        named = zip(self._parameters, gradients, strict=True)
        return _Graph(outputs, weights, {name: g for name, g in named if g is not None})

    def _matvec(self, vector: Array) -> Array:
        flat = self._tensor(vector)
        tangents = {name: torch.zeros_like(tensor) for name, tensor in self._parameters.items()}
        for entry in self._entries:
            target = tangents[entry.parameter]
            target = target if entry.row is None else target[entry.row]
            target.copy_(flat[entry.columns].reshape(target.shape))
        images = []
        for graph in self._graphs:
            image = torch.zeros_like(graph.outputs)
            if graph.gradients:  # J'w is linear in w, and its derivative in w, transposed, is J
                along = [tangents[name] for name in graph.gradients]
                image = torch.autograd.grad(
                    list(graph.gradients.values()), graph.weights, along, retain_graph=True
                )[0]
            images.append(self._likelihood.root_transposed(graph.outputs.detach(), image).flatten())
        return torch.cat(images).to("cpu", torch.float64).numpy()

    def _rmatvec(self, vector: Array) -> Array:
        flat = self._tensor(vector)
        total = flat.new_zeros(self.shape[1])
        start = 0
        for graph in self._graphs:
            weights = flat[start : start + graph.outputs.numel()].reshape(graph.outputs.shape)
            start += graph.outputs.numel()
            if not graph.gradients:
                continue
            names = list(graph.gradients)
            gradients = torch.autograd.grad(
                graph.outputs,
                [self._parameters[name] for name in names],
                self._likelihood.root(graph.outputs.detach(), weights),
                retain_graph=True,
            )
            found = dict(zip(names, gradients, strict=True))
            for entry in self._entries:
                if entry.parameter in found:
                    gradient = found[entry.parameter]
                    total[entry.columns] += (gradient if entry.row is None else gradient[entry.row]).flatten()
        return total.to("cpu", torch.float64).numpy()

    def _tensor(self, vector: Array) -> Tensor:
        flat = torch.from_numpy(np.array(vector, dtype=np.float64).reshape(-1))
        return flat.to(self._branch.device, self._branch.dtype)


@dataclass(frozen=True)
class _Graph:
    """Outputs of a batch, and J'w of each parameter as a function of weights w; both can be differentiated again."""

    outputs: Tensor
    weights: Tensor
    gradients: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class DirectionalInformation:
    """Information of each modality about the trunk along chosen directions; contributions add over modalities.

    Attributes:
        matrices: {modality: (q, q)} V' I_eff V (V' I_cc V with private parameters known). Where the solver stopped
            early this is an upper bound in the Loewner order.
        converged: {modality: whether every least-squares problem was solved to the tolerance}.
        iterations: {modality: most iterations of one problem}.
    """

    matrices: Mapping[str, Array]
    converged: Mapping[str, bool]
    iterations: Mapping[str, int]


def directional_information(
    net: nn.Module,
    inputs: Inputs,
    likelihood: Likelihoods,
    directions: ArrayLike,
    partition: Partition | None = None,
    *,
    private: Literal["known", "unknown"] = "unknown",
    tolerance: float = 1e-10,
    max_iterations: int = 10_000,
    batch_size: int = 256,
    dtype: torch.dtype = torch.float64,
) -> DirectionalInformation:
    """V' I_eff V without forming any matrix of the size of the parameters; exact up to the solver's tolerance.

    Args:
        net: as in `trunk_fisher`.
        inputs: {modality: (n_k, ...)}.
        likelihood: of all outputs, or {modality: likelihood}.
        directions: (d_c,) or (d_c, q) columns V, laid out as ``partition.entries(net)``.
        partition: shared and private parameters; default `Partition.of`.
        private: whether modality-specific parameters are known.
        tolerance: of LSMR: relative size of the normal-equation residual at which a problem is solved.
        max_iterations: per direction and modality.
        batch_size: samples at a time.
        dtype: to compute in.

    Returns:
        The information. One direction and iteration cost about four passes over the samples; an ill-conditioned
        nuisance takes thousands of them. Ask `DirectionalInformation.converged`: short of it the numbers are upper
        bounds.

    Raises:
        ValueError: directions of another length, `private` neither word, a tolerance that is not positive, or as in
            `trunk_fisher`.
    """
    if private not in ("known", "unknown"):
        raise ValueError(f"private must be 'known' or 'unknown', got {private!r}")
    if not tolerance > 0:
        raise ValueError(f"tolerance: must be positive, got {tolerance}")
    limit = as_whole(max_iterations, "max_iterations", least=1)
    parts = Partition.of(net) if partition is None else partition
    v = as_array(directions, "directions", ndim=(1, 2)).astype(np.float64, copy=False)
    v = v[:, None] if v.ndim == 1 else v
    if len(v) != parts.shared_dim(net):
        raise ValueError(
            f"directions: expected length {parts.shared_dim(net)} (shared parameters), got {len(v)}"
        )
    matrices: dict[str, Array] = {}
    converged: dict[str, bool] = {}
    iterations: dict[str, int] = {}
    for name, rows in inputs.items():

        def operator(
            group: Literal["shared", "private"], name: str = name, rows: Tensor | ArrayLike = rows
        ) -> JacobianOperator:
            law = likelihood_of(likelihood, name)
            return JacobianOperator(
                net, name, rows, law, parts, group=group, batch_size=batch_size, dtype=dtype
            )

        images = np.column_stack([operator("shared").matvec(column) for column in v.T])
        converged[name], iterations[name] = True, 0
        nuisance = operator("private")
        if private == "unknown" and nuisance.shape[1]:
            for j in range(images.shape[1]):
                solution = lsmr(
                    nuisance, images[:, j], atol=tolerance, btol=tolerance, conlim=0, maxiter=limit
                )
                converged[name] &= solution[1] in (0, 1, 2, 4, 5)
                iterations[name] = max(iterations[name], int(solution[2]))
                images[:, j] -= nuisance.matvec(solution[0])
        matrices[name] = images.T @ images
    return DirectionalInformation(matrices, converged, iterations)
