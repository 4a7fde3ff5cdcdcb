"""Frozen encoders of images, text and sound, and the cache of what they give: from files and sentences to vectors.

    from neural.embed import encode, encoder

    encode(encoder("dinov2-s14", device="cuda"), paths)  # (n, 384) float32

`neural.embed.cache` (`features`, `token_features`) keeps their results on disk: encoded once, found again whatever
list, order or folder asks. A cache is a folder with one folder per encoder, setting and kind of feature; in it
safetensors shards and a ``manifest.json`` that says what made them; `neural.embed.maintenance` looks after it
(``python -m neural features``). A network that transformers does not hold becomes an encoder in five lines, see
`register`. Under ``torchrun`` or ``accelerate launch`` each process uses the GPU of its local rank, and
`neural.embed.cache.features` shares the work among the processes.
"""

from neural.embed.catalogue import CATALOGUE, Listing, listing, register_checkpoint, table
from neural.embed.encoder import Encoder, FunctionEncoder, PretrainedEncoder, Tokens, encode, encode_tokens
from neural.embed.images import ImageTransform
from neural.embed.readers import TruncatedTextWarning
from neural.embed.registry import encoder, register
from neural.embed.weights import EncoderUnavailableError

__all__ = [
    "CATALOGUE",
    "Encoder",
    "EncoderUnavailableError",
    "FunctionEncoder",
    "ImageTransform",
    "Listing",
    "PretrainedEncoder",
    "Tokens",
    "TruncatedTextWarning",
    "encode",
    "encode_tokens",
    "encoder",
    "listing",
    "register",
    "register_checkpoint",
    "table",
]
