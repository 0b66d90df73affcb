"""Pictures and masks: decoded safely, written without loss, known by the hash of their pixels."""

from evalkit.media.decode import Decoded, decode_image, decode_mask, pixel_sha256
from evalkit.media.encode import encode_png, write_image, write_mask
from evalkit.media.source import REASONS, Reason

__all__ = [
    "REASONS",
    "Decoded",
    "Reason",
    "decode_image",
    "decode_mask",
    "encode_png",
    "pixel_sha256",
    "write_image",
    "write_mask",
]
