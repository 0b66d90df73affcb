"""Qwen2.5-VL asked a question about a picture: the probability of the answer at the first token, without generating.

Source: linzhiqiu/t2v_metrics `models/vqascore_models/qwen2vl_model.py` (6ecb74f and 10d549b). Deviations: one forward pass
in place of `generate` for one token; the picture's part is computed once for all questions about it; where the likeliest
first token is an end token, the source stops, and here there is a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.model_input import CLIP_MEAN, CLIP_STD, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.questions import Question, question
from evalkit.features.qwen_vl import CLOSING, longest_text, network, numbers_of, penalised, probability
from evalkit.features.vlm_pictures import QWEN_FACTOR
from evalkit.features.weight_files import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("qwen_vl_28",)
ASKED = ("t2v_2024_10", "t2v_2025_02", "t2v_2026_06", "asemconsist")
CODE_VERSION = 1
QWEN_INPUT = ModelInput(QWEN_FACTOR, None, CLIP_MEAN, CLIP_STD)
_GENERATION = "generation_config.json"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give answers of, without loading. Raises UsageError for another preprocessing or question."""
    pre = preprocess(spec.preprocess, read_input(weights.folder, QWEN_INPUT), among=PREPROCESSES)
    text = question(spec.text, longest_text(weights.folder), among=ASKED, family=spec.family)
    also = (f"repetition_penalty {_penalty(weights)}",)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text, also=also)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> QwenVqa:
    """The model on `device`, shared by all questions. Raises WeightsError where the files are another model's."""
    return QwenVqa(spec, describe(spec, weights), weights, device=device)


class QwenVqa(Backbone):
    """Of a picture with a text: `probability` [B] of the answer after the logits' processing, `raw_probability` [B] before."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1  # pictures differ in size
        self.network = network("Qwen2_5_VL", weights, dtype=spec.dtype, device=device)
        self._question, self._penalty = described.text, _penalty(weights)

    def text_problem(self, text: str) -> str | None:
        """Why this text cannot be asked about, None where it can: with its question it is more than the model reads."""
        asked = self._asking()
        return asked.problem(len(self.network.tokens.ids(asked.asked(text) + CLOSING)))

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Prepared pictures [B, 3, h, w] with their texts to both probabilities. Raises UsageError without a question."""
        import torch

        asked = self._asking()
        answer = self.network.tokens.ids(asked.wording.answer)[0]
        found: dict[str, list[float]] = {"probability": [], "raw_probability": []}
        with torch.inference_mode():
            for picture, text in zip(batch, texts, strict=True):
                hidden, ids = self.network.after_picture(picture, asked.asked(text))
                logits = self.network.model.lm_head(hidden)
                found["raw_probability"].append(probability(logits, answer))
                found["probability"].append(probability(penalised(logits, ids, self._penalty), answer))
        return {name: numbers_of(values) for name, values in found.items()}

    def _asking(self) -> Question:
        if not isinstance(self._question, Question):
            raise UsageError(self._no_reader)
        return self._question


def _penalty(weights: WeightsSource) -> float:
    """The repetition penalty that the model's own settings of `generate` have."""
    return float(read_json(weights.folder / _GENERATION).get("repetition_penalty", 1.0))
