"""Modules that have moved still import by their old names, once with a warning, and are the very same modules."""

import importlib
import subprocess
import sys

import pytest

from neural._moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_old_name_is_the_new_module(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to {MOVED[old]}"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])
    assert module.__name__ == MOVED[old]


def test_a_fresh_process_finds_what_the_old_documentation_names():
    program = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from neural.data.files import from_files\n"
        "from neural.data import glyphs, pixels\n"
        "from neural.encoders import encoder, table\n"
        "from neural.features.cache import features\n"
        "import neural.tasks.files, neural.embed.cache\n"
        "assert neural.tasks.files.from_files is from_files\n"
        "assert neural.embed.cache.features is features\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"neural\.nothing"):
        importlib.import_module("neural.nothing")
