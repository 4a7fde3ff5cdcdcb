"""Many shared heads of one layout in one tensor, with the gradient of the objective written out.

Run r, modality k, b_k rows:  z = P_k x (or x),  u = H z,  logits = s_k u,  and with the softmax q and labels y

    du = s_k w_k (q - onehot(y)) / b_k,   dH = sum_k du' z,   dP_k = (du H)' x,   ds_k = sum du * u / s_k.

All modalities' rows lie side by side, so that each product is one batched matrix product. Buffers are allocated
once: on a GPU the same memory is used at every step, which a captured graph needs.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from neural.heads.model import HeadLayout, SharedHead, weight_of

__all__ = ["BatchedHead"]


class BatchedHead:
    """R heads of one layout: {weight: (R, ...)} `weights` and `grads`, and minibatch buffers.

    Before `gradient` fill `rows`, {modality: (R, b, d)}, and `labels`, {modality: (R, b)}; it writes `grads`. `row_weights`
    are loss weights, (R, modalities in the layout's order).
    """

    def __init__(
        self,
        models: Sequence[SharedHead],
        batch_sizes: Mapping[str, int],
        row_weights: Tensor,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.layout: HeadLayout = models[0].layout
        states = [model.state_dict() for model in models]
        self.weights: dict[str, Tensor] = {
            name: torch.stack([state[name] for state in states]).to(device)
            for name in self.layout.weight_shapes
        }
        self.batch_sizes = {name: batch_sizes[name] for name, _ in self.layout.dims}
        self._loss_weights = row_weights.to(self.weights["head"])
        self._allocate()

    def __len__(self) -> int:
        return len(self.weights["head"])

    def keep(self, members: Tensor) -> None:
        """Go on with the heads of the numbers in `members`, (K,) int64 on the device; buffers shrink."""
        self.weights = {name: weight[members] for name, weight in self.weights.items()}
        self._loss_weights = self._loss_weights[members]
        self._allocate()

    def _allocate(self) -> None:
        count, layout, like = len(self), self.layout, self.weights["head"]
        self.grads = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        self._span: dict[str, slice] = {}
        total = 0
        for name, _ in layout.dims:
            self._span[name] = slice(total, total + self.batch_sizes[name])
            total += self.batch_sizes[name]
        self._z = like.new_empty(count, total, layout.head_dim)
        self._u = like.new_empty(count, total, layout.n_classes)
        self._minus_one = like.new_full((count, total, 1), -1.0)
        self._label = like.new_zeros(count, total, dtype=torch.int64)
        self.labels = {name: self._label[:, span] for name, span in self._span.items()}
        self.rows = {name: like.new_empty(count, self.batch_sizes[name], dim) for name, dim in layout.dims}
        per_row = [self._loss_weights[:, k, None] / size for k, size in enumerate(self.batch_sizes.values())]
        sizes = self.batch_sizes.values()
        self._row_weight = torch.cat(
            [w.expand(-1, size) for w, size in zip(per_row, sizes, strict=True)], dim=1
        )
        self._row_weight = (self._row_weight * layout.logit_scale).unsqueeze(2).contiguous()

    def gradient(self) -> None:
        """Write into `grad` the gradient of every head's objective on the rows and labels in the buffers."""
        layout, weight, grad, z, u = self.layout, self.weights, self.grads, self._z, self._u
        for name, span in self._span.items():
            projection = weight.get(weight_of(name))
            z[:, span] = self.rows[name] if projection is None else torch.bmm(self.rows[name], projection.mT)
        torch.bmm(z, weight["head"].mT, out=u)
        logits = u
        if layout.learn_scales:
            scale = torch.cat(
                [
                    weight["scales"][:, k, None].expand(-1, size)
                    for k, size in enumerate(self.batch_sizes.values())
                ],
                dim=1,
            ).unsqueeze(2)
            logits = u * scale
        if layout.logit_scale != 1.0:
            logits = logits * layout.logit_scale
        du = torch.softmax(logits, dim=2)
        du.scatter_add_(2, self._label.unsqueeze(2), self._minus_one)
        du.mul_(self._row_weight)
        if layout.learn_scales:
            per_row = (du * u).sum(dim=2)
            for k, span in enumerate(self._span.values()):
                grad["scales"][:, k] = per_row[:, span].sum(dim=1)
            du.mul_(scale)
        torch.bmm(du.mT, z, out=grad["head"])
        for name in layout.projected:
            dz = torch.bmm(du[:, self._span[name]], weight["head"])
            torch.bmm(dz.mT, self.rows[name], out=grad[weight_of(name)])

    def logits(self, name: str, rows: Tensor, members: Tensor) -> Tensor:
        """Logits (K, n, C) of rows (n, d) that the K heads numbered in `members` share."""
        projection = self.weights.get(weight_of(name))
        head = self.weights["head"][members]
        z = rows.expand(len(members), -1, -1)
        if projection is not None:
            z = torch.bmm(z, projection[members].mT)
        logits = torch.bmm(z, head.mT)
        if self.layout.learn_scales:
            position = [modality for modality, _ in self.layout.dims].index(name)
            logits = logits * self.weights["scales"][members, position, None, None]
        return logits * self.layout.logit_scale if self.layout.logit_scale != 1.0 else logits

    def model(self, weights: Mapping[str, Tensor]) -> SharedHead:
        """One head with the given weights, on the CPU."""
        made = SharedHead(self.layout, seed=0)
        made.load_state_dict({name: weight.cpu() for name, weight in weights.items()})
        return made
