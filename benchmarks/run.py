"""All benchmarks, one thread each, with the goals that were set for them.

    python benchmarks/run.py [--quick] [--only NAME ...]

Full size takes some minutes and about 8 GB of memory; ``--quick`` about a minute.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from timing import Goal, arguments, machine, pin_threads

HERE = Path(__file__).parent
NAMES = (
    "least_squares",
    "repeated_design",
    "monte_carlo",
    "accuracy",
    "gaussian_study",
    "few_shot",
    "trunk_fisher",
    "allocation",
    "certified_order",
    "out_of_core",
)


def main(names: tuple[str, ...], *, quick: bool) -> int:
    """Run benchmarks and list their goals at the end.

    Args:
        names: which.
        quick: small sizes.

    Returns:
        Number of goals that were missed (none are judged at small sizes).
    """
    print(machine(), flush=True)
    goals: dict[str, list[Goal]] = {}
    for name in names:
        print(f"\n== {name} ==", flush=True)
        benchmark: Callable[..., list[Goal] | None] = import_module(name).main
        goals[name] = benchmark(quick=quick) or []
    if quick:
        print("\nsmall sizes: a check that all runs; goals are not judged")
        return 0
    print("\n== goals ==")
    for name, measured in goals.items():
        if measured:
            print(name, *measured, sep="\n")
    missed = sum(not goal.reached for part in goals.values() for goal in part)
    print(f"\n{missed} goals missed" if missed else "\nall goals reached")
    return missed


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    there = tuple(name for name in NAMES if (HERE / f"{name}.py").exists())
    parser = arguments(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=there, default=there, metavar="NAME", help=", ".join(there)
    )
    options = parser.parse_args()
    pin_threads()
    main(tuple(options.only), quick=options.quick)
