"""What the library says of an exact world, compared: information, bounds and estimates.

Each `check_<answer>(world)` returns a list of mismatches, empty where everything is right. An exception (or a
warning, which the tests turn into one) that the answer does not call for is a mismatch.
"""

import functools
import traceback

import mpmath
import numpy as np

import fisherkit as fk
from tests.exact_criteria import DIGITS, INFINITE, close, exact_directions
from tests.reference import (
    as_fraction,
    as_mpf,
    exact,
    exact_rank,
    number,
    quadratic_inverse,
    schur,
    solve_any,
)

#: Relative accuracy asked of values; infinities, ranks, relations and exact zeros are asked for exactly.
RELATIVE = 1e-6


def check(function):
    """Turn an unexpected exception into a mismatch, with the line of the library it came from."""

    @functools.wraps(function)
    def safe(world):
        try:
            return function(world)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is no answer)
            frame = next(
                (f for f in reversed(traceback.extract_tb(error.__traceback__)) if "fisherkit" in f.filename),
                traceback.extract_tb(error.__traceback__)[-1],
            )
            where = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
            return [f"raised {type(error).__name__} at {where}: {str(error)[:150]}"]

    return safe


def attempt(function, *errors):
    """(value, None), or (None, error) for the errors that an answer may consist of."""
    try:
        return function(), None
    except errors as error:
        return None, error


def tolerance_of(world):
    """Relative accuracy of values: that of the smallest singular value where noises are so far apart."""
    if world.kind != "noise":
        return RELATIVE
    stds = [part.noise.get("noise_std", 1.0) for part in world.parts.values()]
    return RELATIVE + 64 * np.finfo(float).eps * max(stds) / min(stds)


def wrong_matrix(what, got, want, sizes, rel=1e-9):
    """Entries off by more than `rel` sqrt(s_i s_j), s the exact diagonal that they were subtracted from."""
    got = np.asarray(got, dtype=float)
    if got.shape != want.shape:
        return [f"{what}: shape {got.shape}, expected {want.shape}"]
    exactly = to_floats(want)
    size = np.sqrt(to_floats(np.asarray(sizes, dtype=object)))
    bad = ~(np.abs(got - exactly) <= rel * np.outer(size, size))  # NaN is bad
    if not bad.any():
        return []
    i, j = np.argwhere(bad)[0]
    return [f"{what}: entry ({i}, {j}) is {got[i, j]!r}, exact {exactly[i, j]!r}"]


def to_floats(array):
    """The floats nearest to exact numbers."""
    return np.array([float(as_fraction(x)) for x in array.ravel()], dtype=float).reshape(array.shape)


def wrong_information(what, got, want, sizes, rel=1e-9):
    """An effective information as returned: entries, exact zeros, and the rank the library sees in it."""
    out = wrong_matrix(what, got, want, sizes, rel)
    for i in range(len(want)):
        if not out and not want[i, i] and np.asarray(got)[i, i] != 0.0:
            out.append(f"{what}: diagonal entry {i} is {np.asarray(got)[i, i]!r}, exact 0")
    rank = exact_rank(want) if want.size else 0
    seen = fk.range_inclusion(got, got).rank_a
    if seen != rank:
        out.append(f"{what}: taken for rank {seen}, exact {rank}")
    return out


def _exact_variances(world, counts, directions):
    with mpmath.workdps(DIGITS):
        parts = quadratic_inverse(world.information(counts), exact_directions(directions))
        return [INFINITE if x is None else as_mpf(x) for x in parts]


def _compare(what, got, want, rel, floor=0.0):
    pairs = zip(np.atleast_1d(got).tolist(), want, strict=True)
    return [
        f"{what} {j}: got {g!r}, exact {float(w)!r}"
        for j, (g, w) in enumerate(pairs)
        if not close(g, w, rel, floor)
    ]


@check
def check_cramer_rao(world):
    """Variances of all directions, over all parameters and over the shared ones."""
    rel, v = tolerance_of(world), world.directions
    out = _compare(
        "cramer_rao direction", fk.cramer_rao(world.model, world.counts, v),
        _exact_variances(world, world.counts, v), rel,
    )  # fmt: skip
    w = world.shared_directions
    padded = np.concatenate([w, np.zeros((world.n_params - len(w), w.shape[1]))])
    return out + _compare(
        "cramer_rao shared direction", fk.cramer_rao(world.model, world.counts, w),
        _exact_variances(world, world.counts, padded), rel,
    )  # fmt: skip


@check
def check_information(world):
    """Fisher information of all samples, by modality, and of one sample."""
    counts, model = world.counts, world.model
    want = world.information(counts)
    out = wrong_matrix("information", fk.information(model, counts), want, want.diagonal())
    for name, got in fk.information_by_modality(model, counts).items():
        part = world.information({name: counts[name]})
        out += wrong_matrix(f"information_by_modality {name}", got, part, part.diagonal())
    last = world.parts[world.names[-1]]
    if world.kind == "samples":
        sample = last.n_designs - 1
        one = world.information({world.names[-1]: sample + 1}) - world.information({world.names[-1]: sample})
    else:
        sample, one = 0, world.information({world.names[-1]: 1})
    got = fk.sample_information(model, world.names[-1], sample)
    return out + wrong_matrix("sample_information", got, one, one.diagonal())


@check
def check_shared_information(world):
    """Each modality's effective information, of the counts and per sample."""
    out, d = [], world.shared_dim
    for counts in (world.counts, None):
        for name, got in fk.shared_information(world.model, counts).items():
            part = world.parts[name]
            n = (part.n_designs or 1) if counts is None else counts[name]
            share = number(1) / (n if counts is None else 1)
            sizes = [share * x for x in part.information(n).diagonal()[:d]]
            out += wrong_information(f"shared_information {name} {n}", got, share * part.effective(n), sizes)
    return out


@check
def check_effective_information(world):
    """About the shared block, every private block and every direction."""
    counts, model, whole = world.counts, world.model, world.information(world.counts)
    out = []
    for name, block in world.slices.items():
        rest = [i for i in range(world.n_params) if i not in block]
        got = fk.effective_information(model, counts, name)
        sizes = whole.diagonal()[block]
        if world.kind == "noise" and name != "shared":
            continue  # what one block tells drowns in what is subtracted
        # a sum of informations whose noises are far apart has entries as exact as its root is
        rel = tolerance_of(world) if world.kind == "noise" else 1e-9
        out += wrong_information(f"effective_information {name}", got, schur(whole, block, rest), sizes, rel)
    some = world.directions[:, world.seed % 3 :: 4]
    for v, variance in zip(some.T, _exact_variances(world, counts, some), strict=True):
        if v.any():
            got = float(fk.effective_information(model, counts, v))
            if not close(got, 1 / variance, tolerance_of(world)):
                out.append(
                    f"effective_information of a direction: got {got!r}, exact {float(1 / variance)!r}"
                )
    return out


@check
def check_schur_complement(world):
    """The same from a finished matrix, which squares the condition number."""
    if world.kind == "noise":
        return []
    whole = world.information(world.counts)
    block = world.slices["shared"]
    rest = [i for i in range(world.n_params) if i not in block]
    got = fk.schur_complement(fk.information(world.model, world.counts), slice(0, world.shared_dim))
    return wrong_information("schur_complement", got, schur(whole, block, rest), whole.diagonal()[block])


@check
def check_estimate(world):
    """fit: estimates against exact weighted least squares of the floats, and all that goes with them."""
    rng = np.random.default_rng([world.seed, 1])
    theta = rng.integers(-3, 4, world.n_params) * 2.0**-world.exponents
    data = fk.simulate(world.model, world.counts, seed=world.seed, theta=theta)
    estimate = fk.fit(data)
    v, rel = world.directions, tolerance_of(world)
    want = _exact_variances(world, world.counts, v)
    out = _compare("fit variance of direction", estimate.variance(v), want, rel)
    with mpmath.workdps(DIGITS):
        errors = [mpmath.sqrt(x) for x in want]
    out += _compare("fit std_error of direction", estimate.std_error(v), errors, rel)
    for j, (got, variance) in enumerate(zip(estimate.estimable(v), want, strict=True)):
        if bool(got) == bool(mpmath.isinf(variance)):
            out.append(f"estimable direction {j}: got {got}, exact variance {float(variance)}")
    whole, score = world.information(world.counts), _score(world, data)
    solution = solve_any(whole, score[:, None])[0]
    assert solution is not None, "the score is in the range of the information"
    for j, (se, variance) in enumerate(zip(errors, want, strict=True)):
        if mpmath.isinf(variance) or not v[:, j].any():
            continue
        truth = as_mpf(exact(v[:, j]) @ solution)
        # theta of minimum norm holds combinations of its entries only as far as these are not far larger
        whole = estimate.precision.rank == world.n_params
        got = exact(v[:, j]) @ exact(estimate.theta) if whole else number(float(estimate.value(v[:, j])))
        # a float theta cannot hold more than its own last digit
        last = 8 * np.finfo(float).eps * sum(abs(v[i, j] * estimate.theta[i]) for i in range(len(v)))
        if not abs(as_mpf(got) - truth) <= (rel if world.kind == "noise" else 1e-9) * se + last:
            out.append(
                f"estimate of direction {j}: off by {float((as_mpf(got) - truth) / se):.3g} standard errors"
            )
    return out + _wrong_covariance(world, estimate, rel)


def _wrong_covariance(world, estimate, rel):
    """Covariances of parameters that are estimable; inf and nan for the others."""
    d, covariance = world.n_params, estimate.covariance
    solutions = solve_any(world.information(world.counts), exact(np.eye(d)))
    columns = {i: x for i, x in enumerate(solutions) if x is not None}
    for i in range(d):
        for j in range(d):
            got = covariance[i, j]
            if i in columns and j in columns:
                size = mpmath.sqrt(as_mpf(columns[i][i] * columns[j][j]))
                if not abs(float(got) - as_mpf(columns[j][i])) <= rel * size:
                    return [
                        f"covariance ({i}, {j}): got {got!r}, exact {float(as_fraction(columns[j][i]))!r}"
                    ]
            elif not (np.isinf(got) if i == j else np.isnan(got)):
                return [f"covariance ({i}, {j}): got {got!r}, not estimable"]
    return []


def _score(world, data):
    """Exact sum of A' Sigma^-1 x over samples of floats."""
    score = exact(np.zeros(world.n_params))
    for name, x in data.data.items():
        part, place = world.parts[name], world.slices["shared"] + world.slices[name]
        designs = np.concatenate([part.shared, part.private], axis=-1)
        for i in range(len(x)):
            a = exact(designs if designs.ndim == 2 else designs[i])
            score[place] = score[place] + a.T @ part.weight @ exact(x[i])
    return score


def _float32(x):
    return np.asarray(x, dtype=np.float32)


def _read_only(x):
    out = np.array(x, dtype=float)
    out.flags.writeable = False
    return out


#: Copies of the same numbers; small integers are exact in all of them.
CASTS = {
    "float32": _float32,
    "float16": lambda x: np.asarray(x, dtype=np.float16),
    "int8": lambda x: np.asarray(x, dtype=np.int8) if (np.asarray(x) == np.round(x)).all() else np.asarray(x),
    "int64": lambda x: (
        np.asarray(x, dtype=np.int64) if (np.asarray(x) == np.round(x)).all() else np.asarray(x)
    ),
    "big-endian": lambda x: np.asarray(x, dtype=">f8"),
    "big-endian float32": lambda x: np.asarray(x, dtype=">f4"),
    "list": lambda x: np.asarray(x, dtype=float).tolist() if np.asarray(x).size else np.asarray(x),
    "read-only": _read_only,
    "reversed": lambda x: np.array(np.asarray(x)[..., ::-1], dtype=float)[..., ::-1],
    "strided": lambda x: np.repeat(np.asarray(x, dtype=float), 2, axis=-1)[..., ::2],
    "Fortran order": lambda x: np.asfortranarray(np.asarray(x, dtype=float)),
}


def _answers(model, world):
    """A few of everything: what two models must agree on to the last bit."""
    yield "cramer_rao", fk.cramer_rao(model, world.counts, world.directions)
    yield "information", fk.information(model, world.counts)
    yield "effective_information", np.asarray(fk.effective_information(model, world.counts))
    for name, part in fk.shared_information(model).items():
        yield f"shared_information {name}", np.asarray(part)
    data = fk.simulate(model, world.counts, seed=1, theta=np.zeros(world.n_params))
    estimate = fk.fit(data)
    yield "theta", estimate.theta
    yield "variance", estimate.variance(world.directions)


@check
def check_dtype(world):
    """Designs in any dtype and memory layout give identical answers."""
    if world.kind == "units":
        return []  # 2^100 is no float16
    out, want = [], dict(_answers(world.model, world))
    casts = list(CASTS)
    for label in {casts[world.seed % len(casts)], "float32"}:
        for key, got in _answers(world.model_of(CASTS[label]), world):
            if not np.array_equal(got, want[key], equal_nan=True):
                out.append(f"{label} designs: {key} differs from float64")
    return out


@check
def check_frozen(world):
    """What the caller does to an array afterwards changes nothing."""
    want, given = dict(_answers(world.model, world)), []

    def keep(x):
        given.append(np.array(x, dtype=float))
        return given[-1]

    model = world.model_of(keep)
    for array in given:
        array[...] = 7.0
    return [
        f"designs changed by the caller afterwards: {key} changes too"
        for key, got in _answers(model, world)
        if not np.array_equal(got, want[key], equal_nan=True)
    ]
