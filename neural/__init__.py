"""Networks that share weights across unpaired modalities, and the engines that train them.

Needs PyTorch (``pip install fisherkit[neural]``); `fisherkit` itself does not. Modules are imported by name:
`neural.autoencoder`, `neural.runs`, `neural.training`.
"""
