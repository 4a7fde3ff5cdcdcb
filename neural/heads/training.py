"""Train one shared head, plainly: the definition of what training means here, and the only way to train encoders."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from neural.heads.model import supervised_objective
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.tasks.task import Embeddings

__all__ = ["train_head"]


def train_head(
    run: HeadRun, schedule: Schedule, *, device: torch.device | str = "cpu", fused: bool | None = None
) -> HeadFit:
    """One run, one step after another; `fused` as in ``torch.optim.AdamW``."""
    model = run.initial_model().to(device)
    encoders = {name: encoder.to(device) for name, encoder in run.initial_encoders().items()}
    networks = nn.ModuleList([model, *encoders.values()])
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=run.learning_rate, weight_decay=run.weight_decay, fused=fused)
    features = {name: torch.as_tensor(rows.features, device=device) for name, rows in run.train.items()}
    labels = {name: torch.as_tensor(rows.labels, device=device) for name, rows in run.train.items()}
    streams = {name: run.row_stream(name) for name in run.train}

    def encode(name: str, rows: Tensor) -> Tensor:
        return encoders[name](rows) if name in encoders else rows

    def target_logits(rows: Tensor) -> Tensor:
        return model({run.target: encode(run.target, rows)})[run.target]

    looks: list[int] = []
    accuracies: list[float] = []
    losses: list[float] = []
    best_accuracy, best_step, best_state = -1.0, 0, copy.deepcopy(networks.state_dict())
    marks = set(schedule.looks)
    for step in range(schedule.iterations + 1):
        if step in marks:
            networks.eval()
            accuracy, loss = _look(target_logits, run.val, device)
            networks.train()
            looks.append(step)
            accuracies.append(accuracy)
            losses.append(loss)
            if not np.isfinite(loss):
                break
            if accuracy > best_accuracy or schedule.keep == "last":
                best_accuracy, best_step, best_state = accuracy, step, copy.deepcopy(networks.state_dict())
            waited = sum(mark > best_step for mark in looks)
            if schedule.patience is not None and waited >= schedule.patience:
                break
        if step == schedule.iterations:
            break
        rows = {name: stream.take(run.batch_sizes[name]) for name, stream in streams.items()}
        batch = {name: encode(name, features[name][numbers]) for name, numbers in rows.items()}
        batch_labels = {name: labels[name][numbers] for name, numbers in rows.items()}
        objective = supervised_objective(model(batch), batch_labels, run.loss_weights)
        optimiser.zero_grad()
        objective.backward()
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step, run.learning_rate)
        optimiser.step()
    networks.load_state_dict(best_state)
    networks.eval()
    return HeadFit(
        run.name,
        np.array(looks, dtype=np.int64),
        np.array(accuracies),
        np.array(losses),
        best_step,
        model.cpu(),
        {name: encoder.cpu() for name, encoder in encoders.items()},
        diverged_at=None if np.isfinite(losses[-1]) else looks[-1],
    )


@torch.no_grad()
def _look(
    logits_of: Callable[[Tensor], Tensor], rows: Embeddings, device: torch.device | str
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    labels = torch.as_tensor(rows.labels, device=device)
    logits = logits_of(torch.as_tensor(rows.features, device=device))
    loss = nn.functional.cross_entropy(logits, labels).item()
    return (logits.argmax(dim=1) == labels).double().mean().item(), loss
