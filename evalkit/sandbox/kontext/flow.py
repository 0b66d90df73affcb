"""What the small Kontext is trained by: flow matching with dropped conditions, then its own guidance distilled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

DROP_TEXT = 0.1
DROP_REFERENCE = 0.1
"""Shares of samples without prompt and of batches without reference tokens; half of the latter have no prompt either."""
TIME_MEAN = 0.5
"""Of the logit-normal times; above 0, since sampling's times are shifted towards noise as well."""
KEEP_REFERENCE = 0.55
"""Share of a reference's tokens that a step looks at until `WHOLE`: more pictures a second."""
WHOLE = 0.75
"""Share of the flow matching after which every token is there."""
GUIDANCE = (1.0, 4.0)
"""The guidance embedding is told 1 in flow matching, and a number of this range where guidance is distilled."""


@dataclass(frozen=True)
class Tensors:
    """What batches are drawn from: packed latents [S, 36, 48] and [N, 36, 48] (half precision), subject [N], ids [N, T]."""

    references: Tensor
    pictures: Tensor
    subject: Tensor
    ids: Tensor


def grid_ids(side: int, which: int) -> Tensor:
    """Position ids [side * side, 3] of a picture's tokens; `which` is 0 for the sample and 1 for its reference."""
    import torch

    ids = torch.zeros(side, side, 3)
    ids[..., 0], ids[..., 1], ids[..., 2] = which, torch.arange(side)[:, None], torch.arange(side)[None]
    return ids.view(-1, 3)


def packed_latents(vae: Any, images: NDArray[np.uint8], *, batch: int = 256) -> Tensor:
    """Pictures uint8 [N, H, W, 3] as the pipeline packs their latents, float16 [N, tokens, 4 * channels]."""
    import torch
    from diffusers import FluxKontextPipeline

    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            pixels = torch.from_numpy(np.array(images[start : start + batch])).permute(0, 3, 1, 2).float() / 127.5 - 1
            z = vae.encode(pixels).latent_dist.mode()
            parts.append(FluxKontextPipeline._pack_latents(z, *z.shape).half())
    return torch.cat(parts)


def velocity(
    parts: Any,
    x: Tensor,
    t: Tensor,
    ids: Tensor,
    guidance: Tensor,
    *,
    reference: Tensor | None,
    places: tuple[Tensor, Tensor],
) -> Tensor:
    """The predicted velocity of the sample's tokens.

    Args:
        parts: `torch.nn.ModuleDict` of transformer, text_encoder and text_encoder_2.
        x: noisy tokens [B, n, D]; `t` [B] in (0, 1], 1 being noise.
        ids: text tokens [B, T].
        reference: tokens [B, m, D], or None for none.
        places: position ids of both, [n, 3] and [m, 3].
    """
    import torch

    sequence = x if reference is None else torch.cat([x, reference], dim=1)
    out = parts["transformer"](
        hidden_states=sequence, timestep=t, guidance=guidance, img_ids=places[0] if reference is None else torch.cat(places),
        txt_ids=torch.zeros(ids.shape[1], 3), pooled_projections=parts["text_encoder"](ids).pooler_output,
        encoder_hidden_states=parts["text_encoder_2"](ids)[0], return_dict=False,
    )[0]  # fmt: skip
    predicted: Tensor = out[:, : x.shape[1]]
    return predicted


class Batches:
    """Fresh batches: noisy tokens, their times, the true velocity, the prompts' ids and the references' tokens."""

    def __init__(self, data: Tensors, *, seed: int, batch: int) -> None:
        import torch

        self.data, self.size = data, batch
        self.generator = torch.Generator().manual_seed(seed)
        side = int(data.pictures.shape[1] ** 0.5)
        self.places = grid_ids(side, 0), grid_ids(side, 1)

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x [B, n, D], t [B], velocity [B, n, D], ids [B, T], reference [B, m, D]."""
        import torch

        chosen = torch.randint(len(self.data.pictures), (self.size,), generator=self.generator)
        x0 = self.data.pictures[chosen].float()
        noise = torch.randn(x0.shape, generator=self.generator)
        t = torch.sigmoid(TIME_MEAN + torch.randn(self.size, generator=self.generator))
        reference = self.data.references[self.data.subject[chosen]].float()
        return torch.lerp(x0, noise, t[:, None, None]), t, noise - x0, self.data.ids[chosen], reference

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1) from the batches' generator."""
        import torch

        return torch.rand(shape, generator=self.generator)

    def some(self, count: int, share: float) -> Tensor:
        """Positions of that share of `count` tokens, ascending."""
        return self.uniform(count).argsort()[: max(round(count * share), 1)].sort().values


def flow_loss(parts: Any, batches: Batches, empty: Tensor, share: float) -> Tensor:
    """Flow matching with dropped conditions, on some of the references' tokens until `WHOLE` of the budget is spent.

    `empty` [1, T] are the ids of the empty prompt.
    """
    import torch

    x, t, target, ids, reference = batches()
    kept = batches.some(reference.shape[1], KEEP_REFERENCE if share < WHOLE else 1.0)
    drop = batches.uniform(len(x)) < DROP_TEXT
    alone = bool(batches.uniform(1) < DROP_REFERENCE)
    if alone:
        drop |= batches.uniform(len(x)) < 0.5
    predicted = velocity(
        parts, x, t, torch.where(drop[:, None], empty, ids), torch.ones(len(x)),
        reference=None if alone else reference[:, kept], places=(batches.places[0], batches.places[1][kept]),
    )  # fmt: skip
    return (predicted - target).square().mean()


def guided_loss(parts: Any, teacher: torch.nn.Module, batches: Batches, empty: Tensor) -> Tensor:
    """Against the teacher's velocity, led away by a random guidance from the one without prompt and reference."""
    import torch

    x, t, _, ids, reference = batches()
    guidance = GUIDANCE[0] + (GUIDANCE[1] - GUIDANCE[0]) * batches.uniform(len(x))
    one = torch.ones(len(x))
    with torch.no_grad():
        full = velocity(teacher, x, t, ids, one, reference=reference, places=batches.places)
        free = velocity(teacher, x, t, empty.expand_as(ids), one, reference=None, places=batches.places)
        target = torch.lerp(free, full, guidance[:, None, None])
    predicted = velocity(parts, x, t, ids, guidance, reference=reference, places=batches.places)
    return (predicted - target).square().mean()
