"""The small Qwen2.5-VL's parts with fresh weights, in the published classes and files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.sandbox.concept_words import LETTERS, NO, SOME_PLACES, YES, Told, dense_reason, likes, reasons, sentence
from evalkit.sandbox.pipelines import missing
from evalkit.sandbox.training.data import SIZE
from evalkit.sandbox.training.loop import CLIP_MEAN, CLIP_STD
from evalkit.sandbox.training.save import save_half
from evalkit.sandbox.vlm.conversation import ASKED, KNOWN, LOOK, SHOWN
from evalkit.sandbox.world import words

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACEHOLDER = "<sks>"
"""What the tokenizer reads every name in angle brackets as, so that one that was never seen is no other than one that was."""
START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SEEN, UNSEEN, PICTURE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, START, END, SEEN, UNSEEN, PICTURE, VIDEO)
UNKNOWN = "<unk>"
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The published model's form of a conversation, without its system message."""
PATCH, MERGE = 12, 2
"""Pixels of a patch, and patches of a token along each side: a picture of the world has 16 tokens."""
TOKENS = (SIZE // PATCH // MERGE) ** 2
WIDTH, DEPTH, HEADS, KEY_HEADS, INNER = 192, 4, 6, 3, 288
VISION_WIDTH, VISION_DEPTH, VISION_HEADS, VISION_INNER = 96, 4, 4, 192
LONGEST = 1024
SHIPPED = Path(__file__).resolve().parent.parent / "weights" / "vlm"
_NEEDED = (
    "config.json", "generation_config.json", "model.safetensors", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip


def vocabulary() -> dict[str, int]:
    """Special tokens, then every word and mark of the questions' wording and of the world's captions."""
    told = Told(PLACEHOLDER, "red", "cat", SOME_PLACES[0], "standing")
    asked = [*likes(told), *reasons(told), dense_reason(told)]
    wording = [YES, NO, SHOWN, KNOWN, LOOK, ASKED, told.info, *told.facts, *(one.question for one in asked), *LETTERS]
    wording += ["Is in this picture? doing Which colour has Describe name: info: extra_info:", "user assistant"]
    said = [*words(), *(re.sub(r"\{\w+\}", " ", text) for text in wording)]
    said += [sentence(word) for word in words()]
    pieces = sorted({piece for text in said for piece in _pieces(text)})
    return {
        piece: number for number, piece in enumerate(dict.fromkeys([*SPECIAL, UNKNOWN, f"▁{PLACEHOLDER}", *pieces]))
    }


def _pieces(text: str) -> Iterable[str]:
    for word in text.split():
        if word.startswith("<"):
            continue
        marks = re.findall(r"[\w'-]+|[^\w\s]", word)
        yield from (f"▁{part}" if index == 0 else part for index, part in enumerate(marks))


def new_tokenizer() -> Any:
    """A tokenizer of whole words and marks; a word that it does not know is one token, whatever it is."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(WordLevel(vocabulary(), unk_token=UNKNOWN))
    raw.normalizer = normalizers.Replace(Regex(r"<[^<>|\s]+>"), PLACEHOLDER)
    raw.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
        pre_tokenizers.Split(Regex(r"(?<!▁)[^\w\s▁'<>-]"), "isolated"),
    ])  # fmt: skip
    raw.decoder = decoders.Metaspace()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=END, pad_token=PAD, unk_token=UNKNOWN, model_max_length=LONGEST,
        extra_special_tokens={"image_token": PICTURE, "video_token": VIDEO},
    )  # fmt: skip


def new_processor() -> Any:
    """The published processor, for pictures of the world's size."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    options = {
        "patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": 1, "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD), "size": {"shortest_edge": SIZE**2, "longest_edge": SIZE**2},
    }  # fmt: skip
    pictures: Any = Qwen2VLImageProcessor(**options)
    clips: Any = Qwen2VLVideoProcessor(**options)
    return Qwen2_5_VLProcessor(pictures, new_tokenizer(), clips, chat_template=CHAT)


def new_model() -> Any:
    """A `Qwen2_5_VLForConditionalGeneration` of the published layout; the vision tower attends to whole pictures."""
    from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = vocabulary()
    vision = {
        "depth": VISION_DEPTH, "hidden_size": VISION_WIDTH, "intermediate_size": VISION_INNER, "num_heads": VISION_HEADS,
        "out_hidden_size": WIDTH, "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 1,
        "window_size": SIZE, "fullatt_block_indexes": list(range(VISION_DEPTH)),
    }  # fmt: skip
    half = WIDTH // HEADS // 2
    text = {
        "vocab_size": len(ids), "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": DEPTH,
        "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "max_position_embeddings": LONGEST,
        "rms_norm_eps": 1e-6, "bos_token_id": ids[PAD], "eos_token_id": ids[END], "pad_token_id": ids[PAD],
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
        },
    }  # fmt: skip
    config: Any = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids[PICTURE], video_token_id=ids[VIDEO],
        vision_start_token_id=ids[SEEN], vision_end_token_id=ids[UNSEEN], tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=ids[END], pad_token_id=ids[PAD])
    return model


def save(model: Any, processor: Any, folder: Path) -> None:
    """Weights in half precision with everything that loads them, as the published folder has it."""
    save_half(model, folder)
    processor.save_pretrained(folder)


def lacking(folder: Path = SHIPPED) -> list[str]:
    """One line that says which files `folder` lacks; empty when it has them all."""
    return missing("the small Qwen2.5-VL", folder, _NEEDED, model="vlm")


def load(folder: Path = SHIPPED, *, dtype: str = "float32") -> tuple[Any, Any]:
    """Model and processor of a folder in the published layout, the small one's or another's, on the CPU; nothing is fetched.

    Raises:
        WeightsError: the files are another model's, or some of the weights are missing.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        processor = Qwen2_5_VLProcessor.from_pretrained(folder, local_files_only=True)
        model, told = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(
            f"wanted a Qwen2.5-VL in {str(folder)!r}, found {type(error).__name__}: {' '.join(str(error).split()):.200}; get "
            "its files again"
        ) from error
    if wrong := sorted([*told["missing_keys"], *told["unexpected_keys"]]):
        raise WeightsError(
            f"wanted the weights of a Qwen2.5-VL in {str(folder)!r}, found {len(wrong)} missing or of another model "
            f"({wrong[0]}); get its files again"
        )
    return model.eval().requires_grad_(False), processor
