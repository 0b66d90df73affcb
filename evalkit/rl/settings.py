"""What a policy-gradient training of a flow model is told, typed, with a hash that its checkpoints carry."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from evalkit.nouns.base import Noun


class Settings(Noun):
    """One training stage. Defaults are Flow-GRPO's for FLUX (`config/grpo.py`, ac4c86e) unless a comment says otherwise."""

    epochs: int = Field(ge=0)
    groups: int = Field(ge=1)
    """Items (prompt and reference) an epoch."""
    group_size: int = Field(ge=2)
    """Samples an item; advantages compare within it."""
    steps: int = Field(ge=2)
    kind: Literal["flow_sde", "cps", "dance"] = "flow_sde"
    noise_level: float = Field(default=0.9, gt=0)
    window: tuple[int, int] | None = None
    """Steps that are stochastic and trained, first and last (exclusive); None for all but the last."""
    std: Literal["group", "global", "none"] = "group"
    advantage_clip: float = Field(default=5.0, gt=0)
    clip: float = Field(default=1e-4, gt=0)
    beta: float = Field(default=0.0, ge=0)
    kl: Literal["mean", "velocity"] = "mean"
    learning_rate: float = Field(default=3e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    updates: int = Field(default=2, ge=1)
    """Optimiser steps an epoch; the first is on the policy that sampled."""
    rollout_batch: int = Field(default=16, ge=1)
    micro_batch: int = Field(default=16, ge=1)
    ema_every: int = Field(default=8, ge=1)
    checkpoint_every: int = Field(default=1, ge=1)
    """Epochs."""
    seed: int = Field(default=0, ge=0)
