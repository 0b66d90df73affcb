"""DINO (v1) and DINOv2: class token and patch tokens, all after the final norm, not normalised.

Source: facebookresearch/dino `VisionTransformer.forward` and facebookresearch/dinov2 `x_norm_clstoken`,
`x_norm_patchtokens`, both as transformers' `last_hidden_state`. Weights may be in transformers' or the original form.
Deviation: where DINOv2 runs at another size than it was trained at, positions are interpolated to the exact grid as
transformers does; the original code adds 0.1 to the grid before dividing, which moves features slightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.dino_names import config_of, is_original, renamed
from evalkit.features.model_input import IMAGENET_224, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import other_model, read_json, read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("dino_torchvision", "dinov2_hf", "dino_squash")
CODE_VERSION = 1


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError on a preprocessing it has none of."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, read_input(weights.folder, IMAGENET_224), among=PREPROCESSES)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Dino:
    """The model on `device`. Raises WeightsError where the files are another model's."""
    return Dino(spec, describe(spec, weights), weights, device=device)


class Dino(Backbone):
    """`cls` [B, D] and `patches` [B, N, D] in row order, without register tokens."""

    grid: tuple[int, int]
    """(rows, columns) of the patches; their product is N."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        self._model = self._placed(read_model(weights.folder, read_state(weights.files)))
        side = self._preprocess.size // self._model.config.patch_size
        self.grid = (side, side)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to `cls` [B, D] and `patches` [B, N, D]."""
        return self._run(self._tokens, batch)

    def _tokens(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        tokens = _forward(self._model, pixels).last_hidden_state
        return {"cls": tokens[:, 0], "patches": tokens[:, tokens.shape[1] - self.grid[0] * self.grid[1] :]}


def class_token_before_norm(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """What the final norm is given for the class token, [B, D]."""
    kept: list[torch.Tensor] = []
    hook = model.layernorm.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    try:
        _forward(model, pixels)
    finally:
        hook.remove()
    return kept[0][:, 0]


def _forward(model: Any, pixels: torch.Tensor) -> Any:
    """ViT must be told that pictures may be of another size than it was trained at; Dinov2 expects that."""
    options = {"interpolate_pos_encoding": True} if model.config.model_type == "vit" else {}
    return model(pixel_values=pixels, **options)


def read_model(folder: Path, state: dict[str, torch.Tensor]) -> Any:
    """The transformers model of `folder`'s config.json, or of the shapes of original weights, in float32."""
    from transformers import (
        Dinov2Config,
        Dinov2Model,
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
        ViTConfig,
        ViTModel,
    )

    from evalkit.features.building import build

    config = config_of(state, where=folder) if is_original(state) else read_json(folder / "config.json")
    state = renamed(state) if is_original(state) else state
    kind = config.get("model_type")
    if kind == "vit":
        config_v1 = ViTConfig.from_dict(config)
        return build(ViTModel, config_v1, state, where=folder, spare=("pooler.",), add_pooling_layer=False)
    if kind == "dinov2":
        return build(Dinov2Model, Dinov2Config.from_dict(config), state, where=folder)
    if kind == "dinov2_with_registers":
        return build(Dinov2WithRegistersModel, Dinov2WithRegistersConfig.from_dict(config), state, where=folder)
    raise other_model(folder, "model_type 'vit', 'dinov2' or 'dinov2_with_registers', or DINO's own names", repr(kind))
