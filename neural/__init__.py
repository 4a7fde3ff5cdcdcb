"""Networks that share weights across unpaired modalities, and the engines that train them.

Needs PyTorch (``pip install fisherkit[neural]``); `fisherkit` itself does not. Modules are imported by name:

- `neural.estimator`: `UnpairedClassifier`, for two arrays of embeddings.
- `neural.data`: tasks, and where they come from; `neural.datasets`: data sets on disk; `neural.encoders` and
  `neural.features`: frozen networks and the cache of what they give.
- `neural.heads`: one linear head for all modalities, trained one by one or thousands at a time.
- `neural.autoencoder`, `neural.runs`, `neural.training`: the Gaussian experiment's shared autoencoder.
"""
