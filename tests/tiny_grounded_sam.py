"""Small checkpoints of Grounding DINO and SAM 2 in their published form, filled by `tiny_weights.formula`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.tiny_weights import fill

if TYPE_CHECKING:
    from pathlib import Path

DETECTOR, SEGMENTER = "IDEA-Research--grounding-dino-tiny", "facebook--sam2.1-hiera-large"
SIDE = 128
"""Of what the segmenter reads; its masks have a quarter of it."""
WORDS = ("[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = (*WORDS, *(f"##{n}" for n in range(1012 - len(WORDS))), ".", "dog", "stuffed", "animal")
"""[CLS], [SEP] and the full stop have the numbers that the detector's code takes them to have."""


def write_grounded_sam(root: Path) -> None:
    """Both models below `root`, under the names by which EVALKIT_WEIGHTS finds them."""
    write_detector(root / DETECTOR)
    write_segmenter(root / SEGMENTER)


def write_detector(folder: Path) -> Path:
    """Grounding DINO on a small Swin, with BERT's form of vocabulary."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    swin = SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    bert = {
        "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "vocab_size": len(VOCABULARY), "max_position_embeddings": 64,
    }  # fmt: skip
    config = GroundingDinoConfig(
        backbone_config=swin.to_dict(), text_config=bert, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=8,
        max_text_len=16, encoder_n_points=2, decoder_n_points=2,
    )  # fmt: skip
    fill(GroundingDinoForObjectDetection(config)).save_pretrained(folder)  # type: ignore[operator]
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return folder


def write_segmenter(folder: Path) -> Path:
    """SAM 2 for videos, the form in which it is published."""
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    hiera: dict[str, Any] = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "num_attention_heads": 1, "image_size": [SIDE, SIDE],
        "embed_dim_per_stage": [16, 32, 64, 128], "num_attention_heads_per_stage": [1, 2, 4, 8],
        "blocks_per_stage": [1, 1, 2, 1], "window_size_per_stage": [4, 2, 4, 2], "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = {
        "backbone_config": hiera, "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }  # fmt: skip
    config = Sam2VideoConfig(
        vision_config=vision, prompt_encoder_config={"hidden_size": 32, "image_size": SIDE},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=SIDE, memory_attention_hidden_size=32, memory_attention_feed_forward_hidden_size=32,
        memory_attention_num_layers=1, memory_encoder_hidden_size=32, memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32, memory_fuser_embed_dim=32, memory_fuser_intermediate_dim=32,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)  # the frequencies of positions are drawn, and no parameter
        model = Sam2VideoModel(config)
    fill(model).save_pretrained(folder)  # type: ignore[operator]
    return folder
