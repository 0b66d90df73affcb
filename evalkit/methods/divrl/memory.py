"""How much CUDA memory a training of the published base model wants, and which smaller setting would fit.

An estimate from the model's published sizes, to refuse in a second what would fail after minutes of loading: weights in
bfloat16, the reward's networks in float32, the adapter with its gradient, two moments and average in float32, and the
activations that a backward pass keeps.

Source: `config.json` of black-forest-labs/FLUX.1-Kontext-dev for the sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import MethodError

if TYPE_CHECKING:
    from evalkit.methods.divrl.preset import Preset

GIB = 2**30
WEIGHTS_GIB = 31.7
"""12 B parameters of transformer and 4.9 B of text encoders, 2 bytes each."""
REWARDS_GIB = 3.6
"""Stable Diffusion 2.1's UNet and encoder, 4 bytes a parameter."""
WIDTH, MLP = 3072, 12288
DOUBLE_BLOCKS, SINGLE_BLOCKS = 19, 38
ADAPTER_COPIES = 5
BLOCK_WIDTHS = 30
"""Activations of width 3072 that one block keeps for a token while its gradient is computed."""
SPARE = 1.2
"""For workspaces and fragmentation."""


def adapter_parameters(rank: int) -> int:
    """How many numbers the adapter of all listed modules has.

    Example:
        >>> adapter_parameters(64)
        216662016
    """
    square, wide = 2 * WIDTH, WIDTH + MLP
    return rank * (DOUBLE_BLOCKS * (8 * square + 4 * wide) + SINGLE_BLOCKS * (3 * square + wide))


def training_gib(told: Preset) -> float:
    """GiB on the device, estimated."""
    base = told.base
    tokens = 2 * (base.side // 16) ** 2 + base.text_tokens
    between = DOUBLE_BLOCKS + SINGLE_BLOCKS
    kept = between + BLOCK_WIDTHS if base.save_memory else between * BLOCK_WIDTHS
    activations = told.trainer.micro_batch * tokens * WIDTH * 2 * kept / GIB
    adapter = adapter_parameters(base.rank) * 4 * ADAPTER_COPIES / GIB
    return SPARE * (WEIGHTS_GIB + REWARDS_GIB + adapter + activations)


def need_memory(told: Preset, found: float) -> None:
    """Raises MethodError where `found` GiB are too few, with the largest batch that would fit."""
    wanted = training_gib(told)
    if found >= wanted:
        return
    batches = range(told.trainer.micro_batch - 1, 0, -1)
    fits = next((batch for batch in batches if training_gib(told.at_a_time(batch)) <= found), None)
    way = f"--set batch={fits} would fit" if fits else "--profile sandbox trains the embedded model on a CPU"
    has = f"one with {found:.0f} GiB" if found else "none"
    raise MethodError(
        f"training at {told.base.side} px with rank {told.base.rank} and {told.trainer.micro_batch} samples at a time wants a "
        f"CUDA device with about {wanted:.0f} GiB, found {has}; {way}"
    )
