"""Training of the small Qwen2.5-VL that answers questions about concepts, and the card that says what came out.

First the vision tower learns to see: what a picture shows, and which pictures show the same concept. Then everything learns to
answer, from pictures of concepts, what is told of them, and questions.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.sandbox.training.data import Progress, attribute_labels
from evalkit.sandbox.training.loop import Budget, Trained, attribute_head, attribute_loss, fit
from evalkit.sandbox.vlm.assemble import WIDTH, new_model, new_processor, save
from evalkit.sandbox.vlm.concepts import FAMILY, PICTURES, ConceptPlan, ConceptSet, render_concepts
from evalkit.sandbox.vlm.evaluate import evaluate
from evalkit.sandbox.vlm.questions import RECOGNITION, TOLD, Visit, visit
from evalkit.sandbox.vlm.reading import Answered, Reader
from evalkit.sandbox.world import WORLD_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

TRAIN_CONCEPTS = ConceptPlan(families=640, split="train", seed=31)
HELD_OUT_CONCEPTS = ConceptPlan(families=60, split="bench", seed=32)
ATTRIBUTES = ("plan", "palette", "pattern", "accessory", "place", "action")
FAMILIES, SHOTS = 10, 3
"""Families and pictures of each concept in a batch of the first stage."""
VISITS = 4
"""Concepts in a batch of the second."""
TOLD_ASKED = 2
"""Of the questions that only what is told answers, so many a visit."""
UNTOLD = 0.3
"""Share of visits in which nothing is told."""
RECOGNITION_WEIGHT, SEEN_WEIGHT = 2.0, 0.3
"""Of recognition among questions, and of the first stage's loss in the second."""
SEE_PEAK, ANSWER_PEAK = 2e-3, 1.5e-3
TEMPERATURE = 0.1
SHARES = {"see": 0.15, "answer": 0.85}
"""Of the budget, in this order."""
BUDGET = Budget(steps=4000)
"""About an hour on one core. Recognition, places and what is told were learnt; choices and actions were not."""
CARD = "card.yaml"


class Heads:
    """What the pictures' tokens are judged by in training alone: attributes, and an embedding of who is shown."""

    def __init__(self) -> None:
        import torch

        self.attributes, self.identity = attribute_head(WIDTH, ATTRIBUTES), torch.nn.Linear(WIDTH, WIDTH // 2)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Their parameters."""
        return self.attributes, self.identity

    def loss(self, tokens: Tensor, labels: Tensor, shots: list[tuple[int, int]]) -> Tensor:
        """Of the tokens [N, T, D] of N pictures, `labels` [concepts, 6, A] of all."""
        import torch

        concepts, shown = torch.tensor(shots).unbind(1)
        pooled = tokens.mean(1)
        unit = torch.nn.functional.normalize(self.identity(pooled), dim=-1)
        same = (concepts[:, None] == concepts).float()
        self_pairs = torch.eye(len(concepts), dtype=torch.bool)
        likeness = (unit @ unit.T / TEMPERATURE).masked_fill(self_pairs, -1e4).log_softmax(-1)
        same = same.masked_fill(self_pairs, 0)
        told = (same * likeness).sum(-1) / same.sum(-1).clamp(min=1)
        return (
            attribute_loss(self.attributes(pooled), labels[concepts, shown], ATTRIBUTES) - told[same.sum(-1) > 0].mean()
        )


def train_vlm(
    out: Path, data: ConceptSet, *, seed: int, budget: Budget, progress: Progress | None = None
) -> dict[str, Trained]:
    """Train on `data` and save model and processor to `out`, weights in half precision.

    Returns:
        By stage: seeing, answering.
    """
    import torch

    torch.manual_seed(seed)
    model, processor, heads = new_model(), new_processor(), Heads()
    reader, rng = Reader(model, processor, data), np.random.default_rng(seed)
    labels = torch.tensor([[attribute_labels(scene) for scene in scenes] for scenes in data.scenes])

    def see(_share: float) -> Tensor:
        families = rng.choice(len(data.scenes) // FAMILY, size=min(FAMILIES, len(data.scenes) // FAMILY), replace=False)
        shots = [
            (int(family) * FAMILY + member, int(shot))
            for family in families for member in range(FAMILY) for shot in rng.permutation(PICTURES)[:SHOTS]
        ]  # fmt: skip
        return heads.loss(reader.seen(shots), labels, shots)

    def answer(_share: float) -> Tensor:
        visits = [drawn_visit(data, int(concept), rng) for concept in rng.integers(len(data.scenes), size=VISITS)]
        said = reader.answers(visits)
        return answer_loss(said) + SEEN_WEIGHT * heads.loss(said.seen, labels, said.shots)

    modules, trained = (model, *heads.modules), {}
    for stage, loss_of, peak, batch in (
        ("see", see, SEE_PEAK, FAMILIES * FAMILY * SHOTS), ("answer", answer, ANSWER_PEAK, VISITS * (PICTURES + FAMILY)),
    ):  # fmt: skip
        trained[stage] = fit(
            modules, loss_of, budget=budget.part(SHARES[stage]), peak=peak, batch=batch, name=f"vlm {stage}", progress=progress
        )  # fmt: skip
    save(model, processor, out)
    return trained


def drawn_visit(data: ConceptSet, concept: int, rng: np.random.Generator) -> Visit:
    """A visit to train on: as many pictures of others as of the concept, and some of the questions that only what is told
    answers, or nothing told and none of them."""
    whole = visit(data, concept, rng=rng)
    asked = rng.choice(TOLD, size=TOLD_ASKED, replace=False).tolist() if rng.uniform() >= UNTOLD else []
    strangers = [question for question in whole.questions if question.kind in RECOGNITION[1:]]
    left = strangers[int(rng.integers(len(strangers)))]
    questions = tuple(q for q in whole.questions if q is not left and (q.kind not in TOLD or q.kind in asked))
    return whole._replace(facts=whole.facts if asked else "", questions=questions)


def answer_loss(said: Answered) -> Tensor:
    """Cross-entropy of the answers' tokens, summed over each answer, the mean over questions."""
    import torch

    weights = torch.tensor([RECOGNITION_WEIGHT if q.kind in RECOGNITION else 1.0 for _, q in said.order])
    each = torch.nn.functional.cross_entropy(said.logits, said.labels, reduction="none")
    return (each * weights[said.row]).sum() / weights.sum()


def train_from_world(
    out: Path, *, seed: int, work: Path, budget: Budget | None = None, workers: int = 1, threads: int = 1,
    progress: Progress | None = None, train: ConceptPlan = TRAIN_CONCEPTS, held_out: ConceptPlan = HELD_OUT_CONCEPTS,
) -> dict[str, Any]:  # fmt: skip
    """Render the concepts under `work`, train the model into `out`, and write its card; `BUDGET` where none is given.

    Returns:
        The card.
    """
    import torch
    import transformers
    import yaml

    torch.set_num_threads(threads)
    data = render_concepts(work / "concepts", train, workers=workers, progress=progress)
    unseen = render_concepts(work / "bench-concepts", held_out, workers=workers, progress=progress)
    trained = train_vlm(out, data, seed=seed, budget=budget or BUDGET, progress=progress)
    stages = {name: {"seed": seed, "threads": threads, **asdict(done)} for name, done in trained.items()}
    card = {
        "world_version": WORLD_VERSION,
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
        "class": "transformers.Qwen2_5_VLForConditionalGeneration",
        "parameters": sum(p.numel() for p in new_model().parameters()),
        "bytes": sum(file.stat().st_size for file in out.iterdir()),
        "batch": {"see": FAMILIES * FAMILY * SHOTS, "answer": VISITS},
        "peak_learning_rates": {"see": SEE_PEAK, "answer": ANSWER_PEAK},
        "training_set": asdict(train),
        "held_out_set": asdict(held_out),
        "stages": {name: {k: round(v, 4) for k, v in one.items()} for name, one in stages.items()},
        "held_out": evaluate(out, unseen),
    }
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return card
