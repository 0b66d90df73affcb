"""CLIP through transformers: projected image and text embeddings, not normalised.

Source: transformers `CLIPModel.get_image_features` and `get_text_features`, as called by yuangpeng/dreambench_plus
`metrics/clip_score.py` (66ca27e). No deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.model_input import CLIP_224, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.text import OPENAI, TextPreprocess, TextReader, washed
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("clip_hf", "clip_openai", "clip_unictokens", "clip_divrl_reward")
CODE_VERSION = 2
_CONTEXT = 77


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError on an unknown preprocessing."""
    pre = preprocess(spec.preprocess, read_input(weights.folder, CLIP_224), among=PREPROCESSES)
    config = read_json(weights.folder / "config.json")
    length = config.get("text_config", {}).get("max_position_embeddings", _CONTEXT)
    text = None if spec.text is None else TextPreprocess(spec.text, length)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Clip:
    """The model on `device`. Raises WeightsError where the files are another model's."""
    return Clip(spec, describe(spec, weights), weights, device=device)


class Clip(Backbone):
    """`embedding` [B, D] of pictures and of texts."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        reader = None if described.text is None else _reader(described.text, weights.folder)
        super().__init__(spec, described, device=device, reader=reader)
        self._model = self._placed(read_model(weights.folder, read_state(weights.files)))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to `embedding` [B, D]."""
        return self._run(lambda pixels: {"embedding": embed(self._model, pixels)}, batch)

    def _texts(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self._model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return {"embedding": self._model.text_projection(pooled)}


def read_model(folder: Path, state: dict[str, torch.Tensor]) -> Any:
    """The CLIPModel of `folder`'s config.json with the weights `state`, in float32."""
    from transformers import CLIPConfig, CLIPModel

    from evalkit.features.building import build

    return build(CLIPModel, CLIPConfig.from_dict(read_json(folder / "config.json")), state, where=folder)


def embed(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """[B, 3, s, s] to projected embeddings [B, D]."""
    projected: torch.Tensor = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    return projected


def _reader(text: TextPreprocess, folder: Path) -> TextReader:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    clean = washed if text.name in OPENAI else str
    return TextReader(text, lambda words: tokenizer(clean(words), verbose=False)["input_ids"], tokenizer.pad_token_id)
