"""The small Kontext's parts with fresh weights, and the real `FluxKontextPipeline` from a folder of shipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.errors import WeightsError
from evalkit.sandbox.kontext.vae import CHANNELS, patch_vae_class
from evalkit.sandbox.pipelines import BESIDE, missing, quiet, save_pipeline
from evalkit.sandbox.training.tokenizer import write_tokenizer

TOKENS = 20
"""Text tokens of a prompt, start and end included; the longest prompt of the world's grammar has 17."""
WIDTH = 64
"""Of the text side: what T5 and the pooled CLIP token hand to the transformer."""
TEXT_HEADS, CLIP_DEPTH, T5_DEPTH = 4, 2, 1
ROPE_BASE = 32
MODELS = ("transformer", "vae", "text_encoder", "text_encoder_2")
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "kontext"


def new_transformer(*, double: int = 2, single: int = 4, heads: int = 4, in_channels: int = 4 * CHANNELS) -> Any:
    """A `FluxTransformer2DModel` of Kontext's layout, 32 wide a head, that starts as the identity of no velocity.

    The last projection and every modulation are zero at the start, as in DiT, so that few steps suffice to learn.
    """
    import torch
    from diffusers import FluxTransformer2DModel

    model = FluxTransformer2DModel(
        patch_size=1, in_channels=in_channels, num_layers=double, num_single_layers=single, attention_head_dim=ROPE_BASE,
        num_attention_heads=heads, joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if name.startswith("proj_out") or (".norm" in f".{name}" and ".linear." in name):
            torch.nn.init.zeros_(parameter)
    return model


def new_text_encoders(vocabulary: dict[str, int]) -> tuple[Any, Any]:
    """A `CLIPTextModel`, whose pooled token modulates every block, and a `T5EncoderModel`, whose tokens are attended to."""
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftext|>"]
    clip = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=CLIP_DEPTH,
        num_attention_heads=TEXT_HEADS, max_position_embeddings=TOKENS, projection_dim=WIDTH, bos_token_id=start,
        eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    t5 = T5Config(
        vocab_size=len(vocabulary), d_model=WIDTH, d_kv=WIDTH // TEXT_HEADS, d_ff=2 * WIDTH, num_layers=T5_DEPTH,
        num_heads=TEXT_HEADS, feed_forward_proj="gated-gelu", pad_token_id=end, eos_token_id=end, dropout_rate=0.0,
        is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    return CLIPTextModel(clip), T5EncoderModel(t5)


def new_tokenizer(folder: Path) -> Any:
    """The world's `CLIPTokenizer`, cut to `TOKENS`, written to `folder`."""
    from transformers import CLIPTokenizer

    write_tokenizer(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=TOKENS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def new_scheduler() -> Any:
    """Kontext's scheduler: Euler steps, shifted by the number of image tokens."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def assemble(parts: dict[str, Any]) -> Any:
    """A `FluxKontextPipeline` of the parts, which shows no bars."""
    from diffusers import FluxKontextPipeline

    return quiet(FluxKontextPipeline(**parts))


def save(pipeline: Any, folder: Path) -> None:
    """The pipeline's parts under `folder`, each where diffusers has it, models in half precision."""
    save_pipeline(pipeline, folder, MODELS)


def lacking(folder: Path = SHIPPED) -> list[str]:
    """One line that says which parts `folder` lacks; empty when it has them all."""
    return missing("the small Kontext", folder, (*MODELS, *BESIDE), model="kontext")


def load(folder: Path = SHIPPED) -> Any:
    """The pipeline saved in `folder`, in float32 on the CPU, ready to sample; nothing is fetched.

    Raises:
        WeightsError: a part is missing; see `lacking`.
    """
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar for each of four small files
    if problems := lacking(folder):
        raise WeightsError(problems[0])
    options = {"local_files_only": True}
    parts = {
        "transformer": FluxTransformer2DModel.from_pretrained(
            folder / "transformer", torch_dtype=torch.float32, **options
        ),
        "vae": patch_vae_class().from_pretrained(folder / "vae", torch_dtype=torch.float32, **options),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32, **options),
        "text_encoder_2": T5EncoderModel.from_pretrained(folder / "text_encoder_2", dtype=torch.float32, **options),
        "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", **options),
    }
    for name in MODELS:
        parts[name].eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", **options)
    return assemble({**parts, "tokenizer": tokenizer, "tokenizer_2": tokenizer})
