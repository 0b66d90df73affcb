"""How often the small Qwen2.5-VL answers word for word as expected, by kind of question and by what it is given.

The same questions are asked with the concept's own references, with another's, and with nothing told. An answer counts where
every word of it is the likeliest after those before it, which is what greedy decoding says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from evalkit.sandbox.concept_words import NO, YES
from evalkit.sandbox.vlm.assemble import load
from evalkit.sandbox.vlm.concepts import CATEGORIES, FAMILY, ConceptSet
from evalkit.sandbox.vlm.questions import RECOGNITION, Visit, visit
from evalkit.sandbox.vlm.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONDITIONS = ("own", "other_references", "no_facts")
AT_ONCE = 6
SEED = 7


def visits_of(data: ConceptSet, condition: str) -> list[Visit]:
    """A visit to every concept, the same questions under every condition."""
    found = [visit(data, number, rng=np.random.default_rng([SEED, number])) for number in range(len(data.scenes))]
    if condition == "no_facts":
        return [one._replace(facts="") for one in found]
    if condition == "other_references":
        # a family of the same category, where there are two
        step = FAMILY * len(CATEGORIES)
        return [
            one._replace(references=found[(number + step) % len(found)].references) for number, one in enumerate(found)
        ]
    return found


def evaluate(folder: Path, data: ConceptSet) -> dict[str, dict[str, float]]:
    """Shares of right answers by kind of question: `chance`, the `commonest` answer given always, and one for each condition.

    `rec_weighted` is half the share of right answers where the concept is shown and half that where it is not.
    """
    import torch

    model, processor = load(folder)
    reader, chances = Reader(model, processor, data), defaultdict[str, list[float]](list)
    shares: dict[str, dict[str, list[float]]] = {}
    for condition in CONDITIONS:
        right, visits = defaultdict[str, list[float]](list), visits_of(data, condition)
        for start in range(0, len(visits), AT_ONCE):
            with torch.inference_mode():
                said = reader.answers(visits[start : start + AT_ONCE])
            wrong = (said.logits.argmax(-1) != said.labels).int()
            mistakes = torch.zeros(len(said.order), dtype=torch.int).index_add(0, said.row, wrong)
            for (_, question), count in zip(said.order, mistakes.tolist(), strict=True):
                right[question.kind].append(float(count == 0))
                chances[question.kind].append(question.chance)
        shares[condition] = _with_weighted(right)
    columns = {"chance": _with_weighted(chances), "commonest": commonest(data), **shares}
    return {
        kind: {name: round(float(np.mean(found[kind])), 4) for name, found in columns.items()}
        for kind in shares[CONDITIONS[0]]
    }


def commonest(data: ConceptSet) -> dict[str, list[float]]:
    """How often the answer that is expected most often of a kind is right, whatever is shown or told."""
    answers: dict[str, list[str]] = defaultdict(list)
    for one in visits_of(data, CONDITIONS[0]):
        for question in one.questions:
            kind = "rec" if question.kind in RECOGNITION else question.kind
            answers[kind].append(question.asked.answer)
    most = {kind: Counter(given).most_common(1)[0] for kind, given in answers.items()}
    always, _ = most.pop("rec")
    found = {kind: [count / len(answers[kind])] for kind, (_, count) in most.items()}
    said = {kind: [float(always == (YES if kind == RECOGNITION[0] else NO))] for kind in RECOGNITION}
    return _with_weighted(found | said)


def _with_weighted(right: Mapping[str, list[float]]) -> dict[str, list[float]]:
    yes, *no = (right[kind] for kind in RECOGNITION)
    return {"rec_weighted": [float(np.mean(yes) + np.mean(np.concatenate(no))) / 2], **right}
