"""GME: one space for pictures and texts, from Qwen2-VL's last hidden state at the end of a conversation.

A picture is shown under the usual system message, a text under an instruction to find a picture that matches it.

Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/utils/gme/gme_model.py`, which loads transformers' Qwen2-VL and gives all
tokens successive positions, where Qwen2-VL itself would give a picture's a grid. Deviations: a text beyond 1800 tokens is
refused, where the source cuts it, and with it the token that is read; the embedding's length is made 1 in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.model_input import CLIP_MEAN, CLIP_STD, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.qwen_vl import CLOSING, SYSTEM, network, opening
from evalkit.features.text import TextPreprocess
from evalkit.features.vlm_pictures import QWEN_FACTOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from evalkit.features.base import Array
    from evalkit.features.qwen_vl import Ids
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("gme_28",)
INSTRUCTIONS = {"gme_find": "Find an image that matches the given text."}
"""What a text is to be embedded for, by the name of a text preprocessing."""
CODE_VERSION = 1
TOKENS = 1800
"""Of the whole conversation about a text."""
ENDED = CLOSING + "<|endoftext|>"
_INPUT = ModelInput(QWEN_FACTOR, None, CLIP_MEAN, CLIP_STD)


class Instructed(TextPreprocess):
    """A text preprocessing that puts the text under an instruction."""

    def __post_init__(self) -> None:
        if self.name not in INSTRUCTIONS:
            raise UsageError(f"wanted an instruction for 'gme' ({', '.join(INSTRUCTIONS)}), found {self.name!r}")


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError for another preprocessing or instruction."""
    pre = preprocess(spec.preprocess, read_input(weights.folder, _INPUT), among=PREPROCESSES)
    text = None if spec.text is None else Instructed(spec.text, TOKENS)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Gme:
    """The model on `device`. Raises WeightsError where the files are another model's."""
    return Gme(spec, describe(spec, weights), weights, device=device)


class Gme(Backbone):
    """`embedding` [B, D] of pictures and of texts, of length 1."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self.forward_batch = 1  # pictures differ in size
        self.network = network("Qwen2VL", weights, dtype=spec.dtype, device=device)
        self._text = described.text

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, h, w] to `embedding` [B, D]."""
        tokens = self.network.tokens
        before, after = tokens.ids(opening(SYSTEM)), tokens.ids(ENDED)
        return self._embedded([(before + self.network.picture_ids(picture) + after, picture) for picture in batch])

    def text_problem(self, text: str) -> str | None:
        """Why this text cannot be encoded, None where it can."""
        return self._no_reader if self._text is None else self._text.problem(len(self._ids(self._text, text)))

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Texts to `embedding` [B, D]. Raises UsageError without an instruction."""
        if self._text is None:
            raise UsageError(self._no_reader)
        return self._embedded([(self._ids(self._text, text), None) for text in texts])

    def _ids(self, told: TextPreprocess, text: str) -> Ids:
        return self.network.tokens.ids(opening(INSTRUCTIONS[told.name]) + text + ENDED)

    def _embedded(self, rows: Sequence[tuple[Ids, Array | None]]) -> dict[str, Array]:
        import torch

        with torch.inference_mode():
            found = torch.stack([_unit(self.network.hidden(ids, picture)) for ids, picture in rows])
        return {"embedding": found.cpu().numpy()}


def _unit(hidden: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.functional.normalize(hidden.float(), dim=0)
