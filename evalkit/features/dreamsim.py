"""DreamSim's embedding: branches' outputs side by side, centred over their own dimensions and scaled to length 1.

Source: ssundaram21/dreamsim `dreamsim/model.py` (package 0.2.1), `normalize_embeds=True`; a DINO branch gives the class
token after block 11 before the final norm, a CLIP branch the projected embedding. Deviations: LoRA is merged into the
weights, and no code is fetched. `sandbox:dreamsim` composes the embedded DINO and CLIP the same way; it is not
fitted to human judgements.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.features import clip, dino, lora
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.building import refuse_misfits
from evalkit.features.dreamsim_tower import Kind, embed, shapes
from evalkit.features.model_input import CLIP_224, IMAGENET_224, ModelInput, read_input
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import other_model, read_state
from evalkit.features.weights import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

    Forward = Callable[[torch.Tensor], torch.Tensor]
    Placed = Callable[[Any], Any]

PREPROCESSES = ("dreamsim",)
CODE_VERSION = 1
ARMS = {
    "ensemble": ("dino_vitb16", "clip_vitb16", "open_clip_vitb16"),
    "dino_vitb16": ("dino_vitb16",),
    "dinov2_vitb14": ("dinov2_vitb14",),
    "clip_vitb32": ("clip_vitb32",),
    "open_clip_vitb32": ("open_clip_vitb32",),
}
"""The branches of each published type, in the order of their outputs; the adapter is the last of the type's files."""


class Branch(NamedTuple):
    """Normalised pictures [B, 3, s, s] to [B, D], and how they are normalised."""

    forward: Forward
    numbers: ModelInput


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError and WeightsError."""
    read_no_text(spec)
    numbers = _sandbox_inputs(weights)[0] if _is_sandbox(weights) else IMAGENET_224
    pre = preprocess(spec.preprocess, numbers, among=PREPROCESSES)
    also = _sandbox_inputs(weights) if _is_sandbox(weights) else (_arms(weights), lora.read_config(weights.files[-1]))
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, also=[repr(part) for part in also])


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> DreamSim:
    """The branches on `device`. Raises WeightsError where a file is another model's."""
    return DreamSim(spec, describe(spec, weights), weights, device=device)


class DreamSim(Backbone):
    """`embedding` [B, D] of length 1 and mean 0: the distance of two pictures is 1 - their dot product."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        build = _sandbox_branches if _is_sandbox(weights) else _branches
        self._branches = build(weights, self._placed)

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] in [0, 1] to `embedding` [B, D]. NaN where the outputs are constant."""
        return self._run(self._embedding, batch)

    def _embedding(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        features = torch.cat([forward(_normalised(pixels, numbers)) for forward, numbers in self._branches], 1)
        centred = features - features.mean(1, keepdim=True)
        return {"embedding": centred / centred.norm(dim=1, keepdim=True)}


def _normalised(pixels: torch.Tensor, numbers: ModelInput) -> torch.Tensor:
    mean, std = (pixels.new_tensor(values).reshape(1, 3, 1, 1) for values in (numbers.mean, numbers.std))
    return (pixels - mean) / std


def _arms(weights: WeightsSource) -> tuple[str, ...]:
    kind = weights.model.partition("/")[2]
    if not weights.model.startswith("dreamsim/") or kind not in ARMS:
        raise other_model(
            weights.folder, f"one of {', '.join(f'dreamsim/{name}' for name in ARMS)}", repr(weights.model)
        )
    return ARMS[kind]


def _branches(weights: WeightsSource, placed: Placed) -> list[Branch]:
    arms = _arms(weights)
    changes = lora.read_changes(weights.files[-1], r"base_model\.model\.extractor_list\.(\d+)\.model\.(.+)", len(arms))
    files = zip(arms, weights.files[:-1], changes, strict=True)
    return [_branch(arm, file, change, placed) for arm, file, change in files]


def _branch(arm: str, file: Path, changes: dict[str, torch.Tensor], placed: Placed) -> Branch:
    kind = Kind(clip="clip" in arm, quick=arm.startswith("clip"))
    state = read_state([file])
    wanted = shapes(state, kind, where=file)
    refuse_misfits(arm, file, {name: tuple(tensor.shape) for name, tensor in state.items()}, wanted)
    merged = {name: placed(tensor) for name, tensor in lora.merged(state, changes, where=file).items()}
    return Branch(partial(embed, merged, kind=kind), CLIP_224 if kind.clip else IMAGENET_224)


def _is_sandbox(weights: WeightsSource) -> bool:
    return weights.model.startswith(SANDBOX)


def _sandbox_inputs(weights: WeightsSource) -> tuple[ModelInput, ModelInput]:
    """DINO's and CLIP's input, which must be of one size."""
    dino_file, clip_file = weights.files
    numbers = read_input(dino_file.parent, IMAGENET_224), read_input(clip_file.parent, CLIP_224)
    if numbers[0].size != numbers[1].size:
        raise other_model(weights.folder, "DINO and CLIP of one input size", f"{numbers[0].size} and {numbers[1].size}")
    return numbers


def _sandbox_branches(weights: WeightsSource, placed: Placed) -> list[Branch]:
    dino_file, clip_file = weights.files
    dino_model = placed(dino.read_model(dino_file.parent, read_state([dino_file])))
    clip_model = placed(clip.read_model(clip_file.parent, read_state([clip_file])))
    dino_input, clip_input = _sandbox_inputs(weights)
    return [
        Branch(partial(dino.class_token_before_norm, dino_model), dino_input),
        Branch(partial(clip.embed, clip_model), clip_input),
    ]
