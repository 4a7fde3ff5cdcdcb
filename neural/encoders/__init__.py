"""Frozen encoders of images, text and sound: from files and sentences to feature vectors.

    from neural.encoders import encode, encoder

    encode(encoder("dinov2-s14", device="cuda"), paths)  # (n, 384) float32

`neural.features.cache` keeps their results on disk. A network that transformers does not hold becomes an encoder in five
lines, see `register`. Under ``torchrun`` or ``accelerate launch`` each process uses the GPU of its local rank, and
`neural.features.cache.features` shares the work among the processes.
"""

from neural.encoders.catalogue import CATALOGUE, Listing, listing, register_checkpoint, table
from neural.encoders.checkpoint import EncoderUnavailableError
from neural.encoders.encoder import Encoder, FunctionEncoder, PretrainedEncoder, Tokens, encode, encode_tokens
from neural.encoders.images import ImageTransform
from neural.encoders.readers import TruncatedTextWarning
from neural.encoders.registry import encoder, register

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
