"""Qwen2.5-VL: answers questions about a concept that it is shown and told of in the prompt, without any training on it.

Source: Alibaba, Qwen2.5-VL (arXiv:2502.13923); transformers' `Qwen2_5_VLForConditionalGeneration`. The baselines of Sync-R1's
table 1 are of this kind: a general model with what is known of a concept as a text prompt (TP), or with its pictures (IP).
Deviations: both at once unless told otherwise, by the 7B model, where the table has Qwen2.5-VL 3B with text alone; the wording is
evalkit's own, since none is published; answers are the likeliest words, without the repetition penalty that the model's own
settings have and that would keep it from repeating what it was told.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import UsageError
from evalkit.methods.base import Context, Job, Made, Method, MethodInfo
from evalkit.methods.published import PublishedModel
from evalkit.sandbox.vlm.conversation import TEMPLATE, Inquiry, messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from evalkit.nouns import Case

HUB = "Qwen/Qwen2.5-VL-7B-Instruct"
LICENCE = "Apache-2.0"
DOWNLOAD_GB = 17
"""bfloat16: 8.29 billion parameters."""
PUBLISHED = PublishedModel(HUB, f"about {DOWNLOAD_GB} GB, licence {LICENCE}", resident_gib=20.0, offloaded_gib=20.0)
"""15.4 GiB of weights, and room to read 20,000 tokens at once; reckoned, not measured."""
LONGEST_ANSWER = 128
"""Tokens."""
MOST_PIXELS = 1280 * 28 * 28
"""Of a picture: 1280 of the model's tokens, as its authors advise. A larger one is shrunk."""
PICTURES_KEPT = 64
"""How many of the last pictures stay encoded: those of a few concepts."""
GIVEN = ("all", "pictures", "facts")


class Qwen25Vl(Method):
    """In the paper profile the published model, in the sandbox the small one of the same classes."""

    info = MethodInfo(
        name="qwen2_5_vl",
        version="1",
        title="Qwen2.5-VL 7B, prompted",
        kind="baseline",
        meaning="Answers from the concept's pictures and what is told of it, all of which it reads in the prompt.",
        media=("text",),
        max_references=None,
        options={"given": "what it is given of the concept: all (the default), pictures alone or facts alone"},
        licence=f"{LICENCE} (published weights and the embedded small model)",
        source=f"arXiv:2502.13923; https://huggingface.co/{HUB}",
        stochastic=False,
    )

    def __init__(self, given: str = GIVEN[0]) -> None:
        self._given = given

    def configured(self, options: Mapping[str, str]) -> Method:
        """Raises UsageError naming the option that does not fit."""
        super().configured(options)
        given = options.get("given", self._given)
        if given not in GIVEN:
            raise UsageError(f"wanted given={'|'.join(GIVEN)}, found given={given}; name one of them")
        return Qwen25Vl(given)

    @property
    def config(self) -> dict[str, JsonValue]:
        """The prompt's wording by its digest, what goes into it, and the limits of pictures and answers."""
        return {
            "given": self._given, "template": TEMPLATE, "longest_answer": LONGEST_ANSWER, "most_pixels": MOST_PIXELS,
            "repetition_penalty": 1.0,
        }  # fmt: skip

    def check(self, context: Context) -> list[str]:
        """What is missing: weights, a CUDA device or memory on it."""
        if context.profile == "sandbox":
            from evalkit.sandbox.vlm.assemble import lacking

            return lacking()
        return PUBLISHED.problems()

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """An answer to each job; the model is loaded only when there are jobs."""
        if jobs:
            small = context.profile == "sandbox"
            model, processor = _small() if small else published()
            seen = lru_cache(maxsize=PICTURES_KEPT)(partial(_seen, model, processor))
            for job in jobs:
                asked = inquiry(job.case, context.benchmark.root, given=self._given)
                yield _said(job, asked, _Reading(model, processor, seen), small=small)


class _Reading(NamedTuple):
    """A model with its processor, and pictures by their path as it sees them: tokens [N, D] and grid [1, 3]."""

    model: Any
    processor: Any
    seen: Any


def _small() -> tuple[Any, Any]:
    from evalkit.sandbox.vlm.assemble import load

    return load()


def published() -> tuple[Any, Any]:
    """The published model in bfloat16 on CUDA, and its processor. Raises WeightsError."""
    from evalkit.sandbox.vlm.assemble import load

    model, processor = load(PUBLISHED.need(), dtype="bfloat16")
    return model.to("cuda"), processor


def inquiry(case: Case, root: Path, *, given: str = GIVEN[0]) -> Inquiry:
    """What is asked in a case, and what a method may know of its concept; pictures by their paths.

    Of the case's texts it reads what methods may be told (`concept_info`) and which picture is asked about, nothing else.
    """
    asked = case.texts.get("question_picture")
    paths = [reference.path for reference in case.references]
    shown = paths[:-1] if asked is not None and paths[-1:] == [asked] else paths
    return Inquiry(
        question=case.prompt,
        name=_name(case),
        facts=case.texts.get("concept_info", "") if given != "pictures" else "",
        pictures=tuple(root / path for path in shown) if given != "facts" else (),
        picture=None if asked is None else root / asked,
    )


def _name(case: Case) -> str:
    """The concept's name as questions have it."""
    return " and ".join(f"<{subject}>" for subject in case.subjects)


def _seen(model: Any, processor: Any, path: Path) -> tuple[Any, Any]:
    """A picture as the model's tokens [N, D], and its grid [1, 3]; alone, so that it is the same beside any other."""
    import torch
    from PIL import Image

    from evalkit.media import decode_image

    size = processor.image_processor.size
    limits = {"shortest_edge": size["shortest_edge"], "longest_edge": min(size["longest_edge"], MOST_PIXELS)}
    picture = Image.fromarray(decode_image(path).pixels)
    read = processor.image_processor(images=[picture], size=limits, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        (tokens,) = model.get_image_features(read["pixel_values"], read["image_grid_thw"]).pooler_output
    return tokens, read["image_grid_thw"]


def _said(job: Job, asked: Inquiry, reading: _Reading, *, small: bool) -> Made:
    """The answer, in a call of its own: a batch of another size would round otherwise."""
    import torch
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    model, processor = reading.model, reading.processor
    paths = (*asked.pictures, *(() if asked.picture is None else (asked.picture,)))
    pictures = [reading.seen(path) for path in paths]
    ids = _ids(processor, asked, [len(tokens) for tokens, _ in pictures])
    longest = model.config.get_text_config().max_position_embeddings
    if len(ids) + LONGEST_ANSWER > longest:
        reason = f"the question with its pictures has {len(ids)} tokens, more than the model reads ({longest} with the answer)"
        return Made(job, reason=reason)
    told = torch.tensor([ids], device=model.device)
    shown: dict[str, Any] = {}
    if pictures:
        tokens, grids = zip(*pictures, strict=True)
        shown = {
            "image_grid_thw": torch.cat(grids),
            "mm_token_type_ids": (told == processor.image_token_id).int(),
            "mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=tokens)},
        }
    with torch.inference_mode():
        made = model.generate(
            input_ids=told, attention_mask=torch.ones_like(told), **shown, max_new_tokens=LONGEST_ANSWER, do_sample=False,
            num_beams=1, repetition_penalty=1.0, temperature=None, top_p=None, top_k=None,
        )  # fmt: skip
    (text,) = processor.batch_decode(made[:, len(ids) :], skip_special_tokens=True)
    if small:
        from evalkit.sandbox.vlm.assemble import PLACEHOLDER

        text = text.replace(PLACEHOLDER, _name(job.case))
    return Made(job, text=text)


def _ids(processor: Any, asked: Inquiry, counts: list[int]) -> list[int]:
    """The conversation's ids, with as many of the picture's as each picture has tokens."""
    text = processor.apply_chat_template(messages(asked), add_generation_prompt=True, tokenize=False)
    first, *rest = text.split(processor.image_token)
    whole = "".join([first, *(processor.image_token * n + part for n, part in zip(counts, rest, strict=True))])
    return list(processor.tokenizer(whole, add_special_tokens=False).input_ids)


QWEN2_5_VL = Qwen25Vl()
