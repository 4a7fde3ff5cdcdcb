"""Worlds of small integers, drawn from a number, with everything the library says about them known exactly.

Private columns explain some shared directions on purpose, so that singular effective information is the rule.
Four kinds:

    plain    small integers, noise within a factor of 16 or so, variances and covariances among it
    units    the same, every parameter (private ones too) measured in units of its own, 2^-100 to 2^100
    noise    the same with noise standard deviations 1, 2^11, 2^22 or 2^33 (about 1e10)
    samples  a design for each sample

A world is reproduced by its kind and number: `ExactWorld(kind, number)`.
"""

import math
from functools import cached_property, lru_cache

import numpy as np
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.criteria import as_criterion, c_criterion
from tests.exact_criteria import ExactCriterion, exact_directions
from tests.reference import as_fraction, exact, identity, number, schur, solve_all

KINDS = ("plain", "units", "noise", "samples")
NAMES = ("x", "y", "z")
LARGEST_UNIT = 100
NOISES = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0)


class ExactModality:
    """Designs of integers times powers of two, noise, and the exact information of n samples."""

    def __init__(self, rng, shared_dim, n_designs, noise_exponent):
        m = int(rng.integers(1, 6))
        d_k = int(rng.integers(0, 4))
        blocks = [_blocks(rng, m, shared_dim, d_k) for _ in range(n_designs or 1)]
        self.shared, self.private = (np.stack([b[i] for b in blocks]) for i in (0, 1))
        if not n_designs:
            self.shared, self.private = self.shared[0], self.private[0]
        self.n_designs = n_designs
        self.noise, covariance = _noise(rng, m, noise_exponent)
        self.weight = solve_all(covariance, identity(m))

    def scale(self, shared_exponents, private_exponents):
        """Measure parameters in other units."""
        self.shared = self.shared * 2.0**shared_exponents
        self.private = self.private * 2.0**private_exponents

    def modality(self, cast=np.asarray):
        """The library's object; `cast` makes the arrays it is given."""
        noise = {key: value if key == "noise_std" else cast(value) for key, value in self.noise.items()}
        return fk.Modality(cast(self.shared), cast(self.private), **noise)

    @lru_cache(maxsize=32)  # noqa: B019  (worlds are small and short-lived)
    def information(self, n):
        """Exact information about (theta_c, theta_k) of the first n samples; n real for a repeated design."""
        designs = np.concatenate([self.shared, self.private], axis=-1)
        if designs.ndim == 2:
            a = exact(designs)
            return number(n) * (a.T @ self.weight @ a)
        total = 0 * identity(designs.shape[-1])
        for design in designs[: int(n)]:
            a = exact(design)
            total = total + a.T @ self.weight @ a
        return total

    @lru_cache(maxsize=32)  # noqa: B019
    def effective(self, n):
        """Exact information about theta_c of the first n samples, theta_k unknown."""
        if self.n_designs is None and n not in (0, 1):
            return number(n) * self.effective(1)
        d_c, whole = self.shared.shape[-1], self.information(n)
        return schur(whole, list(range(d_c)), list(range(d_c, len(whole))))


class ExactWorld:
    """One world: the library's model of it, and exact answers."""

    def __init__(self, kind, seed):
        self.kind, self.seed, self._known = kind, seed, {}
        rng = np.random.default_rng([KINDS.index(kind), seed])
        self.shared_dim = int(rng.integers(1, 5))
        self.names = NAMES[: int(rng.choice([1, 2, 2, 3]))]
        self.parts = {}
        for name in self.names:
            n_designs = int(rng.integers(2, 6)) if kind == "samples" else None
            exponent = int(rng.choice([0, 11, 22, 33])) if kind == "noise" else None
            self.parts[name] = ExactModality(rng, self.shared_dim, n_designs, exponent)
        self.exponents = self._units(rng) if kind == "units" else np.zeros(self.n_params, dtype=int)
        most = {name: part.n_designs or 6 for name, part in self.parts.items()}
        self.counts = {name: int(rng.integers(0, most[name] + 1)) for name in self.names}
        if not any(self.counts.values()):
            self.counts[self.names[0]] = 1
        # counts beside which exchanges and plans are made; halves are exact
        self.amounts = {name: float(rng.choice([0, 0.5, 1, 2, 5, 9])) for name in self.names}
        self.costs = {name: float(rng.choice([0.5, 1, 2, 3, 5])) for name in self.names}
        self.integer_directions = self._directions(rng)
        #: (d, n) float directions over all parameters, in the units of the world
        self.directions = self.integer_directions * 2.0 ** self.exponents[:, None]
        self.shared_directions = self._shared_directions(rng)

    def __repr__(self):
        return f"ExactWorld({self.kind!r}, {self.seed})"

    def _units(self, rng):
        exponents = rng.integers(-LARGEST_UNIT, LARGEST_UNIT + 1, self.n_params)
        start = self.shared_dim
        for part in self.parts.values():
            stop = start + part.private.shape[-1]
            part.scale(exponents[: self.shared_dim], exponents[start:stop])
            start = stop
        return exponents

    @property
    def n_params(self):
        return self.shared_dim + sum(part.private.shape[-1] for part in self.parts.values())

    @cached_property
    def slices(self):
        """{block: indices in theta}, counted."""
        out, start = {"shared": list(range(self.shared_dim))}, self.shared_dim
        for name, part in self.parts.items():
            out[name] = list(range(start, start + part.private.shape[-1]))
            start += part.private.shape[-1]
        return out

    @cached_property
    def model(self):
        return self.model_of(np.asarray)

    def model_of(self, cast):
        """The model with designs (and vector noise) passed through `cast`."""
        return fk.LinearGaussian({name: part.modality(cast) for name, part in self.parts.items()})

    def information(self, counts):
        """Exact (d, d) information about all parameters."""
        total = 0 * identity(self.n_params)
        for name, n in counts.items():
            if n:
                place = np.ix_(*2 * [self.slices["shared"] + self.slices[name]])
                total[place] = total[place] + self.parts[name].information(n)
        return total

    def effective(self, counts):
        """Exact (d_c, d_c) effective information about theta_c; remembered."""
        key = tuple(counts.items())
        if key not in self._known:
            self._known[key] = self._effective(counts)
        return self._known[key]

    def _effective(self, counts):
        total = 0 * identity(self.shared_dim)
        for name, n in counts.items():
            if n:
                total = total + self.parts[name].effective(n)
        return total

    def _directions(self, rng):
        """Over all parameters: coordinates, rows of designs (estimable with a sample), mixtures, any."""
        d, columns = self.n_params, [np.eye(self.n_params)]
        for name, part in self.parts.items():
            designs = np.concatenate([part.shared, part.private], axis=-1).reshape(
                -1, self.shared_dim + part.private.shape[-1]
            )
            rows = np.zeros((d, min(3, len(designs))))
            place = self.slices["shared"] + self.slices[name]
            rows[place] = designs[: rows.shape[1]].T / 2.0 ** self.exponents[place, None]
            columns.append(rows)
        columns.append(
            np.concatenate(columns[1:], axis=1)
            @ rng.integers(-2, 3, (sum(c.shape[1] for c in columns[1:]), 2))
        )
        columns.append(rng.integers(-3, 4, (d, 2)).astype(float))
        return np.concatenate(columns, axis=1)

    def _shared_directions(self, rng):
        """About theta_c alone, no zero ones: coordinates, what some samples see, any."""
        d, candidates = self.shared_dim, [*np.eye(self.shared_dim)]
        for part in self.parts.values():
            s = part.effective(part.n_designs or 1)
            units = exact(2.0 ** -self.exponents[:d])
            seen = units[:, None] * s * units  # as it is in integers
            w = exact(rng.integers(-2, 3, d))
            image = seen @ w
            ratios = [as_fraction(x) for x in image]
            scale = math.lcm(*(x.denominator for x in ratios))
            whole = [int(x * scale) for x in ratios]
            whole = [x // math.gcd(*whole) for x in whole] if any(whole) else whole
            if any(whole) and max(map(abs, whole)) < 2**40:
                candidates.append(np.array(whole, dtype=float))
        candidates.append(rng.integers(-3, 4, d).astype(float))
        kept = [v for v in candidates if v.any()]
        return np.stack(kept, axis=1) * 2.0 ** self.exponents[:d, None]

    @cached_property
    def criteria(self):
        """[(label, library's criterion, exact one)]; A and E depend on units and are left out with those."""
        v, n = self.shared_directions, self.shared_directions.shape[1]
        chosen = {"c": v[:, self.seed % n], "c2": v[:, [self.seed % n, (self.seed // n) % n]]}
        out = []
        for label in ("c", "c2", "D") if self.kind == "units" else ("c", "c2", "A", "D", "E"):
            if label in chosen:
                w = chosen[label]
                out.append((label, c_criterion(w), ExactCriterion("c", exact_directions(w))))
            else:
                out.append((label, as_criterion(label), ExactCriterion(label)))
        return out


def _blocks(rng, m, d_c, d_k):
    """(C, S): small integers; S may explain a combination of C's columns, one of them, all, or the level."""
    c = rng.integers(-3, 4, (m, d_c))
    s = rng.integers(-3, 4, (m, d_k))
    if rng.random() < 0.15:
        c[:, rng.integers(d_c)] = 0
    if m > 1 and rng.random() < 0.15:
        c[rng.integers(m)] = c[rng.integers(m)]
    if d_c > 1 and rng.random() < 0.15:
        c[:, rng.integers(d_c)] = c[:, rng.integers(d_c)]
    for j in range(d_k):
        how = rng.choice(
            ["any", "combination", "copy", "mixture", "ones", "zero"], p=[0.2, 0.3, 0.2, 0.1, 0.15, 0.05]
        )
        if how == "combination":
            s[:, j] = c @ rng.integers(-2, 3, d_c)
        elif how == "copy":
            s[:, j] = c[:, rng.integers(d_c)]
        elif how == "mixture":
            s[:, j] = c @ rng.integers(-1, 2, d_c) + s[:, rng.integers(d_k)]
        elif how in ("ones", "zero"):
            s[:, j] = how == "ones"
    if d_k == d_c and rng.random() < 0.1:
        s = c.copy()
    if m > 1 and rng.random() < 0.1:
        i, k = rng.integers(m, size=2)
        c[i], s[i] = c[k], s[k]
    return c.astype(float), s.astype(float)


def _noise(rng, m, exponent):
    """The library's keyword and the exact covariance: a std, variances, or a covariance."""
    how = rng.choice(["std", "var", "cov"], p=[0.7, 0.2, 0.1]) if exponent is None else "std"
    if how == "std":
        std = float(rng.choice(NOISES)) if exponent is None else 2.0**exponent
        return {"noise_std": std}, number(std) * number(std) * identity(m)
    if how == "var":
        variances = rng.choice([0.25, 1.0, 2.0, 4.0, 9.0], m)
        return {"noise_var": variances}, exact(np.diag(variances))
    half = rng.integers(-1, 2, (m, m))
    covariance = (half @ half.T + np.eye(m)).astype(float)
    return {"noise_cov": covariance}, exact(covariance)


def exact_worlds(*kinds):
    """Hypothesis strategy: a world of one of these kinds, shrinking to small numbers."""
    return st.builds(ExactWorld, st.sampled_from(kinds or KINDS), st.integers(0, 2**32 - 1))
