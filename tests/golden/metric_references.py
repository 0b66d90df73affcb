"""Each variant of the metrics as its source computes it: the source's libraries, steps, scale and aggregation.

One picture and one text at a time, from files, in float32 on the CPU. Nothing here calls evalkit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity
from torchvision import transforms as t

from tests import official
from tests.golden import reward_references as rewards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Embed = Callable[[Path], torch.Tensor]

BASE, LARGE = "openai--clip-vit-base-patch32", "openai--clip-vit-large-patch14"
BICUBIC = t.InterpolationMode.BICUBIC
IMAGENET = t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = t.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Shown(NamedTuple):
    """A sample, the targets that it is compared with, and its prompt."""

    sample: Path
    targets: tuple[Path, ...]
    prompt: str

    @property
    def own_prompt(self) -> str:
        """What of the prompt is the picture's own: its last two words."""
        return " ".join(self.prompt.split()[-2:])

    def over_targets(self, measure: Callable[[Path, Path], torch.Tensor]) -> float:
        """The mean of a measure of sample and target, [1]."""
        return sum(float(measure(self.sample, target)) for target in self.targets) / len(self.targets)

    def target_cosine(self, embed: Embed) -> float:
        """The mean cosine of the sample's embedding [1, D] and each target's."""
        return self.over_targets(lambda x, y: cosine_similarity(embed(x), embed(y)))

    def prompt_cosine(self, embed: Embed, read: Callable[[str], torch.Tensor]) -> float:
        """The cosine of the sample's embedding [1, D] and the prompt's."""
        return float(cosine_similarity(embed(self.sample), read(self.prompt)))


class TransformersClip:
    """CLIP of transformers with its processor, which resizes with PIL."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

        pictures, words = CLIPImageProcessorPil.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        self._processor = CLIPProcessor(image_processor=pictures, tokenizer=words)
        self._model = CLIPModel.from_pretrained(folder, dtype=torch.float32)

    def image(self, picture: Path) -> Any:
        """[1, D]."""
        inputs = self._processor(images=Image.open(picture), return_tensors="pt")
        return self._model.get_image_features(**inputs).pooler_output

    def text(self, prompt: str) -> Any:
        """[1, D]; a prompt beyond the tokens that the model reads is an error."""
        return self._text(prompt, padding=True)

    def cut_text(self, prompt: str) -> Any:
        """[1, D]; a prompt is cut at the tokens that the model reads."""
        return self._text(prompt, padding="max_length", truncation=True)

    def _text(self, prompt: str, **how: Any) -> Any:
        inputs = self._processor(text=[prompt], return_tensors="pt", **how)
        return self._model.get_text_features(**inputs).pooler_output


class OpenaiClip:
    """CLIP of openai/CLIP with the transform of its `clip.load` and its `clip.tokenize`."""

    def __init__(self, folder: Path) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        self._model, self._tokenizer = official.openai_clip(folder), SimpleTokenizer()
        self._steps = t.Compose([t.Resize(224, BICUBIC), t.CenterCrop(224), t.ToTensor(), OPENAI])
        first = [t.Resize(512, BICUBIC), t.CenterCrop(512), t.ToTensor()]
        taken_for_centred = t.Normalize([-1.0] * 3, [2.0] * 3)
        self._washing = t.Compose([*first, taken_for_centred, t.Resize(224, BICUBIC), t.CenterCrop(224), OPENAI])

    def image(self, picture: Path) -> Any:
        """[1, D]."""
        return self._model.encode_image(self._steps(Image.open(picture))[None])

    def washed(self, picture: Path) -> Any:
        """[1, D] as UniCTokens' script shows a picture to CLIP: (x + 1) / 2 of what is in [0, 1] already."""
        return self._model.encode_image(self._washing(Image.open(picture))[None])

    def text(self, prompt: str) -> Any:
        """[1, D]."""
        return self._model.encode_text(self._tokenizer([prompt], 77))


class HubDino:
    """DINO of facebookresearch/dino with the transform of its evaluation."""

    def __init__(self, folder: Path, patch: int) -> None:
        self._model = official.dino(folder, side=224, patch=patch)
        self._steps = t.Compose([t.Resize(256, BICUBIC), t.CenterCrop(224), t.ToTensor(), IMAGENET])

    def image(self, picture: Path) -> Any:
        """[1, D]."""
        return self._model(self._steps(Image.open(picture))[None])


class TransformersDinov2:
    """DINOv2 of transformers with its processor, which resizes with PIL."""

    def __init__(self, folder: Path) -> None:
        from transformers import BitImageProcessorPil, Dinov2Model

        self._processor = BitImageProcessorPil.from_pretrained(folder)
        self._model = Dinov2Model.from_pretrained(folder, dtype=torch.float32)

    def image(self, picture: Path) -> Any:
        """[1, D]."""
        return self._model(**self._processor(Image.open(picture), return_tensors="pt")).last_hidden_state[:, 0]


def dreamsim_distance(weights: Path, shown: Shown, kind: str) -> float:
    """The package's distance, of one of its types."""
    model, steps = _dreamsim(weights / f"dreamsim--{kind}", kind)
    return shown.over_targets(lambda x, y: model(steps(Image.open(x)), steps(Image.open(y))))


def lpips_distance(weights: Path, shown: Shown, trunk: str, side: int) -> float:
    """The package's distance of both pictures at side x side."""
    model = _lpips(weights / f"lpips--{trunk}", trunk)
    steps = t.Compose([t.Resize((side, side), BICUBIC), t.ToTensor(), t.Normalize([0.5] * 3, [0.5] * 3)])
    return shown.over_targets(lambda x, y: model(steps(Image.open(x))[None], steps(Image.open(y))[None]))


def cqs(weights: Path, shown: Shown) -> float:
    """Equations 7 to 13 of ASemConsist for one picture, with cosines in the place of VQAScore; mu and tau are .5."""
    clip = _base(weights)
    whole, own = shown.prompt, shown.own_prompt
    t, a = ((shown._replace(prompt=p).prompt_cosine(clip.image, clip.text) + 1) / 2 for p in (whole, own))
    alike = 1 - dreamsim_distance(weights, shown, "ensemble") + 0.5 * (a - t)
    return 2 * t * alike / (t + alike + 1e-8)


_transformers_clip, _openai_clip = cache(TransformersClip), cache(OpenaiClip)
_dino, _dinov2 = cache(HubDino), cache(TransformersDinov2)


@cache
def _dreamsim(folder: Path, kind: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        return official.dreamsim(kind, folder, patch)


@cache
def _lpips(folder: Path, trunk: str) -> Any:
    return official.lpips(trunk, folder)


def _base(weights: Path) -> TransformersClip:
    return _transformers_clip(weights / BASE)


def _large(weights: Path) -> TransformersClip:
    return _transformers_clip(weights / LARGE)


def _openai(weights: Path) -> OpenaiClip:
    return _openai_clip(weights / BASE)


REFERENCES: dict[tuple[str, str], Callable[[Path, Shown], float]] = {
    ("clip_t", "dreambooth"): lambda at, s: s.prompt_cosine(_base(at).image, _base(at).text),
    ("clip_t", "dreambench_pp"): lambda at, s: 100 * s.prompt_cosine(_base(at).image, _base(at).text),
    ("clip_t", "divrl"): lambda at, s: s.prompt_cosine(_large(at).image, _large(at).cut_text),
    ("clip_t", "unictokens"): lambda at, s: s.prompt_cosine(_openai(at).washed, _openai(at).text),
    ("clip_t", "sync_r1"): lambda at, s: s.prompt_cosine(_openai(at).image, _openai(at).text),
    ("clip_t", "mip_adapter"): lambda at, s: 2.5 * max(s.prompt_cosine(_openai(at).image, _openai(at).text), 0.0),
    ("clip_i", "dreambooth"): lambda at, s: s.target_cosine(_base(at).image),
    ("clip_i", "dreambench_pp"): lambda at, s: 100 * s.target_cosine(_base(at).image),
    ("clip_i", "divrl"): lambda at, s: s.target_cosine(_large(at).image),
    ("clip_i", "unictokens"): lambda at, s: s.target_cosine(_openai(at).washed),
    ("clip_i", "sync_r1"): lambda at, s: s.target_cosine(_openai(at).image),
    ("clip_i", "first_subject"): lambda at, s: s._replace(targets=s.targets[:1]).target_cosine(_base(at).image),
    ("clip_i", "second_subject"): lambda at, s: s._replace(targets=s.targets[1:]).target_cosine(_base(at).image),
    ("dino_i", "dreambooth"): lambda at, s: s.target_cosine(_dino(at / "facebook--dino-vits16", 16).image),
    ("dino_i", "dreambench_pp"): lambda at, s: 100 * s.target_cosine(_dino(at / "facebook--dino-vits8", 8).image),
    ("dino_i", "dreambench_pp_v2"): lambda at, s: 100 * s.target_cosine(_dinov2(at / "facebook--dinov2-small").image),
    ("dino_i", "divrl"): lambda at, s: s.target_cosine(_dinov2(at / "facebook--dinov2-base").image),
    ("dino_i", "first_subject"): lambda at, s: REFERENCES["dino_i", "dreambooth"](
        at, s._replace(targets=s.targets[:1])
    ),
    ("dino_i", "second_subject"): lambda at, s: REFERENCES["dino_i", "dreambooth"](
        at, s._replace(targets=s.targets[1:])
    ),
    ("cqs_har", "clip_sandbox"): cqs,
    ("dreamsim_pairwise", "ensemble"): lambda at, s: dreamsim_distance(at, s, "ensemble"),
    ("text_alignment", "clip_joint"): lambda at, s: s.prompt_cosine(_base(at).image, _base(at).text),
    ("text_alignment", "clip_own"): lambda at, s: s._replace(prompt=s.own_prompt).prompt_cosine(
        _base(at).image, _base(at).text
    ),
    ("dreamsim", "ensemble"): lambda at, s: dreamsim_distance(at, s, "ensemble"),
    ("dreamsim", "dino_vitb16"): lambda at, s: dreamsim_distance(at, s, "dino_vitb16"),
    ("dreamsim", "dinov2_vitb14"): lambda at, s: dreamsim_distance(at, s, "dinov2_vitb14"),
    ("dreamsim", "clip_vitb32"): lambda at, s: dreamsim_distance(at, s, "clip_vitb32"),
    ("dreamsim", "open_clip_vitb32"): lambda at, s: dreamsim_distance(at, s, "open_clip_vitb32"),
    ("lpips", "alex_256"): lambda at, s: lpips_distance(at, s, "alex", 256),
    ("lpips", "alex_512"): lambda at, s: lpips_distance(at, s, "alex", 512),
    ("lpips", "vgg_256"): lambda at, s: lpips_distance(at, s, "vgg", 256),
    ("hps", "v2_0"): lambda at, s: rewards.hps(at, s.sample, s.prompt, "v2.0"),
    ("hps", "v2_1"): lambda at, s: rewards.hps(at, s.sample, s.prompt, "v2.1"),
    ("aesthetic", "opens2v"): lambda at, s: rewards.aesthetic(at, s.sample),
    ("image_reward", "v1_0"): lambda at, s: rewards.image_reward(at, s.sample, s.prompt),
}
"""By metric and variant: the folder of published weights and what is shown, to the value."""
