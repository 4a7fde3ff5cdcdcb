"""What the information per sample is exactly, and bounds that hold for it whatever floating point does.

Roots are good enough to find an answer, but they are computed, and a claim about the answer has to hold for what was
given: the entries of a matrix, or the designs and the noise of a model. Two questions are asked, for a (d, q) matrix X
of floats,

    scores:  how large is trace(X' S_k X) at most,
    gram:    X' (sum_k n_k S_k) X, to a radius in the spectral norm, from below,

and both are answered by one product with a bound on its rounding (Higham 2002, section 3.5), or by integer arithmetic
where that bound says too little. Private parameters need no decomposition to be exact: S = min over y of the square of
C x + S y, so that any y bounds it from above, and what a good y leaves within range(S) bounds it from below.
Numbers so small that their products underflow are left out of account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.dyadic import Dyadic
from fisherkit.certified.bounds import gamma
from fisherkit.model import Modality
from fisherkit.psd import PSD

__all__ = ["Design", "Evidence"]

Array = NDArray[np.float64]

#: So many multiplications of integers are worth a sharper bound; about a second.
_AFFORDABLE = 3e6


def _length(x: Array) -> float:
    """Frobenius norm, rounded upwards."""
    return float(np.linalg.norm(x)) * (1 + gamma(x.size + 4))


@dataclass(frozen=True, eq=False)
class Design:
    """Information of rows [C S] about the parameters of C, those of S unknown: of one sample, an average one, or several.

    Attributes:
        shared: (rows, d).
        private: (rows, d_k).
        noise: whose noise the rows have, a block of them per sample; None for unit noise.
        weight: factor of the information, such as 1 / N for the average of N samples.
    """

    shared: Array
    private: Array
    noise: Modality | None = None
    weight: float = 1.0

    @classmethod
    def of_modality(cls, modality: Modality, samples: int | None = None) -> "Design":
        """The designs of a modality as they were given.

        Args:
            modality: designs and noise.
            samples: the first so many per-sample designs together; None for one sample, the average one of
                per-sample designs.

        Returns:
            The rows; of a repeated design those of one sample, weighted.
        """
        n = modality.n_designs
        if n is None:
            return cls(
                *_as_rows(modality.shared, modality.private, 1), modality, 1.0 if samples is None else samples
            )
        used = n if samples is None else samples
        shared, private = (b[:used] if b.ndim == 3 else b for b in (modality.shared, modality.private))
        return cls(*_as_rows(shared, private, used), modality, 1 / n if samples is None else 1.0)

    @classmethod
    def of_root(cls, root: Array) -> "Design":
        """A square root that is exact.

        Args:
            root: (r, d).

        Returns:
            Its rows.
        """
        return cls(root, np.zeros((len(root), 0)))

    @cached_property
    def _whitener(self) -> tuple[Array | None, float]:
        """X' for a noise covariance, (m, m), and how far X X' is from its inverse."""
        if self.noise is None or self.noise.noise_cov is None:
            return None, 4 * gamma(4)
        inverse = np.linalg.inv(np.linalg.cholesky(self.noise.noise_cov))
        near, radius = Evidence(self.noise.noise_cov[None], (0,), (), (), np.zeros(1)).gram(
            inverse.T, np.ones(1), 1e-10
        )
        return inverse, _length(near - np.eye(len(near))) + radius

    def _whitened(self, rows: Array) -> Array:
        inverse = self._whitener[0]
        if self.noise is None:
            return rows
        if inverse is None:
            return self.noise.whiten(self._by_sample(rows)).reshape(rows.shape)
        return np.matmul(inverse, self._by_sample(rows)).reshape(rows.shape)

    def _by_sample(self, rows: Array) -> Array:
        assert self.noise is not None
        m = self.noise.obs_dim
        return rows.reshape(len(rows) // m, m, rows.shape[1])

    @cached_property
    def _nuisance(self) -> tuple[Array, Array, float]:
        """W (d_k, r), U = S W of orthonormal columns, which span what private parameters explain, and the error of U."""
        half = PSD.from_root(self._whitened(self.private)).half_inverse
        spanned = self.private @ half
        around = gamma(len(half) + 4) * (np.abs(self.private) @ np.abs(half))
        return half, self._whitened(spanned), self._error(spanned, around)

    def _error(self, rows: Array, around: Array) -> float:
        """Bound on the Frobenius norm of the error of whitened rows that are known up to `around`, entrywise."""
        inverse = self._whitener[0]
        if inverse is None:
            return _length(self._whitened(around) + gamma(8) * np.abs(self._whitened(rows)))
        lost = around + gamma(len(inverse) + 4) * np.abs(rows)
        return _length(np.matmul(np.abs(inverse), self._by_sample(lost))) * (1 + gamma(len(inverse) + 4))

    def work(self, columns: int) -> float:
        """Multiplications of `rows`.

        Args:
            columns: q.

        Returns:
            Their number.
        """
        return self.shared.size * columns + self.private.size * columns

    def rows(self, x: Array, *, exact: bool) -> tuple[Array, float]:
        """C x + S y in units of the noise, with the y that makes it smallest.

        Args:
            x: (d, q).
            exact: in integers.

        Returns:
            (rows, q), and a bound on the Frobenius norm of its error, for this very y.
        """
        y = np.zeros((self.private.shape[1], x.shape[1]))
        found = self.shared @ x
        if len(y):
            half, basis, _ = self._nuisance
            for _ in range(2):  # once more, for what rounding left
                y = y - half @ (basis.T @ self._whitened(found + self.private @ y))
        if exact:
            total = Dyadic.of(self.shared) @ Dyadic.of(x)
            found = (total + Dyadic.of(self.private) @ Dyadic.of(y) if len(y) else total).floats()
            around = gamma(4) * np.abs(found)
        else:
            found = found + self.private @ y
            sizes = np.abs(self.shared) @ np.abs(x) + np.abs(self.private) @ np.abs(y)
            around = gamma(len(x) + len(y) + 4) * sizes
        return self._whitened(found), self._error(found, around)

    def score(self, x: Array, *, exact: bool) -> tuple[float, float]:
        """trace(x' S x), once at most and once as it was computed.

        Args:
            x: (d, q).
            exact: in integers.

        Returns:
            Upper bound, and computed value.
        """
        rows, error = self.rows(x, exact=exact)
        most = (_length(rows) + error) ** 2 / (1 - self._whitener[1]) if self._whitener[1] < 0.5 else np.inf
        return self.weight * most * (1 + gamma(8)), self.weight * float(np.square(rows).sum())

    def gram(self, x: Array, *, exact: bool) -> tuple[Array, float]:
        """What x' S x is, once too large rather than too small, and by how much at most.

        Args:
            x: (d, q).
            exact: in integers.

        Returns:
            (q, q), and a bound on the spectral norm of what it exceeds the truth by (or falls short of it).
        """
        rows, error = self.rows(x, exact=exact)
        size = _length(rows)
        lost = 2 * size * error + error**2 + (gamma(len(rows) + 8) + 2 * self._whitener[1]) * size**2
        if self.private.shape[1]:  # what lies within the range of the private design is no information
            _, basis, slip = self._nuisance
            span, rounding = _length(basis), gamma(len(rows) + 8)
            near = (
                _length(basis.T @ basis - np.eye(basis.shape[1]))
                + (2 * span + slip) * slip
                + rounding * span**2
            )
            within = _length(basis.T @ rows) + slip * (size + error) + span * (error + rounding * size)
            lost += within**2 / (1 - near) if near < 0.5 else np.inf
        return self.weight * (rows.T @ rows), self.weight * lost * (1 + gamma(16))


def _as_rows(shared: Array, private: Array, samples: int) -> tuple[Array, Array]:
    """Blocks of all samples, one below the other, (samples m, d) and (samples m, d_k)."""
    m = shared.shape[-2]
    rows = [
        np
        .broadcast_to(b, (samples, m, b.shape[-1]))
        .reshape(samples * m, b.shape[-1])
        .astype(np.float64, copy=False)
        for b in (shared, private)
    ]
    return rows[0], rows[1]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The exact information of every modality and of what is there.

    Attributes:
        matrices: (J, d, d), information given as matrices.
        matrix_of: (J,) whose it is; -1 for what is there besides.
        designs: information given as designs or roots.
        design_of: whose.
        there: (K,) samples of each modality, as they are for sale, that are there already.
    """

    matrices: Array
    matrix_of: tuple[int, ...]
    designs: tuple[Design, ...]
    design_of: tuple[int, ...]
    there: Array

    @classmethod
    def of(
        cls,
        sale: Sequence[Array | Design],
        there: Array,
        besides: Sequence[Array | Design] = (),
        *,
        stack: Array | None = None,
    ) -> "Evidence":
        """Collect it.

        Args:
            sale: of one sample of each modality, a (d, d) matrix or a design.
            there: (K,) samples of each that are there.
            besides: what is there besides.
            stack: (K, d, d), the matrices of `sale` where they are one array already.

        Returns:
            The evidence.
        """
        everything = [*enumerate(sale), *((-1, extra) for extra in besides)]
        matrices = [(k, m) for k, m in everything if isinstance(m, np.ndarray)]
        designs = [(k, m) for k, m in everything if isinstance(m, Design)]
        if stack is None or len(matrices) != len(stack):
            stack = np.array([m for _, m in matrices]) if matrices else np.zeros((0, 0, 0))
        return cls(
            stack,
            tuple(k for k, _ in matrices),
            tuple(m for _, m in designs),
            tuple(k for k, _ in designs),
            there,
        )

    @cached_property
    def _of(self) -> NDArray[np.intp]:
        return np.array([*self.matrix_of, *self.design_of], dtype=np.intp)

    @cached_property
    def _sizes(self) -> Array:
        """(J, d), square roots u of the diagonals: |S_ij| <= u_i u_j."""
        return np.sqrt(np.maximum(np.einsum("jii->ji", self.matrices), 0.0))

    @cached_property
    def _dyadic(self) -> Dyadic:
        return Dyadic.of(self.matrices.reshape(len(self.matrices), -1))

    def _weights(self, counts: Array, of: tuple[int, ...]) -> Array:
        every = np.append(counts + self.there, 1.0)  # the last for what is there besides
        return every[list(of)]

    def scores(self, x: Array, worth: Array, accuracy: float) -> tuple[Array, float]:
        """Upper bounds of trace(x' S_k x).

        Args:
            x: (d, q).
            worth: (K,) how many samples of each there may be.
            accuracy: allowance, relative to the largest of what is there and what they may add, above which integers
                are used.

        Returns:
            (K,) of one sample of each modality, and of what is there.
        """
        split = len(self.matrices)
        of = self._of
        if split:
            about, around = self._matrix_scores(x)
            most = about + around
        if self.designs:
            pairs = np.array([design.score(x, exact=False) for design in self.designs])
            about = np.concatenate([about, pairs[:, 1]]) if split else pairs[:, 1]
            most = np.concatenate([most, pairs[:, 0]]) if split else pairs[:, 0]
        weight = np.append(worth + self.there, 1.0)[of]
        coarse = ~(weight * (most - about) <= accuracy * (weight * about).max(initial=0.0))
        if coarse[:split].any() and (2 * split + x.shape[1]) * len(x) ** 2 <= _AFFORDABLE:
            root = Dyadic.of(x)
            sharp = (self._dyadic @ (root @ root.T).reshape(-1)).floats()
            most[:split] = np.minimum(most[:split], sharp * (1 + gamma(8)))
        for i in np.flatnonzero(coarse[split:]):
            if self.designs[i].work(x.shape[1]) <= _AFFORDABLE:
                most[split + i] = min(most[split + i], self.designs[i].score(x, exact=True)[0])
        most = np.maximum(most, 0.0)
        scores = np.zeros(len(self.there) + 1)
        scores[of[of >= 0]] = most[of >= 0]
        scores, base = scores[:-1], float(most[of < 0].sum())
        base += float(self.there @ scores)
        return scores, base * (1 + gamma(len(of) + len(scores) + 4))

    def _matrix_scores(self, x: Array) -> tuple[Array, Array]:
        """trace(x' S_j x) and its rounding, (J,)."""
        count, d = len(self.matrices), len(x)
        outer, lengths = x @ x.T, np.sqrt(np.square(x).sum(axis=1))
        around = gamma(d * d + x.shape[1] + 16) * np.square(self._sizes @ lengths)
        return self.matrices.reshape(count, -1) @ outer.ravel(), around

    def gram(self, x: Array, counts: Array, accuracy: float) -> tuple[Array, float]:
        """What x' (sum_k n_k S_k) x is, and how much smaller it may be.

        Args:
            x: (d, q), such that it is near the identity.
            counts: (K,) samples of each modality, besides what is there.
            accuracy: radius above which integers are used.

        Returns:
            (q, q) symmetric, and a bound on the spectral norm of its error.
        """
        total, radius = np.zeros((x.shape[1], x.shape[1])), 0.0
        if len(self.matrices):
            total, radius = self._matrix_gram(x, counts, accuracy)
        weights = self._weights(counts, self.design_of)
        for weight, design in zip(weights.tolist(), self.designs, strict=True):
            if not weight:
                continue
            near, lost = design.gram(x, exact=False)
            if weight * lost > accuracy and design.work(x.shape[1]) <= _AFFORDABLE:
                near, lost = design.gram(x, exact=True)
            total = total + weight * near
            radius += weight * lost + gamma(8) * weight * _length(near)
        radius = (radius + gamma(len(weights) + 4) * _length(total)) * (1 + gamma(len(weights) + 8))
        return (total + total.T) / 2, radius

    def _matrix_gram(self, x: Array, counts: Array, accuracy: float) -> tuple[Array, float]:
        count, d = len(self.matrices), len(x)
        weights = self._weights(counts, self.matrix_of)
        sizes = (np.sqrt(weights)[:, None] * self._sizes) @ np.abs(
            x
        )  # of all products, by Cauchy and Schwarz
        radius = gamma(2 * d + count + 16) * float(np.square(sizes).sum())
        if radius > accuracy and (count + 2 * x.shape[1]) * d * d <= _AFFORDABLE:
            every = Dyadic.of(np.append(counts, 1.0)) + Dyadic.of(np.append(self.there, 0.0))
            weight = Dyadic(every.integers[list(self.matrix_of)], every.exponent)
            root = Dyadic.of(x)
            near = (root.T @ ((weight @ self._dyadic).reshape(d, d) @ root)).floats()
            return near, gamma(8) * _length(near)
        matrix = (weights @ self.matrices.reshape(count, -1)).reshape(d, d)
        near = x.T @ matrix @ x
        return near, radius
