"""How columns average where concepts have unlike numbers of references, questions and pictures: as the sources' scripts do.

UniCTokens' `eval/clip_eval.py` takes a mean over references and then over all pictures; `eval/4o_judge_t2i.py` means over
pictures, conditions and concepts, one after the other; `eval/eval_p_mmu.py` makes a table for each concept.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.benchmarks.spec import read_spec
from evalkit.engine.summary import summarise
from evalkit.features.spec import ClipContent, ImageContent
from evalkit.metrics.base import Item, Metric
from evalkit.metrics.text import recognition
from evalkit.nouns import Case, MetricChoice, Score, State, digest
from evalkit.registry import METRICS, load
from tests.fakes import column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REFERENCES = {"bo": 1, "mina": 4, "rolo": 6}
QUESTIONS = {"bo": 2, "mina": 7, "rolo": 3}
"""And prompts: how many each concept has of a task."""
PICTURES = {0: 3, 1: 1}
"""Of the first prompt, of the second; two of every other."""
OVER_PICTURES = ("clip_t", "clip_i", "dense_segment_score")
CHOICES = [
    (bench, protocol, choice)
    for bench, protocol in (("unifybench", "official"), ("unifybench_pp", "sync_r1"), ("unifybench_pp", "corrected"))
    for choice in read_spec(bench).protocol(protocol).metrics
]


def items(choice: MetricChoice) -> list[Item]:
    """Pictures by prompts, or answers to questions, of all three concepts; half of the recognition's answers are no."""
    (task,) = choice.where["tag"]
    text = "text" in load(METRICS, choice.metric).card.reads(choice.variant)
    found = []
    for concept, count in QUESTIONS.items():
        expected = ["No." if n % 3 == 1 else "Yes." for n in range(count)]
        for n in range(count):
            case = Case(
                case_id=f"{concept}.{task}{n}", prompt=f"{concept} by day, {n} times", subjects=(concept,), references=(),
                targets=(), category="person", prompt_index=n, tags=(task,), medium="text" if text else "image",
                texts={"expected_answer": expected[n], "answers_alike": str(expected.count(expected[n])), "concept_info": "old"},
            )  # fmt: skip
            for seed in range(1 if text else PICTURES.get(n, 2)):
                sample = ImageContent(digest([case.case_id, seed]), Path("s"))
                answer = ("No. I don't know", "Yes. It is", "perhaps")[(n + len(concept)) % 3] if text else None
                found.append(Item(case, seed, sample, targets(concept, REFERENCES[concept]), answer=answer))
    return found


def targets(name: str, count: int) -> tuple[ImageContent, ...]:
    return tuple(ImageContent(digest([name, n]), Path("t")) for n in range(count))


def feature(request: Any) -> NDArray[np.float32]:
    """Of its content alone: an embedding [4], or a judge's score of 0, .5 or 1."""
    rng = np.random.default_rng(int(digest(request.content.key)[:8], 16))
    if request.output == "scores":
        return np.asarray([rng.choice([0.0, 0.5, 1.0])], np.float32)
    return rng.normal(size=4).astype(np.float32)


def averaged(choice: MetricChoice, asked: Sequence[Item]) -> tuple[float, dict[str, dict[str, list[float]]]]:
    """The column's number, and the values that it is the mean of, by subject and case."""
    metric: Metric = load(METRICS, choice.metric)
    used = column(metric, variant=choice.variant, aggregation=choice.aggregation)
    features = [[feature(request) for request in metric.requests(item, used.bound)] for item in asked]
    scores, values = [], dict[str, dict[str, list[float]]]()
    for item, found in zip(asked, metric.score(asked, used.bound, features), strict=True):
        assert found.value is not None
        values.setdefault("+".join(item.case.subjects), {}).setdefault(item.case.case_id, []).append(found.value)
        key: Any = {
            "case_id": item.case.case_id,
            "seed": item.seed,
            "metric": choice.column,
            "signature": str(used.signature),
        }
        scores.append(Score(**key, inputs="0", state=State.SCORED, value=found.value, weight=found.weight))
    expected = [(item.case, item.seed) for item in asked]
    value = summarise([used], expected, {score.key: score for score in scores})[used.label].value
    assert value is not None
    return value, values


def over_pictures(values: dict[str, dict[str, list[float]]]) -> float:
    return fmean(one for cases in values.values() for pictures in cases.values() for one in pictures)


def over_concepts(values: dict[str, dict[str, list[float]]]) -> float:
    return fmean(fmean(fmean(pictures) for pictures in cases.values()) for cases in values.values())


@pytest.mark.parametrize(("bench", "protocol", "choice"), CHOICES, ids=lambda told: getattr(told, "label", told))
def test_a_column_averages_as_its_script(bench: str, protocol: str, choice: MetricChoice) -> None:
    asked = items(choice)
    value, values = averaged(choice, asked)
    if choice.metric == "recognition":
        told = {concept: [item for item in asked if item.case.subjects == (concept,)] for concept in QUESTIONS}
        pairs = [([i.case.texts["expected_answer"] for i in of], [i.answer or "" for i in of]) for of in told.values()]
        wanted = fmean(recognition(*pair, variant=choice.variant).weighted for pair in pairs)  # type: ignore[arg-type]
    else:
        assert over_pictures(values) != pytest.approx(over_concepts(values), abs=1e-6)
        wanted = over_pictures(values) if choice.metric in OVER_PICTURES else over_concepts(values)
    assert value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("metric", ["clip_i", "dino_i"])
@pytest.mark.parametrize(("bench", "protocol"), [("dream_vbench", "consis_gcpo"), ("opens2v", "extended")])
def test_every_video_counts_once_whatever_the_number_of_its_references(bench: str, protocol: str, metric: str) -> None:
    (choice,) = (c for c in read_spec(bench).protocol(protocol).metrics if c.metric == metric)
    asked = [video("bo", n=1), video("bo", "mina", n=2), video("mina", "rolo", "place", n=3)]
    value, values = averaged(choice, asked)
    assert value == pytest.approx(over_pictures(values), abs=1e-12)


def video(*subjects: str, n: int) -> Item:
    """Two frames of the subjects, with a photograph of each."""
    case = Case(
        case_id=f"v{n}", prompt="they play", subjects=subjects, references=(), targets=(), category="c", prompt_index=n,
        medium="video",
    )  # fmt: skip
    sample = ImageContent(digest(n), Path("s.mp4"))
    frames = tuple(ImageContent(digest([n, shot]), Path("s.mp4"), shot) for shot in range(2))
    pictures = tuple(picture for name in subjects for picture in targets(name, 1))
    return Item(case, 0, sample, pictures, clip=ClipContent(sample.sha256, Path("s.mp4"), frames, 8.0))
