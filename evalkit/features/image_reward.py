"""ImageReward: what people would prefer of pictures made for a text, from BLIP and a linear head.

The picture's tokens are attended to by the text's encoder; the head reads the text's first token.

Source: THUDM/ImageReward `ImageReward/ImageReward.py` (c1392c6). The package does not import with transformers 5, so
this builds transformers' own BLIP from its file. Deviations: `image_reward` the metric takes off mean and deviation;
a picture with transparency or a palette becomes RGB before it is resized, where the source resizes it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.errors import UsageError, WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.blip import text_encoder, vision_encoder
from evalkit.features.linear_head import linear_head
from evalkit.features.model_input import CLIP_224
from evalkit.features.preprocess import preprocess
from evalkit.features.text import TextPreprocess, TextReader
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("clip_openai",)
TEXTS = ("hf_truncate",)
CODE_VERSION = 1
TOKENS = 35
"""Tokens of a text that are read, start and end included."""
EXTRA_TOKENS = ("[DEC]", "[ENC]")
"""What BLIP adds to BERT's vocabulary."""


class Files(NamedTuple):
    """The weights, the configuration of the text's encoder, and BERT's vocabulary."""

    weights: Path
    config: Path
    vocabulary: Path

    @classmethod
    def of(cls, weights: WeightsSource) -> Files:
        """Raises WeightsError where there are not these three."""
        if len(weights.files) != len(cls._fields):
            found = ", ".join(path.name for path in weights.files) or "nothing"
            raise WeightsError(
                f"wanted ImageReward's weights, med_config.json and vocab.txt, found {found}; "
                "name the model as metrics/backbones.yaml does"
            )
        return cls(*weights.files)


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give rewards of, without loading. Raises UsageError, WeightsError where a file is missing."""
    Files.of(weights)
    pre = preprocess(spec.preprocess, CLIP_224, among=PREPROCESSES)
    if spec.text is not None and spec.text not in TEXTS:
        raise UsageError(f"wanted a text preprocessing for {spec.family!r} ({', '.join(TEXTS)}), found {spec.text!r}")
    text = None if spec.text is None else TextPreprocess(spec.text, TOKENS)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> ImageReward:
    """The encoders and the head on `device`. Raises WeightsError where a file is another model's."""
    return ImageReward(spec, describe(spec, weights), weights, device=device)


class ImageReward(Backbone):
    """`reward` [B] of pictures with their texts, before the metric's normalisation; not bounded."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        files = Files.of(weights)
        reader = None if described.text is None else _reader(described.text, files.vocabulary)
        super().__init__(spec, described, device=device, reader=reader)
        state = read_state([files.weights])
        vision = vision_encoder(_part(state, "blip.visual_encoder."), where=files.weights)
        width = vision.config.hidden_size
        text = _part(state, "blip.text_encoder.")
        texts = text_encoder(read_json(files.config), text, pictures=width, where=files.weights)
        head = linear_head(texts.config.hidden_size, _part(state, "mlp."), where=files.weights)
        self._vision, self._text, self._head = (self._placed(part) for part in (vision, texts, head))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Refused: what a picture is worth depends on the text."""
        raise UsageError(
            f"wanted features of single pictures, found {self.spec.family!r}, which reads them with a text"
        )

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Refused, as of pictures."""
        raise UsageError(f"wanted features of texts, found {self.spec.family!r}, which reads them with a picture")

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Prepared pictures [B, 3, 224, 224] with their texts to `reward` [B]. Raises UsageError without a reader."""
        if self._reader is None:
            raise UsageError(self._no_reader)
        return self._run(self._rewards, batch, *self._reader.batch(texts))

    def _rewards(self, pixels: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        pictures = self._vision(pixel_values=pixels).last_hidden_state
        read = self._text(input_ids=ids, attention_mask=mask, encoder_hidden_states=pictures).last_hidden_state
        return {"reward": self._head(read[:, 0]).squeeze(1)}


def _part(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """What lies under a prefix; the file holds layers besides that only training uses."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _reader(text: TextPreprocess, vocabulary: Path) -> TextReader:
    from transformers import BertTokenizer

    words = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    tokenizer.add_tokens(list(EXTRA_TOKENS), special_tokens=True)
    return TextReader(text, lambda words: tokenizer(words, verbose=False)["input_ids"], tokenizer.pad_token_id)
