"""R shared autoencoders of one architecture as one (R, P) parameter tensor, with a hand-written gradient.

Why it is faster than R networks one after another, at the same result up to rounding:

- one batched matrix product serves all runs, so the cost of launching an operation is shared by R;
- adapter and first encoder layer are linear with nothing between them, as are the last decoder layer and the head.
  Multiplying the two weight matrices first, (h, a) times (a, m), costs the same for any batch size, after which
  every row passes one (h, m) matrix instead of two; the gradients of the two factors follow from that of the
  product. Parameters, and what the optimiser sees, are those of the unfactored network;
- biases ride as a last column of each weight matrix beside a column of ones in the data, so their gradients come
  out of the same products; all results go into buffers that are allocated once;
- adapters, the first decoder layer and the code are stored transposed, so that the rows of every large product are
  as long as a layer is wide: a result with rows of 11 is written at a fifth of the speed.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from neural.autoencoder.model import Architecture, SharedAutoencoder

__all__ = ["BatchedAutoencoder", "append_ones"]


def append_ones(rows: Tensor) -> Tensor:
    """Rows (..., m) as (..., m + 1) with a last column of ones, the form in which the batched network reads them."""
    return torch.cat([rows, rows.new_ones(*rows.shape[:-1], 1)], dim=-1)


class BatchedAutoencoder:
    """R networks side by side; run r of every result depends on run r of the inputs only.

    `flat` (R, P) holds the parameters, row r laid out by ``architecture.layer_sizes()``, each layer as [weight bias],
    adapters and decoder.0 as its transpose. `gradient` (R, P), also ``flat.grad``, is written by `loss_and_gradient`.
    """

    def __init__(self, models: Sequence[SharedAutoencoder], *, device: torch.device | str = "cpu") -> None:
        if not models:
            raise ValueError("models: none given; pass at least one SharedAutoencoder")
        self.architecture = models[0].architecture
        for r, model in enumerate(models):
            if model.architecture != self.architecture:
                raise ValueError(
                    f"models[{r}]: {model.architecture} differs from models[0]: {self.architecture}; "
                    "train runs of different architectures in separate groups"
                )
        with torch.no_grad():
            rows = [torch.cat([p.flatten() for p in _augmented(model).values()]) for model in models]
            self.flat = torch.stack(rows).to(device)
        self.gradient = torch.zeros_like(self.flat)
        self.flat.grad = self.gradient
        self._weight, self._slope = self._views(self.flat), self._views(self.gradient)
        self._buffers: dict[tuple[tuple[str, int], ...], _Buffers] = {}

    def __len__(self) -> int:
        return len(self.flat)

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        views, start = {}, 0
        for layer, (outputs, inputs) in self.architecture.layer_sizes().items():
            size = outputs * (inputs + 1)
            shape = (inputs + 1, outputs) if _is_transposed(layer) else (outputs, inputs + 1)
            views[layer] = flat[:, start : start + size].view(len(flat), *shape)
            start += size
        return views

    def model(self, run: int) -> SharedAutoencoder:
        """Run r as an ordinary network on the CPU, a copy."""
        model = SharedAutoencoder(self.architecture, seed=0, dtype=self.flat.dtype)
        with torch.no_grad():
            for layer, view in self._weight.items():
                linear, stored = model.get_submodule(layer), view[run]
                joined = stored.T if _is_transposed(layer) else stored
                linear.weight.copy_(joined[:, :-1])  # type: ignore[operator]
                linear.bias.copy_(joined[:, -1])  # type: ignore[operator]
        return model

    @torch.no_grad()
    def reconstruct(self, name: str, rows: Tensor) -> Tensor:
        """Reconstructions (R, b, m_k) of one modality's rows (R, b, m_k), without gradient."""
        self.architecture.check_names([name])
        dim = dict(self.architecture.dims)[name]
        if rows.ndim != 3 or len(rows) != len(self) or rows.shape[2] != dim:
            raise ValueError(f"{name}: expected shape ({len(self)}, b, {dim}), got {tuple(rows.shape)}")
        w = self._weight
        into, out = self._joined_in(name), self._joined_out(name)
        hidden = append_ones(torch.relu(append_ones(rows) @ into))
        code = append_ones(hidden @ w["encoder.2"].mT)
        hidden = append_ones(torch.relu(code @ w["decoder.0"]))
        return hidden @ out.mT

    def _joined_in(self, name: str, out: Tensor | None = None) -> Tensor:
        """First encoder layer after the adapter, as one (R, m + 1, h) matrix: the transpose."""
        encoder, adapter = self._weight["encoder.0"], self._weight[f"adapters.from_{name}"]
        joined = torch.bmm(adapter, encoder[:, :, :-1].mT, out=out)
        joined[:, -1].add_(encoder[:, :, -1])
        return joined

    def _joined_out(self, name: str, out: Tensor | None = None) -> Tensor:
        """Head after the last decoder layer, as one (R, m, h + 1) matrix."""
        decoder, head = self._weight["decoder.2"], self._weight[f"heads.to_{name}"]
        joined = torch.bmm(head[:, :, :-1], decoder, out=out)
        joined[:, :, -1].add_(head[:, :, -1])
        return joined

    def buffers(self, batch_sizes: Mapping[str, int]) -> "_Buffers":
        """Working memory for a step; its ``rows[name]`` (R * b, m + 1), last column one, take the next batch."""
        self.architecture.check_names(batch_sizes)
        key = tuple(sorted(batch_sizes.items()))
        if key not in self._buffers:
            self._buffers[key] = _Buffers(self.architecture, batch_sizes, self.flat)
        return self._buffers[key]

    @torch.no_grad()
    def loss_and_gradient(
        self, batch_sizes: Mapping[str, int], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """{modality: (R,) mean squared errors} of the buffers' rows; writes the gradient of their weighted sum."""
        buf, w, slope = self.buffers(batch_sizes), self._weight, self._slope
        runs = len(self)
        if len(batch_sizes) < len(self.architecture.dims):
            self.gradient.zero_()  # layers of the modalities that are not in this batch

        # forward; z1 (R, B, h+1) | code (R, z+1, B) | z2 (R, B, h+1), B rows of all modalities one after another
        rows = {name: buf.rows[name].view(runs, b, -1) for name, b in batch_sizes.items()}
        for name, part in buf.parts.items():
            self._joined_in(name, out=buf.joined_in[name])
            torch.bmm(rows[name], buf.joined_in[name], out=buf.z1[:, part, :-1])
        buf.z1.relu_()
        torch.bmm(w["encoder.2"], buf.z1.mT, out=buf.code[:, :-1])
        torch.bmm(buf.code.mT, w["decoder.0"], out=buf.z2[:, :, :-1])
        buf.z2.relu_()

        losses = {}
        for i, (name, part) in enumerate(buf.parts.items()):
            residual, z2 = buf.residual[name], buf.z2[:, part]
            joined, back = self._joined_out(name, out=buf.joined_out[name]), buf.back_out[name]
            torch.bmm(z2, joined.mT, out=residual)
            residual.sub_(rows[name][:, :, :-1])
            scale = 1.0 / (residual.shape[1] * residual.shape[2])
            losses[name] = torch.linalg.vector_norm(residual, dim=(1, 2)).square_().mul_(scale)
            residual.mul_(weights[name] * (2.0 * scale))
            # backward through head and last decoder layer
            torch.bmm(residual.mT, z2, out=back)
            head, decoder = w[f"heads.to_{name}"], w["decoder.2"]
            torch.bmm(back, decoder.mT, out=slope[f"heads.to_{name}"][:, :, :-1])
            slope[f"heads.to_{name}"][:, :, -1].copy_(back[:, :, -1])
            _accumulate(slope["decoder.2"], head[:, :, :-1].mT, back, first=i == 0)
            torch.bmm(residual, joined[:, :, :-1], out=buf.d_hidden[:, part])

        # backward through the code
        _relu_backward(buf.d_hidden, buf.z2[:, :, :-1])
        torch.bmm(buf.code, buf.d_hidden, out=slope["decoder.0"])
        torch.bmm(w["decoder.0"][:, :-1], buf.d_hidden.mT, out=buf.d_code)
        torch.bmm(buf.d_code, buf.z1, out=slope["encoder.2"])
        torch.bmm(buf.d_code.mT, w["encoder.2"][:, :, :-1], out=buf.d_hidden)
        _relu_backward(buf.d_hidden, buf.z1[:, :, :-1])

        # backward through first encoder layer and adapter
        for i, (name, part) in enumerate(buf.parts.items()):
            back, encoder, adapter = buf.back_in[name], w["encoder.0"], w[f"adapters.from_{name}"]
            torch.bmm(rows[name].mT, buf.d_hidden[:, part], out=back)
            torch.bmm(back, encoder[:, :, :-1], out=slope[f"adapters.from_{name}"])
            _accumulate(slope["encoder.0"][:, :, :-1], back.mT, adapter, first=i == 0)
            bias = slope["encoder.0"][:, :, -1]
            if i == 0:
                bias.copy_(back[:, -1])
            else:
                bias.add_(back[:, -1])
        return losses


class _Buffers:
    """Every intermediate result of one gradient, allocated once for fixed batch sizes."""

    def __init__(self, architecture: Architecture, batch_sizes: Mapping[str, int], like: Tensor) -> None:
        runs, total = len(like), sum(batch_sizes.values())
        hidden, latent = architecture.hidden_width, architecture.latent_dim
        dims = dict(architecture.dims)
        self.parts: dict[str, slice] = {}
        start = 0
        for name in architecture.names:
            if name in batch_sizes:
                self.parts[name] = slice(start, start + batch_sizes[name])
                start += batch_sizes[name]

        def ones(*shape: int) -> Tensor:
            return torch.ones(shape, dtype=like.dtype, device=like.device)  # bias columns stay so

        self.rows = {name: ones(runs * b, dims[name] + 1) for name, b in batch_sizes.items()}
        self.joined_in = {name: ones(runs, dims[name] + 1, hidden) for name in batch_sizes}
        self.joined_out = {name: ones(runs, dims[name], hidden + 1) for name in batch_sizes}
        self.back_in = {name: ones(runs, dims[name] + 1, hidden) for name in batch_sizes}
        self.back_out = {name: ones(runs, dims[name], hidden + 1) for name in batch_sizes}
        self.residual = {name: ones(runs, b, dims[name]) for name, b in batch_sizes.items()}
        self.z1, self.z2 = ones(runs, total, hidden + 1), ones(runs, total, hidden + 1)
        self.code, self.d_code = ones(runs, latent + 1, total), ones(runs, latent, total)
        self.d_hidden = ones(runs, total, hidden)


def _is_transposed(layer: str) -> bool:
    """Whether a layer is stored as (inputs + 1, outputs)."""
    return layer == "decoder.0" or layer.startswith("adapters.")


def _augmented(model: SharedAutoencoder) -> dict[str, Tensor]:
    """{layer: [weight bias]}, (outputs, inputs + 1), or its transpose."""
    parameters = dict(model.named_parameters())
    joined = {
        layer: torch.cat([parameters[f"{layer}.weight"], parameters[f"{layer}.bias"][:, None]], dim=1)
        for layer in model.architecture.layer_sizes()
    }
    return {layer: matrix.T if _is_transposed(layer) else matrix for layer, matrix in joined.items()}


def _accumulate(into: Tensor, left: Tensor, right: Tensor, *, first: bool) -> None:
    """Write left @ right into `into`, or add it."""
    if first:
        torch.bmm(left, right, out=into)
    else:
        into.baddbmm_(left, right)


def _relu_backward(gradient: Tensor, activation: Tensor) -> None:
    """Zero the gradient where the activation is zero, in place."""
    torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=gradient)
