"""Rewards to advantages: how much better a sample is than the others of its group.

Source: yifan123/flow_grpo `flow_grpo/stat_tracking.py` (ac4c86e) for `group` and `global`; Liu et al., Understanding
R1-Zero-like training (Dr. GRPO) for `none`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-4


def group_advantage(
    rewards: Tensor, groups: Tensor, *, std: Literal["group", "global", "none"] = "group", clip: float = 5.0
) -> Tensor:
    """(reward - mean of its group) / (spread + 1e-4), clipped to [-clip, clip].

    rewards: [B] finite; groups: [B] integers naming the group. The spread (population standard deviation) is the
    group's own, that of all rewards, or 1 with `none`. Returns [B]; a group of equal rewards gives zeros.

    Raises: UsageError for shapes that differ, rewards that are not finite, or an unknown `std`.
    """
    import torch

    if rewards.ndim != 1 or rewards.shape != groups.shape:
        raise UsageError(
            f"wanted rewards and groups of one shape [B], found {list(rewards.shape)} and {list(groups.shape)}"
        )
    if not torch.isfinite(rewards).all():
        found = int((~torch.isfinite(rewards)).sum())
        raise UsageError(
            f"wanted finite rewards, found {found} of {len(rewards)} that are not; leave those samples out"
        )
    if std not in ("group", "global", "none"):
        raise UsageError(f"wanted std 'group', 'global' or 'none', found {std!r}")
    _, index = torch.unique(groups, return_inverse=True)
    size = torch.zeros(int(index.max()) + 1 if len(index) else 0, dtype=rewards.dtype, device=rewards.device)
    count = size.index_add(0, index, torch.ones_like(rewards))
    centred = rewards - (size.index_add(0, index, rewards) / count)[index]
    if std == "none":
        return centred.clamp(-clip, clip)
    if std == "global":
        return (centred / (rewards.std(correction=0) + EPS)).clamp(-clip, clip)
    spread = (size.index_add(0, index, centred**2) / count).sqrt()
    return (centred / (spread[index] + EPS)).clamp(-clip, clip)
