"""Labelled embeddings of several modalities that belong to no common samples, one module per source.

`neural.data.task` says what a task is; the sources (`glyphs`, `concepts`, `digits`, `files`) make one.
"""
