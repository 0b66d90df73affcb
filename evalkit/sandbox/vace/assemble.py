"""The small VACE's parts with fresh weights, and the real `WanVACEPipeline` from a folder of shipped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.errors import WeightsError
from evalkit.sandbox.kontext.assemble import new_tokenizer
from evalkit.sandbox.pipelines import BESIDE, missing, quiet, save_pipeline
from evalkit.sandbox.vace.vae import CHANNELS, PATCH, clip_vae_class

TEXT_WIDTH, TEXT_HEADS, TEXT_DEPTH = 64, 4, 1
HEAD = 32
FLOW_SHIFT = 3.0
"""The published one at 480 lines."""
MODELS = ("transformer", "vae", "text_encoder")
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "vace"


def new_transformer(*, layers: int, vace_layers: tuple[int, ...], heads: int = 4, channels: int = CHANNELS) -> Any:
    """A `WanVACETransformer3DModel` of the published layout, 32 wide a head, that starts as no velocity at all.

    Every modulation and the last projection are zero at the start, as in DiT, so that few steps suffice to learn. VACE's
    hints are not: there they start from nothing beside a model that is trained already, here both are learnt together.
    """
    import torch
    from diffusers import WanVACETransformer3DModel

    model = WanVACETransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=heads, attention_head_dim=HEAD, in_channels=channels, out_channels=channels,
        text_dim=TEXT_WIDTH, freq_dim=256, ffn_dim=4 * heads * HEAD, num_layers=layers, vace_layers=list(vace_layers),
        vace_in_channels=2 * channels + PATCH * PATCH, rope_max_seq_len=64,
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if name.startswith("proj_out.") or ".time_proj." in name or name.endswith("scale_shift_table"):
            torch.nn.init.zeros_(parameter)
    return model


def new_text_encoder(vocabulary: dict[str, int]) -> Any:
    """A `UMT5EncoderModel` whose tokens every block attends to."""
    from transformers import UMT5Config, UMT5EncoderModel

    end = vocabulary["<|endoftext|>"]
    told = UMT5Config(
        vocab_size=len(vocabulary), d_model=TEXT_WIDTH, d_kv=TEXT_WIDTH // TEXT_HEADS, d_ff=2 * TEXT_WIDTH,
        num_layers=TEXT_DEPTH, num_heads=TEXT_HEADS, feed_forward_proj="gated-gelu", pad_token_id=end, eos_token_id=end,
        dropout_rate=0.0, is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    return UMT5EncoderModel(told)


def new_scheduler() -> Any:
    """VACE's scheduler: UniPC on the straight flow, shifted towards noise."""
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT)


def new_pipeline(out: Path, vae: Any, *, layers: int, vace_layers: tuple[int, ...]) -> Any:
    """The untrained pipeline around an autoencoder, its tokenizer written to `out`."""
    tokenizer = new_tokenizer(out / "tokenizer")
    return assemble({
        "transformer": new_transformer(layers=layers, vace_layers=vace_layers, channels=vae.config.z_dim), "vae": vae,
        "text_encoder": new_text_encoder(tokenizer.get_vocab()), "tokenizer": tokenizer, "scheduler": new_scheduler(),
    })  # fmt: skip


def assemble(parts: dict[str, Any]) -> Any:
    """A `WanVACEPipeline` of the parts, which shows no bars."""
    from diffusers import WanVACEPipeline

    return quiet(WanVACEPipeline(**parts))


def save(pipeline: Any, folder: Path) -> None:
    """The pipeline's parts under `folder`, each where diffusers has it, models in half precision."""
    save_pipeline(pipeline, folder, MODELS)


def lacking(folder: Path = SHIPPED) -> list[str]:
    """One line that says which parts `folder` lacks; empty when it has them all."""
    return missing("the small VACE", folder, (*MODELS, *BESIDE), model="vace")


def load(folder: Path = SHIPPED) -> Any:
    """The pipeline saved in `folder`, in float32 on the CPU, ready to sample; nothing is fetched.

    Raises:
        WeightsError: a part is missing; see `lacking`.
    """
    import torch
    from diffusers import UniPCMultistepScheduler, WanVACETransformer3DModel
    from transformers import CLIPTokenizer, UMT5EncoderModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar for a single small file
    if problems := lacking(folder):
        raise WeightsError(problems[0])
    options = {"local_files_only": True}
    parts = {
        "transformer": WanVACETransformer3DModel.from_pretrained(
            folder / "transformer", torch_dtype=torch.float32, **options
        ),
        "vae": clip_vae_class().from_pretrained(folder / "vae", torch_dtype=torch.float32, **options),
        "text_encoder": UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32, **options),
        "scheduler": UniPCMultistepScheduler.from_pretrained(folder / "scheduler", **options),
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", **options),
    }
    for name in MODELS:
        parts[name].eval().requires_grad_(False)
    return assemble(parts)
