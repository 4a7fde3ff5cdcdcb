"""Images that an encoder is fine-tuned on: prepared once, kept on disk as bytes, read by number batch by batch.

    pixels, numbers = keep_pixels(vision, files, cache=folder)
    tower = PixelEncoder(vision, pixels)
    tower(torch.tensor(numbers[:8, None]))  # (8, d), the frozen features of the first 8 files, with gradients

A data set of pictures does not fit the rows of a `neural.tasks.task.Task`; its numbers do
(`neural.labelled_rows.Numbered`), and the network looks them up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from tqdm import tqdm

from fisherkit.checks import as_whole
from neural.embed import Encoder, PretrainedEncoder
from neural.embed.digests import digests_of
from neural.embed.pooling import pool
from neural.embed.readers import ImageReader
from neural.store.array_cache import ArrayCache, content_key

__all__ = ["PixelEncoder", "Pixels", "keep_pixels"]

Bytes = NDArray[np.uint8]
_AT_ONCE = 32  # images that are decoded while others are converted


class Pixels:
    """Images of one size in files of a few hundred, of which only what is asked for is read.

    The files hold a tensor "pixels" (n_i, 3, height, width) of bytes each, all but the last equally long. Copies share
    them: a network may be copied as often as it is trained. The fingerprint is of the images and of what was done to them.
    """

    def __init__(self, paths: Sequence[Path], fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self._files = [safe_open(path, framework="np") for path in paths]
        self._slices = [file.get_slice("pixels") for file in self._files]
        self._size = int(self._slices[0].get_shape()[0])

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pixels":
        return self

    def take(self, numbers: Sequence[int]) -> Bytes:
        """(n, 3, height, width) uint8, the images of these numbers, at least one."""
        places = [divmod(number, self._size) for number in numbers]
        return np.concatenate([self._slices[file][row : row + 1] for file, row in places])


def keep_pixels(
    vision: Encoder,
    files: Sequence[Path],
    *,
    cache: Path,
    shard_size: int = 256,
    progress: bool | None = None,
) -> tuple[Pixels, NDArray[np.int64]]:
    """Resize and crop images as an encoder does, once, and keep the result: 150 kB per image of 224 x 224 pixels.

    Files are known by their content; what is kept does not depend on their order or folder. Encoders that differ in
    nothing but mean and standard deviation of their inputs share it. A killed run loses at most one shard; a damaged one
    is made again.

    Args:
        vision: pretrained encoder of images.
        files: images, at least one.
        cache: folder of what is kept.
        shard_size: images per file, >= 1.
        progress: whether to show a bar; None shows one in a terminal.

    Returns:
        Pixels, and (n,) the number of each file's image among them.

    Raises:
        ValueError: an encoder without weights or of another modality, no files, an image that cannot be read.
        FileNotFoundError: a file that is not there.
    """
    size = as_whole(shard_size, "shard_size", least=1)
    reader = _trainable(vision)[1]
    plain = replace(reader, transform=replace(reader.transform, mean=(0.0,) * 3, std=(1.0,) * 3))
    digests = [row.tobytes() for row in digests_of(files, "image", vision.name, memo=cache / "digests")]
    source = dict(zip(digests, files, strict=True))
    images = sorted(source)
    if not images:
        raise ValueError(f"{vision.name}: 0 images to keep; at least one is needed")
    kept = ArrayCache(cache)
    settings = {"transform": dict(plain.settings), "version": 1}
    quiet, paths = None if progress is None else not progress, []
    with tqdm(total=len(images), desc="pixels", unit="image", disable=quiet) as bar:
        for start in range(0, len(images), size):
            group = images[start : start + size]
            what = settings | {"files": [digest.hex() for digest in group]}
            kept.get("pixels", what, partial(_prepare, plain, [source[digest] for digest in group]))
            paths.append(cache / f"pixels-{content_key(what)}.safetensors")
            bar.update(len(group))
    place = {digest: number for number, digest in enumerate(images)}
    numbers = np.array([place[digest] for digest in digests], dtype=np.int64)
    return Pixels(paths, content_key(settings | {"files": [digest.hex() for digest in images]})), numbers


def _trainable(vision: Encoder) -> tuple[PretrainedEncoder, ImageReader]:
    if isinstance(vision, PretrainedEncoder) and isinstance(vision.reader, ImageReader):
        return vision, vision.reader
    what = f"a network of {vision.modality}" if isinstance(vision, PretrainedEncoder) else "a function"
    raise ValueError(
        f"{vision.name}: this encoder is {what}; fine-tuning needs a pretrained network of images, such as 'dinov2-s14'"
    )


def _prepare(reader: ImageReader, files: Sequence[Path]) -> dict[str, Bytes]:
    """Images as bytes; the reader's mean is 0 and its standard deviation 1."""
    parts = (batch["pixel_values"].numpy() for _, batch in reader.batches(files, _AT_ONCE))
    return {"pixels": np.concatenate([np.rint(255 * part).astype(np.uint8) for part in parts])}


class PixelEncoder(nn.Module):
    """A pretrained network that reads images by number: its features are the frozen ones until it is trained.

    Weights are in single precision. Dropout, where a checkpoint has any, stays off in training, too: it would draw from
    the global generator. Without gradients images go through in the encoder's own batches, so that any number may be
    asked for at a time. The device of the encoder does not matter; `pixels` are from `keep_pixels` with it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vision: Encoder, pixels: Pixels) -> None:
        super().__init__()
        encoder, reader = _trainable(vision)
        self.pixels = pixels
        self.network = encoder.checkpoint.network(torch.float32, encoder.family.options)
        # what its features depend on, up to rounding, before it is trained
        self.source: Mapping[str, Any] = {
            "pixels": pixels.fingerprint,
            "encoder": dict(replace(encoder, dtype=torch.float32).identity),
        }
        self._family, self._pooling, self._normalize = encoder.family, encoder.pooling, encoder.normalize
        self._batch_size = encoder.batch_size
        self.register_buffer("mean", torch.tensor(reader.transform.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(reader.transform.std).view(-1, 1, 1))

    def train(self, mode: bool = True) -> "PixelEncoder":
        """Set the mode of this module; the network inside stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, rows: Tensor) -> Tensor:
        """(n, d) float32 features of images by number, (n, 1), on the device of `rows`."""
        numbers = rows[:, 0].tolist()
        step = len(numbers) if torch.is_grad_enabled() else self._batch_size
        parts = [self._features(numbers[i : i + step]) for i in range(0, len(numbers), step)]
        return torch.cat(parts).to(rows.device)

    def _features(self, numbers: Sequence[int]) -> Tensor:
        pixels = torch.from_numpy(self.pixels.take(numbers)).to(self.mean.device).float() / 255
        batch = {"pixel_values": (pixels - self.mean) / self.std}
        pooled = pool(self._family.forward(self.network, batch), self._pooling)
        return nn.functional.normalize(pooled, dim=-1) if self._normalize else pooled
