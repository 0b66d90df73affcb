"""A file that somebody's program made, taken as a job's sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import MediaError
from evalkit.media import decode_image, decode_video, read_answer
from evalkit.methods.base import Job, Made

if TYPE_CHECKING:
    from pathlib import Path


def taken(job: Job, path: Path) -> Made:
    """What the file holds, of the medium of the job's case. Raises MediaError."""
    if job.case.medium == "text":
        return Made(job, text=read_answer(path))
    if job.case.medium == "image":
        return Made(job, decode_image(path).pixels)
    import numpy as np

    clip = decode_video(path)
    if clip.fps is None:
        raise MediaError(
            f"{path} does not say how many frames a second it shows; write it with a frame rate", reason="unreadable"
        )
    return Made(job, clip=np.stack(clip.frames), fps=clip.fps)
