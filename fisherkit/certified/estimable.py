"""Whether v'theta can be estimated at all, and its exact variance: proofs from the model itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fisherkit.certified.bounds import require_ieee
from fisherkit.certified.enclosure import Enclosed
from fisherkit.certified.image import ExactModel, Model, World, designs_of, exact_image
from fisherkit.certified.model_enclosure import NoEnclosure, enclosed_effective
from fisherkit.certified.order import AUTO_SECONDS, Exact, certify_positive_definite, check_exact
from fisherkit.certified.rational import Elimination
from fisherkit.certified.reading import as_fractions
from fisherkit.certified.sizes import Counts, Sizes, read_sizes
from fisherkit.layout import Layout
from fisherkit.model import LinearGaussian

__all__ = ["Estimability", "certify_estimable", "read_directions"]

_FLOAT, _UNSEEN, _EXACT = "floating point", "unseen", "exact"


@dataclass(frozen=True, eq=False, repr=False)
class Estimability:
    """Which directions can be estimated, each with what proves it.

    Attributes:
        verdicts: for each direction v whether v'theta is estimable; None where nothing is claimed.
        methods: for each what proves it: "floating point" (the information is positive definite, by a shifted Cholesky
            factorisation), "unseen" (v has weight on a parameter that no sample sees), "exact" (rational elimination),
            "" where nothing does.
        variances: for each the least variance of an unbiased estimator, v'I^- v, exactly; None where v'theta is not
            estimable, an empty tuple where variances were not asked for.
        reason: why a direction is undecided.
    """

    verdicts: tuple[bool | None, ...]
    methods: tuple[str, ...]
    variances: tuple[Fraction | None, ...] = ()
    reason: str = ""

    @property
    def all_estimable(self) -> bool:
        """Every direction is proved estimable."""
        return all(verdict is True for verdict in self.verdicts)

    def __repr__(self) -> str:
        groups = []
        for verdict, text in ((True, "estimable"), (False, "not estimable"), (None, "undecided")):
            which = [i for i, v in enumerate(self.verdicts) if v is verdict]
            if not which:
                continue
            by = sorted({self.methods[i] for i in which} - {""})
            shown = ", ".join(map(str, which[:8])) + (", ..." if len(which) > 8 else "")
            proof = f" (proved: {', '.join(by)})" if by else f" ({self.reason})"
            groups.append(f"{text} {shown}{proof}")
        return f"Estimability(directions {'; '.join(groups)})" if groups else "Estimability(no directions)"


def certify_estimable(
    model: Model,
    counts: Counts,
    directions: Any,  # noqa: ANN401, floats, ints, Fractions or texts
    *,
    variances: bool = False,
    exact: Exact = "auto",
) -> Estimability:
    """Prove for each direction v that v'theta is estimable from these samples, or that it is not.

    Estimable means v in range(I), I the information in the exact image of the model: floats are taken as they are. A
    direction that only rounding keeps outside the range is outside it.

    Args:
        model: LinearGaussian, or exact numbers as for `ExactModel.of`.
        counts: {modality: number of samples}, one number for all, or the name of a modality for one average sample.
        directions: (d,) or (d, n) over all parameters, or (d_c,) / (d_c, n) over the shared ones; numbers are taken as
            they are, and may be Fractions or texts such as "1/3".
        variances: also compute the exact variances; always takes rational arithmetic.
        exact: rational arithmetic: True always, "auto" where floating point cannot tell and it takes less than about
            10 s, False never.

    Returns:
        A verdict for each direction.

    Raises:
        TypeError: not a model, or an entry that is no rational number.
        UnknownNameError: a name that the model does not have.
        ValueError: directions of any other length, or variances with exact=False.

    Source:
        docs/certified.md, section 6.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality([[1.0, 1.0]]), "y": Modality([[1.0, 0.1]], [[1.0]])})
        >>> certify_estimable(model, 1, [[1.0, 1.0], [1.0, 1.0 + 2.0**-52]], variances=True)
        Estimability(directions estimable 0 (proved: exact); not estimable 1 (proved: exact))
    """
    require_ieee()
    check_exact(exact)
    if variances and exact is False:
        raise ValueError("variances: exact variances need rational arithmetic; leave out exact=False")
    world = model if isinstance(model, LinearGaussian) else ExactModel.of(model)
    sizes = read_sizes(designs_of(world), counts)
    columns = read_directions(world.layout, directions)
    verdicts: list[bool | None] = [None] * len(columns)
    methods = [""] * len(columns)
    seen = _seen(world, sizes)
    for i, v in enumerate(columns):
        if any(x and not s for x, s in zip(v, seen, strict=True)):
            verdicts[i], methods[i] = False, _UNSEEN
    reason = "exact numbers need rational arithmetic"
    if isinstance(world, LinearGaussian) and exact is not True and not variances and None in verdicts:
        reason = _why_not_regular(world, sizes, np.asarray(seen))
        if not reason:
            methods = [method or _FLOAT for method in methods]
            verdicts = [True if verdict is None else verdict for verdict in verdicts]
    found: tuple[Fraction | None, ...] = ()
    if exact and (None in verdicts or variances):
        most = AUTO_SECONDS if exact == "auto" else math.inf
        done, needed = _elimination(world, sizes, columns, most)
        if done is not None:
            verdicts = [not outside for outside in done.outside]
            methods = [method or _EXACT for method in methods]
            if variances:
                found = tuple(-done.rest.entry(i, i) if ok else None for i, ok in enumerate(verdicts))
        elif variances:
            raise ValueError(
                f"variances: exact ones would take about {needed:.0f} s; exact=True computes them all the same"
            )
        else:
            reason += f"; exact=True would decide in about {needed:.0f} s"
    elif None in verdicts:
        reason += "; exact=True decides"
    return Estimability(tuple(verdicts), tuple(methods), found, reason if None in verdicts else "")


def _elimination(
    world: World, sizes: Sizes, columns: list[list[Fraction]], most: float
) -> tuple[Elimination | None, float]:
    """All parameters eliminated from the information bordered by directions, None if that takes too long."""
    image, needed = exact_image(world, sizes, most, len(columns))
    if image is None:
        return None, needed
    full, d = image.total(sizes), image.layout.n_params
    border = [[x / u for x in row] for row, u in zip(zip(*columns, strict=True), image.units, strict=True)]
    return full.bordered(border).eliminated(d), needed


def read_directions(layout: Layout, directions: Any) -> list[list[Fraction]]:  # noqa: ANN401
    """Directions over all parameters, one list each.

    Args:
        layout: of the model.
        directions: see `certify_estimable`.

    Returns:
        n lists of d fractions.

    Raises:
        ValueError: another length.
    """
    rows = directions.tolist() if hasattr(directions, "tolist") else directions
    flat = not (isinstance(rows, Sequence) and len(rows) and isinstance(rows[0], Sequence | np.ndarray))
    flat = flat or (isinstance(rows[0], str))
    table = as_fractions(rows, "directions", 1 if flat else 2)
    columns = [table] if flat else [list(column) for column in zip(*table, strict=True)]
    shared, d = layout.shared_dim, layout.n_params
    if len(table) == shared:
        columns = [column + [Fraction(0)] * (d - shared) for column in columns]
    elif len(table) != d:
        raise ValueError(
            f"directions: expected length {d} (all parameters) or {shared} (shared ones), got {len(table)}"
        )
    return columns


def _seen(world: World, sizes: Sizes) -> list[bool]:
    """Which parameters any sample sees at all."""
    seen = np.zeros(world.layout.n_params, dtype=bool)
    for name, (n, factor) in sizes.items():
        if n and factor:
            if isinstance(world, LinearGaussian):
                rows = world[name].design(None if world[name].repeated else n)
            else:
                rows = np.array([[[bool(x) for x in row] for row in d] for d in world.parts[name].designs])
            seen[world.layout.columns(name)] |= rows.reshape(-1, rows.shape[-1]).any(axis=0)
    return [bool(x) for x in seen]


def _why_not_regular(model: LinearGaussian, sizes: Sizes, seen: Any) -> str:  # noqa: ANN401, a mask
    """Empty if the information about all parameters that are seen is provably positive definite."""
    try:
        full = enclosed_effective(model, sizes, None)
        if full is None:
            return "there are no samples"
        block = np.ix_(seen, seen)
        answer = certify_positive_definite(Enclosed(full.midpoint[block], full.radius[block]))
    except (NoEnclosure, ValueError) as error:
        return f"floating point has no enclosure ({error})"
    if answer.is_strictly_below:
        return ""
    return "the information is singular up to rounding"
