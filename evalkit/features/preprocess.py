"""Named picture preprocessings: RGB pixels to the tensor that a backbone reads.

Each names the file and commit whose steps it follows. Resizing is PIL's antialiased filter on 8-bit pixels unless the
source resizes tensors. Sizes scale with the side s of the model's input, so that the same steps suit a small model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evalkit.errors import UsageError
from evalkit.features.mask_pictures import MASK_SIDE, given_mask_256, grounded_sam_256
from evalkit.features.resizing import check_oblong
from evalkit.features.resizing import normalised as _normalised
from evalkit.features.resizing import normalised_tensor as _normalised_tensor
from evalkit.features.resizing import resized_pil as _pil
from evalkit.features.resizing import tensor_of as _tensor
from evalkit.features.vlm_pictures import QWEN_FACTOR, clip_pad, gme_28, qwen_vl_28
from evalkit.features.yolo_world_pictures import yolo_world_640, yolo_world_640_bgr
from evalkit.nouns.base import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from evalkit.features.model_input import ModelInput

    Pixels = NDArray[np.uint8]
    Tensor = NDArray[np.float32]
    Size = tuple[int, int]

CODE_VERSION = 1
"""Raised when a preprocessing gives other numbers than before."""


@dataclass(frozen=True)
class Preprocess:
    """A named preprocessing with the numbers of one model. Pure and thread-safe."""

    name: str
    size: int
    """Side of the square that comes out; for `mtcnn_160_32`, of the faces that are cut out of the picture later, for Qwen's
    preprocessings what the sides are multiples of; of a mask, its longest side."""
    numbers: ModelInput

    @property
    def id(self) -> str:
        """Name and side, as the signature shows them: `clip_hf_224`, `lpips_256`."""
        return self.name if self.name in _FIXED_SIDE else f"{self.name}_{self.size}"

    @cached_property
    def key(self) -> str:
        """Two preprocessings with equal keys give equal tensors."""
        n = self.numbers
        told = [CODE_VERSION, self.name, self.size]
        if self.name not in _OWN_RANGE:
            told += [n.shortest, list(n.mean), list(n.std)]
        return f"{self.id}-{digest(told)[:12]}"

    def __call__(self, pixels: Pixels) -> Tensor:
        """Pixels [H, W, 3] to [3, s, s]. Raises UsageError for a picture more than 200 times as long as it is wide."""
        check_oblong(*pixels.shape[:2])
        return PREPROCESSES[self.name](pixels, self.numbers)


def preprocess(name: str, numbers: ModelInput, *, among: Sequence[str]) -> Preprocess:
    """The preprocessing `name` for a model; `among` are those that the family knows. Raises UsageError."""
    if name not in among:
        raise UsageError(f"wanted a preprocessing for this family ({', '.join(among)}), found {name!r}")
    return Preprocess(name, _FIXED_SIDE.get(name, numbers.size), numbers)


def clip_hf(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Shortest side to s (PIL bicubic), centre crop rounded down, normalise.

    Source: transformers `CLIPImageProcessorPil`, as in yuangpeng/dreambench_plus `metrics/clip_score.py` (66ca27e).
    """
    small = _pil(pixels, _shortest(pixels, numbers.shortest or numbers.size), Image.Resampling.BICUBIC)
    return _normalised(_crop(small, numbers.size, _floor_half), numbers)


def clip_openai(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Shortest side to s (PIL bicubic), centre crop rounded half to even, normalise.

    Source: the transform of `clip.load` (openai/CLIP `clip/clip.py`), as used by arctanxarc/UniCTokens
    `sync_r1_grpo/clip_eval.py`; the same as open_clip's `image_transform`.
    """
    small = _pil(pixels, _shortest(pixels, numbers.size), Image.Resampling.BICUBIC)
    return _normalised(_crop(small, numbers.size, _round_half), numbers)


def dino_torchvision(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Shortest side to 256/224 s (PIL bicubic), centre crop s rounded half to even, normalise.

    Source: facebookresearch/dino `eval_linear.py`; yuangpeng/dreambench_plus `metrics/dino_score.py` (66ca27e).
    """
    small = _pil(pixels, _shortest(pixels, round(256 / 224 * numbers.size)), Image.Resampling.BICUBIC)
    return _normalised(_crop(small, numbers.size, _round_half), numbers)


def dinov2_hf(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Shortest side to the processor's (256/224 s where it names none; PIL bicubic), crop s rounded down, normalise.

    Source: transformers `BitImageProcessorPil`, as in yuangpeng/dreambench_plus `metrics/dino_score.py` (66ca27e).
    """
    shortest = numbers.shortest or round(256 / 224 * numbers.size)
    small = _pil(pixels, _shortest(pixels, shortest), Image.Resampling.BICUBIC)
    return _normalised(_crop(small, numbers.size, _floor_half), numbers)


def dino_squash(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Squashed to s x s (PIL bicubic), normalise: the whole picture, each patch the same share of it as of its mask.

    evalkit's own; the papers that compare masked patches do not say how pictures are brought to the model.
    """
    return _normalised(_pil(pixels, (numbers.size, numbers.size), Image.Resampling.BICUBIC), numbers)


def mtg(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Squashed to s x s (PIL bilinear), x/255 * 2 - 1 in [-1, 1].

    Source: Mind-the-Glitch (arXiv 2509.21989), `MindTheGlitchModel.inference` in its public copies, where s is 768.
    """
    squashed = _tensor(_pil(pixels, (numbers.size, numbers.size), Image.Resampling.BILINEAR))
    centred: Tensor = squashed * np.float32(2) - np.float32(1)
    return centred


def clip_unictokens(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """CLIP on washed-out pictures: a range conversion for [-1, 1] applied to [0, 1].

    Shortest side to 512/224 s (PIL bicubic), crop to it, x/255, (x + 1)/2, shortest side to s (bicubic on the tensor,
    antialiased; already square), normalise. Source: arctanxarc/UniCTokens `eval/clip_eval.py`.
    """
    first = round(512 / 224 * numbers.size)
    square = _crop(_pil(pixels, _shortest(pixels, first), Image.Resampling.BICUBIC), first, _round_half)
    washed = (_tensor(square) + 1.0) / 2.0
    return _normalised_tensor(_resized(washed, (numbers.size, numbers.size), "bicubic"), numbers)


def clip_divrl_reward(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """x/255, shortest side to s (bilinear on the tensor, antialiased), centre crop s, normalise.

    Source: the CLIP reward of QianWangX/DivRL (b0d3f69), with torchvision from 0.17 on.
    """
    small = _resized(_tensor(pixels), _shortest(pixels, numbers.size), "bilinear")
    return _normalised_tensor(_crop_tensor(small, numbers.size), numbers)


def hps(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """x/255, longest side to s (bicubic on the tensor, antialiased), centred on zeros of s x s, normalise.

    Source: `ResizeMaxSize` of tgxs002/HPSv2 `hpsv2/src/open_clip/transform.py` (866735e), with torchvision from 0.17
    on. It pads only what it resizes, so that it leaves a picture whose longest side is s as it is, which its model
    takes where it is square; here that is padded like any other, and a side that rounds to nothing is one pixel.
    """
    scale = numbers.size / max(pixels.shape[:2])
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    fitted = _resized(_tensor(pixels), (height, width), "bicubic")
    padded = np.zeros((3, numbers.size, numbers.size), np.float32)
    top, left = (numbers.size - height) // 2, (numbers.size - width) // 2
    padded[:, top : top + height, left : left + width] = fitted
    return _normalised_tensor(padded, numbers)


def dreamsim(pixels: Pixels, numbers: ModelInput) -> Tensor:
    """Squashed to s x s (PIL bicubic), x/255 in [0, 1]; each branch normalises for itself.

    Source: dreamsim 0.2.1 `dreamsim/model.py`.
    """
    return _tensor(_pil(pixels, (numbers.size, numbers.size), Image.Resampling.BICUBIC))


def mtcnn_160_32(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """The whole picture at its own size, 0 to 255 [3, H, W]; faces are found in it, each cut out at 160 x 160, 32 of it margin.

    Source: arctanxarc/UniCTokens `sync_r1_grpo/utils.py` (9f7a80c), which sets facenet-pytorch so.
    """
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)


def scrfd_320(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """The whole picture at its own size, 0 to 255 [3, H, W]; faces are found in it at 320 x 320 and cut out of it.

    Source: franciszzj/OpenS2V-Nexus `eval/get_facesim.py` (ef17513), which sets insightface so.
    """
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32)


def lpips_96(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """Squashed to 96 x 96, the embedded world's own size (PIL bicubic), x/127.5 - 1 in [-1, 1]."""
    return _centred(_pil(pixels, (96, 96), Image.Resampling.BICUBIC))


def lpips_256(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """Squashed to 256 x 256 (PIL bicubic), x/127.5 - 1 in [-1, 1]. The range is lpips 0.1.4's; it names no size."""
    return _centred(_pil(pixels, (256, 256), Image.Resampling.BICUBIC))


def lpips_512(pixels: Pixels, numbers: ModelInput) -> Tensor:  # noqa: ARG001 - one signature for all
    """Squashed to 512 x 512 (PIL bicubic), x/127.5 - 1 in [-1, 1]. The range is lpips 0.1.4's; it names no size."""
    return _centred(_pil(pixels, (512, 512), Image.Resampling.BICUBIC))


PREPROCESSES: Mapping[str, Callable[[Pixels, ModelInput], Tensor]] = {
    steps.__name__: steps
    for steps in (
        clip_hf,
        clip_openai,
        clip_pad,
        clip_unictokens,
        clip_divrl_reward,
        dino_torchvision,
        dinov2_hf,
        dino_squash,
        hps,
        qwen_vl_28,
        gme_28,
        dreamsim,
        mtg,
        mtcnn_160_32,
        scrfd_320,
        grounded_sam_256,
        given_mask_256,
        yolo_world_640,
        yolo_world_640_bgr,
        lpips_96,
        lpips_256,
        lpips_512,
    )
}
_FIXED_SIDE = {
    "qwen_vl_28": QWEN_FACTOR,
    "gme_28": QWEN_FACTOR,
    "mtcnn_160_32": 160,
    "scrfd_320": 320,
    "grounded_sam_256": MASK_SIDE,
    "given_mask_256": MASK_SIDE,
    "yolo_world_640": 640,
    "yolo_world_640_bgr": 640,
    "lpips_96": 96,
    "lpips_256": 256,
    "lpips_512": 512,
}
_OWN_RANGE = (
    "dreamsim",
    "mtg",
    "mtcnn_160_32",
    "scrfd_320",
    "grounded_sam_256",
    "given_mask_256",
    "yolo_world_640",
    "yolo_world_640_bgr",
    "lpips_96",
    "lpips_256",
    "lpips_512",
)
"""Preprocessings that use nothing of the model but its side."""


def _shortest(pixels: Pixels, short: int) -> Size:
    """(height, width) with the shorter side `short`, the longer one rounded down."""
    height, width = pixels.shape[:2]
    if width <= height:
        return int(short * height / width), short
    return short, int(short * width / height)


def _floor_half(excess: int) -> int:
    return excess // 2


def _round_half(excess: int) -> int:
    return round(excess / 2)


def _crop(pixels: Pixels, side: int, offset: Callable[[int], int]) -> Pixels:
    """The central side x side of [H, W, 3]."""
    top, left = (offset(length - side) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def _crop_tensor(picture: Tensor, side: int) -> Tensor:
    """The central side x side of [3, H, W], rounded half to even."""
    top, left = (_round_half(length - side) for length in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


def _centred(pixels: Pixels) -> Tensor:
    return (pixels.transpose(2, 0, 1) / 127.5 - 1.0).astype(np.float32)


def _resized(picture: Tensor, size: Size, mode: str) -> Tensor:
    """torchvision's resize of a float tensor: antialiased, not clamped."""
    import torch

    if picture.shape[1:] == size:
        return picture
    batch: torch.Tensor = torch.from_numpy(np.ascontiguousarray(picture))[None]
    resized = torch.nn.functional.interpolate(batch, size=size, mode=mode, align_corners=False, antialias=True)
    array: Tensor = resized[0].numpy()
    return array
