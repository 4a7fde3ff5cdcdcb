"""A shard: some rows of one modality with their designs; checked against what was declared, then summarised."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.accumulation import accumulate
from fisherkit.arrays import plain_array
from fisherkit.checks import UnknownNameError, as_instance, check_names
from fisherkit.layout import Layout
from fisherkit.model import LinearGaussian, Modality
from fisherkit.samples import Samples
from fisherkit.statistics import ModalityStatistics, Statistics

__all__ = ["FIELDS", "LABELS", "Declaration", "Noise", "Shape", "Shard", "as_shard", "statistics_of"]

Shape = tuple[int | float, ...]  # rows may be nan: unknown until they are read

#: What a shard holds, in order: the column names that `from_parquet` looks for, and what messages call them.
FIELDS = ("observations", "shared", "private")
LABELS = ("observations", "shared design", "private design")
_BLOCK = 1 << 20  # entries searched at a time


class Shard(NamedTuple):
    """Some samples of one modality.

    Attributes:
        observations: (n, m); (n,) where a sample is one number.
        shared: (n, m, d_c) design blocks of these samples, or (n, m d_c), each block row by row; None where the
            model's own repeated block applies.
        private: (n, m, d_k) or (n, m d_k), likewise.
        sources: where they come from, one text for each of the three, for error messages.
        first_row: row number of the first sample there.
    """

    observations: ArrayLike
    shared: ArrayLike | None = None
    private: ArrayLike | None = None
    sources: tuple[str, ...] = ()
    first_row: int = 0


def as_shard(value: ArrayLike | tuple, name: str, place: str) -> Shard:
    """A shard from what users write: observations alone, or a tuple of up to three arrays.

    Args:
        value: array, tuple or Shard.
        name: modality.
        place: which piece it is, for messages.

    Returns:
        Shard that knows where it comes from.

    Raises:
        TypeError: a tuple of more than three entries.
    """
    if not isinstance(value, Shard):
        parts = value if isinstance(value, tuple) else (value,)
        if not 1 <= len(parts) <= 3:
            raise TypeError(
                f"{name}: {place}: expected (observations, shared design, private design), the designs optional; "
                f"got a tuple of {len(parts)}"
            )
        value = Shard(*parts)
    return value if value.sources else value._replace(sources=tuple(f"{place}, {label}" for label in LABELS))


class Noise(NamedTuple):
    """In what units the statistics of a modality are.

    Attributes:
        std: declared noise std, None for variances or a covariance.
        key: fingerprint of the declared noise.
    """

    std: float | None
    key: str

    @classmethod
    def of(cls, modality: Modality) -> "Noise":
        """As a modality declares it.

        Args:
            modality: designs and noise.

        Returns:
            Std and fingerprint.
        """
        return cls(modality.noise_std, modality.noise_key)

    def __str__(self) -> str:
        return "variances or a covariance" if self.std is None else f"std {self.std}"


def statistics_of(
    layout: Layout, parts: Mapping[str, ModalityStatistics], noise: Mapping[str, Noise]
) -> Statistics:
    """Statistics by modality, in the layout's order, together with the noise that they are in units of.

    Args:
        layout: the parameters.
        parts: {modality: statistics}.
        noise: {modality: declared noise}, of at least these modalities.

    Returns:
        The statistics of all.
    """
    names = [name for name in layout.names if name in parts]
    return Statistics(
        layout,
        {name: parts[name] for name in names},
        {name: noise[name].std for name in names},
        {name: noise[name].key for name in names},
    )


@dataclass(frozen=True)
class Declaration:
    """What is known before any data are read: parameters, noise, and designs that all samples share.

    Attributes:
        layout: the parameters.
        modalities: {name: Modality} of the model; empty where only a layout was given.
        noise_std: {name: std} that a layout's modalities were declared with.
    """

    layout: Layout
    modalities: Mapping[str, Modality]
    noise_std: Mapping[str, float]

    @classmethod
    def of(
        cls, model: LinearGaussian | Layout, noise_std: Mapping[str, float] | None = None
    ) -> "Declaration":
        """Read it off a model or a layout.

        Args:
            model: model, or layout where every design comes with its samples.
            noise_std: {modality: std} for a layout; 1 where left out.

        Returns:
            Declaration.

        Raises:
            TypeError: neither a model nor a layout.
            ValueError: noise given beside a model.
        """
        if isinstance(model, LinearGaussian):
            if noise_std is not None:
                raise ValueError("noise_std: the model declares the noise; pass it with a Layout only")
            return cls(model.layout, model.modalities, {})
        if not isinstance(model, Layout):
            raise TypeError(f"model: expected a LinearGaussian or a Layout, got {type(model).__name__}")
        check_names(noise_std, model.names, "noise_std")
        given = as_instance({} if noise_std is None else noise_std, Mapping, "noise_std")
        return cls(model, {}, dict(given))

    def only(self, name: str) -> "Declaration":
        """The part that one modality's samples need, small enough to be sent with a task.

        Args:
            name: modality.

        Returns:
            Declaration without the other modalities' designs, per-sample blocks cut to one.
        """
        modality = self.modalities.get(name)
        if modality is None:
            return replace(self, modalities={})
        if not modality.repeated:
            blocks = {field: getattr(modality, field) for field in FIELDS[1:]}
            modality = replace(modality, **{f: b[:1].copy() if b.ndim == 3 else b for f, b in blocks.items()})
        return replace(self, modalities={name: modality})

    def noise(self, name: str) -> "Noise":
        """Declared noise of a modality.

        Args:
            name: modality.

        Returns:
            Its std and fingerprint.
        """
        if self.modalities:
            return Noise.of(self.modalities[name])
        return Noise.of(Modality(np.zeros((1, 1)), noise_std=self.noise_std.get(name, 1.0)))

    def check_name(self, name: str) -> None:
        """Raise unless there is such a modality.

        Args:
            name: modality.

        Raises:
            UnknownNameError: no such modality.
        """
        if name not in self.layout.names:
            raise UnknownNameError(name, self.layout.names)

    def check(self, name: str, shapes: Sequence[Shape | None], sources: Sequence[str]) -> int:
        """Raise unless arrays of these shapes are samples of the modality with their designs.

        Args:
            name: modality.
            shapes: of observations, shared and private designs; None where absent, nan where unknown.
            sources: what messages call the three.

        Returns:
            Observed coordinates per sample, m.

        Raises:
            ValueError: a shape that does not fit, no rows, or a design that is missing.
        """
        self.check_name(name)
        modality = self.modalities.get(name)
        observed = shapes[0] or ()
        wide = int(observed[1]) if len(observed) == 2 else 1
        m = modality.obs_dim if modality else wide
        if len(observed) not in (1, 2) or wide != m:
            raise ValueError(
                f"{name}: {sources[0]}: expected shape (samples, {m if modality else 'coordinates'}), got "
                f"{observed}; the last axis holds the observed coordinates"
            )
        rows = observed[0]
        if rows == 0:
            raise ValueError(f"{name}: {sources[0]}: zero samples; leave the modality out instead")
        dims = (self.layout.shared_dim, self.layout.private_dims[name])
        for what, dim, shape, source in zip(FIELDS[1:], dims, shapes[1:], sources[1:], strict=False):
            if shape is None:
                self._check_absent(name, what, dim)
            elif shape[1:] not in ((m, dim), (m * dim,)):
                raise ValueError(
                    f"{name}: {source}: expected shape (samples, {m}, {dim}) for {m} observed coordinates and {dim} "
                    f"{what} parameters, or (samples, {m * dim}) row by row, got {shape}"
                )
            elif shape[0] != rows and not (math.isnan(shape[0]) or math.isnan(rows)):
                raise ValueError(
                    f"{name}: {source} has {shape[0]} rows (samples), but {sources[0]} has {rows}; "
                    "every sample needs its own design block"
                )
        return m

    def _check_absent(self, name: str, what: str, dim: int) -> None:
        modality = self.modalities.get(name)
        if modality is None and dim:
            raise ValueError(
                f"{name}: a layout holds no designs: give the {what} design blocks along with the observations, or "
                "pass a model with a repeated design"
            )
        if modality is not None and getattr(modality, what).ndim == 3:
            raise ValueError(
                f"{name}: the model's {what} design is per sample, and nothing says which blocks belong to these "
                "samples: give the blocks along with the observations, or pass Samples"
            )

    def samples(self, name: str, shard: Shard) -> Samples:
        """The shard as samples of a model of its own; nothing is copied that already is floating point.

        Args:
            name: modality.
            shard: made by `as_shard`.

        Returns:
            Samples of the one modality.

        Raises:
            TypeError: not real numbers.
            ValueError: shapes that do not fit, a NaN or infinity (with source and row), or noise that is not valid.
        """
        arrays = [
            None if block is None else _read_only(block, f"{name}: {source}")
            for block, source in zip(shard[:3], shard.sources, strict=False)
        ]
        m = self.check(name, [None if a is None else a.shape for a in arrays], shard.sources)
        x = arrays[0].reshape(-1, m)  # type: ignore[union-attr]
        blocks: dict[str, Any] = {
            what: array.reshape(len(x), m, -1 if array.size else 0)
            for what, array in zip(FIELDS[1:], arrays[1:], strict=True)
            if array is not None
        }
        modality = self.modalities.get(name)
        try:
            if modality is None:
                blocks.setdefault("shared", np.empty((m, 0)))
                modality = Modality(**blocks, noise_std=self.noise_std.get(name, 1.0))
            elif blocks:
                modality = replace(modality, **blocks)
            return Samples(LinearGaussian({name: modality}), {name: x})
        except ValueError:
            for array, source in zip(arrays, shard.sources, strict=False):
                if array is not None:
                    _raise_not_finite(array, f"{name}: {source}", shard.first_row)
            raise

    def summarise(self, name: str, shard: Shard, *, method: str) -> ModalityStatistics:
        """Sufficient statistics of a shard.

        Args:
            name: modality.
            shard: made by `as_shard`.
            method: see `fisherkit.accumulate`.

        Returns:
            Statistics of the one modality.

        Raises:
            ValueError: an overflow, with its source.
        """
        samples = self.samples(name, shard)
        try:
            return accumulate(samples, method=method).modalities[name]
        except ValueError as error:
            if "overflow" not in str(error):
                raise
            where = f"{shard.sources[0]}, rows from {shard.first_row}"
            raise ValueError(f"{error} ({where})") from None


def _read_only(block: ArrayLike, name: str) -> NDArray:
    """A view that a model keeps without copying it: it lives no longer than the chunk does."""
    view = plain_array(block, name)[0].view()
    view.flags.writeable = False
    return view


def _raise_not_finite(array: NDArray, label: str, first_row: int) -> None:
    """Raise with the row number of the first NaN or infinity, if there is one."""
    step = max(1, _BLOCK // max(1, array[0].size))
    for start in range(0, len(array), step):
        wrong = ~np.isfinite(array[start : start + step])
        if wrong.any():
            row, *rest = (int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
            kind = "NaN" if np.isnan(array[start + row][tuple(rest)]) else "infinite value"
            entry = f", entry {rest[0] if len(rest) == 1 else tuple(rest)} of it" if rest else ""
            raise ValueError(
                f"{label}: {kind} in row {first_row + start + row}{entry} (counted from 0); "
                "remove or impute these entries"
            )
