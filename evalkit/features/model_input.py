"""What a model's own files say of the picture that it reads: side, resize target, mean, standard deviation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features.weight_files import read_json

if TYPE_CHECKING:
    from pathlib import Path

Triple = tuple[float, float, float]
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelInput:
    """Side s of the square that the model reads, and how its pixels are normalised."""

    size: int
    shortest: int | None
    """What the shorter side is resized to before the crop, where the processor says so."""
    mean: Triple
    std: Triple


CLIP_224 = ModelInput(224, None, CLIP_MEAN, CLIP_STD)
IMAGENET_224 = ModelInput(224, None, IMAGENET_MEAN, IMAGENET_STD)


def read_input(folder: Path, default: ModelInput) -> ModelInput:
    """From the image processor's file, else open_clip's, else the side in config.json; `default` fills what none says.

    Raises WeightsError where the processor crops more than it resizes to.
    """
    processor = read_json(folder / "preprocessor_config.json")
    processor = processor or read_json(folder / "processor_config.json").get("image_processor", {})
    if processor:
        return _of_processor(processor, default, str(folder))
    open_clip = read_json(folder / "open_clip_config.json")
    if open_clip:
        stated = open_clip.get("preprocess_cfg", {})
        side = open_clip["model_cfg"]["vision_cfg"]["image_size"]
        mean, std = _triple(stated.get("mean"), default.mean), _triple(stated.get("std"), default.std)
        return ModelInput(side, None, mean, std)
    config = read_json(folder / "config.json")
    side = config.get("vision_config", config).get("image_size", default.size)
    return replace(default, size=int(side))


def _of_processor(processor: dict[str, Any], default: ModelInput, where: str) -> ModelInput:
    size, crop = processor.get("size"), processor.get("crop_size")
    shortest = size if isinstance(size, int) else (size or {}).get("shortest_edge")
    side = _side(crop) or _side(size) or default.size
    shortest = shortest if crop else None
    if shortest is not None and shortest < side:
        raise WeightsError(f"{where}: wanted a resize to at least the crop of {side}, found {shortest}; mend its file")
    mean, std = _triple(processor.get("image_mean"), default.mean), _triple(processor.get("image_std"), default.std)
    return ModelInput(side, shortest, mean, std)


def _side(size: Any) -> int | None:
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge"))
    return int(size) if size else None


def _triple(values: Any, default: Triple) -> Triple:
    return (float(values[0]), float(values[1]), float(values[2])) if values else default
