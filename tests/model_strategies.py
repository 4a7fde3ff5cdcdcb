"""Hypothesis strategies for models: a seed, sizes, ranks and a conditioning are drawn, never raw floats."""

import numpy as np
from hypothesis import strategies as st

import fisherkit as fk

NAMES = ("image", "text", "audio", "touch")


@st.composite
def models(draw, max_modalities=4, max_condition=1e5, repeated=None, gaussian_noise=True):
    """1 to 4 modalities, rank-deficient blocks, conditions up to 1e5, noise ratios up to 1e4, both design regimes.

    Noise is a std, variances or a full covariance. Returns a model whose per-sample designs number 6.
    """
    seed = draw(st.integers(0, 2**32 - 1))
    names = NAMES[: draw(st.integers(1, max_modalities))]
    shared_dim = draw(st.integers(1, 4))
    private = {name: draw(st.integers(0, 3)) for name in names}
    obs = {name: draw(st.integers(1, 6)) for name in names}
    shared_rank = {n: draw(st.integers(0, min(obs[n], shared_dim))) for n in names}
    private_rank = {n: draw(st.integers(0, min(obs[n], private[n]))) for n in names}
    condition = 10.0 ** draw(st.floats(0, np.log10(max_condition)))
    rng = np.random.default_rng(seed)
    std = {n: float(10 ** rng.uniform(-2, 2)) for n in names}
    is_repeated = draw(st.booleans()) if repeated is None else repeated
    base = fk.random_model(
        shared_dim,
        private,
        seed=seed,
        obs_dim=obs,
        shared_rank=shared_rank,
        private_rank=private_rank,
        condition=condition,
        n_designs=None if is_repeated else 6,
    )
    modalities = {}
    for name in names:
        kind = draw(st.sampled_from(["std", "var", "cov"])) if gaussian_noise else "std"
        m, variance = obs[name], std[name] ** 2
        if kind == "std":
            noise = {"noise_std": std[name]}
        elif kind == "var":
            noise = {"noise_var": variance * rng.uniform(0.5, 2.0, m)}
        else:
            half = rng.standard_normal((m, m + 3))
            noise = {"noise_cov": variance * (half @ half.T / m + 0.2 * np.eye(m))}
        modalities[name] = fk.Modality(base[name].shared, base[name].private, **noise)
    return fk.LinearGaussian(modalities)


@st.composite
def counts_for(draw, model, minimum=0):
    """A sample count between `minimum` and 6 for each modality of the model, at least one positive."""
    counts = {name: draw(st.integers(minimum, 6)) for name in model.names}
    if not any(counts.values()):
        counts[model.names[0]] = 1
    return counts


@st.composite
def data_sets(draw, **options):
    """A model with simulated samples of some or all of its modalities."""
    model = draw(models(**options))
    counts = draw(counts_for(model))
    return fk.simulate(model, counts, seed=draw(st.integers(0, 2**32 - 1)))
