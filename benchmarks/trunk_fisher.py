"""Fisher information of a shared trunk: layer by layer, against stacked Jacobians and per-sample loops.

    python benchmarks/trunk_fisher.py [--quick]

The exact Gaussian Fisher matrix of the encoder and decoder of the Gaussian experiment's shared autoencoder, 256
samples of 50 outputs, double precision: by `neural.curvature`, by per-sample `torch.func.jacrev` and a matrix
product, and by nngeometry's dense form where it is installed. Then the empirical Fisher matrix, against loops over
samples that add an outer product each or stack the scores for one product. All get the same network, the modality's
adapter and head included and held fixed, and their matrices are compared first.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from timing import ROUNDS, Goal, arguments, interleave, pin_threads, report, require_equal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NOISE = 0.09
EXACT, JACREV, NNGEOMETRY = "layer by layer", "torch.func.jacrev", "nngeometry dense"
OURS = "all samples at once"
LOOP, STACKED = "loop over samples, outer products", "loop over samples, one product"


def problem(*, quick: bool) -> tuple:
    """Network, rows and reconstruction targets.

    Args:
        quick: small sizes.

    Returns:
        `SharedAutoencoder` in double precision, {"x": (n, m)}, names of the trunk's parameters.
    """
    import torch

    from fisherkit.factor import e14_world
    from neural.autoencoder.model import Architecture, SharedAutoencoder

    samples, width = (32, 8) if quick else (256, 34)
    world = e14_world(0)
    sizes = Architecture((("x", 50), ("y", 50)), adapter_width=width, hidden_width=width - 2)
    net = SharedAutoencoder(sizes, seed=0, dtype=torch.float64)
    rows = {"x": torch.from_numpy(world.sample("x", samples, seed=1))}
    trunk = [name for name, _ in net.named_parameters() if name.startswith(("encoder.", "decoder."))]
    return net, rows, trunk


def exact_methods(net: object, rows: dict, trunk: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to the exact Fisher matrix.

    Args:
        net: network.
        rows: {"x": (n, m)}.
        trunk: parameter names.

    Returns:
        {way: function with a (P, P) array}.
    """
    import torch
    from torch.func import functional_call, jacrev, vmap

    from neural.curvature import Gaussian, Partition, trunk_fisher

    known = Partition.of(net).with_private_known()
    parameters = {name: net.get_parameter(name).detach() for name in trunk}

    def outputs(p: dict, row: torch.Tensor) -> torch.Tensor:
        return functional_call(net, p, ({"x": row[None]},))["x"][0]

    per_sample = vmap(jacrev(outputs), in_dims=(None, 0))

    def stacked() -> np.ndarray:
        jacobian = per_sample(parameters, rows["x"])
        flat = torch.cat([jacobian[name].flatten(2) for name in trunk], dim=2).flatten(0, 1)
        return (flat.T @ flat / NOISE).detach().numpy()  # adapter and head ask for gradients

    methods = {
        EXACT: lambda: trunk_fisher(net, rows, Gaussian(NOISE), known).matrices["x"],
        JACREV: stacked,
    }
    if find_spec("nngeometry") is None:
        print("nngeometry is not installed (pip install nngeometry): not compared")
    else:
        methods[NNGEOMETRY] = _nngeometry(net, rows)
    return methods


def _nngeometry(net: object, rows: dict) -> Callable[[], np.ndarray]:
    import torch
    from nngeometry.metrics import FIM
    from nngeometry.object.pspace import PMatDense
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Sequential(net.encoder, net.decoder)  # its parameters alone, in the same order
    with torch.no_grad():
        adapted = net.adapters["from_x"](rows["x"])
    head = net.heads["to_x"]
    loader = DataLoader(TensorDataset(adapted), batch_size=len(adapted))

    def matrix() -> np.ndarray:
        fisher = FIM(
            model=model,
            loader=loader,
            representation=PMatDense,
            variant="regression",
            function=lambda *batch: head(model(batch[0])),
        )
        return (fisher.to_torch() * (len(adapted) / NOISE)).detach().numpy()

    return matrix


def empirical_methods(net: object, rows: dict, trunk: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    """Ways to the empirical Fisher matrix of a reconstruction.

    Args:
        net: network.
        rows: {"x": (n, m)}, the targets too.
        trunk: parameter names.

    Returns:
        {way: function with a (P, P) array}.
    """
    import torch

    from neural.curvature import Gaussian, Partition, empirical_fisher

    known = Partition.of(net).with_private_known()
    parameters = [net.get_parameter(name) for name in trunk]
    size = sum(parameter.numel() for parameter in parameters)

    def scores() -> Iterator[torch.Tensor]:
        for row in rows["x"]:
            error = (net({"x": row[None]})["x"][0] - row).square().sum() / (2 * NOISE)
            yield torch.cat([g.flatten() for g in torch.autograd.grad(error, parameters)])

    def outer_products() -> np.ndarray:
        total = torch.zeros(size, size, dtype=torch.float64)
        for score in scores():
            total += torch.outer(score, score)
        return total.numpy()

    def one_product() -> np.ndarray:
        stacked = torch.stack(list(scores()))
        return (stacked.T @ stacked).numpy()

    return {
        OURS: lambda: empirical_fisher(net, rows, rows, Gaussian(NOISE), known).matrices["x"],
        LOOP: outer_products,
        STACKED: one_product,
    }


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, time, print.

    Args:
        quick: a small network and few samples.

    Returns:
        Goals with the numbers measured.
    """
    import torch

    torch.set_num_threads(1)
    net, rows, trunk = problem(quick=quick)
    rounds = 3 if quick else ROUNDS
    size = (
        f"{sum(net.get_parameter(name).numel() for name in trunk)} parameters, {len(rows['x'])} samples of 50"
    )

    methods = exact_methods(net, rows, trunk)
    require_equal({name: method() for name, method in methods.items()}, 1e-12, "exact Fisher matrices")
    exact = interleave(methods, rounds, warm=False)
    report(f"exact Gaussian Fisher of the trunk, {size}", exact)

    methods = empirical_methods(net, rows, trunk)
    require_equal({name: method() for name, method in methods.items()}, 1e-12, "empirical Fisher matrices")
    empirical = interleave(methods, rounds, warm=False)
    report(f"empirical Fisher of the trunk, {size}", empirical)

    def ratio(table: dict, peer: str, own: str) -> float:
        return table[peer].median / table[own].median

    goals = [Goal("exact Fisher, times faster than jacrev", ratio(exact, JACREV, EXACT), 8)]
    if NNGEOMETRY in exact:
        goals.append(
            Goal(
                "exact Fisher, times faster than nngeometry's dense form", ratio(exact, NNGEOMETRY, EXACT), 20
            )
        )
    goals.append(
        Goal(
            "empirical Fisher, times faster than adding outer products in a loop",
            ratio(empirical, LOOP, OURS),
            20,
        )
    )
    return [] if quick else goals


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
