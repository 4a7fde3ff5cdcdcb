"""Loaded before anything is collected."""

import fisherkit  # noqa: F401 - first: doctests import modules file by file, and a class must not exist twice
