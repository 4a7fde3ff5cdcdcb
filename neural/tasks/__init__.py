"""Labelled embeddings of several modalities that belong to no common samples: what is learned, and few-shot subsets.

`task` says what a task is. `files` makes one from a user's own arrays, `encoded` from a data set on disk, `pixels` from
images that an encoder is fine-tuned on, `modalities` from pools of which any can be the target, `imagenet_esc` from
pairs of sounds and images. `neural.worlds` has tasks that need no files.
"""
