"""Pictures, masks, videos and answers: decoded safely, written without loss, known by the hash of their pixels."""

from evalkit.media.answer import lone_surrogate, plain_answer, read_answer, text_sha256
from evalkit.media.decode import Decoded, decode_image, decode_mask, pixel_sha256
from evalkit.media.encode import encode_mp4, encode_png, write_image, write_mask
from evalkit.media.kinds import CALLED, SUFFIXES, Held, held_by, held_of, medium_of
from evalkit.media.source import REASONS, Reason
from evalkit.media.video import Clip, clip_of, clip_sha256, decode_video

__all__ = [
    "CALLED",
    "REASONS",
    "SUFFIXES",
    "Clip",
    "Decoded",
    "Held",
    "Reason",
    "clip_of",
    "clip_sha256",
    "decode_image",
    "decode_mask",
    "decode_video",
    "encode_mp4",
    "encode_png",
    "held_by",
    "held_of",
    "lone_surrogate",
    "medium_of",
    "pixel_sha256",
    "plain_answer",
    "read_answer",
    "text_sha256",
    "write_image",
    "write_mask",
]
