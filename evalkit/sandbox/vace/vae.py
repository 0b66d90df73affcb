"""The small VACE's autoencoder: principal components of pixels in space and time, in the shape of `AutoencoderKLWan`.

Four frames of 8 x 8 pixels become 16 numbers, as many as Wan's have; the first frame stands in a chunk of its own, four times
over, so that a picture is a clip of one frame and a chunk never looks ahead. Back come the components' pixels, and upon them
what a small convolutional network makes of the neighbouring places and of the chunk before.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

PATCH, CHUNK = 8, 4
CHANNELS = 16
WHITENING = 0.5
"""Latents are divided by this power of their standard deviation: 0 weighs them as pixels do, 1 all alike."""
POLISH_WIDTH, POLISH_DEPTH = 64, 3
LATENT_NOISE = 0.2


@cache
def clip_vae_class() -> Any:
    """The class `ClipVae`, made on first use since its bases are diffusers'."""
    import torch
    from diffusers import ConfigMixin, ModelMixin
    from diffusers.configuration_utils import register_to_config
    from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
    from diffusers.models.modeling_outputs import AutoencoderKLOutput

    class ClipVae(ModelMixin, ConfigMixin):  # type: ignore[misc]
        """Pixels [B, 3, 1 + 4 k, H, W] in [-1, 1] to latents [B, z_dim, 1 + k, H / 8, W / 8], linearly, and back.

        `latents_mean` and `latents_std` are what the pipeline shifts and divides latents by. `temperal_downsample` is
        spelled as the pipeline reads it: 2 to the power of its length is the patch, of its sum the chunk.
        """

        @register_to_config  # type: ignore[untyped-decorator]
        def __init__(
            self, z_dim: int = CHANNELS, width: int = POLISH_WIDTH, depth: int = POLISH_DEPTH,
            latents_mean: tuple[float, ...] = (0.0,) * CHANNELS, latents_std: tuple[float, ...] = (1.0,) * CHANNELS,
            temperal_downsample: tuple[bool, ...] = (False, True, True),
        ) -> None:  # fmt: skip
            super().__init__()
            self.temperal_downsample = list(temperal_downsample)
            size = (2 ** sum(temperal_downsample), *(2 * (2 ** len(temperal_downsample),)))
            self.encoder = torch.nn.Conv3d(3, z_dim, size, stride=size)
            self.decoder = torch.nn.ConvTranspose3d(z_dim, 3, size, stride=size, bias=False)
            self.mean = torch.nn.Parameter(torch.zeros(3, *size))
            self.enter = torch.nn.Conv2d(2 * z_dim, width, 1)
            self.blocks = torch.nn.ModuleList(
                torch.nn.Sequential(
                    torch.nn.Conv2d(width, 2 * width, 3, padding=1),
                    torch.nn.GELU(),
                    torch.nn.Conv2d(2 * width, width, 1),
                )
                for _ in range(depth)
            )
            self.leave = torch.nn.Conv2d(width, 3 * size[0] * size[1] * size[2], 1)
            for parameter in self.leave.parameters():
                torch.nn.init.zeros_(parameter)

        def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
            """A distribution without spread around the latents."""
            chunk = self.mean.shape[1]
            mean = self.encoder(torch.cat([x[:, :, :1].expand(-1, -1, chunk - 1, -1, -1), x], dim=2))
            spread = DiagonalGaussianDistribution(torch.cat([mean, torch.zeros_like(mean)], dim=1), deterministic=True)
            return AutoencoderKLOutput(latent_dist=spread) if return_dict else (spread,)

        def decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
            """Pixels, not clipped; the first frame is the mean of the four that stand for it."""
            batch, _, frames, height, width = z.shape
            before = torch.cat([z[:, :, :1], z[:, :, :-1]], dim=2)
            hidden = torch.cat([z, before], dim=1).transpose(1, 2).flatten(0, 1)
            hidden = self.enter(hidden)
            for block in self.blocks:
                hidden = hidden + block(hidden)
            chunk, patch = self.mean.shape[1:3]
            added = self.leave(hidden).view(batch, frames, 3, chunk, patch, patch, height, width)
            added = added.permute(0, 2, 1, 3, 6, 4, 7, 5).reshape(batch, 3, frames * chunk, height * patch, -1)
            pixels = self.decoder(z) + self.mean.repeat(1, frames, height, width) + added
            pixels = torch.cat([pixels[:, :, :chunk].mean(dim=2, keepdim=True), pixels[:, :, chunk:]], dim=2)
            return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    return ClipVae


def fit_clip_vae(clips: NDArray[np.uint8], *, channels: int = CHANNELS) -> Any:
    """A `ClipVae` of the components of `clips` uint8 [N, 1 + 4 k, H, W, 3], its network not trained yet and without effect.

    Its latents, shifted and divided as the pipeline does, have mean 0 and mean variance 1.
    """
    import torch

    patches = _patches(clips)
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    values, vectors = values[::-1][:channels], vectors[:, ::-1][:, :channels]
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    divisor = values ** (WHITENING / 2)
    divisor *= np.sqrt((values / divisor**2).mean())
    shape = (channels, 3, CHUNK, PATCH, PATCH)
    vae = clip_vae_class()(z_dim=channels, latents_mean=[0.0] * channels, latents_std=divisor.tolist())
    state = {
        "encoder.weight": vectors.T.reshape(shape),
        "encoder.bias": -vectors.T @ mean,
        "decoder.weight": vectors.T.reshape(shape),
        "mean": mean.reshape(shape[1:]),
    }
    vae.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()}, strict=False)
    return vae


def scales(vae: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """`latents_mean` and `latents_std` of a vae as [1, C, 1, 1, 1]."""
    import torch

    mean, std = (torch.tensor(told).view(1, -1, 1, 1, 1) for told in (vae.config.latents_mean, vae.config.latents_std))
    return mean, std


def decoder_loss(vae: Any, pixels: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Smooth absolute error of pixels [B, 3, T, H, W] decoded from latents with a little noise, as sampled ones have."""
    import torch

    z = vae.encode(pixels).latent_dist.mode()
    spread = LATENT_NOISE * torch.rand((len(z), 1, 1, 1, 1), generator=generator) * scales(vae)[1]
    decoded = vae.decode(z + spread * torch.randn(z.shape, generator=generator)).sample
    error: torch.Tensor = ((decoded - pixels).square() + 1e-3).sqrt().mean()
    return error


def _patches(clips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[chunks * places, 3 * 4 * 8 * 8] in [-1, 1], channels first as convolutions have them."""
    n, _, height, width, _ = clips.shape
    still = np.repeat(clips[:, :1], CHUNK - 1, axis=1)
    whole = np.concatenate([still, clips], axis=1)
    cut = whole.reshape(n, -1, CHUNK, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    return cut.transpose(0, 1, 3, 5, 7, 2, 4, 6).reshape(-1, 3 * CHUNK * PATCH * PATCH).astype(np.float64) / 127.5 - 1
