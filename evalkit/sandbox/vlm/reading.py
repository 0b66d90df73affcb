"""Visits as batches that the small Qwen2.5-VL reads: each concept's introduction once, its questions side by side after it.

A question sees the introduction and itself, never another question, so that it is read as in a conversation of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evalkit.sandbox.training.data import SIZE
from evalkit.sandbox.training.loop import CLIP_MEAN, CLIP_STD, to_pixels
from evalkit.sandbox.vlm.assemble import END, MERGE, PAD, PATCH, PICTURE, PLACEHOLDER, TOKENS
from evalkit.sandbox.vlm.conversation import Inquiry, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from evalkit.sandbox.concept_words import Asked
    from evalkit.sandbox.vlm.concepts import ConceptSet
    from evalkit.sandbox.vlm.questions import Question, Visit

    Ids = list[int]
    Shot = tuple[int, int]

_GRID = [1, SIZE // PATCH, SIZE // PATCH]
KEPT = 8192
"""How many texts are kept as ids."""
NOTHING = -100
"""The label of a token that is no part of an answer."""


class Padded(NamedTuple):
    """Rows of ids, filled up to the longest."""

    ids: Tensor
    """[B, L]."""
    mask: Tensor
    """[B, L], 1 where there is a token."""


class Answered(NamedTuple):
    """What the model says at each place of each answer, beside what it should; rows follow `order`."""

    order: list[tuple[int, Question]]
    """The number of the visit, and the question."""
    logits: Tensor
    """[M, V], of all answers' tokens, one after another."""
    labels: Tensor
    """[M]."""
    row: Tensor
    """[M], which of `order` a token belongs to."""
    shots: list[Shot]
    """Every picture that was shown."""
    seen: Tensor
    """The same as the model's tokens [S, 16, D]."""


class Reader:
    """A model with its processor, reading visits to the concepts of a set."""

    def __init__(self, model: Any, processor: Any, data: ConceptSet) -> None:
        self.model, self._processor, self._data = model, processor, data
        self._picture, self._pad = map(processor.tokenizer.convert_tokens_to_ids, (PICTURE, PAD))
        self._opening: Callable[[int, str], Ids] = lru_cache(maxsize=KEPT)(self._open)
        self._asking: Callable[[Asked, bool], tuple[Ids, Ids]] = lru_cache(maxsize=KEPT)(self._ask)

    def seen(self, shots: Sequence[Shot]) -> Tensor:
        """Pictures as the model's tokens [N, 16, D]."""
        import torch

        pixels = to_pixels(np.stack([self._data.pictures[c, s] for c, s in shots]), CLIP_MEAN, CLIP_STD)
        tiles = _tiles(pixels)
        found: Tensor = self.model.model.visual(tiles, grid_thw=torch.tensor([_GRID] * len(shots))).pooler_output
        return found.view(len(shots), TOKENS, -1)

    def answers(self, visits: Sequence[Visit]) -> Answered:
        """What the model says to all questions of some visits, each visit with as many references."""
        import torch

        shots = sorted({s for v in visits for s in (*v.references, *(q.shown for q in v.questions if q.shown))})
        place = {shot: number for number, shot in enumerate(shots)}
        seen = self.seen(shots)
        head = self._padded([self._opening(len(v.references), v.facts) for v in visits])
        told = [[place[shot] for shot in v.references] for v in visits]
        cache, after = self._introduced(head, seen, told)
        asked = [(number, q) for number, v in enumerate(visits) for q in v.questions]
        parts: list[tuple[list[tuple[int, Question]], Tensor, Tensor, Tensor]] = []
        for there in (True, False):
            group = [(number, q) for number, q in asked if (q.shown is not None) == there]
            if group:
                shown = [[place[q.shown]] if q.shown is not None else [] for _, q in group]
                parts.append((group, *self._said(group, shown, seen, head.mask, cache, after)))
        starts = np.cumsum([0, *(len(part[0]) for part in parts)])
        return Answered(
            [one for part in parts for one in part[0]],
            torch.cat([part[1] for part in parts]),
            torch.cat([part[2] for part in parts]),
            torch.cat([part[3] + int(start) for part, start in zip(parts, starts[:-1], strict=True)]),
            shots,
            seen,
        )

    def _introduced(self, head: Padded, seen: Tensor, shown: list[list[int]]) -> tuple[Any, Tensor]:
        """Keys and values of the introductions, and the position [B] that comes after each."""
        positions = self._positions(head)
        read = self.model.model.language_model(
            inputs_embeds=self._embedded(head.ids, seen, shown), attention_mask=head.mask, position_ids=positions, use_cache=True
        )  # fmt: skip
        return read.past_key_values, (positions * head.mask).amax((0, 2)) + 1

    def _said(
        self, group: list[tuple[int, Question]], shown: list[list[int]], seen: Tensor, before: Tensor, cache: Any,
        after: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Logits and labels of the answers' tokens and which of the group each belongs to."""
        import torch
        from transformers import DynamicCache

        owner = torch.tensor([number for number, _ in group])
        rows = [self._asked(question) for _, question in group]
        asked = self._padded([ids for ids, _ in rows])
        labels = torch.full_like(asked.ids, NOTHING)
        for number, (ids, answer) in enumerate(rows):
            labels[number, len(ids) - answer - 1 : len(ids) - 1] = asked.ids[number, len(ids) - answer : len(ids)]
        held = DynamicCache([(layer.keys[owner], layer.values[owner]) for layer in cache.layers])
        read = self.model.model.language_model(
            inputs_embeds=self._embedded(asked.ids, seen, shown),
            attention_mask=torch.cat([before[owner], asked.mask], dim=1),
            position_ids=self._positions(asked) + after[owner][None, :, None], past_key_values=held, use_cache=True,
        )  # fmt: skip
        answering = labels != NOTHING
        which = answering.nonzero()[:, 0]
        return self.model.lm_head(read.last_hidden_state[answering]), labels[answering], which

    def _asked(self, question: Question) -> tuple[Ids, int]:
        """The ids of a question with its answer, and how many of them are the answer's."""
        before, after = self._asking(question.asked, question.shown is not None)
        return [*before, *after], len(after)

    def _embedded(self, ids: Tensor, seen: Tensor, shown: list[list[int]]) -> Tensor:
        """Embeddings [B, L, D] of ids, with the pictures of each row in their places."""
        import torch

        embedded: Tensor = self.model.get_input_embeddings()(ids)
        chosen = torch.tensor([number for row in shown for number in row], dtype=torch.long)
        if not len(chosen):
            return embedded
        there = (ids == self._picture).unsqueeze(-1)
        return embedded.masked_scatter(there, seen[chosen])

    def _positions(self, rows: Padded) -> Tensor:
        """Positions [3, B, L], from 0 in each row."""
        import torch

        kinds = (rows.ids == self._picture).int()
        grid = torch.tensor([_GRID] * max(int(kinds.sum()) // TOKENS, 1))
        positions: Tensor = self.model.model.get_rope_index(
            rows.ids, mm_token_type_ids=kinds, image_grid_thw=grid, attention_mask=rows.mask
        )[0]
        return positions

    def _padded(self, rows: Sequence[Ids]) -> Padded:
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self._pad] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return Padded(ids, mask)

    def _open(self, references: int, facts: str) -> Ids:
        """A conversation up to what is asked."""
        mark = "\x00"
        text = self._rendered(Inquiry(mark, PLACEHOLDER, facts, (PLACEHOLDER,) * references))
        return self._read(text[: text.index(mark)])

    def _ask(self, asked: Asked, shown: bool) -> tuple[Ids, Ids]:
        """A conversation from what is asked on, up to the answer, and the answer."""
        text = self._rendered(Inquiry(asked.question, picture=PLACEHOLDER if shown else None))
        return self._read(text)[len(self._opening(0, "")) :], self._read(f"{asked.answer}{END}")

    def _rendered(self, inquiry: Inquiry) -> str:
        text: str = self._processor.apply_chat_template(messages(inquiry), add_generation_prompt=True, tokenize=False)
        return text

    def _read(self, text: str) -> Ids:
        told = text.replace(PICTURE, PICTURE * TOKENS)
        return list(self._processor.tokenizer(told, add_special_tokens=False).input_ids)


def _tiles(pixels: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] as the vision tower reads them: [N * patches, 3 * 12 * 12], a token's patches together."""
    count, _, height, width = pixels.shape
    rows, columns = height // PATCH, width // PATCH
    tiles = pixels.view(count, 3, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH)
    return tiles.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(count * rows * columns, -1)
