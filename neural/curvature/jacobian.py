"""Per-sample Jacobians of one modality's outputs, kept layer by layer, and the sum of their squares.

The Jacobian of sample n in the weight of a linear layer is D_n (x) a_n', with a_n the input of the layer and D_n the
(r, o) sensitivities of r output combinations to the layer's o outputs. So the block of sum_n J_n'J_n between layers l and k
is a sum of Kronecker products,

    sum_n (D_n^l' D_n^k) (x) (a_n^l a_n^k'),

one matrix product of an (n, o_l o_k) by an (n, i_l i_k) matrix: about N P^2 operations for all blocks where the
product of stacked Jacobians takes r N P^2. Nothing is approximated: all pairs of layers are there, and the sum over
samples is not replaced by a product of sums (as in K-FAC; Martens and Grosse 2015).

Linear layers are recognised by what they do (`torch.nn.functional.linear`, or a product with a transposed parameter)
while the network runs. Each such Jacobian is checked against one backward pass with random weights; a parameter that
fails (used in some other way as well) or is of another kind gets its Jacobian from `torch.func` instead.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from neural.curvature.partition import Entry

__all__ = ["Branch", "SampleJacobians", "sample_jacobians"]

_TRANSPOSES = (torch.Tensor.T.__get__, torch.Tensor.mT.__get__, torch.Tensor.t, torch.t)  # type: ignore[attr-defined]
_PRODUCTS = (torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.mm)


class Branch:
    """One modality's way through a network, as a function of parameters; the network itself is not changed."""

    def __init__(self, net: nn.Module, name: str, dtype: torch.dtype) -> None:
        self.net, self.name, self.dtype = net, name, dtype
        parameters, buffers = dict(net.named_parameters()), dict(net.named_buffers())
        # parameters stay parameters, for modules that ask; buffers are copied, for modules that write to them
        self.tensors: dict[str, Tensor] = {
            key: nn.Parameter(self.cast(tensor.detach()), requires_grad=False)
            for key, tensor in parameters.items()
        }
        self.tensors |= {key: self.cast(tensor.detach().clone()) for key, tensor in buffers.items()}
        self.device = next((tensor.device for tensor in self.tensors.values()), torch.device("cpu"))

    def leaf(self, parameter: str) -> nn.Parameter:
        """A parameter to differentiate in, at its present value."""
        return nn.Parameter(self.tensors[parameter].detach().clone())

    def cast(self, tensor: Tensor) -> Tensor:
        """Floating-point numbers in the type to compute in; whole numbers as they are."""
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def __call__(self, parameters: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Outputs (n, m), each sample flattened, with some parameters replaced."""
        # fused attention can be differentiated once, and not for many at a time
        with sdpa_kernel(SDPBackend.MATH):
            outputs = functional_call(self.net, {**self.tensors, **parameters}, ({self.name: rows},))
        return outputs[self.name].flatten(1)

    def check_samples(self, rows: Tensor) -> None:
        """Raise if the first sample's output depends on chance or on the other samples."""
        with torch.no_grad():
            alone, among = self({}, torch.cat([rows[:1], rows[:1]]))[0], self({}, rows)[0]
        size = float(among.abs().max()) if among.numel() else 0.0
        if not torch.isfinite(among).all():
            raise ValueError(f"{self.name}: outputs are not finite; look at inputs and parameters")
        if float((alone - among).abs().max()) > 1e3 * torch.finfo(self.dtype).eps ** 0.75 * max(size, 1e-30):
            raise ValueError(
                f"{self.name}: the output of a sample depends on the other samples or on chance (batch normalisation "
                "or dropout in training mode?); call net.eval() first"
            )


@dataclass(frozen=True)
class _Call:
    """One product with a weight: output = inputs weight' + bias."""

    weight: str
    bias: str | None
    inputs: Tensor
    output: Tensor


class _LinearCalls(TorchFunctionMode):
    """Records products with known weights while a network runs."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in parameters.items()}
        # {id: (name, tensor)}; the tensor is kept, so that its id stays its own
        self.transposed: dict[int, tuple[str, Tensor]] = {}
        self.calls: list[_Call] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple = (), kwargs: dict | None = None
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is torch.nn.functional.linear:
            given = {**dict(zip(("input", "weight", "bias"), args, strict=False)), **kwargs}
            weight, bias = self.names.get(id(given["weight"])), given.get("bias")
            if weight is not None:
                known = None if bias is None else self.names.get(id(bias))
                self.calls.append(_Call(weight, known, given["input"], result))
        elif func in _TRANSPOSES and id(args[0]) in self.names and args[0].ndim == 2:
            self.transposed[id(result)] = (self.names[id(args[0])], result)
        elif func in _PRODUCTS and len(args) == 2 and id(args[1]) in self.transposed:
            self.calls.append(_Call(self.transposed[id(args[1])][0], None, args[0], result))
        return result


@dataclass(frozen=True)
class _Layer:
    """Jacobians D_n (x) a_n of one linear layer."""

    sensitivities: Tensor  # (n, t, r, o); t calls or tokens, whose Jacobians add up
    inputs: Tensor  # (n, t, i), with a last column of ones if the bias is asked for
    parts: tuple[tuple[Entry, slice], ...]  # ((entry, columns of `inputs`), ...): weight, bias or both

    @property
    def factors(self) -> bool:
        """Whether the Kronecker form is cheaper than the Jacobian itself."""
        return self.inputs.shape[1] == 1 and self.sensitivities.shape[2] > 2

    def rows(self) -> Tensor:
        """(n r, o i), the Jacobian."""
        product = torch.einsum("ntro,nti->nroi", self.sensitivities, self.inputs)
        return product.flatten(2).flatten(0, 1)


@dataclass(frozen=True)
class SampleJacobians:
    """Jacobians of n samples in the entries of a partition."""

    layers: tuple[_Layer, ...]  # linear layers
    others: tuple[tuple[Entry, Tensor], ...]  # ((entry, (n r, size) rows), ...) of all other parameters
    n_rows: int  # n r
    n_columns: int  # number of parameters
    like: Tensor  # a tensor of the right dtype and device

    def rows(self) -> Tensor:
        """The stacked Jacobian (n r, P)."""
        out = self.like.new_zeros(self.n_rows, self.n_columns)
        for layer in self.layers:
            product = layer.rows().unflatten(1, (-1, layer.inputs.shape[2]))
            for entry, columns in layer.parts:
                out[:, entry.columns] = product[:, :, columns].flatten(1)
        for entry, values in self.others:
            out[:, entry.columns] = values
        return out

    def add_gram(self, out: Tensor) -> None:
        """Add sum_n J_n'J_n to `out`, (P, P) and contiguous."""
        factored = [layer for layer in self.layers if layer.factors]
        plain = replace(self, layers=tuple(layer for layer in self.layers if not layer.factors))
        for i, layer in enumerate(factored):
            for other in factored[i:]:
                _add_kronecker_sum(out, layer, other)
        entries = [entry for layer in plain.layers for entry, _ in layer.parts]
        entries += [entry for entry, _ in plain.others]
        if not entries:
            return
        if not factored:
            _add_product(out, plain.rows())
            return
        index = torch.cat([torch.arange(e.start, e.start + e.size, device=out.device) for e in entries])
        values = plain.rows()[:, index]
        out[index[:, None], index] += values.T @ values
        for layer in factored:
            cross = (layer.rows().T @ values).unflatten(0, (-1, layer.inputs.shape[2]))
            for entry, columns in layer.parts:
                block = cross[:, columns].flatten(0, 1)
                out[entry.columns, index] += block
                out[index, entry.columns] += block.T


def sample_jacobians(
    branch: Branch, rows: Tensor, cotangents: Callable[[Tensor], Tensor], entries: Sequence[Entry]
) -> SampleJacobians:
    """L_n' df_n/dphi; `cotangents` maps outputs (n, m) to the r columns of L_n, (r, n, m)."""
    wanted: dict[str, Tensor] = {entry.parameter: branch.leaf(entry.parameter) for entry in entries}
    names = {**branch.tensors, **wanted}
    with torch.enable_grad(), _LinearCalls(names) as mode:
        outputs = branch(wanted, rows)
    combinations = cotangents(outputs.detach())
    r, n = combinations.shape[:2]
    layers = _layers(mode.calls, outputs, combinations, entries) if outputs.requires_grad else []
    refuted = _refuted(layers, wanted, outputs, combinations) if outputs.requires_grad else set()
    kept = tuple(layer for layer in layers if not refuted & {e.parameter for e, _ in layer.parts})
    covered = {entry.parameter for layer in kept for entry, _ in layer.parts}
    # a gradient of exactly zero under random weights: the parameter is not on this modality's way
    slow = [e for e in entries if e.parameter not in covered and _reaches(e, wanted, outputs, combinations)]
    others = _functional_jacobians(branch, rows, combinations, slow) if slow else ()
    return SampleJacobians(kept, others, n * r, sum(e.size for e in entries), combinations)


def _layers(
    calls: Sequence[_Call], outputs: Tensor, combinations: Tensor, entries: Sequence[Entry]
) -> list[_Layer]:
    """Linear layers among the entries, with the sensitivities of all their calls."""
    n = len(outputs)
    whole = {entry.parameter: entry for entry in entries if entry.row is None}
    used = [c for c in calls if c.output.requires_grad and (c.weight in whole or c.bias in whole)]
    usable = [c for c in used if len(c.output) == n and c.output.ndim >= 2]
    if not usable:
        return []
    slopes = torch.autograd.grad(
        outputs,
        [c.output for c in usable],
        combinations,
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=True,
    )
    found: dict[tuple[str, str | None], list[tuple[Tensor, Tensor]]] = {}
    for call, slope in zip(usable, slopes, strict=True):
        if slope is None:
            continue
        d = slope.flatten(2, -2) if slope.ndim > 3 else slope[:, :, None]  # (r, n, t, o)
        a = call.inputs.detach()
        a = a.flatten(1, -2) if a.ndim > 2 else a[:, None]
        found.setdefault((call.weight, call.bias), []).append((d.permute(1, 2, 0, 3), a))
    layers = []
    several = Counter(name for key in found for name in key if name)
    for (weight, bias), pieces in found.items():
        if several[weight] > 1 or (bias and several[bias] > 1):
            continue  # a weight with two biases or a bias with two weights is not one layer
        d, a = (torch.cat(list(part), dim=1) for part in zip(*pieces, strict=True))
        width = a.shape[2]
        parts = []
        if weight in whole:
            parts.append((whole[weight], slice(0, width)))
        if bias in whole:
            a = torch.cat([a, a.new_ones(*a.shape[:2], 1)], dim=2)
            parts.append((whole[bias], slice(width, width + 1)))
        layers.append(_Layer(d, a, tuple(parts)))
    return layers


def _refuted(
    layers: Sequence[_Layer], wanted: Mapping[str, Tensor], outputs: Tensor, combinations: Tensor
) -> set[str]:
    """Parameters whose layers do not reproduce a backward pass with random weights per sample and combination."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(combinations.shape[:2], generator=generator, dtype=torch.float64).to(combinations)
    gradients = _gradients(wanted, outputs, (drawn[:, :, None] * combinations).sum(dim=0))
    summed = {name: torch.zeros_like(gradient) for name, gradient in gradients.items()}
    for layer in layers:
        weighed = torch.einsum("rn,ntro->nto", drawn, layer.sensitivities)
        product = torch.einsum("nto,nti->oi", weighed, layer.inputs)
        for entry, columns in layer.parts:
            summed[entry.parameter] += product[:, columns].reshape(summed[entry.parameter].shape)
    limit = torch.finfo(outputs.dtype).eps ** 0.5
    wrong = set()
    for layer in layers:
        for name in (entry.parameter for entry, _ in layer.parts):
            largest = torch.maximum(gradients[name].abs().max(), summed[name].abs().max())
            if (gradients[name] - summed[name]).abs().max() > limit * largest:
                wrong.add(name)
    return wrong


def _reaches(entry: Entry, wanted: Mapping[str, Tensor], outputs: Tensor, combinations: Tensor) -> bool:
    """Whether a parameter has any influence on the outputs."""
    if not outputs.requires_grad:
        return False
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(combinations.shape[:2], generator=generator, dtype=torch.float64).to(combinations)
    one = {entry.parameter: wanted[entry.parameter]}
    gradient = _gradients(one, outputs, (drawn[:, :, None] * combinations).sum(dim=0))[entry.parameter]
    return bool((gradient if entry.row is None else gradient[entry.row]).any())


def _gradients(wanted: Mapping[str, Tensor], outputs: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    found = torch.autograd.grad(
        outputs, list(wanted.values()), cotangent, retain_graph=True, allow_unused=True
    )
    return {
        name: torch.zeros_like(wanted[name]) if g is None else g
        for name, g in zip(wanted, found, strict=True)
    }


def _functional_jacobians(
    branch: Branch, rows: Tensor, combinations: Tensor, entries: Sequence[Entry]
) -> tuple[tuple[Entry, Tensor], ...]:
    """Jacobians of any parameter, sample by sample through `torch.func`."""
    replaced = {entry.parameter: branch.tensors[entry.parameter] for entry in entries}

    def one_sample(row: Tensor, combination: Tensor) -> dict[str, Tensor]:
        pull = vjp(lambda p: branch(p, row[None])[0], replaced)[1]
        return vmap(pull)(combination)[0]

    jacobians = vmap(one_sample)(rows, combinations.transpose(0, 1))  # (n, r, *shape) each
    found = []
    for entry in entries:
        jacobian = jacobians[entry.parameter]
        picked = jacobian if entry.row is None else jacobian[:, :, entry.row]
        found.append((entry, picked.reshape(-1, entry.size)))
    return tuple(found)


def _add_kronecker_sum(out: Tensor, left: _Layer, right: _Layer) -> None:
    """Add sum_n (D_n'D_n) (x) (a_n a_n') of two layers to their blocks, and its transpose across."""
    n = len(left.inputs)
    d, e = left.sensitivities[:, 0], right.sensitivities[:, 0]
    a, b = left.inputs[:, 0], right.inputs[:, 0]
    slopes = (d.mT @ e).reshape(n, -1)
    inputs = (a[:, :, None] * b[:, None, :]).reshape(n, -1)
    block = (slopes.T @ inputs).view(d.shape[2], e.shape[2], a.shape[1], b.shape[1]).permute(0, 2, 1, 3)
    for row, rows in left.parts:
        for column, columns in right.parts:
            target = out[row.columns, column.columns]
            part = block[:, rows, :, columns]
            target.unflatten(0, part.shape[:2]).unflatten(2, part.shape[2:]).add_(part)
            if left is not right:
                out[column.columns, row.columns] = target.T


def _add_product(out: Tensor, rows: Tensor, panel: int = 512) -> None:
    """Add rows' rows, each pair of columns once."""
    for start in range(0, rows.shape[1], panel):
        stop = min(start + panel, rows.shape[1])
        out[:stop, start:stop].addmm_(rows[:, :stop].T, rows[:, start:stop])
        out[start:stop, :start] = out[:start, start:stop].T
