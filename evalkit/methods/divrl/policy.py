"""FLUX.1-Kontext with a LoRA adapter as a trainable flow policy, published or small: both are the same pipeline class.

Source: QianWangX/DivRL (b0d3f69) `config/grpo.py` and `scripts/train_flux_kontext.py` for the adapted modules; diffusers'
`FluxKontextPipeline` for the layout of tokens and the schedule.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalkit.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from evalkit.rl.policy import Condition
    from evalkit.rl.reward import Subject

TARGETS = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj",
    "attn.to_add_out", "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp",
)  # fmt: skip
"""Modules of the transformer that get an adapter."""


class Item(NamedTuple):
    """One thing to train on: a prompt, the reference that the model sees, and what the reward compares with."""

    prompt: str
    reference: NDArray[np.uint8]
    subject: Subject


class KontextPolicy:
    """The pipeline's transformer under an adapter.

    `side`: pixels of a sample. `start`: an adapter's folder to go on from, None for a fresh one of `rank` and `alpha`
    (Gaussian, from `seed`). On CUDA the base stays in its own dtype and the adapter learns in float32.
    """

    def __init__(
        self, pipeline: Any, *, side: int, guidance: float, text_tokens: int, rank: int, alpha: int, seed: int,
        start: Path | None = None, save_memory: bool = False,
    ) -> None:  # fmt: skip
        import torch
        from peft import LoraConfig, PeftModel, get_peft_model

        self._pipeline, self._side, self._guidance, self._text_tokens = pipeline, side, guidance, text_tokens
        base = pipeline.transformer.requires_grad_(False)
        if save_memory:
            base.enable_gradient_checkpointing()
        if start is None:
            told = LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(TARGETS))
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                self._model = get_peft_model(base, told)
        else:
            self._model = PeftModel.from_pretrained(base, str(start), is_trainable=True)
        self._device, self._dtype, self._channels = (
            next(base.parameters()).device,
            base.dtype,
            base.config.in_channels // 4,
        )
        self._ids: tuple[Tensor, Tensor] | None = None
        pipeline.transformer = self._model

    def encode(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Text embeddings, pooled text, and the references' packed latents; a row an item."""
        import torch

        with torch.no_grad():
            pixels = torch.from_numpy(np.stack([item.reference for item in items])).permute(0, 3, 1, 2).float() / 255
            image = self._pipeline.image_processor.preprocess(pixels, self._side, self._side)
            embedded, pooled, text_ids = self._pipeline.encode_prompt(
                prompt=[item.prompt for item in items], prompt_2=None, device=self._device,
                max_sequence_length=self._text_tokens,
            )  # fmt: skip
            _, latents, ids, image_ids = self._pipeline.prepare_latents(
                image, len(items), self._channels, self._side, self._side, self._dtype, self._device,
                latents=torch.zeros(0),
            )  # fmt: skip
        self._ids = torch.cat([ids, image_ids]), text_ids
        return {"text": embedded, "pooled": pooled, "image": latents}

    def sigmas(self, steps: int) -> list[float]:
        """Kontext's own schedule for the number of tokens of a sample."""
        from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift

        scheduler = self._pipeline.scheduler
        told = {"base_image_seq_len": 256, "max_image_seq_len": 4096, "base_shift": 0.5, "max_shift": 1.15}
        shift = calculate_shift(self._tokens, *(scheduler.config.get(name, value) for name, value in told.items()))
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=shift, device="cpu")
        return [float(sigma) for sigma in scheduler.sigmas]

    @property
    def _tokens(self) -> int:
        return (self._side // (2 * int(self._pipeline.vae_scale_factor))) ** 2

    def start(self, condition: Condition, generators: Sequence[torch.Generator]) -> Tensor:
        """Noise in packed latents [B, tokens, channels], float32."""
        import torch

        like = condition["image"]
        width = like.shape[-1]
        noise = [torch.randn(self._tokens, width, generator=generator) for generator in generators]
        return torch.stack(noise).to(like.device)

    def velocity(self, state: Tensor, sigma: float, condition: Condition) -> Tensor:
        """The velocity of the sample's tokens under the distilled guidance."""
        import torch

        if self._ids is None:
            raise UsageError("wanted conditions of this policy's `encode`, found none encoded yet; call it first")
        rows = len(state)
        sequence = torch.cat([state.to(self._dtype), condition["image"].to(self._dtype)], dim=1)
        on_cuda = self._device.type == "cuda"
        mixed = (
            torch.autocast("cuda", self._dtype)
            if on_cuda and self._dtype != torch.float32
            else contextlib.nullcontext()
        )
        with mixed:
            out = self._model(
                hidden_states=sequence,
                timestep=torch.full((rows,), sigma, device=self._device, dtype=self._dtype),
                guidance=torch.full((rows,), self._guidance, device=self._device),
                pooled_projections=condition["pooled"],
                encoder_hidden_states=condition["text"],
                img_ids=self._ids[0],
                txt_ids=self._ids[1],
                return_dict=False,
            )[0]
        predicted: Tensor = out[:, : state.shape[1]]
        return predicted

    def decode(self, state: Tensor) -> list[NDArray[np.uint8]]:
        """Latents through the autoencoder to pictures uint8 [side, side, 3]."""
        import torch

        pipeline = self._pipeline
        with torch.no_grad():
            latents = pipeline._unpack_latents(state, self._side, self._side, pipeline.vae_scale_factor)
            latents = latents / pipeline.vae.config.scaling_factor + pipeline.vae.config.shift_factor
            pixels = pipeline.vae.decode(latents.to(pipeline.vae.dtype), return_dict=False)[0]
            made = pipeline.image_processor.postprocess(pixels.float(), output_type="np")
        return list(np.rint(made * 255).astype(np.uint8))

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The adapter's matrices."""
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    def reference(self) -> AbstractContextManager[Any]:
        """The base model: its adapter off."""
        disabled: AbstractContextManager[Any] = self._model.disable_adapter()
        return disabled

    def save(self, folder: Path) -> None:
        """The adapter in peft's own form, which `with_adapter` loads; whole or not at all."""
        staged = folder.with_name(f".{folder.name}.part")
        _remove(staged)
        self._model.save_pretrained(str(staged))
        (staged / "README.md").unlink(missing_ok=True)  # an empty model card with this machine's paths
        _remove(folder)
        staged.rename(folder)


def with_adapter(pipeline: Any, folder: Path) -> Any:
    """The pipeline with the adapter in `folder` merged into its transformer.

    Raises WeightsError where the adapter is missing, or is another model's: key and shapes are named.
    """
    from peft import PeftModel

    if not (folder / "adapter_config.json").is_file():
        raise WeightsError(
            f"wanted a peft adapter (adapter_config.json) in {str(folder)!r}, found none; give an adapter's folder"
        )
    check_adapter(pipeline.transformer, folder)
    pipeline.transformer = PeftModel.from_pretrained(pipeline.transformer, str(folder)).merge_and_unload()
    return pipeline


def check_adapter(transformer: Any, folder: Path) -> None:
    """Raises WeightsError where a matrix of the adapter in `folder` does not fit `transformer`."""
    from safetensors import safe_open

    files = sorted(folder.glob("adapter_model.safetensors"))
    if not files:
        raise WeightsError(f"wanted adapter_model.safetensors in {str(folder)!r}, found none; get the adapter again")
    modules = dict(transformer.named_modules())
    with safe_open(str(files[0]), "pt") as tensors:
        for key in tensors.keys():  # noqa: SIM118 - not a mapping
            name, _, rest = key.removeprefix("base_model.model.").partition(".lora_")
            module, shape = modules.get(name), list(tensors.get_slice(key).get_shape())
            if module is None:
                raise WeightsError(
                    f"{files[0]}: found {key!r}, wanted modules of this model alone; it is of another model"
                )
            wide = module.in_features if rest.startswith("A") else module.out_features
            found = shape[1] if rest.startswith("A") else shape[0]
            if found != wide:
                raise WeightsError(
                    f"{files[0]}: {key!r}: wanted {wide} features, found shape {shape}; it is of another model"
                )


def _remove(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)
