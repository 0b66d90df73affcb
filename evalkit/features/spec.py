"""What a metric asks of a backbone, and what it asks about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from evalkit.nouns.base import Name, Noun, digest

Dtype = Literal["float32", "bfloat16", "float16"]


class ExtractorSpec(Noun):
    """A backbone with its preprocessing: one of these is loaded once and shared by every metric that names it."""

    family: Name
    """Entry point in the group `evalkit.extractors`: `clip`, `open_clip`, `dino`, `dreamsim`, `lpips`, `mtg` and so on."""
    model: str
    """Hub id (`openai/clip-vit-base-patch32`), a local folder, `sandbox:NAME` for the embedded models, or `none` where
    nothing is loaded."""
    preprocess: Name
    """Named picture preprocessing, scaled to the model's input size."""
    text: Name | None = None
    """Named text preprocessing, where the backbone reads text."""
    dtype: Dtype = "float32"
    revision: str | None = None


@dataclass(frozen=True)
class ImageContent:
    """A picture by the hash of its decoded pixels; `path` says where to read it when the feature is not cached."""

    sha256: str
    path: Path
    frame: int | None = None
    """Which frame of the video at `path` it is, None for a picture file."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom in pixels of what is cut out of that picture, None for all of it."""

    @property
    def key(self) -> str:
        """What the feature is cached under: a frame's is that of a picture of the same pixels."""
        return self.sha256 if self.box is None else f"{self.sha256}-{'-'.join(map(str, self.box))}"

    @property
    def whole(self) -> ImageContent:
        """The picture that it is cut out of, itself where it is not cut."""
        return self if self.box is None else replace(self, box=None)


@dataclass(frozen=True)
class ClipContent:
    """A video by the hash of its decoded frames (`evalkit.media.clip_sha256`); `path` says where to read it."""

    sha256: str
    path: Path
    frames: tuple[ImageContent, ...]
    fps: float | None
    """Frames a second, None where the file does not say; no feature depends on it, since it is no part of the key."""

    @property
    def key(self) -> str:
        """The hash, prefixed so that it cannot be a picture's."""
        return f"c{self.sha256}"


@dataclass(frozen=True)
class TextContent:
    """A text, cached under its own hash."""

    text: str

    @property
    def key(self) -> str:
        """sha256 of the UTF-8 text, prefixed so that it cannot be a picture's."""
        import hashlib

        return "t" + hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class PairContent:
    """An ordered pair of pictures, for backbones that measure pairs (LPIPS)."""

    first: ImageContent
    second: ImageContent

    @property
    def key(self) -> str:
        """Both hashes."""
        return f"{self.first.key}-{self.second.key}"


@dataclass(frozen=True)
class PromptedContent:
    """A picture with a text, for backbones that read both at once (ImageReward)."""

    image: ImageContent
    text: str

    @property
    def key(self) -> str:
        """Both hashes, the text's prefixed so that it cannot be a second picture's."""
        return f"{self.image.key}-{TextContent(self.text).key}"


@dataclass(frozen=True)
class QuestionContent:
    """A question to a judge: what is shown under which rubric, and how often and how strictly it is asked."""

    rubric: str
    """Which of the rubrics that the spec's `text` names."""
    shown: tuple[ImageContent | str, ...]
    """Pictures and texts in order."""
    runs: int
    tries: int
    """Replies a run, until one can be read."""
    temperature: float
    bounds: tuple[int, int] | None
    """The least and the greatest score, None where they are not checked."""
    need_all: bool
    """Whether a run that could not be read leaves the question without an answer."""

    @property
    def key(self) -> str:
        """Digest of everything in it, prefixed so that it can be neither a picture's nor a text's."""
        shown = [["picture", p.key] if isinstance(p, ImageContent) else ["text", p] for p in self.shown]
        asked = [self.runs, self.tries, self.temperature, self.bounds, self.need_all]
        return "q" + digest([self.rubric, shown, asked])


Content = ImageContent | ClipContent | TextContent | PairContent | PromptedContent | QuestionContent


@dataclass(frozen=True)
class FeatureRequest:
    """One feature that a metric needs: `output` of `spec` on `content`."""

    spec: ExtractorSpec
    content: Content
    output: str
