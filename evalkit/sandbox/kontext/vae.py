"""The small Kontext's autoencoder: principal components of pixel patches, in the shape of a diffusers autoencoder.

A patch of 8 x 8 pixels becomes 12 numbers; two by two of them make one transformer token of 48 numbers, far fewer than the
transformer is wide. With raw patches the noise in a token does not fit through the transformer and nothing is learnt.
Back come the components' pixels, and upon them what a small convolutional network makes of the neighbouring patches.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

PATCH = 8
CHANNELS = 12
WHITENING = 0.5
"""Components are divided by this power of their standard deviation: 0 weighs them as pixels do, 1 all alike."""

POLISH_WIDTH, POLISH_DEPTH = 96, 3
LATENT_NOISE = 0.2


@cache
def patch_vae_class() -> Any:
    """The class `PatchVae`, made on first use since its bases are diffusers'."""
    import torch
    from diffusers import ConfigMixin, ModelMixin
    from diffusers.configuration_utils import register_to_config
    from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
    from diffusers.models.modeling_outputs import AutoencoderKLOutput

    class PatchVae(ModelMixin, ConfigMixin):  # type: ignore[misc]
        """Pixels [B, 3, H, W] in [-1, 1] to latents [B, C, H / patch, W / patch], linearly, and back.

        `depth` 0 makes the way back linear too. `block_out_channels` is there because the
        pipeline takes 2 to the power of its length less one for the patch.
        """

        @register_to_config  # type: ignore[untyped-decorator]
        def __init__(
            self, patch: int = PATCH, latent_channels: int = CHANNELS, width: int = POLISH_WIDTH, depth: int = POLISH_DEPTH,
            scaling_factor: float = 1.0, shift_factor: float = 0.0, block_out_channels: tuple[int, ...] = (1, 1, 1, 1),
        ) -> None:  # fmt: skip
            super().__init__()
            self.encoder = torch.nn.Conv2d(3, latent_channels, patch, stride=patch)
            self.decoder = torch.nn.ConvTranspose2d(latent_channels, 3, patch, stride=patch, bias=False)
            self.mean = torch.nn.Parameter(torch.zeros(3, patch, patch))
            self.enter = torch.nn.Conv2d(latent_channels, width, 1)
            self.blocks = torch.nn.ModuleList(
                torch.nn.Sequential(
                    torch.nn.Conv2d(width, 2 * width, 3, padding=1),
                    torch.nn.GELU(),
                    torch.nn.Conv2d(2 * width, width, 1),
                )
                for _ in range(depth)
            )
            self.leave = torch.nn.Conv2d(width, 3 * patch * patch, 1)
            for parameter in self.leave.parameters():
                torch.nn.init.zeros_(parameter)

        def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
            """A distribution without spread around the latents."""
            mean = self.encoder(x)
            spread = DiagonalGaussianDistribution(torch.cat([mean, torch.zeros_like(mean)], dim=1), deterministic=True)
            return AutoencoderKLOutput(latent_dist=spread) if return_dict else (spread,)

        def decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
            """Pixels, not clipped."""
            hidden = self.enter(z)
            for block in self.blocks:
                hidden = hidden + block(hidden)
            added = torch.nn.functional.pixel_shuffle(self.leave(hidden), self.config.patch)
            pixels = self.decoder(z) + self.mean.repeat(1, *z.shape[2:]) + added
            return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    return PatchVae


def fit_patch_vae(images: NDArray[np.uint8], *, patch: int = PATCH, channels: int = CHANNELS) -> Any:
    """A `PatchVae` of the components of `images` uint8 [N, H, W, 3], its network not trained yet and without effect.

    Latents have mean 0 and mean variance 1.
    """
    import torch

    patches = _patches(images, patch)
    mean = patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    values, vectors = values[::-1][:channels], vectors[:, ::-1][:, :channels]
    vectors = vectors * np.where(vectors.sum(axis=0) < 0, -1.0, 1.0)
    divisor = values ** (WHITENING / 2)
    divisor *= np.sqrt((values / divisor**2).mean())
    encode = (vectors / divisor).T
    decode = (vectors * divisor).T
    vae = patch_vae_class()(patch=patch, latent_channels=channels)
    state = {
        "encoder.weight": encode.reshape(channels, 3, patch, patch),
        "encoder.bias": -encode @ mean,
        "decoder.weight": decode.reshape(channels, 3, patch, patch),
        "mean": mean.reshape(3, patch, patch),
    }
    vae.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()}, strict=False)
    return vae


def decoder_loss(vae: Any, pixels: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Smooth absolute error of pixels [B, 3, H, W] decoded from latents with a little noise, as sampled ones have."""
    import torch

    z = vae.encode(pixels).latent_dist.mode()
    spread = LATENT_NOISE * torch.rand((len(z), 1, 1, 1), generator=generator)
    decoded = vae.decode(z + spread * torch.randn(z.shape, generator=generator)).sample
    error: torch.Tensor = ((decoded - pixels).square() + 1e-3).sqrt().mean()
    return error


def _patches(images: NDArray[np.uint8], patch: int) -> NDArray[np.float64]:
    """[N * (H / patch) * (W / patch), 3 * patch * patch] in [-1, 1], channels first as convolutions have them."""
    n, height, width, _ = images.shape
    cut = images.reshape(n, height // patch, patch, width // patch, patch, 3).transpose(0, 1, 3, 5, 2, 4)
    return cut.reshape(-1, 3 * patch * patch).astype(np.float64) / 127.5 - 1


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over all pixels of both arrays; infinite where they are equal."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
