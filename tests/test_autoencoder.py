"""Shared autoencoder: against its formula in NumPy, against autograd, and batched against one at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neural.autoencoder.batched import BatchedAutoencoder, append_ones
from neural.autoencoder.model import Architecture, SharedAutoencoder, mean_squared_errors, uml_objective
from tests.comparators import assert_allclose_report

NAMES = ("x", "y", "z")


@st.composite
def architectures(draw):
    dims = tuple((name, draw(st.integers(1, 6))) for name in NAMES[: draw(st.integers(1, 3))])
    sizes = [draw(st.integers(1, 7)) for _ in range(3)]
    return Architecture(dims, *sizes)


def formula(model, name, rows):
    """The docstring's formula, in NumPy."""
    p = {key: value.detach().numpy() for key, value in model.named_parameters()}

    def layer(key, inputs):
        return inputs @ p[f"{key}.weight"].T + p[f"{key}.bias"]

    hidden = np.maximum(layer("encoder.0", layer(f"adapters.from_{name}", rows)), 0)
    hidden = np.maximum(layer("decoder.0", layer("encoder.2", hidden)), 0)
    return layer(f"heads.to_{name}", layer("decoder.2", hidden))


@given(architecture=architectures(), seed=st.integers(0, 2**32 - 1))
def test_network_computes_its_formula(architecture, seed):
    model = SharedAutoencoder(architecture, seed=seed, dtype=torch.float64)
    rng = np.random.default_rng(seed)
    batch = {name: rng.standard_normal((4, dim)) for name, dim in architecture.dims}
    out = model({name: torch.from_numpy(rows) for name, rows in batch.items()})
    for name, rows in batch.items():
        expected = formula(model, name, rows)
        assert_allclose_report(out[name].detach(), expected, rtol=1e-10, atol=1e-12, what=name)


def test_default_sizes_are_those_of_the_paper():
    architecture = Architecture((("x", 50), ("y", 50)))
    model = SharedAutoencoder(architecture, seed=0)
    assert model.adapters["from_x"].weight.shape == (128, 50)
    assert model.heads["to_y"].weight.shape == (50, 128)
    assert model.encode({"x": torch.zeros(3, 50)})["x"].shape == (3, 10)
    stored = {key.rsplit(".", 1)[0] for key, _ in model.named_parameters()}
    assert stored == set(architecture.layer_sizes())


def test_initial_weights_have_the_documented_law():
    model = SharedAutoencoder(Architecture((("x", 50),), hidden_width=256), seed=1)
    weight = model.encoder[0].weight.detach().numpy().ravel()
    bound = 128**-0.5
    assert np.abs(weight).max() <= bound
    # mean of n uniforms: |z| > 5 has probability 6e-7
    assert abs(weight.mean()) < 5 * bound / np.sqrt(3 * len(weight))
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_initial_weights_do_not_depend_on_other_modalities_and_leave_the_global_state_alone():
    before = torch.random.get_rng_state()
    alone = SharedAutoencoder(Architecture((("x", 5),)), seed=3)
    both = SharedAutoencoder(Architecture((("y", 4), ("x", 5))), seed=3)
    other = SharedAutoencoder(Architecture((("x", 5),)), seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in alone.named_parameters():
        assert torch.equal(value, both.get_parameter(key)), key
        assert not torch.equal(value, other.get_parameter(key)), key


def test_objective_weighs_modalities():
    errors = {"x": torch.tensor(2.0), "y": torch.tensor(5.0)}
    assert uml_objective(errors, {}).item() == 7.0
    assert uml_objective(errors, {"x": 0.0, "y": 0.1}).item() == pytest.approx(0.5)
    with pytest.raises(KeyError, match="unknown modality 'yy'; did you mean 'y'"):
        uml_objective(errors, {"yy": 1.0})


def test_errors_are_means_over_rows_and_coordinates():
    rows = {"x": torch.zeros(2, 3)}
    assert mean_squared_errors({"x": torch.full((2, 3), 2.0)}, rows)["x"].item() == 4.0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dims": ()}, "dims: no modality given"),
        ({"dims": (("x", 3), ("x", 4))}, "repeated modality"),
        ({"dims": (("x.1", 3),)}, "holds a dot"),
        ({"dims": (("x", 0),)}, r"dims\['x'\]: must be a whole number >= 1, got 0"),
        ({"hidden_width": 2.5}, "hidden_width: must be a whole number >= 1, got 2.5"),
        ({"latent_dim": True}, "latent_dim: must be a whole number >= 1, got True"),
    ],
)
def test_bad_architecture_is_refused(change, text):
    with pytest.raises(ValueError, match=text):
        Architecture(**({"dims": (("x", 3),)} | change))


def test_bad_batches_are_refused():
    model = SharedAutoencoder(Architecture((("image", 3),)), seed=0)
    with pytest.raises(KeyError, match="unknown modality 'imgae'; did you mean 'image'"):
        model({"imgae": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match=r"image: expected rows of shape \(b, 3\), got \(2, 4\)"):
        model({"image": torch.zeros(2, 4)})


# ---------------------------------------------------------------- many networks in one tensor


def batched_case(architecture, seed, runs, used, device="cpu"):
    """R networks, one batch for each, and loss weights."""
    models = [SharedAutoencoder(architecture, seed=seed + r, dtype=torch.float64) for r in range(runs)]
    generator = torch.Generator().manual_seed(seed)
    dims = dict(architecture.dims)
    sizes = {name: 2 + 3 * i for i, name in enumerate(used)}
    batch = {
        name: torch.randn(runs, b, dims[name], generator=generator, dtype=torch.float64)
        for name, b in sizes.items()
    }
    weights = {
        name: torch.rand(runs, 1, 1, generator=generator, dtype=torch.float64).to(device) for name in used
    }
    net = BatchedAutoencoder(models, device=device)
    for name, rows in batch.items():
        net.buffers(sizes).rows[name].copy_(append_ones(rows).flatten(0, 1))
    return models, batch, sizes, weights, net


@settings(max_examples=30)
@given(architecture=architectures(), seed=st.integers(0, 2**31), runs=st.integers(1, 4), data=st.data())
def test_batched_gradient_is_that_of_autograd(architecture, seed, runs, data):
    used = data.draw(st.lists(st.sampled_from(architecture.names), min_size=1, unique=True))
    used = [name for name in architecture.names if name in used]
    models, batch, sizes, weights, net = batched_case(architecture, seed, runs, used)
    net.gradient.fill_(7.0)  # left-overs of an earlier step must not survive
    losses = net.loss_and_gradient(sizes, weights)
    slopes = BatchedAutoencoder(models)
    slopes.flat.copy_(net.gradient)
    for r, model in enumerate(models):
        rows = {name: part[r] for name, part in batch.items()}
        errors = mean_squared_errors(model(rows), rows)
        objective = uml_objective(errors, {name: weights[name][r].item() for name in used})
        model.zero_grad()
        objective.backward()
        written = dict(slopes.model(r).named_parameters())
        for name in used:
            assert_allclose_report(losses[name][r], errors[name].item(), rtol=1e-11, atol=1e-14, what=name)
        for key, parameter in model.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert_allclose_report(written[key].detach(), expected, rtol=1e-9, atol=1e-12, what=key)


def test_batched_network_on_the_device_agrees_with_the_reference(device):
    architecture = Architecture((("x", 5), ("y", 4)), 7, 6, 3)
    models, batch, sizes, weights, net = batched_case(architecture, 0, 3, ["x", "y"], device)
    losses = net.loss_and_gradient(sizes, weights)
    for r, model in enumerate(models):
        for name, part in batch.items():
            expected = mean_squared_errors(model({name: part[r]}), {name: part[r]})[name].item()
            assert losses[name][r].item() == pytest.approx(expected, rel=1e-10)
            rebuilt = net.reconstruct(name, part.to(device))[r].cpu()
            expected = model({name: part[r]})[name].detach()
            assert_allclose_report(rebuilt, expected, rtol=1e-10, atol=1e-12, what=name)


def test_networks_come_back_as_they_went_in():
    models = [SharedAutoencoder(Architecture((("x", 5), ("y", 4))), seed=s) for s in range(3)]
    net = BatchedAutoencoder(models)
    assert len(net) == 3
    for r, model in enumerate(models):
        for key, value in net.model(r).named_parameters():
            assert torch.equal(value, model.get_parameter(key)), key


def test_networks_that_cannot_share_a_tensor_are_refused():
    small = SharedAutoencoder(Architecture((("x", 5),), hidden_width=8), seed=0)
    large = SharedAutoencoder(Architecture((("x", 5),), hidden_width=9), seed=0)
    with pytest.raises(ValueError, match=r"models\[1\].*train runs of different architectures in separate"):
        BatchedAutoencoder([small, large])
    with pytest.raises(ValueError, match="models: none given"):
        BatchedAutoencoder([])
    with pytest.raises(ValueError, match=r"x: expected shape \(1, b, 5\), got \(2, 3, 5\)"):
        BatchedAutoencoder([small]).reconstruct("x", torch.zeros(2, 3, 5))
