"""Fisher information of shared trunks: against per-sample loops, enumerated expectations and closed forms."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fisherkit as fk
from fisherkit.theorems.additivity import proposition_1
from neural.autoencoder.model import Architecture, SharedAutoencoder
from neural.curvature import (
    Categorical,
    Gaussian,
    JacobianOperator,
    Partition,
    additivity,
    directional_information,
    empirical_fisher,
    modality_gains,
    monte_carlo_fisher,
    trunk_fisher,
)
from neural.curvature.jacobian import Branch, sample_jacobians
from neural.heads.model import HeadLayout, SharedHead

DOUBLE = torch.float64


def autoencoder(seed=0, dims=(("x", 4), ("y", 3)), widths=(3, 4, 2)):
    return SharedAutoencoder(Architecture(dims, *widths), seed=seed, dtype=DOUBLE)


def lively(dims=(("x", 4), ("y", 3))):
    """A network whose rectifiers switch often enough for the trunk to be told from adapters and heads."""
    net = autoencoder(0, dims, (3, 8, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.5
    return net


def rows_for(dims, counts, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: torch.from_numpy(rng.standard_normal((n, dim)))
        for (name, dim), n in zip(dims, counts, strict=True)
    }


def head(seed=0, learn_scales=True):
    layout = HeadLayout(
        (("image", 4), ("text", 3)), 5, 3, ("image",), learn_scales=learn_scales, logit_scale=2.0
    )
    net = SharedHead(layout, seed=seed).double()
    if learn_scales:
        with torch.no_grad():
            net.scales += torch.tensor([0.3, -0.2])
    return net


def oracle_jacobian(net, name, row, entries):
    """(m, P): one sample, one output after the other, columns put together entry by entry."""
    tensors = {e.parameter: net.get_parameter(e.parameter).requires_grad_() for e in entries}
    jacobian = []
    for output in net({name: row[None]})[name].flatten():
        found = torch.autograd.grad(output, list(tensors.values()), retain_graph=True, allow_unused=True)
        slopes = {
            key: torch.zeros_like(tensors[key]) if g is None else g
            for key, g in zip(tensors, found, strict=True)
        }
        picked = [slopes[e.parameter] if e.row is None else slopes[e.parameter][e.row] for e in entries]
        jacobian.append(torch.cat([piece.flatten() for piece in picked]))
    return torch.stack(jacobian).numpy()


def oracle(net, name, rows, partition, precision):
    """Sum over samples of J'FJ in a loop; `precision` maps one sample's outputs to F."""
    entries = partition.entries(net, name)
    total = 0
    for row in rows:
        jacobian = oracle_jacobian(net, name, row, entries)
        with torch.no_grad():
            outputs = net({name: row[None]})[name].flatten().numpy()
        total = total + jacobian.T @ precision(outputs) @ jacobian
    return total


def softmax_information(outputs):
    """E[g g'] over classes, one by one."""
    p = scipy.special.softmax(outputs)
    scores = np.eye(len(p)) - p
    return sum(p[c] * np.outer(scores[c], scores[c]) for c in range(len(p)))


def assert_same(found, wanted, limit=1e-12):
    assert found.shape == wanted.shape
    size = np.abs(wanted).max()
    assert size > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit * size)


@st.composite
def architectures(draw):
    dims = tuple((name, draw(st.integers(1, 5))) for name in "xyz"[: draw(st.integers(1, 3))])
    return dims, tuple(draw(st.integers(1, 5)) for _ in range(3))


# the exact matrix


@settings(max_examples=25)
@given(architectures(), st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_exact_gaussian_matrix_is_the_sum_of_jacobian_products(sizes, seed, n, batch_size):
    dims, widths = sizes
    net, rows = autoencoder(seed, dims, widths), rows_for(dims, [n] * len(dims), seed)
    variance = {
        name: np.random.default_rng(seed + 1).uniform(0.1, 2.0, dim if seed % 2 else ()) for name, dim in dims
    }
    likelihood = {name: Gaussian(value) for name, value in variance.items()}
    information = trunk_fisher(net, rows, likelihood, batch_size=batch_size)
    assert information.kind == "exact"
    for name, dim in dims:
        noise = np.diag(np.broadcast_to(1 / variance[name], dim))
        wanted = oracle(net, name, rows[name], Partition.of(net), lambda _, noise=noise: noise)
        assert_same(information.matrices[name], wanted)
        assert information.matrices[name].shape[0] > information.shared_dim


@pytest.mark.parametrize("learn_scales", [True, False])
def test_exact_categorical_matrix_of_a_head_is_the_enumerated_expectation(learn_scales):
    net = head(learn_scales=learn_scales)
    rows = rows_for((("image", 4), ("text", 3)), (6, 5))
    information = trunk_fisher(net, rows, Categorical())
    assert information.shared_dim == 15
    for name in rows:
        assert_same(
            information.matrices[name], oracle(net, name, rows[name], Partition.of(net), softmax_information)
        )
    own = {"image": 12, "text": 0}
    assert {k: len(m) - 15 - learn_scales for k, m in information.matrices.items()} == own


def test_categorical_root_is_a_root():
    outputs = torch.randn(3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    root = Categorical().root(outputs, torch.eye(4, dtype=DOUBLE)[:, None].expand(4, 3, 4))
    for n in range(3):
        np.testing.assert_allclose(
            root[:, n].T @ root[:, n], softmax_information(outputs[n].numpy()), atol=1e-15
        )
    t = torch.ones(3, 4, dtype=DOUBLE) * torch.arange(4)
    transposed = torch.einsum("rnm,nm->nr", root, t)
    np.testing.assert_allclose(Categorical().root_transposed(outputs, t), transposed, atol=1e-15)


def test_layers_of_the_autoencoder_and_the_head_take_the_fast_form():
    net = autoencoder()
    rows = rows_for((("x", 4),), (5,))["x"]
    unit = torch.eye(4, dtype=DOUBLE)[:, None].expand(4, 5, 4)
    found = sample_jacobians(
        Branch(net, "x", DOUBLE), rows, lambda _: unit, Partition.of(net).entries(net, "x")
    )
    assert len(found.layers) == 6
    assert all(layer.factors for layer in found.layers)
    assert not found.others
    plain = head(learn_scales=False)
    unit = torch.eye(5, dtype=DOUBLE)[:, None].expand(5, 5, 5)
    found = sample_jacobians(
        Branch(plain, "image", DOUBLE), rows, lambda _: unit, Partition.of(plain).entries(plain, "image")
    )
    assert len(found.layers) == 2
    assert not found.others


class Odd(nn.Module):
    """One way for all modalities through layers that are awkward in one respect each."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.c = nn.Parameter(torch.randn(3, 4))
        if kind == "tied":
            self.b.weight = self.a.weight
        if kind == "two biases":
            self.bias = nn.Parameter(torch.randn(4))
        if kind == "convolution":
            self.convolution = nn.Conv1d(1, 2, 3)
        if kind == "normalised":
            self.norm = nn.LayerNorm(4)
        if kind == "attention":
            self.attention = nn.TransformerEncoderLayer(4, 2, 5, batch_first=True, dropout=0.0)
        if kind == "batch normalisation":
            self.norm = nn.BatchNorm1d(4)

    def forward(self, batch):
        return {name: self.one(rows) for name, rows in batch.items()}

    def one(self, rows):
        kind, linear = self.kind, nn.functional.linear
        hidden = self.a(rows)
        if kind == "in place":
            return linear(torch.relu_(hidden), self.c)
        if kind == "twice":
            return self.b(torch.tanh(self.a(torch.tanh(hidden))))
        if kind == "two biases":
            return linear(torch.tanh(hidden), self.a.weight, self.bias)
        if kind == "used otherwise":
            return linear(torch.tanh(hidden), self.c) + self.a.weight.sum() * self.c.sum()
        if kind == "products":
            return torch.tanh(hidden) @ self.c.T + (hidden @ self.b.weight.mT)[:, :3]
        if kind == "tokens":
            return self.b(torch.tanh(self.a(torch.stack([rows, rows**2, rows - 1], dim=1)))).sum(dim=1)
        if kind == "flattened tokens":
            tokens = torch.stack([rows, rows**2], dim=1).flatten(0, 1)
            return self.a(tokens).tanh().unflatten(0, (-1, 2)).sum(dim=1)
        if kind == "convolution":
            return self.b(torch.tanh(hidden)) + self.convolution(hidden[:, None]).flatten(1)
        if kind in ("normalised", "batch normalisation"):
            return self.b(self.norm(hidden))
        if kind == "attention":
            return self.attention(torch.stack([hidden, rows], dim=1))
        return self.b(torch.tanh(hidden))


KINDS = (
    "plain", "tied", "two biases", "in place", "twice", "used otherwise", "products", "tokens", "flattened tokens",
    "convolution", "normalised", "attention", "batch normalisation",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_exact_matrix_of_awkward_networks(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Odd(kind).double().eval()
        rows = torch.randn(5, 4, dtype=DOUBLE)
    partition = Partition(tuple(dict(net.named_parameters())))
    found = trunk_fisher(net, {"x": rows}, Gaussian(0.5), partition, batch_size=3)
    assert_same(found.matrices["x"], oracle(net, "x", rows, partition, lambda f: np.eye(len(f)) / 0.5), 1e-11)
    roots = trunk_fisher(net, {"x": rows}, Gaussian(0.5), partition, root=True)
    assert_same(roots.matrices["x"], found.matrices["x"], 1e-11)


@pytest.mark.parametrize("shared", [("a.weight",), ("a.bias", "b"), ("b.weight", "a.bias", "a.weight")])
def test_part_of_a_layer_in_any_order(shared):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, rows = Odd("plain").double(), torch.randn(4, 4, dtype=DOUBLE)
    net.a.weight.requires_grad_(False)  # frozen is not known
    partition = Partition(shared)
    found = trunk_fisher(net, {"x": rows}, Gaussian(1.0), partition).matrices["x"]
    assert_same(found, oracle(net, "x", rows, partition, lambda f: np.eye(len(f))))


def test_unreached_parameters_have_no_information():
    net = autoencoder()
    rows = rows_for((("x", 4),), (5,))
    partition = Partition(("encoder", "adapters.from_y", "decoder"))
    matrix = trunk_fisher(net, rows, Gaussian(1.0), partition).matrices["x"]
    dead = np.concatenate([
        np.r_[e.columns] for e in partition.entries(net) if e.parameter.startswith("adapters")
    ])
    assert not matrix[dead].any()
    assert matrix.any()


def test_network_is_left_alone_and_single_precision_computed_in_double(device):
    net = SharedAutoencoder(Architecture((("x", 4),), 3, 4, 2), seed=1).to(device)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    rows = rows_for((("x", 4),), (6,), seed=2)
    found = trunk_fisher(net, {"x": rows["x"].float().to(device)}, Gaussian(1.0)).matrices["x"]
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.float32 for p in net.parameters())
    double = net.cpu().double()
    wanted = oracle(double, "x", rows["x"].float().double(), Partition.of(double), lambda f: np.eye(len(f)))
    assert_same(found, wanted)


def test_batch_size_and_root_do_not_matter():
    net, rows = autoencoder(), rows_for((("x", 4), ("y", 3)), (40, 33))
    whole = trunk_fisher(net, rows, Gaussian(0.2))
    for options in ({"batch_size": 1}, {"batch_size": 7, "root": True}, {"root": True}):
        other = trunk_fisher(net, rows, Gaussian(0.2), **options)
        for name in rows:
            assert_same(other.matrices[name], whole.matrices[name])
        if "root" in options:
            assert all(len(root) == root.shape[1] for root in other.roots.values())


# empirical and Monte-Carlo


def test_empirical_fisher_is_the_sum_of_outer_products_of_scores():
    net, rows = autoencoder(), rows_for((("x", 4), ("y", 3)), (6, 5))
    targets = rows_for((("x", 4), ("y", 3)), (6, 5), seed=1)
    found = empirical_fisher(net, rows, targets, Gaussian(0.3), batch_size=4)
    for name in rows:
        parameters = [net.get_parameter(e.parameter) for e in Partition.of(net).entries(net, name)]
        wanted = 0
        for row, target in zip(rows[name], targets[name], strict=True):
            law = torch.distributions.Normal(net({name: row[None]})[name][0], 0.3**0.5)
            gradients = torch.autograd.grad(law.log_prob(target).sum(), parameters)
            score = torch.cat([g.flatten() for g in gradients])
            wanted = wanted + torch.outer(score, score).numpy()
        assert_same(found.matrices[name], wanted)


def test_empirical_fisher_of_a_head_with_scales():
    net, rows = head(), rows_for((("image", 4), ("text", 3)), (6, 5))
    labels = {"image": torch.tensor([0, 1, 2, 3, 4, 0]), "text": np.array([4, 4, 1, 0, 2])}
    found = empirical_fisher(net, rows, labels, Categorical(), root=True)
    for name in rows:
        wanted = 0
        for row, label in zip(rows[name], labels[name], strict=True):
            log_p = torch.log_softmax(net({name: row[None]})[name][0], dim=0)[int(label)]
            gradients = dict(
                zip(
                    dict(net.named_parameters()),
                    torch.autograd.grad(log_p, list(net.parameters()), allow_unused=True),
                    strict=True,
                )
            )
            pieces = [
                gradients[e.parameter] if e.row is None else gradients[e.parameter][e.row]
                for e in Partition.of(net).entries(net, name)
            ]
            score = torch.cat([piece.flatten() for piece in pieces])
            wanted = wanted + torch.outer(score, score).numpy()
        assert_same(found.matrices[name], wanted)
        assert found.roots[name].shape[0] == len(rows[name])


@pytest.mark.parametrize("likelihood", [Gaussian([0.3, 1.0, 2.0, 0.5, 0.7]), Categorical()])
def test_monte_carlo_fisher_is_unbiased(likelihood):
    net, rows = head(learn_scales=False), rows_for((("text", 3),), (4,))
    exact = trunk_fisher(net, rows, likelihood).matrices["text"]
    singles = np.array([
        monte_carlo_fisher(net, rows, likelihood, draws=20, seed=seed).matrices["text"] for seed in range(100)
    ])
    error = singles.std(axis=0, ddof=1) / 10
    assert (error > 0).all()
    # 225 entries, t with 99 degrees of freedom: false alarm below 225 * 4e-8 = 1e-5
    assert np.abs((singles.mean(axis=0) - exact) / error).max() < 6
    again = monte_carlo_fisher(net, rows, likelihood, draws=20, seed=3)
    np.testing.assert_array_equal(again.matrices["text"], singles[3])
    assert again.kind == "Monte-Carlo"


def test_too_few_draws_leave_no_effective_information():
    net, rows = lively(), rows_for((("x", 4),), (12,))
    few = monte_carlo_fisher(net, rows, Gaussian(1.0), draws=1, seed=0, root=True)
    assert few.roots["x"].shape[0] == 12
    assert np.abs(few.effective()["x"]).max() < 1e-10 * np.abs(few.plain()["x"]).max()
    exact = trunk_fisher(net, rows, Gaussian(1.0), root=True)
    assert np.trace(exact.effective()["x"]) > 1e-6 * np.trace(exact.plain()["x"])


# effective information, Proposition 1


class LinearTrunk(nn.Module):
    """Outputs head_k (trunk x) + offset_k: linear in the trunk where heads are known."""

    def __init__(self, rng, names, width):
        super().__init__()
        self.trunk = nn.Linear(3, 2, dtype=DOUBLE)
        self.heads = nn.ParameterDict({k: torch.from_numpy(rng.standard_normal((width, 2))) for k in names})
        self.offsets = nn.ParameterDict({k: torch.from_numpy(rng.standard_normal(width)) for k in names})

    def forward(self, batch):
        return {k: self.trunk(rows) @ self.heads[k].T + self.offsets[k] for k, rows in batch.items()}


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 4), st.booleans())
def test_linear_trunk_recovers_the_closed_form(seed, n, width, root):
    rng = np.random.default_rng(seed)
    counts, variance = {"x": n, "y": n + 2}, {"x": 0.25, "y": 2.0}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = LinearTrunk(rng, counts, width)
    rows = rows_for((("x", 3), ("y", 3)), counts.values(), seed)
    partition = Partition(("trunk",), {"y": ("offsets.y",)})
    found = trunk_fisher(net, rows, {k: Gaussian(v) for k, v in variance.items()}, partition, root=root)

    modalities = {}
    for name, inputs in rows.items():
        weights, x = net.heads[name].detach().numpy(), inputs.numpy()
        design = np.stack([np.hstack([np.kron(weights, row[None]), weights]) for row in x])
        own = [np.stack([np.eye(width)] * len(x))] if name == "y" else []
        modalities[name] = fk.Modality(design, *own, noise_std=variance[name] ** 0.5)
    model = fk.LinearGaussian(modalities)
    for name, wanted in fk.shared_information(model, counts).items():
        scale = np.abs(found.plain()[name]).max()
        np.testing.assert_allclose(found.effective()[name], wanted, rtol=0, atol=1e-10 * scale)
    for name, wanted in fk.shared_information(model, counts, fisher_orthogonal=True).items():
        assert_same(found.plain()[name], wanted)
    total = sum(found.effective().values())
    wanted = fk.effective_information(model, counts)
    np.testing.assert_allclose(total, wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())


@pytest.mark.parametrize("private", ["known", "unknown"])
@pytest.mark.parametrize("kind", ["autoencoder", "head"])
def test_information_about_the_trunk_adds(private, kind):
    if kind == "autoencoder":
        dims = (("x", 4), ("y", 3), ("z", 2))
        net, rows, likelihood = lively(dims), rows_for(dims, (30, 40, 20)), Gaussian(0.09)
    else:
        net, rows, likelihood = head(), rows_for((("image", 4), ("text", 3)), (20, 25)), Categorical()
    result = additivity(net, rows, likelihood, private=private)
    assert set(result.separate) == set(rows)
    assert result.relative_gap < 1e-9
    np.testing.assert_allclose(result.joint, result.total, rtol=0, atol=1e-6 * np.abs(result.joint).max())
    assert np.asarray(result.joint).any()
    single = trunk_fisher(net, rows, likelihood)
    verdict = proposition_1(single.matrices, single.shared_dim)
    assert verdict.holds
    plain = sum(single.plain().values())
    assert fk.compare(result.joint, plain, rounding=1e-9).is_below
    if private == "known":
        assert_same(result.joint, plain)
    else:
        assert np.trace(result.joint) < 0.999 * np.trace(plain)  # what the heads cost


def test_additivity_fails_where_a_private_parameter_is_not():
    dims = (("x", 4), ("y", 3))
    partition = Partition(("encoder",), {"x": ("decoder",)})  # y passes the decoder as well
    result = additivity(autoencoder(), rows_for(dims, (30, 30)), Gaussian(1.0), partition)
    assert result.relative_gap > 1e-3


def test_effective_information_is_the_schur_complement_also_where_the_nuisance_is_singular():
    net, rows = lively(), rows_for((("x", 4),), (40,))
    rows["x"][:, 3] = rows["x"][:, 2]  # the adapter's weights of these two cannot be told apart
    from_root = trunk_fisher(net, rows, Gaussian(0.5), root=True)
    d, matrix = from_root.shared_dim, from_root.matrices["x"]
    nuisance = matrix[d:, d:]
    assert np.linalg.matrix_rank(nuisance, hermitian=True, rtol=1e-10) < len(nuisance)
    wanted = (
        matrix[:d, :d]
        - matrix[:d, d:] @ np.linalg.pinv(nuisance, rtol=1e-11, hermitian=True) @ matrix[d:, :d]
    )
    scale = np.abs(matrix[:d, :d]).max()
    np.testing.assert_allclose(from_root.effective()["x"], wanted, rtol=0, atol=1e-6 * scale)
    from_matrix = trunk_fisher(net, rows, Gaussian(0.5)).effective()["x"]
    np.testing.assert_allclose(from_matrix, wanted, rtol=0, atol=1e-6 * scale)


# gains


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_gains_are_generalised_eigenvalues(seed, dim):
    rng = np.random.default_rng(seed)
    a, b = (root.T @ root for root in rng.standard_normal((2, dim + 2, dim)))
    gains = modality_gains(a, b)
    np.testing.assert_allclose(
        gains.shares, scipy.linalg.eigh(b, a + b, eigvals_only=True), rtol=1e-6, atol=1e-9
    )
    v = rng.standard_normal((dim, 3))
    chosen = modality_gains(a, b, v)
    np.testing.assert_allclose(chosen.factors, [x @ (a + b) @ x / (x @ a @ x) for x in v.T], rtol=1e-9)
    np.testing.assert_allclose(chosen.own_variances, [x @ np.linalg.solve(a, x) for x in v.T], rtol=1e-6)
    np.testing.assert_allclose(
        chosen.joint_variances, [x @ np.linalg.solve(a + b, x) for x in v.T], rtol=1e-6
    )
    assert (chosen.joint_variances < chosen.own_variances).all()
    assert chosen.order.relation is fk.compare(a, b).relation


def test_gains_keep_the_scale_of_what_was_projected_out():
    """A level that each modality's own intercept explains fully is nothing, in the objects as in their sum."""
    world = fk.LinearGaussian({
        "x": fk.Modality(np.c_[np.full(5, 0.7), [1.0, 2, 4, 5, 7]], np.ones((5, 1))),
        "y": fk.Modality(np.c_[np.full(5, 0.3), [1.0, 0, 2, 3, 5]], np.ones((5, 1))),
    })
    own, other = fk.shared_information(world).values()
    gains = modality_gains(own, other, np.eye(2))
    slopes = own[1, 1], other[1, 1]
    np.testing.assert_allclose(gains.shares, [np.nan, slopes[1] / sum(slopes)], rtol=1e-12)
    np.testing.assert_allclose(gains.own_variances, [np.inf, 1 / slopes[0]], rtol=1e-12)
    np.testing.assert_allclose(gains.joint_variances, [np.inf, 1 / sum(slopes)], rtol=1e-12)
    assert modality_gains(own, other).directions.shape == (2, 1)


def test_gains_where_nothing_is_seen():
    gains = modality_gains(np.diag([1.0, 0.0, 0.0]), np.diag([1.0, 2.0, 0.0]), np.eye(3))
    np.testing.assert_array_equal(gains.shares, [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(gains.factors, [2.0, np.inf, np.nan])
    np.testing.assert_array_equal(gains.own_variances, [1.0, np.inf, np.inf])
    np.testing.assert_allclose(gains.joint_variances, [0.5, 0.5, np.inf], rtol=1e-12)
    assert gains.order.relation is fk.Relation.BELOW


def test_y_sees_what_x_is_blind_to_through_a_network():
    """A head of rank one leaves x blind to part of the last layer; y informs it."""
    net = autoencoder()
    with torch.no_grad():
        net.heads["to_x"].weight[:] = net.heads["to_x"].weight[:1]
    rows = rows_for((("x", 4), ("y", 3)), (50, 50))
    partition = Partition(("decoder.2.weight",))
    x, y = trunk_fisher(net, rows, Gaussian(0.1), partition).effective().values()
    gains = modality_gains(x, y)
    blind = gains.shares == 1
    assert 0 < blind.sum() < len(blind)
    assert np.isinf(gains.factors[blind]).all()
    assert np.isinf(gains.own_variances[blind]).all()
    assert np.isfinite(gains.joint_variances).all()


# products


@pytest.mark.parametrize("kind", ["autoencoder", "head"])
@pytest.mark.parametrize("group", ["all", "shared", "private"])
def test_operator_is_the_weighted_jacobian(kind, group):
    if kind == "autoencoder":
        net, rows, likelihood, name = autoencoder(), rows_for((("x", 4),), (6,)), Gaussian(0.3), "x"
    else:
        net, rows, likelihood, name = head(), rows_for((("image", 4),), (6,)), Categorical(), "image"
    information = trunk_fisher(net, rows, likelihood)
    operator = JacobianOperator(net, name, rows[name], likelihood, group=group, batch_size=4)
    d, matrix = information.shared_dim, information.matrices[name]
    block = {"all": slice(None), "shared": slice(0, d), "private": slice(d, None)}[group]
    dense = operator @ np.eye(operator.shape[1])
    assert_same(dense.T @ dense, matrix[block, block])
    np.testing.assert_allclose(operator.H @ np.eye(operator.shape[0]), dense.T, rtol=0, atol=1e-12)
    v = np.arange(operator.shape[1], dtype=float)
    np.testing.assert_allclose(
        operator.rmatvec(operator.matvec(v)), matrix[block, block] @ v, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("private", ["known", "unknown"])
def test_directional_information_agrees_with_the_matrix(private):
    net, rows = lively(), rows_for((("x", 4), ("y", 3)), (30, 20))
    information = trunk_fisher(net, rows, Gaussian(0.3), root=True)
    v = np.random.default_rng(0).standard_normal((information.shared_dim, 3))
    found = directional_information(net, rows, Gaussian(0.3), v, private=private, batch_size=16)
    exact = information.plain() if private == "known" else information.effective()
    for name in rows:
        assert found.converged[name]
        assert (found.iterations[name] > 0) == (private == "unknown")
        assert_same(found.matrices[name], v.T @ exact[name] @ v, 1e-7)
    one = directional_information(net, rows, Gaussian(0.3), v[:, 0], private=private)
    assert one.matrices["x"].shape == (1, 1)
    np.testing.assert_allclose(one.matrices["x"][0, 0], found.matrices["x"][0, 0], rtol=1e-7)


def test_solver_that_stops_early_says_so_and_bounds_from_above():
    net, rows = lively(), rows_for((("x", 4),), (30,))
    v = np.random.default_rng(0).standard_normal((trunk_fisher(net, rows, Gaussian(1.0)).shared_dim, 2))
    early = directional_information(net, rows, Gaussian(1.0), v, max_iterations=2)
    full = directional_information(net, rows, Gaussian(1.0), v)
    assert not early.converged["x"]
    assert early.iterations["x"] == 2
    assert np.linalg.eigvalsh(early.matrices["x"] - full.matrices["x"])[0] > 0


# what goes wrong is said


def test_samples_that_depend_on_each_other_are_refused():
    net = Odd("batch normalisation").double().train()
    rows = {"x": torch.randn(5, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))}
    with pytest.raises(ValueError, match=r"x: the output of a sample depends .* call net\.eval\(\) first"):
        trunk_fisher(net, rows, Gaussian(1.0), Partition(("a",)))


def test_bad_partitions_are_refused():
    net = head()
    with pytest.raises(fk.UnknownNameError, match=r"'heda'; did you mean 'head'"):
        Partition(("heda",)).entries(net)
    with pytest.raises(ValueError, match=r"head: in group 'image' and in 'shared'"):
        Partition(("head",), {"image": ("head",)}).entries(net)
    with pytest.raises(ValueError, match=r"scales.*: in group 'image' and in 'shared'"):
        Partition(("head", "scales"), {"image": ("scales[0]",)}).entries(net)
    with pytest.raises(ValueError, match=r"scales.*: in group 'text' and in 'image'"):
        Partition(("head",), {"image": ("scales[0]",), "text": ("scales[0]",)}).entries(net)
    with pytest.raises(IndexError, match=r"scales\[2\]: scales has shape \(2,\)"):
        Partition(("scales[2]",)).entries(net)
    with pytest.raises(TypeError, match="shared: expected a sequence of parameter names"):
        Partition("head")
    with pytest.raises(ValueError, match="shared: no parameters"):
        Partition(()).entries(net)
    with pytest.raises(TypeError, match="Linear: shared parameters unknown"):
        Partition.of(nn.Linear(2, 2))


def test_bad_arguments_are_refused():
    net, rows = autoencoder(), rows_for((("x", 4),), (3,))
    with pytest.raises(ValueError, match="inputs: give at least one modality"):
        trunk_fisher(net, {}, Gaussian(1.0))
    with pytest.raises(ValueError, match=r"x: no samples \(shape \(0, 4\)\)"):
        trunk_fisher(net, {"x": rows["x"][:0]}, Gaussian(1.0))
    with pytest.raises(ValueError, match="x: outputs are not finite"):
        trunk_fisher(net, {"x": rows["x"] * torch.nan}, Gaussian(1.0))
    with pytest.raises(fk.UnknownNameError, match="unknown modality in likelihood 'x'"):
        trunk_fisher(net, rows, {"y": Gaussian(1.0)})
    with pytest.raises(ValueError, match="variance: must be positive, got 0"):
        Gaussian(0.0)
    with pytest.raises(ValueError, match="variance: 3 given for 4 outputs"):
        trunk_fisher(net, rows, Gaussian([1.0, 1.0, 1.0]))
    with pytest.raises(fk.UnknownNameError, match="unknown modality in targets 'x'"):
        empirical_fisher(net, rows, {"y": rows["x"]}, Gaussian(1.0))
    with pytest.raises(ValueError, match="x: 3 inputs need as many targets, got 2"):
        empirical_fisher(net, rows, {"x": rows["x"][:2]}, Gaussian(1.0))
    with pytest.raises(ValueError, match=r"targets: expected shape \(3, 4\)"):
        empirical_fisher(net, rows, {"x": rows["x"][:, :2]}, Gaussian(1.0))
    with pytest.raises(ValueError, match="classes 0 to 9, but there are 4 outputs"):
        empirical_fisher(net, rows, {"x": torch.tensor([0, 9, 1])}, Categorical())
    with pytest.raises(TypeError, match=r"targets: expected class numbers, got dtype torch\.float64"):
        empirical_fisher(net, rows, {"x": rows["x"][:, 0]}, Categorical())
    with pytest.raises(ValueError, match=r"targets: expected shape \(3,\)"):
        empirical_fisher(net, rows, {"x": torch.zeros(3, 2, dtype=torch.int64)}, Categorical())
    with pytest.raises(ValueError, match="draws must be a whole number >= 1"):
        monte_carlo_fisher(net, rows, Gaussian(1.0), draws=0, seed=0)
    with pytest.raises(ValueError, match="private must be 'known' or 'unknown'"):
        additivity(net, rows, Gaussian(1.0), private="fixed")
    with pytest.raises(ValueError, match="private must be 'known' or 'unknown'"):
        directional_information(net, rows, Gaussian(1.0), np.ones(3), private="fixed")
    with pytest.raises(ValueError, match="directions: expected length"):
        directional_information(net, rows, Gaussian(1.0), np.ones(3))
    with pytest.raises(ValueError, match="tolerance: must be positive"):
        directional_information(net, rows, Gaussian(1.0), np.ones(3), tolerance=0.0)
    with pytest.raises(ValueError, match="group must be"):
        JacobianOperator(net, "x", rows["x"], Gaussian(1.0), group="heads")


# peers


def test_nngeometry_has_the_same_matrices():
    pytest.importorskip("nngeometry")
    from nngeometry.metrics import FIM
    from nngeometry.object.pspace import PMatDense
    from torch.utils.data import DataLoader, TensorDataset

    net, rows = autoencoder(), rows_for((("x", 4),), (12,))
    adapted, last = net.adapters["from_x"](rows["x"]).detach(), net.heads["to_x"]
    trunk = nn.Sequential(net.encoder, net.decoder)
    partition = Partition.of(net).with_private_known()
    # their softmax form adds single-precision eps to a denominator: equal to seven digits
    for variant, likelihood, limit in (
        ("regression", Gaussian(1.0), 1e-12),
        ("classif_logits", Categorical(), 1e-5),
    ):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(DOUBLE)  # their buffers are made in the default type
        try:
            peer = FIM(
                model=trunk,
                loader=DataLoader(TensorDataset(adapted), batch_size=12),
                representation=PMatDense,
                variant=variant,
                function=lambda *batch: last(trunk(batch[0])),
            ).to_torch()
        finally:
            torch.set_default_dtype(previous)
        found = trunk_fisher(net, rows, likelihood, partition).matrices["x"]
        assert_same(found, 12 * peer.detach().numpy(), limit)


def test_benchmark_methods_agree(monkeypatch):
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    try:
        module = import_module("trunk_fisher")
        net, rows, trunk = module.problem(quick=True)
        for methods in (module.exact_methods, module.empirical_methods):
            answers = [method() for method in methods(net, rows, trunk).values()]
            assert len(answers) >= 2
            for answer in answers[1:]:
                assert_same(answer, answers[0])
    finally:
        for name in set(sys.modules) - before:
            if (folder / f"{name}.py").exists():
                del sys.modules[name]
