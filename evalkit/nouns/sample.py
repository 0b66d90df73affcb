"""Sample: what a method made for (case, seed)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from evalkit.nouns.base import FileSafeId, Noun


class Sample(Noun):
    """A media file with its identity, or a recorded failure."""

    case_id: FileSafeId
    seed: int = Field(ge=0)
    state: Literal["made", "failed", "unreadable"]
    """`unreadable`: there is a file, but it cannot be decoded."""
    path: str | None = None
    """Relative to the run folder's `samples/`, or absolute for somebody's own folder."""
    pixels_sha256: str | None = None
    """Of the decoded picture; of a video `evalkit.media.clip_sha256`; of an answer the hash of its text."""
    file_size: int | None = None
    file_mtime_ns: int | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """How many frames a video has, None for other samples."""
    fps: float | None = None
    """Frames a second, None for other samples and where the file does not say."""
    frame_sha256: tuple[str, ...] = ()
    """Of each frame's pixels, so that features of frames are found without decoding the video."""
    case_sha256: str
    """Digest of the case and its references' pixels when the sample was made."""
    method: str
    method_version: str
    rng_seed: int | None = None
    """The generator's seed, derived from (method, case, seed)."""
    true_picture: bool = False
    """A true picture of the subject, as a control shows it: a target with the same pixels is itself, and no pair."""
    notes: tuple[str, ...] = ()
    reason: str | None = None
    """Why it failed or cannot be read."""

    @property
    def key(self) -> tuple[str, int]:
        """(case_id, seed)."""
        return self.case_id, self.seed

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "made" and (self.path is None or self.pixels_sha256 is None):
            raise ValueError("a sample that was made needs path and pixels_sha256")
        if len(self.frame_sha256) != (self.frames or 0):
            raise ValueError(f"wanted a hash for each of {self.frames} frames, found {len(self.frame_sha256)}")
        if self.state != "made" and not self.reason:
            raise ValueError(f"a sample that is {self.state} needs a reason")
        return self
