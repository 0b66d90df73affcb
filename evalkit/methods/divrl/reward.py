"""DivRL's rewards: structural diversity, and identity as a gate that punishes only what falls below a threshold.

Source: DivRL (arXiv 2606.23950), equations 8 and 9. Deviation: where nSSM or VSM has no value (no cell in the mask, no
surviving match) the sample has no reward and takes no part; the authors' code gives 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.rl.reward import MetricScores, Rewards

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.methods.divrl.policy import Item
    from evalkit.methods.divrl.preset import Preset, RewardKind


def gated(nssm: Tensor, vsm: Tensor, *, threshold: float = 0.5, weight: float = 5.0) -> Tensor:
    """nSSM - weight * max(0, threshold - VSM)^2.

    nssm, vsm: [B]. Returns [B]; equal to nSSM where VSM reaches the threshold, NaN where either is.

    Example:
        >>> import torch
        >>> gated(torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])).tolist()
        [0.5, 0.1875]
    """
    return nssm - weight * (threshold - vsm).clamp(min=0) ** 2


class DivReward:
    """The reward of one stage."""

    def __init__(self, scores: MetricScores, preset: Preset, kind: RewardKind) -> None:
        self._scores, self._preset, self._kind = scores, preset, kind

    def __call__(self, items: Sequence[Item], pictures: Sequence[NDArray[np.uint8]]) -> Rewards:
        """Rewards [B] of pictures, with nSSM and VSM beside them."""
        told = self._scores([item.subject for item in items], pictures)
        nssm, vsm = told[self._preset.nssm][0], told[self._preset.vsm][0]
        return Rewards(self._combined(nssm, vsm), {"nssm": nssm, "vsm": vsm})

    def _combined(self, nssm: Tensor, vsm: Tensor) -> Tensor:
        if self._kind == "nssm":
            return nssm
        if self._kind == "vsm":
            return vsm
        if self._kind == "linear":
            return self._preset.share * vsm + (1 - self._preset.share) * nssm
        return gated(nssm, vsm, threshold=self._preset.threshold, weight=self._preset.weight)
