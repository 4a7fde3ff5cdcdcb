"""Odd inputs to every public function: a result, or an error of this library's own that names what is wrong.

One line per function: what it is called with. Every argument in turn is replaced by every odd input, so that no
traceback from the depths of NumPy, SciPy, SymPy or torch reaches the user, whatever was handed over.
"""

import inspect
import linecache
import re
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import fisherkit as fk
from fisherkit import (
    allocation,
    certified,
    chunked,
    criteria,
    exchange,
    exchange_fit,
    factor,
    levels,
    plots,
    psd,
    simulation,
    symbolic,
    theorems,
)
from fisherkit.cluster import accumulate_dask, fit_dask
from fisherkit.streams import streams
from tests.odd_inputs import ODD

LIBRARY = str(Path(fk.__file__).parent)
EYE = np.eye(2)
ONES = np.ones(2)
X = fk.Modality(EYE)
WORLD = fk.LinearGaussian({"x": X, "y": fk.Modality(EYE, ONES[:, None], noise_std=2.0)})
PLAIN = fk.LinearGaussian({"x": X, "y": fk.Modality([[1.0, 1.0]])})
SAMPLES = fk.simulate(WORLD, 6, seed=0)
STATISTICS = fk.accumulate(SAMPLES)
ESTIMATE = fk.fit(SAMPLES)
MATRIX = psd.PSD.of(np.diag([2.0, 1.0]))
COUNTS = {"x": 4.0, "y": 2.0}
SURFACE = exchange.ExchangeSurface(PLAIN, axes=("x", "y"))
N_X, N_Y = (np.repeat(a, 3) for a in ([1.0, 1.0, 4.0, 4.0, 9.0], [0.0, 8.0, 0.0, 8.0, 16.0]))
METRIC = 50 + 2 * N_X + 0.5 * N_Y + np.tile([-0.3, 0.0, 0.3], 5)
PLANE = exchange_fit.fit_plane(N_X, N_Y, METRIC)
LAW = exchange_fit.fit_power_law(N_X, N_Y, 90 - 60 * (N_X + 0.1 * N_Y + 1.0) ** -0.7, starts=1)
MONOTONE = exchange_fit.fit_monotone(N_X, N_Y, METRIC)
FACTORS = factor.e14_world(0, obs_dim=4, shared_dim=1, private_dim=1)
EXACT = [[2, 1], [1, 2]]
SYMBOLIC = {"x": symbolic.SymbolicModality([[1]])}
LINE = exchange.isoline(PLAIN, axes=("x", "y"), level=0.5, n_points=3)
FOLDER = tempfile.TemporaryDirectory()
NPY, PARQUET = f"{FOLDER.name}/x.npy", f"{FOLDER.name}/x.parquet"
np.save(NPY, np.ones((5, 2)))
pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet").write_table(
    pyarrow.table({"observations_0": [1.0, 2.0], "observations_1": [1.0, 0.0]}), PARQUET
)
HUGE = ("2**40", "2**53 + 1", "2**64", "10**400", "uint64", "large", "largest", "inf")

LOCAL = {"client": "synchronous"}
CALLABLE = ("class", "function")  # what the caller's own function raises is the caller's

ROWS = []


def row(function, /, *, skip=(), fixed=None, **arguments):
    """A function with arguments that it takes; `skip` names odd inputs that are none, or only take long."""
    ROWS.extend((function, {**(fixed or {}), **arguments}, argument, skip) for argument in arguments)


def axes():
    return Figure().add_subplot()


# the world
row(fk.Modality, shared=EYE, private=EYE)
row(fk.Modality, shared=EYE, noise_std=1.0)
row(fk.Modality, shared=EYE, noise_var=ONES)
row(fk.Modality, shared=EYE, noise_cov=EYE)
row(X.whiten, rows=EYE)
row(X.color, white=EYE)
row(X.design, count=1)
row(X.check_count, count=1)
row(fk.LinearGaussian, modalities={"x": X})
row(WORLD.subset, names=["x"])
row(WORLD.__getitem__, name="x")
row(fk.Layout, shared_dim=2, private_dims={"x": 1})
row(WORLD.layout.columns, name="x")
row(WORLD.layout.split, theta=np.ones(3))
row(WORLD.layout.pack, blocks={"shared": ONES, "y": [1.0]})
row(WORLD.layout.vector, theta=np.ones(3))
row(fk.random_model, shared_dim=2, private_dims={"x": 1}, seed=0)
row(fk.random_model, shared_dim=2, private_dims={"x": 1}, seed=0, obs_dim=3, shared_rank=1, private_rank=1)
row(fk.random_model, shared_dim=2, private_dims={"x": 1}, seed=0, condition=3.0, noise_std=1.0, n_designs=2)
row(fk.e14_model, seed=0, obs_dim=20, attenuation=0.1, noise_std=0.3)
row(fk.blind_spot_model, angle=1.0, seed=0, shared_dim=4, seen=2, noise_std=1.0)
# samples and statistics
row(fk.Samples, model=WORLD, data={"x": np.ones((3, 2))}, theta=np.ones(3))
row(SAMPLES.subset, names=["x"])
row(SAMPLES.__getitem__, name="x")
row(streams, seed=0, names=["x"])
row(simulation.draw_theta, model=WORLD, seed=0)
row(fk.simulate, model=WORLD, counts=3, seed=0, theta=np.ones(3), replicates=2, skip=HUGE)
row(fk.simulate_statistics, model=WORLD, counts=3, seed=0, theta=np.ones(3), replicates=2, skip=HUGE)
row(fk.accumulate, samples=SAMPLES, method="auto")
row(STATISTICS.__add__, other=STATISTICS)
# estimates
row(fk.fit, data=SAMPLES, modalities=["x"], noise="known", weighting="gls")
row(fk.fit, data=STATISTICS, modalities=["x"], noise="dof")
row(ESTIMATE.__getitem__, name="x")
for method in (ESTIMATE.estimable, ESTIMATE.variance, ESTIMATE.std_error):
    row(method, directions=np.ones(3))
row(ESTIMATE.interval, directions=np.ones(3), level=0.9)
# information
row(fk.information, model=WORLD, counts=3)
row(fk.information_by_modality, model=WORLD, counts=3)
row(fk.sample_information, model=WORLD, modality="x", sample=0)
row(fk.shared_information, model=WORLD, counts=3)
row(fk.effective_information, model=WORLD, counts=3, about="shared")
row(fk.cramer_rao, model=WORLD, counts=3, directions=EYE)
row(fk.schur_complement, matrix=EYE, keep=[0])
row(psd.PSD.of, matrix=EYE, scale=ONES)
row(psd.PSD.from_root, root=EYE, noise=1e-12, scale=ONES)
for method in (MATRIX.outside, MATRIX.contains, MATRIX.variance):
    row(method, vectors=ONES)
# the Loewner order
row(fk.compare, a=EYE, b=2 * EYE, subspace=EYE, rounding=1e-12)
row(fk.range_inclusion, a=EYE, b=EYE)
# what samples are worth
row(criteria.Criterion, name="c", directions=ONES)
row(criteria.c_criterion, directions=ONES)
row(criteria.as_criterion, criterion="A")
row(criteria.a_criterion().value, psd=MATRIX)
row(criteria.a_criterion().gradient, psd=MATRIX)
row(criteria.a_criterion().marginal_value, psd=MATRIX, root=EYE)
row(criteria.a_criterion().smooth_at, psd=MATRIX)
row(criteria.a_criterion().factor_to_reach, psd=MATRIX, level=1.0)
row(levels.as_amounts, counts=COUNTS, names=["x", "y"])
row(levels.CountCriterion, model=PLAIN, criterion=criteria.a_criterion())
row(exchange.marginal_value, model=PLAIN, counts=COUNTS, criterion="A")
row(exchange.exchange_rate, model=PLAIN, counts=COUNTS, of="y", in_="x", criterion="A")
row(exchange.equivalent_count, model=PLAIN, counts=COUNTS, of="y", in_="x", criterion="A", replaced=1.0)
row(exchange.isoline, model=PLAIN, criterion="A", axes=("x", "y"), level=0.5, n_points=3, span=9.0, skip=HUGE)
row(exchange.isoline, model=PLAIN, axes=("x", "y"), through=COUNTS, collected={"x": 1}, n_points=3, skip=HUGE)
row(exchange.ExchangeSurface, model=PLAIN, criterion="A", axes=("x", "y"), collected={"x": 1})
row(SURFACE.predict, n_x=1.0, n_y=[1.0, 2.0])
row(SURFACE.rate, n_x=1.0, n_y=[1.0, 2.0])
row(SURFACE.isoline, level=0.5, n_y=[1.0, 2.0])
# measured exchange rates
row(exchange_fit.Rows, n_x=N_X, n_y=N_Y, metric=METRIC, better="higher")
row(exchange_fit.fit_plane, n_x=N_X, n_y=N_Y, metric=METRIC, better="higher")
row(exchange_fit.fit_power_law, n_x=N_X, n_y=N_Y, metric=METRIC, better="higher", starts=1)
row(exchange_fit.fit_monotone, n_x=N_X, n_y=N_Y, metric=METRIC, better="higher")
for surface in (PLANE, LAW, MONOTONE):
    row(surface.predict, n_x=1.0, n_y=[1.0, 2.0])
    row(surface.rate, n_x=1.0, n_y=[1.0, 2.0])
    row(surface.isoline, level=52.0, n_y=[1.0, 2.0])
row(exchange_fit.bootstrap, fit_function=exchange_fit.fit_plane, n_x=N_X, n_y=N_Y, metric=METRIC, seed=0,
    better="higher", at=(1.0, 2.0), groups=np.tile([0, 1, 2], 5), replicates=20, level=0.8, skip=(*HUGE, *CALLABLE))  # fmt: skip
row(exchange_fit.lack_of_fit, surface=PLANE, significance=0.05)
row(exchange_fit.words, rate=0.1, words_per_text=11.0)
row(exchange_fit.describe, rate=0.1, words_per_text=11.0, x="image", unit="words")
# allocation
row(allocation.allocate, model=PLAIN, costs=1.0, budget=10.0, criterion="A", limits={"x": (0, 5)},
    collected={"x": 1}, method="newton", integer=True, tolerance=1e-6, constraints=None)  # fmt: skip
row(allocation.allocate, model=PLAIN, costs=1.0, target=0.5)
row(allocation.allocate_information, informations={"x": EYE}, costs={"x": 1.0}, budget=9.0, base=EYE)
row(allocation.next_sample, model=PLAIN, counts=3, costs={"x": 1.0, "y": 1.0}, criterion="A", n=1, skip=HUGE)
# theorems
for statement in (theorems.theorem_1_information, theorems.theorem_1_variance):
    row(statement, m_x=EYE, m_y=EYE, reading="as_holds")
for statement in (
    theorems.theorem_2_information, theorems.theorem_2_outside, theorems.theorem_2_inside, theorems.theorem_2_restricted, theorems.corollary_1,
    theorems.theorem_2_existence, theorems.corollary_2, theorems.corollary_3,
):  # fmt: skip
    row(statement, m_x=EYE, m_y=EYE, v=ONES, reading="as_holds")
row(theorems.theorem_3, i_x=EYE, i_y=EYE, reading="as_holds")
row(theorems.theorem_3_designs, x=[EYE], y=[EYE], m=1, reading="as_holds")
row(theorems.theorem_1_private, x=[EYE], y=[(EYE, EYE)], reading="as_holds")
row(theorems.lemma_1, m=EYE, n=2 * EYE, reading="as_holds")
row(theorems.lemma_2, m=EYE, n=2 * EYE, reading="as_holds")
row(theorems.lemma_3, m=EYE, n=2 * EYE, v=ONES, reading="as_holds")
row(theorems.lemma_3_existence, m=EYE, n=2 * EYE, v=ONES, reading="as_holds")
row(theorems.lemma_4, blocks=[EYE], reading="as_holds")
row(theorems.lemma_4_scores, scores=EYE, reading="as_holds")
row(theorems.proposition_1, informations={"x": EYE}, shared_dim=1, reading="as_holds")
row(theorems.proposition_1_scores, scores_x=np.ones((30, 2)), scores_y=np.ones((30, 2)), reading="as_holds")
for statement in (theorems.joint_variances, theorems.least_squares_is_mle, theorems.joint_fit_never_hurts):
    row(statement, gram_x=EYE, gram_y=EYE, noise_var=(1.0, 2.0), v=ONES)
row(theorems.effective, designs=[(EYE, EYE)])
row(theorems.shared_gram, designs=[EYE])
row(theorems.Pair.of, m_x=EYE, m_y=EYE)
# proofs
row(certified.Enclosed, midpoint=EYE, radius=0.1)
row(certified.Enclosed.gram, root=EYE)
row(certified.Enclosed(EYE).__add__, other=EYE)
row(certified.Enclosed(EYE).__matmul__, other=EYE)
row(certified.Enclosed(EYE).__mul__, factor=2.0)
row(certified.certify, a=EYE, b=2 * EYE, radius_a=0.0, radius_b=0.0, exact=False)
row(certified.certify, a=EYE, b=2 * EYE, roots=EYE)
row(certified.certify_growth, roots=EYE, exact=False)
row(certified.certify_positive_definite, matrix=EYE, radius=0.0, exact=False)
row(certified.exact_inertia, matrix=EYE)
row(certified.enclosed_schur_complement, matrix=EYE, keep=[0])
# exact rationals
for exact in (symbolic.as_rational, symbolic.rank, symbolic.pseudoinverse, symbolic.inertia):
    row(exact, **{next(iter(inspect.signature(exact).parameters)): EXACT})
row(symbolic.in_range, m=EXACT, v=[1, 0])
row(symbolic.variance, m=EXACT, v=[1, 0])
row(symbolic.schur_complement, m=EXACT, keep=[0])
row(symbolic.parallel_sum, a=EXACT, b=EXACT)
row(symbolic.relation, a=EXACT, b=EXACT)
row(symbolic.SymbolicModality, shared=[[1]], private=[[1]], noise_cov=[[2]], count=1)
row(symbolic.derive, modalities=SYMBOLIC)
row(symbolic.information_blocks, modalities=SYMBOLIC)
# data beyond memory
row(chunked.from_npy, files={"x": NPY}, chunk_bytes=64, chunks_per_partition=1)
row(chunked.from_parquet, files={"x": PARQUET}, columns=None, chunk_bytes=64, chunks_per_partition=1)
row(chunked.accumulate_chunks, model=PLAIN, chunks=[{"x": ONES[None]}], method="auto")
row(
    chunked.accumulate_chunks, model=fk.Layout(2, {"x": 0}), chunks=[{"x": (ONES, EYE)}], noise_std={"x": 1.0}
)
row(
    chunked.fit_chunks,
    model=PLAIN,
    chunks=[{"x": ONES[None]}],
    modalities=["x"],
    noise="known",
    weighting="gls",
)
row(accumulate_dask, model=PLAIN, data={"x": [lambda: ONES[None]]}, method="auto", fixed=LOCAL)
row(fit_dask, model=PLAIN, data={"x": [lambda: ONES[None]]}, modalities=["x"], fixed=LOCAL)
# the factor world
row(factor.FactorModality, shared=EYE, private=EYE, attenuation=ONES, noise_std=1.0)
row(factor.FactorWorld, modalities={"x": FACTORS["x"]})
row(FACTORS.sample, name="x", n=3, seed=0, skip=HUGE)
row(
    factor.e14_world,
    seed=0,
    obs_dim=4,
    shared_dim=2,
    private_dim=1,
    attenuation=0.1,
    full_fraction=0.5,
    noise_std=0.3,
)
row(factor.linear_code_error, covariance=EYE, code_dim=1, fitted_to=EYE)
row(factor.covariance_information_root, covariance=np.diag, parameters=ONES, step=0.5, skip=CALLABLE)
row(factor.loading_information, world=FACTORS, counts=3, about="x", ties={"y": [[1.0]]})
# pictures
row(plots.information_ellipses, ax=axes, informations={"x": EYE}, centre=ONES, level=0.9, extent=2.0)
row(plots.fisher_heatmap, ax=axes, information=np.eye(3), layout=WORLD.layout, colorbar=True)
row(plots.gap_spectrum, ax=axes, below=EYE, above=EYE, label="gap")
row(plots.isolines, ax=axes, lines={"a": LINE})

#: What messages speak of besides the names of a function's arguments.
NOUNS = "unknown|modalit|criterion|direction|information|sample|statistics|budget|count|cost|dim"


def _title(entry):
    function, _, argument, _ = entry
    return f"{function.__qualname__}-{argument}"


@pytest.mark.parametrize("entry", ROWS, ids=map(_title, ROWS))
def test_odd_inputs_give_a_result_or_a_worded_error(entry):
    function, arguments, argument, skip = entry
    faults = {
        name: _fault(function, arguments, argument, make) for name, make in ODD.items() if name not in skip
    }
    found = [f"{argument} = {name}: {fault}" for name, fault in faults.items() if fault]
    assert not found, f"{len(found)} of {len(faults)}\n" + "\n".join(found)


def _fault(function, arguments, argument, make):
    """What is wrong with the answer: None for a result, or for an error that is this library's own and worded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = {**arguments, argument: make()}
            function(**{key: value() if value is axes else value for key, value in call.items()})
    except Exception as error:  # noqa: BLE001, every class is looked at
        last = traceback.extract_tb(error.__traceback__)[-1]
        shown = f"{type(error).__name__}: {str(error)[:100]!r} at {last.filename[-40:]}:{last.lineno}"
        if not isinstance(
            error, (ValueError, TypeError, fk.UnknownNameError, MemoryError, FileNotFoundError)
        ) and not type(error).__module__.startswith("fisherkit."):
            return f"class {shown}"
        if not last.filename.startswith(LIBRARY):
            return f"foreign {shown}"
        if not linecache.getline(last.filename, last.lineno).lstrip().startswith("raise"):
            return f"not worded {shown}"
        names = "|".join(key.rstrip("_").replace("_", "[_ ]") for key in arguments)
        if not re.search(f"^[^:]+: |{names}|{NOUNS}", str(error), re.IGNORECASE):
            return f"names nothing {shown}"
    return None
