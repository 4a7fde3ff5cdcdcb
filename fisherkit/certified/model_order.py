"""The Loewner order of what two sets of counts tell, proved from the model itself."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from fisherkit.certified.bounds import require_ieee
from fisherkit.certified.enclosure import Enclosed
from fisherkit.certified.exact import inertia_of_integers, seconds_of_inertia
from fisherkit.certified.image import ExactModel, Model, World, designs_of, exact_image
from fisherkit.certified.model_enclosure import NoEnclosure, enclosed_effective
from fisherkit.certified.order import AUTO_SECONDS, Exact, certify, check_exact
from fisherkit.certified.rational import Symmetric
from fisherkit.certified.sizes import Counts, Sizes, dim_about, read_sizes
from fisherkit.certified.verdict import Certificate, Status
from fisherkit.layout import SHARED
from fisherkit.loewner import Relation
from fisherkit.model import LinearGaussian

__all__ = ["certify_model"]


def certify_model(
    model: Model,
    counts_a: Counts,
    counts_b: Counts,
    *,
    about: str | None = SHARED,
    exact: Exact = "auto",
    check_factor: bool = False,
) -> Certificate:
    """Prove or refute that the samples A tell at most as much as the samples B, in every direction.

    A <= B, A and B the effective informations of the counts in the exact image of the model: its floats are taken as
    they are and nothing is rounded. First in floating point with rigorous radii, for a strict order or a refutation;
    what floats cannot decide, such as a singular difference, in rational arithmetic. Samples that both sides have
    cancel before anything is computed.

    Args:
        model: LinearGaussian, or exact numbers as for `ExactModel.of`, which are always compared exactly.
        counts_a: {modality: number of samples} (the first ones of per-sample designs), one number for all, or the name
            of a modality of which one sample is meant: of per-sample designs the average one.
        counts_b: the same for B.
        about: "shared", a modality for its private parameters, None for all parameters.
        exact: rational arithmetic: True always, however long it takes; "auto" where floating point cannot tell and it
            takes less than about 10 s; False never.
        check_factor: as in `certify`.

    Returns:
        Certificate, see `Status`. If B has every sample of A, A <= B needs no arithmetic; where nothing decides
        strictness the status is CERTIFIED_BY_FACTOR then.

    Raises:
        TypeError: not a model, or no counts.
        UnknownNameError: a name that is no modality, or no parameter block.

    Source:
        docs/certified.md, section 6.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> image, text = Modality(np.eye(2)), Modality(np.eye(2), [[1.0], [1.0]], noise_std=0.5)
        >>> model = LinearGaussian({"image": image, "text": text})
        >>> certify_model(model, "text", "image")
        A ⪯ B, refuted: v'(B - A)v ≤ ... at v = ...
        >>> certify_model(model, {"image": 1}, {"image": 1, "text": 1})
        A ⪯ B, exactly: eigenvalues of B - A: 1 positive, 0 negative, 1 zero
    """
    require_ieee()
    check_exact(exact)
    world = model if isinstance(model, LinearGaussian) else ExactModel.of(model)
    a, b = (
        read_sizes(designs_of(world), counts_a, "counts_a"),
        read_sizes(designs_of(world), counts_b, "counts_b"),
    )
    dim = dim_about(world.layout, about)
    first, second = _difference(world, a, b, about)
    if first == second or not dim:
        return Certificate(Status.EXACT_EQUAL, dim, inertia=(0, 0, dim))
    reason = "exact numbers need rational arithmetic"
    if isinstance(world, LinearGaussian) and exact is not True:
        answer = _in_floats(world, first, second, about, dim, check_factor)
        if answer.status is not Status.UNDECIDED:
            return answer
        reason = answer.reason
    if exact:
        most = {name: max(first[name], second[name]) for name in first}
        image, needed = exact_image(world, most, AUTO_SECONDS if exact == "auto" else math.inf)
        if image is not None:
            lower = _gap(image, first, second, about).lower
            needed = seconds_of_inertia(lower)
            if exact is True or needed < AUTO_SECONDS:
                inertia = inertia_of_integers(lower)
                return Certificate(Status.of_relation(Relation.of_inertia(*inertia)), dim, inertia=inertia)
        reason += f"; exact=True would decide in about {needed:.0f} s"
    else:
        reason += "; exact=True decides"
    if _contained(a, b):
        return Certificate(Status.CERTIFIED_BY_FACTOR, dim, rows=dim)
    return Certificate(Status.UNDECIDED, dim, reason=reason)


def _difference(world: World, a: Sizes, b: Sizes, about: str | None) -> tuple[Sizes, Sizes]:
    """Both sides less what they have in common, where contributions add."""
    first, second, none = dict(a), dict(b), (0, Fraction(1))
    if about not in (SHARED, None):
        return first, second
    for name in a:
        (n, f), (m, g) = a[name], b[name]
        repeated = (world[name] if isinstance(world, LinearGaussian) else world.parts[name]).repeated
        if (n, f) == (m, g) or n == m == 0:
            first[name] = second[name] = none
        elif repeated and f == g == 1:
            both = min(n, m)
            first[name], second[name] = (n - both, f), (m - both, g)
    return first, second


def _contained(a: Sizes, b: Sizes) -> bool:
    """Whether B has every sample of A, so that it tells at least as much."""
    return all(
        n == 0 or (n, f) == b[name] or (f == b[name][1] == 1 and n <= b[name][0])
        for name, (n, f) in a.items()
    )


def _gap(image: ExactModel, a: Sizes, b: Sizes, about: str | None) -> Symmetric:
    return image.effective(b, about) + image.effective(a, about).times(-1)


def _in_floats(
    model: LinearGaussian, a: Sizes, b: Sizes, about: str | None, dim: int, check_factor: bool
) -> Certificate:
    try:
        sides = [_or_zero(enclosed_effective(model, side, about), dim) for side in (a, b)]
        answer = certify(*sides, check_factor=check_factor)
    except (NoEnclosure, ValueError) as error:
        return Certificate(Status.UNDECIDED, dim, reason=f"floating point has no enclosure ({error})")
    if answer.status is Status.UNDECIDED:
        return replace(answer, reason=answer.reason.partition("; ")[0])
    return answer


def _or_zero(value: Enclosed | None, dim: int) -> Enclosed:
    return Enclosed(np.zeros((dim, dim))) if value is None else value
