"""What the small VACE is trained by: flow matching on clips and their reference slots, with dropped conditions.

As in the pipeline, references take the first latent frames, the last of them first. The sample holds them as well as the
clip, and what the model reads of them, with their place in time and a mask, is the control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.kontext.assemble import TOKENS
from evalkit.sandbox.vace.vae import PATCH, scales

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.sandbox.vace.clips import ClipSet

DROP_TEXT = 0.1
DROP_REFERENCES = 0.1
"""Shares of samples without prompt, and with empty pictures for references."""
TIME_MEAN = 0.5
"""Of the logit-normal times; above 0, since sampling's times are shifted towards noise as well."""
SLOT_WEIGHT = 0.2
"""Of a reference slot's error beside the clip's: what is made there is cut off."""
TRAIN_TIMES = 1000
"""What the scheduler multiplies times by."""


@dataclass(frozen=True)
class Tensors:
    """What batches are drawn from, latents in half precision.

    clips [N, C, F, h, w]; references [N, 3, C, h, w], of which the first `count` [N] are there; ids and mask [N, T].
    """

    clips: Tensor
    references: Tensor
    count: Tensor
    ids: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Empty:
    """Latents of an empty clip [C, F, h, w] and picture [C, h, w]; ids and mask [1, T] of the empty prompt."""

    clip: Tensor
    picture: Tensor
    ids: Tensor
    mask: Tensor


def latents(vae: Any, pixels: Tensor) -> Tensor:
    """Clips [B, 3, T, H, W] in [-1, 1] as the pipeline scales their latents, [B, C, F, h, w]."""
    mean, std = scales(vae)
    scaled: Tensor = (vae.encode(pixels).latent_dist.mode() - mean) / std
    return scaled


def tensors_of(pipeline: Any, data: ClipSet, *, batch: int = 64) -> Tensors:
    """A rendered set as latents and ids."""
    import torch

    def encoded(clips: NDArray[np.uint8]) -> Tensor:
        parts = []
        for start in range(0, len(clips), batch):
            pixels = torch.from_numpy(np.array(clips[start : start + batch])).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
            parts.append(latents(pipeline.vae, pixels).half())
        return torch.cat(parts)

    with torch.inference_mode():
        shown = [encoded(data.references[:, k : k + 1])[:, :, 0] for k in range(data.references.shape[1])]
        clips = encoded(data.clips)
    ids, mask = told(pipeline.tokenizer, data.prompts)
    return Tensors(clips, torch.stack(shown, dim=1), torch.from_numpy(data.count), ids, mask)


def empty_of(pipeline: Any, clips: Tensor) -> Empty:
    """What stands where there is no prompt, no picture, and nothing of the clip [N, C, F, h, w] yet."""
    import torch

    frames, height, width = clips.shape[2:]
    size = (3, 1 + (frames - 1) * pipeline.vae_scale_factor_temporal, height * PATCH, width * PATCH)
    with torch.inference_mode():
        clip = latents(pipeline.vae, torch.zeros(1, *size))[0]
    ids, mask = told(pipeline.tokenizer, [""])
    return Empty(clip.clone(), clip[:, 0].clone(), ids, mask)


def told(tokenizer: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Ids and attention mask [N, T] of prompts."""
    found = tokenizer(list(texts), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
    return found.input_ids, found.attention_mask


def control(references: Tensor, empty: Empty) -> Tensor:
    """What the model reads beside the sample, [B, 2 C + 64, n + F, h, w].

    references [B, n, C, h, w] in the order of the slots. Of each frame: what stays (a reference, or nothing), what is to
    change (nothing), and 64 numbers that are 1 where the clip is to be made.
    """
    import torch

    size, count, _, height, width = references.shape
    clip = empty.clip[None].expand(size, -1, -1, -1, -1)
    slots = references.transpose(1, 2)
    kept, changed = torch.cat([slots, clip], dim=2), torch.cat([torch.zeros_like(slots), clip], dim=2)
    mask = torch.zeros(size, PATCH * PATCH, kept.shape[2], height, width)
    mask[:, :, count:] = 1
    return torch.cat([kept, changed, mask], dim=1)


def velocity(parts: Any, x: Tensor, t: Tensor, ids: Tensor, mask: Tensor, read: Tensor) -> Tensor:
    """The predicted velocity of noisy latents x [B, C, n + F, h, w] at times t [B] in (0, 1], 1 being noise.

    parts: `torch.nn.ModuleDict` of transformer and text_encoder. read: see `control`.
    """
    text = parts["text_encoder"](ids, mask).last_hidden_state * mask[..., None]
    predicted: Tensor = parts["transformer"](
        hidden_states=x, timestep=t * TRAIN_TIMES, encoder_hidden_states=text, control_hidden_states=read, return_dict=False
    )[0]  # fmt: skip
    return predicted


class Batches:
    """Fresh batches of cases with equally many references: those of a random case, so that every case comes up as often."""

    def __init__(self, data: Tensors, empty: Empty, *, seed: int, batch: int) -> None:
        import torch

        self.data, self.empty, self.size = data, empty, batch
        self.generator = torch.Generator().manual_seed(seed)
        self.alike = {n: torch.nonzero(data.count == n)[:, 0] for n in set(data.count.tolist())}

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Clean latents [B, C, n + F, h, w] of slots and clip, `read`, ids and mask, and the number of slots []."""
        import torch

        count = int(self.data.count[self._below(len(self.data.count), 1)])
        pool = self.alike[count]
        chosen = pool[self._below(len(pool), self.size)]
        references = self.data.references[chosen, :count].float().flip(1)
        alone, silent = (self.uniform(self.size) < share for share in (DROP_REFERENCES, DROP_TEXT))
        references = torch.where(alone.view(-1, 1, 1, 1, 1), self.empty.picture, references)
        clean = torch.cat([references.transpose(1, 2), self.data.clips[chosen].float()], dim=2)
        ids, mask = (
            torch.where(silent[:, None], nothing, given[chosen])
            for nothing, given in ((self.empty.ids, self.data.ids), (self.empty.mask, self.data.mask))
        )
        return clean, control(references, self.empty), ids, mask, torch.tensor(count)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1) from the batches' generator."""
        import torch

        return torch.rand(shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers from the batches' generator."""
        import torch

        return torch.randn(shape, generator=self.generator)

    def _below(self, end: int, count: int) -> Tensor:
        import torch

        return torch.randint(end, (count,), generator=self.generator)


def flow_loss(parts: Any, batches: Batches) -> Tensor:
    """Squared error of the velocity of one fresh batch, reference slots at `SLOT_WEIGHT`."""
    import torch

    clean, read, ids, mask, count = batches()
    noise = batches.normal(*clean.shape)
    t = torch.sigmoid(TIME_MEAN + batches.normal(len(clean)))
    predicted = velocity(parts, torch.lerp(clean, noise, t.view(-1, 1, 1, 1, 1)), t, ids, mask, read)
    error = (predicted - (noise - clean)).square()
    slots = int(count)
    return (error[:, :, slots:].mean() + SLOT_WEIGHT * error[:, :, :slots].mean()) / (1 + SLOT_WEIGHT)
