"""Mind-the-Glitch's features: for each cell of a picture one semantic and one visual vector of length 1.

Maps of several layers of a frozen backbone go through two aggregation networks. The published backbone is CleanDIFT
(`evalkit.features.cleandift`); the embedded one is the world's DINO, whose patch tokens after each encoder layer are
the maps `layer1`, `layer2` and so on.

Source: Mind-the-Glitch (arXiv 2509.21989), `mtg/models/mtg_model.py` and `mtg_base.py` in their public copies.
Deviations: `cleandift` states that of the backbone; features are computed in the spec's dtype, float32 in the cards,
where the source takes the one that its configuration names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features import dino
from evalkit.features.aggregation import KINDS, Shape, aggregate, new_networks, read_shape, resized
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.building import load_strictly
from evalkit.features.cleandift import CleanDift, Files, check_layers, read_states
from evalkit.features.model_input import IMAGENET_224, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import read_json, read_state
from evalkit.features.weights import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Forward = Callable[[torch.Tensor], Sequence[torch.Tensor]]
    Placed = Callable[[Any], Any]

PREPROCESSES = ("mtg",)
CODE_VERSION = 1
CPU_BATCH, DEVICE_BATCH = 1, 4
"""Pictures a forward pass of the published backbone, whose maps are large."""
_LAYER = "layer"


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError and WeightsError."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, _input(weights), among=PREPROCESSES)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Mtg:
    """The networks on `device`. Raises WeightsError where a file is another model's."""
    return Mtg(spec, describe(spec, weights), weights, device=device)


class Mtg(Backbone):
    """`semantic` and `visual` [B, H, W, C]: rows from the top, columns from the left, each cell of length 1."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        if not _is_sandbox(weights):
            self.forward_batch = CPU_BATCH if device == "cpu" else DEVICE_BATCH
        build = _embedded if _is_sandbox(weights) else _published
        self._maps, self._networks, self._resolution = build(weights, self._placed)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] in [-1, 1] to `semantic` and `visual`."""
        return self._run(self._both, batch)

    def _both(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = [resized(values, self._resolution) for values in self._maps(pixels)]
        return {kind: aggregate(self._networks, kind, maps) for kind in KINDS}


def dino_maps(model: Any, pixels: torch.Tensor, layers: Sequence[str]) -> list[torch.Tensor]:
    """Patch tokens after the named encoder layers of a Dinov2Model as maps [B, C, H, W]; `pixels` are normalised."""
    states = model(pixel_values=pixels, output_hidden_states=True).hidden_states
    side = pixels.shape[-1] // model.config.patch_size
    tokens = [states[int(name.removeprefix(_LAYER))][:, -side * side :] for name in layers]
    return [t.transpose(1, 2).reshape(len(t), -1, side, side) for t in tokens]


def _is_sandbox(weights: WeightsSource) -> bool:
    return weights.model.startswith(SANDBOX)


def _input(weights: WeightsSource) -> ModelInput:
    """What the backbone reads; the published one takes [-1, 1] as it comes."""
    if _is_sandbox(weights):
        return read_input(weights.files[0].parent, IMAGENET_224)
    return replace(IMAGENET_224, size=Files.of(weights).side)


def _embedded(weights: WeightsSource, placed: Placed) -> tuple[Forward, torch.nn.Module, int]:
    dino_file, heads = weights.files
    config = heads.parent / "config.json"
    model = placed(dino.read_model(dino_file.parent, read_state([dino_file])))
    shape, numbers = read_shape(read_json(config), where=str(config)), _input(weights)
    networks = _networks(shape, [model.config.hidden_size] * len(shape.layers), read_state([heads]), where=heads)

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        mean, std = (pixels.new_tensor(values).reshape(1, 3, 1, 1) for values in (numbers.mean, numbers.std))
        return dino_maps(model, ((pixels + 1) / 2 - mean) / std, shape.layers)

    return maps, placed(networks), shape.resolution


def _published(weights: WeightsSource, placed: Placed) -> tuple[Forward, torch.nn.Module, int]:
    files = Files.of(weights)
    shape = read_shape(_read_yaml(files.config), where=str(files.config))
    check_layers(shape.layers, where=files.config)
    state, below = read_states(files)
    maps = CleanDift(files, below, shape.layers, placed=placed)
    return maps, placed(_networks(shape, maps.channels, state, where=files.networks)), shape.resolution


def _networks(shape: Shape, channels: Sequence[int], state: dict[str, torch.Tensor], *, where: Path) -> torch.nn.Module:
    import torch

    with torch.device("meta"):
        networks = new_networks(shape, channels)
    load_strictly(networks, state, where=where)
    return networks


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise WeightsError(f"{path}: wanted YAML, found something else ({told:.120}); get the file again") from None
    if not isinstance(data, dict):
        raise WeightsError(f"{path}: wanted a mapping, found {type(data).__name__}; get the file again")
    return data
