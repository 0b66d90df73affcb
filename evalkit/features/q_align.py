"""Q-Align: how a vision-language model rates a picture, as its probabilities of five words from excellent to bad.

Source: Q-Future/Q-Align `q_align/evaluate/scorer.py` (14dfdff), `QAlignScorer`, `QAlignAestheticScorer` and
`QAlignVideoScorer`, with the model of `evalkit.features.mplug_owl2`. No deviation but that model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.errors import WeightsError
from evalkit.features.base import CPU_BATCH, Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.building import refuse_misfits
from evalkit.features.model_input import CLIP_MEAN, CLIP_STD, ModelInput, read_input
from evalkit.features.mplug_owl2 import Owl, shapes
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import read_json, read_state, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("clip_pad",)
CODE_VERSION = 1
OWL_INPUT = ModelInput(448, None, CLIP_MEAN, CLIP_STD)
TOKENIZER = "tokenizer.model"
LEVELS = ("excellent", "good", "fair", "poor", "bad")
ASPECTS = ("quality", "aesthetics")
OPENING = "USER: How would you rate the {} of this {}?\n"
CLOSING = "\nASSISTANT: The {} of the {} is"
WINDOW = 3
"""Frames of a clip that are rated together as a short video."""
_NOT_WEIGHTS = "rotary_emb.inv_freq"
_NEEDED = ("hidden_size", "num_attention_heads", "num_hidden_layers", "rms_norm_eps", "visual_config", "vocab_size")


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give features of, without loading. Raises UsageError on an unknown preprocessing, WeightsError."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, read_input(weights.folder, OWL_INPUT), among=PREPROCESSES)
    also = (sha256_of([_tokenizer(weights.folder)]),)
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, also=also)


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> QAlign:
    """The model on `device`. Raises WeightsError where the files are another model's."""
    return QAlign(spec, describe(spec, weights), weights, device=device)


def windows(count: int) -> list[tuple[int, ...]]:
    """The frame numbers that are rated together, one window for each of `count` frames, which is its middle.

    The first is the first frame three times; at the end the earlier frame is repeated, of two frames the later one.
    Source: franciszzj/OpenS2V-Nexus (ef17513), `eval/get_motion_smoothness.py`.

    Example:
        >>> windows(4), windows(2), windows(1)
        ([(0, 0, 0), (0, 1, 2), (1, 2, 3), (2, 2, 3)], [(0, 0, 0), (0, 1, 1)], [(0, 0, 0)])
    """
    found = [(0,) * WINDOW, *((place - 1, place, place + 1) for place in range(1, count - 1))]
    last = (0, 1, 1) if count == 2 else (count - 2, count - 2, count - 1)
    return found if count == 1 else [*found, last]


class QAlign(Backbone):
    """`quality` and `aesthetics` [B, 5] of pictures: the shares of excellent, good, fair, poor and bad, which add up to 1;
    `windows` [T, 5] of clips, the same of the quality of each of `windows`' short videos."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        super().__init__(spec, described, device=device)
        if self.forward_batch == CPU_BATCH:  # the model is so large that rows together gain nothing there
            self.forward_batch = 1
        self._model = _model(weights, self._dtype, device)
        ids = _Ids(weights.folder)
        self._levels = [ids.of(level)[1] for level in LEVELS]
        asked = {aspect: (aspect, "image") for aspect in ASPECTS} | {"windows": ("quality", "video")}
        self._around = {
            name: (self._ids(ids.of(OPENING.format(*what))), self._ids(ids.of(CLOSING.format(*what))[1:]))
            for name, what in asked.items()
        }

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, s, s] to both ratings; a picture goes through the vision tower once."""
        return self._run(self._rated, batch)

    def _rated(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self._model.seen(pixels)
        return {aspect: self._shares(seen, aspect) for aspect in ASPECTS}

    def _shares(self, tokens: torch.Tensor, asked: str) -> torch.Tensor:
        return self._model.logits(tokens, *self._around[asked])[:, self._levels].float().softmax(-1)

    def watch(self, frames: Sequence[NDArray[np.uint8]]) -> dict[str, Array]:
        """Every frame of a clip to `windows` [T, 5]; a frame goes through the vision tower once."""
        import numpy as np

        tokens = self._in_batches([self.prepare(frame) for frame in frames], lambda x: {"tokens": self._model.seen(x)})
        together = [np.concatenate([tokens[place] for place in window]) for window in windows(len(frames))]
        return {"windows": self._in_batches(together, lambda x: {"shares": self._shares(x, "windows")})}

    def _in_batches(self, rows: Sequence[Array], forward: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Array:
        """The one output of `forward` for all rows, at the fixed number of rows of a forward pass."""
        import numpy as np

        found = []
        for start in range(0, len(rows), self.forward_batch):
            batch = rows[start : start + self.forward_batch]
            padded = np.stack([*batch, *[batch[-1]] * (self.forward_batch - len(batch))])
            (output,) = self._run(forward, padded).values()
            found.append(output[: len(batch)])
        return np.concatenate(found)

    def _ids(self, ids: list[int]) -> torch.Tensor:
        import torch

        return torch.tensor(ids, device=self._device)


class _Ids:
    """Llama's tokenizer of a folder: a text to ids, the start token first."""

    def __init__(self, folder: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        self._pieces = SentencePieceProcessor(model_file=str(_tokenizer(folder)))

    def of(self, text: str) -> list[int]:
        return [self._pieces.bos_id(), *self._pieces.encode(text)]


def _tokenizer(folder: Path) -> Path:
    """Raises WeightsError where there is none."""
    path = folder / TOKENIZER
    if not path.is_file():
        raise WeightsError(f"wanted the tokenizer {path}, found no such file; get the model's small files too")
    return path


def _model(weights: WeightsSource, dtype: torch.dtype, device: str) -> Owl:
    where = weights.folder / "config.json"
    config = read_json(where)
    lacking = [name for name in _NEEDED if name not in config]
    if lacking:
        raise WeightsError(f"{where}: wanted mPLUG-Owl2's configuration, found no {lacking[0]!r}; get the file again")
    if config.get("rope_scaling") is not None:
        raise WeightsError(
            f"{where}: wanted no rope_scaling, found {config['rope_scaling']!r}; this is another kind of model"
        )
    state = {name: tensor for name, tensor in read_state(weights.files).items() if not name.endswith(_NOT_WEIGHTS)}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    refuse_misfits("mPLUG-Owl2", weights.folder, found, shapes(config))
    return Owl({name: tensor.to(device=device, dtype=dtype) for name, tensor in state.items()}, config)
