"""Half-precision weights on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_half(model: Any, out: Path) -> None:
    """`save_pretrained` with floating-point weights in float16."""
    import torch

    model.to(torch.float16).save_pretrained(out, safe_serialization=True)
    model.to(torch.float32)
