"""What the Gaussian reconstruction study reports: ratios, exchange rates, the Fisher number, text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.factor import FactorWorld, linear_code_error, loading_information
from fisherkit.psd import PSD
from studies import harness
from studies.gaussian_recon_plan import ARMS, CODE_DIM, Plan
from studies.harness import Interval, geometric_interval, paired_ratio

__all__ = ["Results", "as_text", "csv_rows", "exchange_rate", "fisher_numbers", "summarise", "verdict"]

# Ratios that are reported: label -> (arm, control, validation set, setting of the cells)
Comparison = tuple[str, str, str, dict[str, Any]]


class Results:
    """Validation errors of finished cells as arrays over seeds."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self._cells = plan, cells

    def curve(self, arm: str, kind: str = "full", **setting: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """(seeds, evaluations) mean squared error."""
        repeats = range(self.plan.seeds)
        return np.array([self._cells.get(self.plan.cell(arm, s, **setting))[kind] for s in repeats])

    def at(self, step: int, arm: str, kind: str = "full", **setting: Any) -> NDArray[np.float64]:  # noqa: ANN401
        """(seeds,) mean squared error after a number of steps."""
        return self.curve(arm, kind, **setting)[:, self.plan.eval_steps.index(step)]

    def ratios(self, arm: str, control: str, kind: str = "full", **setting: Any) -> list[Interval]:  # noqa: ANN401
        """Paired ratio of the arm's error to the control's at every step mark."""
        return [
            paired_ratio(self.at(m, arm, kind, **setting), self.at(m, control, kind, **setting))
            for m in self.plan.marks
        ]


def exchange_rate(
    n_x: int, n_y: int, uml: NDArray[np.float64], counts: Sequence[int], x_only: NDArray[np.float64]
) -> tuple[float | None, str]:
    """How many x samples one y sample replaced, read off the x-only error as a function of the sample count.

    The rate is (n_eq - n_x) / n_y, n_eq being the number of x samples at which x-only training has the error that
    UML reached. It exists only where x-only error falls significantly (paired 95% interval) across the bracketing
    counts; elsewhere more samples of x would not buy the improvement either, and the question has no answer.

    Args:
        n_x: x samples of the UML runs.
        n_y: y samples of the UML runs.
        uml: (seeds,) errors of the UML runs.
        counts: (c,) increasing sample counts of x-only training.
        x_only: (seeds, c) errors there, same seeds.

    Returns:
        (rate or None, reason or bracket).

    Example:
        >>> errors = np.array([[4.0, 2.0, 1.0], [4.1, 2.1, 1.0]])
        >>> exchange_rate(100, 100, np.array([2.0, 2.1]), [100, 200, 400], errors)[0]
        1.0
    """
    level, means = np.log(uml).mean(), np.log(x_only).mean(axis=0)
    if not means.min() <= level <= means.max():
        return (
            None,
            f"not defined: UML's error is {'below' if level < means.min() else 'above'} the x-only curve",
        )
    for i in range(len(counts) - 1):
        high, low = means[i], means[i + 1]
        if low <= level <= high and high > low:
            fall = paired_ratio(x_only[:, i + 1], x_only[:, i])
            if fall.high >= 1:
                return None, f"not defined: x-only curve is flat between {counts[i]:,} and {counts[i + 1]:,}"
            share = (high - level) / (high - low)
            n_eq = float(np.exp(np.log(counts[i]) + share * np.log(counts[i + 1] / counts[i])))
            return round((n_eq - n_x) / n_y, 6), f"between {counts[i]:,} and {counts[i + 1]:,}"
    return None, "not defined: x-only error does not fall through UML's error"


def verdict(marks: Sequence[int], ratios: Sequence[Interval]) -> str:
    """Where a ratio of errors is below one, above one, or undecided at pointwise 95%.

    Args:
        marks: steps.
        ratios: one interval per mark.

    Returns:
        One line.

    Example:
        >>> verdict([500, 1000, 2000], [Interval(.9, .8, .95, 8), Interval(1, .9, 1.1, 8), Interval(1.2, 1.1, 1.3, 8)])
        'holds at steps 500; undecided at 1,000; reversed at 2,000'
    """
    kinds = ["holds" if r.high < 1 else "reversed" if r.low > 1 else "undecided" for r in ratios]
    parts: list[str] = []
    for kind in ("holds", "undecided", "reversed"):
        chosen = [f"{m:,}" for m, k in zip(marks, kinds, strict=True) if k == kind]
        if chosen:
            parts.append(f"{kind} at {'' if parts else 'steps '}{', '.join(chosen)}")
    return "; ".join(parts)


def fisher_numbers(world: FactorWorld, n: int) -> dict[str, Any]:
    """Information about x's loadings in n samples of x and n of y, loadings separate or tied (B_c = A_c).

    Args:
        world: loadings at which to compute.
        n: samples of each.

    Returns:
        Traces and ranks; `added_tied` is the smallest ratio of information with y to information without, over the
        range of x's own information.
    """
    separate = loading_information(world, n, about="x")
    tied = loading_information(world, n, about="x", ties={"y": np.eye(world.shared_dim)})
    both = PSD.from_root(np.vstack([tied["x"].root, tied["y"].root]))
    return {
        "samples_each": n,
        "loadings": separate["x"].dim,
        "trace_x": float(np.trace(separate["x"].matrix)),
        "rank_x": separate["x"].rank,
        "trace_y_separate": float(np.trace(separate["y"].matrix)),
        "trace_y_tied": float(np.trace(tied["y"].matrix)),
        "rank_both_tied": both.rank,
    }


def _floors(worlds: Sequence[FactorWorld], code_dim: int) -> dict[str, float]:
    """Errors on un-attenuated x of linear codes with unlimited data, geometric mean over worlds."""
    pairs = []
    for world in worlds:
        full, weak = world["x"].covariance(attenuated=False), world["x"].covariance()
        fitted = linear_code_error(full, code_dim, fitted_to=weak)
        pairs.append((linear_code_error(full, code_dim), fitted))
    best, attenuated = np.exp(np.log(pairs).mean(axis=0))
    return {"best": float(best), "fitted_to_attenuated": float(attenuated)}


def comparisons(plan: Plan) -> dict[str, Comparison]:
    """Every ratio that is reported, by label.

    Args:
        plan: the study's.

    Returns:
        {label: (arm, control, validation set, settings)}.
    """
    made: dict[str, Comparison] = {
        "uml / x": ("uml", "x", "full", {}),
        "uml 2b / x 2b": ("uml 2b", "x 2b", "full", {}),
        "uml 2b / x": ("uml 2b", "x", "full", {}),
        "uml / x half": ("uml", "x half", "full", {}),
        "x half / x": ("x half", "x", "full", {}),
        "uml / x, training law": ("uml", "x", "attenuated", {}),
        "uml / x, loadings / sqrt(dim)": ("uml", "x", "full", {"unit_rows": True}),
    }
    for width in plan.widths:
        if width != plan.width:
            made[f"uml / x, width {width}"] = ("uml", "x", "full", {"width": width})
    return made


def summarise(results: Results, worlds: Sequence[FactorWorld]) -> dict[str, Any]:
    """All numbers of the study.

    Args:
        results: finished cells.
        worlds: loadings of each repetition.

    Returns:
        What goes into the JSON file, and what text and figure are made of.
    """
    plan = results.plan
    ratios = {
        label: results.ratios(arm, control, kind, **setting)
        for label, (arm, control, kind, setting) in comparisons(plan).items()
    }
    errors = {arm: [geometric_interval(results.at(m, arm)) for m in plan.marks] for arm in ARMS}
    counts = sorted({n for budget in plan.budgets for n in (budget, budget // 2)})
    rates = []
    for mark in (plan.early, plan.steps):
        x_only = np.stack([results.at(mark, "x", budget=n) for n in counts], axis=1)
        for budget in plan.budgets:
            uml = results.at(mark, "uml", budget=budget)
            rate, why = exchange_rate(budget // 2, budget // 2, uml, counts, x_only)
            rates.append({"steps": mark, "budget": budget, "rate": rate, "why": why})
    return {
        "marks": plan.marks,
        "errors": errors,
        "ratios": ratios,
        "verdicts": {label: verdict(plan.marks, values) for label, values in ratios.items()},
        "exchange_rates": rates,
        "fisher": fisher_numbers(worlds[0], plan.budget // 2),
        "floors": _floors(worlds, CODE_DIM),
        "published": None,  # the paper prints no number for Figure 37
    }


def as_text(summary: dict[str, Any]) -> str:
    """The printed report.

    Args:
        summary: see `summarise`.

    Returns:
        Several lines.
    """
    marks, errors, ratios = summary["marks"], summary["errors"], summary["ratios"]
    rows = []
    for i, mark in enumerate(marks):
        for arm in errors:
            ratio = str(ratios[f"{arm} / x"][i]) if f"{arm} / x" in ratios else "1" if arm == "x" else ""
            matched = str(ratios["uml 2b / x 2b"][i]) if arm == "uml 2b" else ""
            rows.append([arm, f"{mark:,}", str(errors[arm][i]), ratio, matched])
    fisher, (best, fitted) = summary["fisher"], summary["floors"].values()
    fisher_line = (
        f"Fisher information about x's {fisher['loadings']} loadings (trace, {fisher['samples_each']:,} samples each): "
        f"x {fisher['trace_x']:.4g} (rank {fisher['rank_x']}), y {fisher['trace_y_separate']:.4g}; "
        f"with tied loadings B_c = A_c y {fisher['trace_y_tied']:.4g} (joint rank {fisher['rank_both_tied']})"
    )
    lines = [
        "Validation mean squared error of x (un-attenuated), geometric mean [95% interval] over paired seeds",
        harness.table(["arm", "steps", "error of x", "ratio to x", "ratio to x 2b"], rows),
        "",
        f"linear codes, unlimited data: best {best:.3f}, fitted to attenuated x {fitted:.3f}",
        "x samples that one y sample replaced:",
        harness.table(
            ["steps", "budget N", "rate", ""],
            [
                [
                    f"{r['steps']:,}",
                    f"{r['budget']:,}",
                    "-" if r["rate"] is None else f"{r['rate']:.2f}",
                    r["why"],
                ]
                for r in summary["exchange_rates"]
            ],
        ),
        fisher_line,
        "",
    ]
    lines += [f"  {label}: {text}" for label, text in summary["verdicts"].items() if label != "uml / x"]
    lines.append(
        f"Claim of Figure 37 (N/2 x + N/2 y beat N x on x; equal samples per step): "
        f"{summary['verdicts']['uml / x']} (pointwise 95%; the paper prints no number)"
    )
    return "\n".join(lines)


def csv_rows(plan: Plan, cells: harness.Cells) -> list[dict[str, Any]]:
    """One row per cell and evaluated step.

    Args:
        plan: the study's.
        cells: finished cells.

    Returns:
        Rows for `harness.write_csv`; errors are mean squared errors in data units squared.
    """
    rows = []
    for cell in plan.cells():
        result = cells.get(cell)
        place = {
            "key": harness.cell_key(cell),
            "x_samples": cell["counts"]["x"],
            "y_samples": cell["counts"].get("y", 0),
            "x_rows_per_step": cell["rows"]["x"],
            "y_rows_per_step": cell["rows"].get("y", 0),
            "hidden_width": cell["width"],
            "loadings_over_sqrt_dim": cell["unit_rows"],
            "seed": cell["seed"],
            "seconds": result["seconds"],
        }
        for i, step in enumerate(cell["eval_steps"]):
            values = {f"mse_x_{kind}": f"{result[kind][i]:.6g}" for kind in ("full", "attenuated")}
            rows.append(place | {"step": step} | values)
    return rows
