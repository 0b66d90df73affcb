"""CLIP through open_clip: projected image and text embeddings, not normalised.

A model goes by `ARCHITECTURE/TAG`, as open_clip names it. Source: open_clip 3.3 `CLIP.encode_image` and `encode_text`.
Deviation: weights load strictly; positional embeddings of another size are an error and never resized.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint
from evalkit.features.clip import PREPROCESSES
from evalkit.features.model_input import CLIP_224, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.text import TextPreprocess, TextReader
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

CODE_VERSION = 1
_CONFIG = "open_clip_config.json"
_BUFFERS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's files carry among the weights."""


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError, WeightsError on an unknown model."""
    return described(spec, weights, among=PREPROCESSES)


def described(spec: ExtractorSpec, weights: WeightsSource, *, among: Sequence[str]) -> Fingerprint:
    """The same for a family of open_clip's networks whose preprocessings are `among`."""
    config = _config(weights)
    side = config["vision_cfg"]["image_size"]
    numbers = read_input(weights.folder, ModelInput(side, None, CLIP_224.mean, CLIP_224.std))
    pre = preprocess(spec.preprocess, numbers, among=among)
    text = None if spec.text is None else TextPreprocess(spec.text, config["text_cfg"].get("context_length", 77))
    # The architecture decides, for example, the activation, which the weights do not show.
    also = (_architecture(weights.model),) if not (weights.folder / _CONFIG).is_file() else ()
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, text=text, also=also)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> OpenClip:
    """The model on `device`. Raises WeightsError where the files or their activation are another model's."""
    return OpenClip(spec, describe(spec, weights), weights, device=device)


class OpenClip(Backbone):
    """`embedding` [B, D] of pictures and of texts."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        reader = None if described.text is None else _reader(described.text)
        super().__init__(spec, described, device=device, reader=reader)
        self._model = self._placed(_model(weights))

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to `embedding` [B, D]."""
        return self._run(lambda pixels: {"embedding": self._model.encode_image(pixels)}, batch)

    def _texts(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"embedding": self._model.encode_text(ids)}


def _architecture(model: str) -> str:
    return model.rpartition("/")[0] or model


def _config(weights: WeightsSource) -> dict[str, Any]:
    """The model's configuration: of its own file, else the one that open_clip ships for the architecture."""
    own = read_json(weights.folder / _CONFIG).get("model_cfg")
    package = find_spec("open_clip")
    if own is None and package is not None and package.origin is not None:
        own = read_json(Path(package.origin).parent / "model_configs" / f"{_architecture(weights.model)}.json")
    if not own:
        raise WeightsError(
            f"wanted {weights.folder / _CONFIG} or an open_clip ARCHITECTURE/TAG, found {weights.model!r}; "
            "`python -c 'import open_clip; print(open_clip.list_pretrained())'` lists them"
        )
    if "hf_model_name" in own["text_cfg"] or "timm_model_name" in own["vision_cfg"]:
        raise WeightsError(
            f"wanted a model of open_clip's own two towers, found {weights.model!r} on another library's"
        )
    return dict(own)


def _model(weights: WeightsSource) -> Any:
    from open_clip.model import CLIP, CustomTextCLIP

    from evalkit.features.building import load_strictly

    config = _config(weights)
    _refuse_other_activation(weights, config)
    custom = config.pop("custom_text", False)
    model = (CustomTextCLIP if custom else CLIP)(**config)
    state = {name: tensor for name, tensor in read_state(weights.files).items() if name not in _BUFFERS}
    load_strictly(model, state, where=weights.folder)
    return model


def _refuse_other_activation(weights: WeightsSource, config: dict[str, Any]) -> None:
    """Raises WeightsError where weights trained with QuickGELU would run with GELU, or the other way round."""
    from open_clip import get_pretrained_cfg

    architecture, _, tag = weights.model.rpartition("/")
    trained = get_pretrained_cfg(architecture, tag) if architecture else {}
    if trained and trained.get("quick_gelu", False) != config.get("quick_gelu", False):
        plain = architecture.removesuffix("-quickgelu")
        right = f"{plain}-quickgelu" if trained.get("quick_gelu", False) else plain
        raise WeightsError(
            f"wanted the architecture that {tag!r} was trained with, found {architecture!r}, whose activation differs; "
            f"use {right + '/' + tag!r}"
        )


def _reader(text: TextPreprocess) -> TextReader:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    start, end = tokenizer.sot_token_id, tokenizer.eot_token_id
    return TextReader(text, lambda words: [start, *tokenizer.encode(words), end], 0)
