"""The names, shapes and sizes of YOLO-World v2's weights, as its published files have them.

Source: AILab-CVC/YOLO-World as franciszzj/OpenS2V-Nexus (ef17513) carries it, read for its structure. Sizes are read from the
shapes; the neck's embeddings are as wide as what they weigh, which they are in L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evalkit.features.weight_files import other_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    Shapes = dict[str, tuple[int, ...]]

IMAGE, NECK, HEAD, PROJECTOR = (
    "backbone.image_model", "neck", "bbox_head.head_module", "image_prompt_encoder.projector",
)  # fmt: skip
"""Parts of the file that are used; it holds CLIP's towers besides."""


class Sizes(NamedTuple):
    """What of the network differs from one size to another."""

    stem: int
    stages: tuple[int, ...]
    """Channels of the four stages; the last three are the levels that the neck reads and gives."""
    depths: tuple[int, ...]
    """Bottlenecks of each stage."""
    neck_depth: int
    heads: tuple[int, ...]
    """Of each level's attention to the prompt."""
    box_width: int
    class_width: int
    bins: int
    """Distances that the sides of a box are spread over."""
    prompt: int


L = Sizes(64, (128, 256, 512, 512), (3, 6, 6, 3), 3, (4, 8, 8), 64, 256, 16, 512)
"""The published one with an image prompt."""
_BLOCKS = (("top_down_layers.0", 1), ("top_down_layers.1", 0), ("bottom_up_layers.0", 1), ("bottom_up_layers.1", 2))
"""The neck's, with the level that each gives."""


def read_sizes(state: Mapping[str, torch.Tensor], *, where: Path) -> Sizes:
    """From the shapes of the weights. Raises WeightsError where one that is looked at is missing."""

    def width(name: str) -> int:
        if f"{name}" not in state or not state[name].ndim:
            raise other_model(where, "the weights of YOLO-World with an image prompt", f"no {name}")
        return int(state[name].shape[0])

    def depth(name: str) -> int:
        return sum(f"{name}.blocks.{n}.conv1.conv.weight" in state for n in range(len(state)))

    places = (("top_down_layers.1", 0), ("top_down_layers.0", 1), ("bottom_up_layers.1", 2))
    return Sizes(
        width(f"{IMAGE}.stem.conv.weight"),
        tuple(width(f"{IMAGE}.stage{n}.0.conv.weight") for n in (1, 2, 3, 4)),
        tuple(depth(f"{IMAGE}.stage{n}.1") for n in (1, 2, 3, 4)),
        depth(f"{NECK}.top_down_layers.0"),
        tuple(width(f"{NECK}.{block}.attn_block.bias") for block, _ in places),
        width(f"{HEAD}.reg_preds.0.0.conv.weight"),
        width(f"{HEAD}.cls_preds.0.0.conv.weight"),
        width(f"{HEAD}.reg_preds.0.2.weight") // 4,
        width(f"{PROJECTOR}.2.weight"),
    )


def shapes(sizes: Sizes) -> Shapes:
    """The shape of every weight that is used, by its name in the file."""
    levels = sizes.stages[1:]
    found = _conv(f"{IMAGE}.stem", 3, sizes.stem, 3)
    for n, (before, width, depth) in enumerate(
        zip((sizes.stem, *sizes.stages), sizes.stages, sizes.depths, strict=False)
    ):
        stage = f"{IMAGE}.stage{n + 1}"
        found |= _conv(f"{stage}.0", before, width, 3) | _csp(f"{stage}.1", width, width, depth)
    last = sizes.stages[-1]
    found |= _conv(f"{IMAGE}.stage4.2.conv1", last, last // 2, 1) | _conv(f"{IMAGE}.stage4.2.conv2", last * 2, last, 1)
    read = (levels[1] + levels[2], levels[0] + levels[1], levels[0] + levels[1], levels[1] + levels[2])
    for (block, level), inputs in zip(_BLOCKS, read, strict=True):
        found |= _csp(f"{NECK}.{block}", inputs, levels[level], sizes.neck_depth, extra=1)
        found |= _attention(f"{NECK}.{block}.attn_block", levels[level] // 2, sizes.heads[level], sizes.prompt)
    for n in (0, 1):
        found |= _conv(f"{NECK}.downsample_layers.{n}", levels[n], levels[n], 3)
    for n, width in enumerate(levels):
        found |= _branch(f"{HEAD}.reg_preds.{n}", width, sizes.box_width, 4 * sizes.bins)
        found |= _branch(f"{HEAD}.cls_preds.{n}", width, sizes.class_width, sizes.prompt)
        contrast = f"{HEAD}.cls_contrasts.{n}"
        found |= _norm(f"{contrast}.norm", sizes.prompt) | {f"{contrast}.bias": (), f"{contrast}.logit_scale": ()}
    wide = 2 * sizes.prompt
    return found | _linear(f"{PROJECTOR}.0", sizes.prompt, wide) | _linear(f"{PROJECTOR}.2", wide, sizes.prompt)


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()
    }


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    return {f"{name}.conv.weight": (outputs, inputs, kernel, kernel)} | _norm(f"{name}.bn", outputs)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _csp(name: str, inputs: int, outputs: int, depth: int, *, extra: int = 0) -> Shapes:
    half = outputs // 2
    found = _conv(f"{name}.main_conv", inputs, 2 * half, 1)
    found |= _conv(f"{name}.final_conv", (2 + depth + extra) * half, outputs, 1)
    for n in range(depth):
        found |= _conv(f"{name}.blocks.{n}.conv1", half, half, 3) | _conv(f"{name}.blocks.{n}.conv2", half, half, 3)
    return found


def _attention(name: str, width: int, heads: int, prompt: int) -> Shapes:
    return (
        _linear(f"{name}.guide_fc", prompt, width)
        | {f"{name}.bias": (heads,)}
        | _conv(f"{name}.project_conv", width, width, 3)
    )


def _branch(name: str, inputs: int, width: int, outputs: int) -> Shapes:
    return (
        _conv(f"{name}.0", inputs, width, 3)
        | _conv(f"{name}.1", width, width, 3)
        | {f"{name}.2.weight": (outputs, width, 1, 1), f"{name}.2.bias": (outputs,)}
    )
