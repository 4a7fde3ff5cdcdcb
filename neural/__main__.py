"""Command line of the package: ``python -m neural COMMAND``.

A command lives in the module it belongs to, which offers `add_command(subparsers)` and sets ``run``, a function of the
options that returns the exit status; the module's name below is all that is needed here.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from fisherkit.checks import UnknownNameError

__all__ = ["COMMAND_MODULES", "main"]

COMMAND_MODULES = (
    "neural.datasets.doctor_report",
    "neural.datasets.array_trees",
    "neural.embed.maintenance",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; None takes this process's.

    Returns:
        Exit status: 0 where all is well, 1 where the command found something wrong, 2 for input that cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m neural",
        description="Look after data sets on disk and the features computed from them.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        importlib.import_module(module).add_command(subparsers)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        return 0
    except (OSError, ValueError, UnknownNameError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
