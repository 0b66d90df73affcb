"""CLIP-FlanT5 asked a question about a picture: the probability of the answer, its end token included.

CLIP's patch tokens of the last layer but one go through two linear layers into the encoder of FlanT5, between the words
before and after them; the decoder is given the answer.

Source: linzhiqiu/t2v_metrics at 10d549b, `models/vqascore_models/clip_t5_model.py` and `clip_t5/model`; the class is in no
package, so this puts transformers' own CLIP and T5 together from its files. Deviations: a picture goes through CLIP once
for all questions about it; in the dtype throughout, where the source computes some of it in float32 (autocast); a text
beyond 2048 tokens is refused, where the source cuts it, and with it the question's end.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.building import build, load_strictly
from evalkit.features.model_input import CLIP_MEAN, CLIP_STD, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.questions import Question, question
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("clip_pad",)
ASKED = ("t2v_clip_t5",)
CODE_VERSION = 1
CLIP_336 = ModelInput(336, None, CLIP_MEAN, CLIP_STD)
TOKENS = 2048
"""Of the whole question, the picture counting as one."""
OPENING = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
CLOSING = "\n{} ASSISTANT: "
"""What stands before and after the picture; each is tokenised by itself, so that both end in the end token."""
_PROJECTOR, _TOWER = "mm_projector.", "vision_tower.vision_tower."
_ALIASES = ("embed_tokens.", "encoder.embed_tokens.", "decoder.embed_tokens.")
"""Other names of `shared.weight`."""
_SETTINGS = {"mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch"}


class Files(NamedTuple):
    """The model's own weights, then CLIP's configuration and weights, then FlanT5's tokenizer."""

    own: tuple[Path, ...]
    clip_config: Path
    clip: Path
    tokenizer: Path

    @classmethod
    def of(cls, weights: WeightsSource) -> Files:
        """Raises WeightsError where the parts do not come with the model."""
        *own, config, clip, tokenizer = (
            weights.files if len(weights.files) > 3 else (*weights.files, *[weights.folder] * 4)
        )
        if (config.name, tokenizer.name) != ("config.json", "tokenizer.json"):
            found = ", ".join(path.name for path in weights.files) or "nothing"
            raise WeightsError(
                f"wanted CLIP-FlanT5's weights, CLIP's config.json and weights, and FlanT5's tokenizer.json, found {found}; "
                "name the model as metrics/backbones.yaml does"
            )
        return cls(tuple(own), config, clip, tokenizer)


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give answers of, without loading. Raises UsageError, WeightsError where a file is missing."""
    files = Files.of(weights)
    pre = preprocess(spec.preprocess, read_input(files.clip_config.parent, CLIP_336), among=PREPROCESSES)
    text = question(spec.text, TOKENS, among=ASKED, family=spec.family)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> ClipT5:
    """The model on `device`. Raises WeightsError where a file is another model's."""
    return ClipT5(spec, describe(spec, weights), weights, device=device)


class ClipT5(Backbone):
    """Of a picture with a text: `probability` [B], the geometric mean of the answer's tokens', end token included."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1  # questions differ in length, and padding would be computed
        self.network = _network(weights, weights.sha256, spec.dtype, device)
        self._question = described.text

    def text_problem(self, text: str) -> str | None:
        """Why this text cannot be asked about, None where it can."""
        asked = self._asking()
        before, after = self.network.ids(asked.asked(text))
        return asked.problem(len(before) + 1 + len(after))

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] with their texts to `probability` [B]. Raises UsageError without a question."""
        import torch

        asked = self._asking()
        with torch.inference_mode():
            found = [
                self.network.probability(picture, asked.asked(text), asked.wording.answer)
                for picture, text in zip(batch, texts, strict=True)
            ]
        return {"probability": np.array(found, np.float32)}

    def _asking(self) -> Question:
        if not isinstance(self._question, Question):
            raise UsageError(self._no_reader)
        return self._question


class Network:
    """CLIP's tower, the projector and T5 on a device."""

    def __init__(self, tower: Any, projector: Any, t5: Any, tokenizer: Any) -> None:
        self._tower, self._projector, self._t5, self._tokenizer = tower, projector, t5, tokenizer
        self.pictures_read = 0
        """How often a picture went through CLIP."""
        self._seen: tuple[str, torch.Tensor] | None = None

    def ids(self, asked: str) -> tuple[list[int], list[int]]:
        """The ids before and after the picture."""
        before, after = (self._tokenizer.encode(part).ids for part in (OPENING, CLOSING.replace("{}", asked)))
        return before, after

    def probability(self, picture: Array, asked: str, answer: str) -> float:
        """exp of the mean log probability of the answer's tokens [A] to a picture [3, s, s] and a question."""
        import torch

        before, after = (self._t5.shared(self._tensor(ids)) for ids in self.ids(asked))
        embedded = torch.cat([before, self._picture(picture), after], dim=1)
        labels = self._tensor(self._tokenizer.encode(answer).ids)
        mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=embedded.device)
        logits = self._t5(inputs_embeds=embedded, attention_mask=mask, labels=labels).logits[0].float()
        return math.exp(-float(torch.nn.functional.cross_entropy(logits, labels[0])))

    def _picture(self, picture: Array) -> torch.Tensor:
        """The picture's tokens [1, N, D]."""
        import torch

        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        if self._seen is None or self._seen[0] != digest:
            pixels = torch.from_numpy(picture)[None].to(self._t5.device, self._t5.dtype)
            states = self._tower(pixel_values=pixels, output_hidden_states=True).hidden_states
            self._seen = digest, self._projector(states[-2][:, 1:])
            self.pictures_read += 1
        return self._seen[1]

    def _tensor(self, ids: list[int]) -> torch.Tensor:
        import torch

        return torch.tensor([ids], device=self._t5.device)


@lru_cache(maxsize=1)
def _network(weights: WeightsSource, _sha256: str, dtype: str, device: str) -> Network:
    import torch
    from tokenizers import Tokenizer
    from transformers import CLIPConfig, CLIPVisionModel, T5Config, T5ForConditionalGeneration

    files, kind = Files.of(weights), getattr(torch, dtype)
    config = read_json(weights.folder / "config.json")
    _check_settings(config, weights.folder / "config.json")
    state = read_state(files.own)
    vision = CLIPConfig.from_dict(read_json(files.clip_config)).vision_config
    tower = build(CLIPVisionModel, vision, _tower(state, files.clip), where=weights.folder, dtype=kind)
    told = T5Config.from_dict({k: v for k, v in config.items() if k not in ("model_type", "architectures")})
    spare = (_PROJECTOR, _TOWER, *_ALIASES)
    t5 = build(T5ForConditionalGeneration, told, state, where=weights.folder, spare=spare, dtype=kind)
    projector = torch.nn.Sequential(
        torch.nn.Linear(vision.hidden_size, told.d_model), torch.nn.GELU(), torch.nn.Linear(told.d_model, told.d_model)
    )
    load_strictly(projector, _part(state, _PROJECTOR), where=weights.folder)
    tower, projector, t5 = (part.to(device=device, dtype=kind).eval() for part in (tower, projector, t5))
    return Network(tower, projector, t5, Tokenizer.from_file(str(files.tokenizer)))


def _check_settings(config: Mapping[str, Any], where: Path) -> None:
    """Raises WeightsError where the model was put together in another way than this does."""
    for name, wanted in _SETTINGS.items():
        if config.get(name, wanted) != wanted:
            raise WeightsError(
                f"{where}: wanted {name} {wanted!r}, found {config[name]!r}; this is another kind of model"
            )


def _tower(state: Mapping[str, torch.Tensor], published: Path) -> dict[str, torch.Tensor]:
    """CLIP's vision tower: of the model's own files where they hold it, else the published one, which it kept as it was."""
    return _part(state, _TOWER) or {
        name: tensor for name, tensor in read_state([published]).items() if name.startswith("vision_model.")
    }


def _part(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
