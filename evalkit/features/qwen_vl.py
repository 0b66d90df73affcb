"""What Qwen2-VL and its successors share: files, patches of a picture, and reading a text after a picture once for all texts.

Source: transformers `Qwen2VLModel` and `Qwen2_5_VLModel`. A picture's part, which comes before every question about it, is
computed once and kept with its keys and values until another picture comes; texts are read after it, one at a time, so
that an answer has the same bytes whatever else was asked.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.weight_files import read_json, read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from evalkit.features.base import Array
    from evalkit.features.weights import WeightsSource

    Ids = list[int]

PATCH, MERGE, FRAMES = 14, 2, 2
"""Pixels of a patch, patches of a token along each side, and frames of a patch: a picture counts as a still of two."""
TOKENIZER = "tokenizer.json"
VISION_START, VISION_END, PICTURE = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"
SYSTEM = "You are a helpful assistant."


def opening(system: str) -> str:
    """A conversation up to what the user says."""
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"


CLOSING = "<|im_end|>\n<|im_start|>assistant\n"
"""What follows what the user says."""


def patches(picture: Array) -> tuple[Array, tuple[int, int, int]]:
    """A prepared picture [3, h, w] as the vision tower reads it: [N, 3 * 2 * 14 * 14], and the grid (1, h/14, w/14).

    Patches that become one token lie beside each other. Source: transformers `Qwen2VLImageProcessorPil.patchify`.
    """
    rows, columns = (side // PATCH for side in picture.shape[1:])
    tiles = picture.reshape(3, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH)
    ordered = tiles.transpose(1, 4, 2, 5, 0, 3, 6).reshape(rows * columns, 3, 1, PATCH * PATCH)
    return np.repeat(ordered, FRAMES, axis=2).reshape(rows * columns, -1), (1, rows, columns)


class Tokens:
    """A folder's tokenizer: texts to ids, special tokens in the text read as such."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        path = folder / TOKENIZER
        if not path.is_file():
            raise WeightsError(f"wanted the tokenizer {path}, found no such file; get the model's small files too")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._path = path

    def ids(self, text: str) -> Ids:
        """A text's ids, nothing added to it."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def special(self, token: str) -> int:
        """The id of a special token. Raises WeightsError where the tokenizer has none."""
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise WeightsError(
                f"{self._path}: wanted the token {token!r}, found none; this is another model's tokenizer"
            )
        return int(found)


class Before(NamedTuple):
    """What has been read before a text: ids, their keys and values, and the position that comes next."""

    picture: str
    ids: Ids
    cache: Any
    position: int


class Network:
    """A Qwen2-VL or Qwen2.5-VL on a device."""

    def __init__(self, model: Any, folder: Path) -> None:
        self.model, self.tokens = model, Tokens(folder)
        self.longest: int = model.config.get_text_config().max_position_embeddings
        self.pictures_read = 0
        """How often a picture went through the vision tower."""
        self._before: Before | None = None

    def after_picture(self, picture: Array, text: str) -> tuple[torch.Tensor, Ids]:
        """The last hidden state [D] of a conversation in which the user shows a picture and says `text`, and all its ids."""
        before = self._read(picture)
        ids = self.tokens.ids(text + CLOSING)
        try:
            hidden = self._run(self._embedded(ids), self._positions(before.position, len(ids)), before.cache)
            before.cache.crop(-len(ids))
        except BaseException:
            self._before = None  # the keys of a text may stand behind the picture's in some layers
            raise
        return hidden, before.ids + ids

    def hidden(self, ids: Ids, picture: Array | None = None) -> torch.Tensor:
        """The last hidden state [D] of ids, of which those of the picture stand for it, all at successive positions."""
        embedded = self._embedded(ids)
        if picture is not None:
            places = [place for place, token in enumerate(ids) if token == self.tokens.special(PICTURE)]
            embedded[0, places] = self._seen(picture)[0]
        return self._run(embedded, self._positions(0, len(ids)), None)

    def picture_ids(self, picture: Array) -> Ids:
        """The ids that stand for a picture, one for each of its tokens, in their brackets."""
        _, (_, rows, columns) = patches(picture)
        start, pad, end = (self.tokens.special(token) for token in (VISION_START, PICTURE, VISION_END))
        return [start, *[pad] * (rows // MERGE * (columns // MERGE)), end]

    def _read(self, picture: Array) -> Before:
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        if self._before is None or self._before.picture != digest:
            self._before = self._opened(picture, digest)
        return self._before

    def _opened(self, picture: Array, digest: str) -> Before:
        import torch
        from transformers import DynamicCache

        ids = self.tokens.ids(opening(SYSTEM)) + self.picture_ids(picture)
        told = torch.tensor([ids], device=self._device)
        shown = told == self.tokens.special(PICTURE)
        seen, grid = self._seen(picture)
        embedded = self._embedded(ids)
        embedded[shown] = seen
        positions, _ = self.model.model.get_rope_index(told, mm_token_type_ids=shown.int(), image_grid_thw=grid)
        cache = DynamicCache(config=self.model.config.get_text_config())
        self._run(embedded, positions, cache)
        return Before(digest, ids, cache, int(positions.max()) + 1)

    def _seen(self, picture: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture's tokens [N, D] and its grid [1, 3]."""
        import torch

        tiles, grid = patches(picture)
        pixels = torch.from_numpy(tiles).to(self._device, self.model.dtype)
        sides = torch.tensor([grid], device=self._device)
        self.pictures_read += 1
        return self.model.model.get_image_features(pixels, sides).pooler_output[0], sides

    def _embedded(self, ids: Ids) -> torch.Tensor:
        import torch

        embedded: torch.Tensor = self.model.get_input_embeddings()(torch.tensor([ids], device=self._device))
        return embedded

    def _positions(self, start: int, count: int) -> torch.Tensor:
        import torch

        return torch.arange(start, start + count, device=self._device).expand(3, 1, -1)

    def _run(self, embedded: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        read = self.model.model.language_model(
            inputs_embeds=embedded, position_ids=positions, past_key_values=cache, use_cache=cache is not None
        )
        last: torch.Tensor = read.last_hidden_state[0, -1]
        return last

    @property
    def _device(self) -> Any:
        return self.model.device


def network(kind: str, weights: WeightsSource, *, dtype: str, device: str) -> Network:
    """The network of the transformers model `kind` (`Qwen2_5_VL`, `Qwen2VL`), one for all that ask for it.

    Raises: WeightsError where the files are another model's.
    """
    return _network(kind, weights, weights.sha256, dtype, device)


@lru_cache(maxsize=1)
def _network(kind: str, weights: WeightsSource, _sha256: str, dtype: str, device: str) -> Network:
    import torch
    import transformers

    from evalkit.features.building import build

    config = getattr(transformers, f"{kind}Config").from_dict(read_json(weights.folder / "config.json"))
    model_class = getattr(transformers, f"{kind}ForConditionalGeneration")
    state = read_state(weights.files)
    model = build(model_class, config, state, where=weights.folder, dtype=getattr(torch, dtype))
    return Network(model.to(device).eval(), weights.folder)


def longest_text(folder: Path) -> int:
    """Tokens that the model of a folder can read, as its configuration says."""
    config = read_json(folder / "config.json")
    told = config.get("text_config", config).get("max_position_embeddings", config.get("max_position_embeddings"))
    if not isinstance(told, int):
        raise WeightsError(f"{folder / 'config.json'}: wanted max_position_embeddings, found none; get the file again")
    return told


def probability(logits: torch.Tensor, token: int) -> float:
    """The share of one token in the softmax of logits [V], in float32."""
    return float(logits.float().softmax(-1)[token])


def penalised(logits: torch.Tensor, ids: Ids, penalty: float) -> torch.Tensor:
    """Logits [V] as `generate` makes its scores of them under a repetition penalty, in float32."""
    import torch
    from transformers import RepetitionPenaltyLogitsProcessor

    told = torch.tensor([ids], device=logits.device)
    scores: torch.Tensor = RepetitionPenaltyLogitsProcessor(penalty)(told, logits.float()[None])[0]
    return scores


def numbers_of(values: list[float]) -> NDArray[np.float32]:
    """Python numbers as an output [B]."""
    return np.array(values, np.float32)
