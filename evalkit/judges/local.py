"""A judge that runs here: a vision-language model through transformers, asked like a served one."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from evalkit.errors import JudgeError
from evalkit.judges.talk import Reply, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evalkit.features.weights import WeightsSource

LONGEST_REPLY = 512
"""Tokens: a rating with a short analysis takes a tenth."""


class LocalModel:
    """A loaded model with its processor; one conversation at a time."""

    parallel = 1

    def __init__(self, name: str, processor: Any, model: Any) -> None:
        self._name, self._processor, self._model = name, processor, model
        self._lock = threading.Lock()

    def ask(self, turns: Sequence[Turn], pictures: Mapping[str, bytes], *, temperature: float, seed: int) -> Reply:
        """The next message of a conversation; the same seed gives the same reply. Raises JudgeError where the model fails."""
        import torch

        messages = [{"role": turn.role, "content": [_part(part, pictures) for part in turn.parts]} for turn in turns]
        drawn = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
        with self._lock, torch.random.fork_rng(devices=_devices(self._model.device)), torch.inference_mode():
            torch.manual_seed(seed)
            try:
                inputs = self._processor.apply_chat_template(
                    messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
                ).to(self._model.device)
                output = self._model.generate(**inputs, max_new_tokens=LONGEST_REPLY, **drawn)
            except Exception as error:  # a model's own code: one question's failure is not the end of the run
                raise JudgeError(f"the judge {self._name!r} failed ({type(error).__name__}: {error})") from error
        given = inputs["input_ids"].shape[1]
        new = output[0, given:]
        text = self._processor.batch_decode(new[None], skip_special_tokens=True)[0]
        return Reply(
            text=text,
            answered_by=self._name,
            finish="length" if len(new) >= LONGEST_REPLY else "stop",
            prompt_tokens=int(given),
            completion_tokens=len(new),
        )


def load_local(weights: WeightsSource, dtype: str, *, device: str) -> LocalModel:
    """The model in a folder of weights, safetensors only, without code from there. Raises JudgeError where it does not load."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(weights.folder, local_files_only=True)
        model = AutoModelForImageTextToText.from_pretrained(
            weights.folder, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
        )
    except Exception as error:
        told = " ".join(str(error).split())
        raise JudgeError(
            f"wanted a vision-language model that transformers knows in {str(weights.folder)!r}, found "
            f"{type(error).__name__}: {told:.200}; name another in EVALKIT_JUDGE_MODEL"
        ) from error
    return LocalModel(weights.label, processor, model.to(device).eval())


def _part(part: object, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    from PIL import Image

    from evalkit.features.spec import ImageContent

    if isinstance(part, ImageContent):
        return {"type": "image", "image": Image.open(io.BytesIO(pictures[part.sha256])).convert("RGB")}
    return {"type": "text", "text": part}


def _devices(device: Any) -> list[int]:
    """The CUDA devices whose generators a reply may move."""
    import torch

    found = torch.device(device)
    return [found.index or 0] if found.type == "cuda" else []
