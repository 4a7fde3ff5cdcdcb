"""Self-supervised learning on sequences: one autoregressive transformer for all modalities (the paper's Algorithm 1).

`data` holds padded sequences of one modality, `task` a target modality with its auxiliaries; `glyphs`, `clips` and `files`
make tasks. `model` is the network, `training` the loop (a killed one resumes, see `neural.store.checkpoints`), `probe` the
linear classifier that scores embeddings.
"""
