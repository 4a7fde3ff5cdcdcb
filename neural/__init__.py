"""Networks that share weights across unpaired modalities, and the engines that train them.

Needs PyTorch (``pip install fisherkit[neural]``); `fisherkit` itself does not. A room for each thing:

- `neural.estimator`: `UnpairedClassifier`, for two arrays of embeddings.
- `neural.datasets`: data sets on disk, as lists of files; `neural.embed`: frozen encoders and the cache of what they
  give; `neural.worlds`: data that need no download (characters, digits, simulated classes).
- `neural.tasks`: what is learned from any of these, and few-shot subsets of it.
- `neural.heads`: one linear head for all modalities; `neural.sequences`: one transformer; `neural.autoencoder`: the
  Gaussian experiment's network; `neural.transfer`: layers that learned language, on pictures.
- `neural.curvature`: Fisher information of a shared trunk.
- `neural.results`: finished cells, one tidy table of them, contrasts, figures.
- `neural.store`: files that are written whole or not at all, and checked when they are read.

A name that several rooms have means the same in each: `model` is the network, `training` its loop, `runs` what a
training is made of, `task` what is learned, `files` a user's own. Modules are imported by name.
"""

from neural import _moved

_moved.install()
