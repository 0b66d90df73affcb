"""Scored run folders of DreamBench++'s size with made-up numbers, for measuring what reads them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from evalkit.engine.result import Result
from evalkit.engine.summary import MetricSummary
from evalkit.media import decode_image
from evalkit.nouns import Case, MetricChoice, Reference, Sample, Score, Signature, State
from evalkit.registry import METRICS, load
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.record import RunIdentity, RunRequest

SUBJECTS, PROMPTS, PART = 150, 9, 64
CATEGORIES = ("animal", "human", "object", "style")


def made_runs(
    folder: Path,
    methods: int,
    metrics: list[str],
    *,
    pictures: Path | None = None,
    subjects: int = SUBJECTS,
    prompts: int = PROMPTS,
) -> list[Path]:
    """One run folder a method; each metric (`NAME` or `NAME@VARIANT`) has a normal level a subject that all methods share."""
    shape = subjects, prompts
    return [_run(folder / f"method_{i:03d}", i, metrics, pictures, shape) for i in range(methods)]


def _run(path: Path, number: int, metrics: list[str], pictures: Path | None, shape: tuple[int, int]) -> Path:
    named = [name if "@" in name else f"{name}@{load(METRICS, name).card.default_variant}" for name in metrics]
    choices = tuple(map(MetricChoice.parse, named))
    subjects, prompts = shape
    seen = [choice.metric for choice in choices]
    labels = [c.metric if c.metric not in seen[:i] else c.column for i, c in enumerate(choices)]
    identity = RunIdentity(
        method=path.name, method_version="1", method_config={"samples": str(pictures)} if pictures else {},
        benchmark="dreambench_pp", profile="sandbox",
    )  # fmt: skip
    request = RunRequest(protocol="extended", metrics=choices, seeds=(0,))
    cases = [_case(s, p, subjects) for s in range(subjects) for p in range(prompts)]
    rows: list[list[Score]] = [[] for _ in cases]
    summaries, scales, directions = {}, {}, {}
    for metric, choice in enumerate(choices):
        card = load(METRICS, choice.metric).card
        scale = card.variant(choice.variant).scale
        signature = Signature.of(metric=choice.metric, variant=choice.variant, weights="made-up")
        level = np.random.default_rng([7, metric]).normal(0.5, 0.1, (subjects, 1))
        own = np.random.default_rng([number, metric]).normal(0.001 * number, 0.1, (subjects, prompts))
        values = (np.clip(level + own, 0.01, 0.99) * scale).ravel()
        for i, (case, value) in enumerate(zip(cases, values, strict=True)):
            rows[i].append(
                Score(case_id=case.case_id, seed=0, metric=choice.column, signature=str(signature), inputs="i" * 64,
                      state=State.SCORED, value=float(value))
            )  # fmt: skip
        summaries[labels[metric]] = MetricSummary(
            value=float(np.mean(values)), n_scored=len(values), n_cases=len(values),
            signature=str(signature.with_part("agg", "micro")), states={},
        )  # fmt: skip
        scales[labels[metric]], directions[labels[metric]] = scale, card.direction
    with RunFolder.open(path, identity=identity, request=request, cases=cases) as run:
        run.samples.append([_sample(case, path.name, pictures) for case in cases])
        for start in range(0, len(cases), PART):
            run.scores.append([score for case_rows in rows[start : start + PART] for score in case_rows])
        result = Result(
            path=path, method=path.name, benchmark="dreambench_pp", protocol="extended", profile="sandbox",
            scores=summaries, scales=scales, directions=directions, in_domain=(),
        )  # fmt: skip
        run.write_results(result.to_summary() | {"request": request.digest()}, [s for row in rows for s in row])
    return path


def _case(subject: int, prompt: int, subjects: int) -> RunCase:
    name = f"subject_{subject:03d}"
    picture = Reference(path=f"{name}.png", subject=name, label="thing")
    case = Case(
        case_id=f"{name}.p{prompt:02d}", prompt=f"the thing {subject}, prompt {prompt}", subjects=(name,),
        references=(picture,), targets=(picture,), category=CATEGORIES[subject * 4 // subjects], prompt_index=prompt,
    )  # fmt: skip
    return RunCase.of(case, {f"{name}.png": f"{subject:064d}"})


def _sample(case: RunCase, method: str, pictures: Path | None) -> Sample:
    path = str(pictures / f"{case.case_id}.png") if pictures else f"{case.case_id}/seed_0.png"
    return Sample(
        case_id=case.case_id, seed=0, state="made", path=path, case_sha256=case.sha256, method=method, method_version="1",
        pixels_sha256=_pixels(path) if pictures else case.sha256,
    )  # fmt: skip


@cache
def _pixels(path: str) -> str:
    return decode_image(Path(path)).sha256
