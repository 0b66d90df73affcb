"""Scored run folders with made-up numbers, for the tests of claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.engine.result import Result
from evalkit.engine.summary import MetricSummary
from evalkit.nouns import Case, MetricChoice, Reference, Sample, Score, Signature, State
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.record import RunIdentity, RunRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SUBJECTS, PROMPTS = 24, 3
METRICS = {"clip_t": "clip_t@dreambench_pp", "dino_i": "dino_i@dreambench_pp", "lpips": "lpips@alex_256"}
DIRECTIONS = {"clip_t": "higher", "dino_i": "higher", "lpips": "lower"}
SCALES = {"clip_t": 100.0, "dino_i": 100.0, "lpips": 1.0}


def values(mean: float = 0.0, *, seed: int = 0, spread: float = 1.0) -> NDArray[np.float64]:
    """[subjects, prompts]: a level for each subject that every run shares, and this run's own deviations of it."""
    level = np.random.default_rng(99).normal(50, 5, (SUBJECTS, 1))
    return level + mean + np.random.default_rng(seed).normal(0, spread, (SUBJECTS, PROMPTS))


def case(subject: int, prompt: int, text: str = "a dog") -> Case:
    """One of the first 12 subjects is an animal, one of the others an object."""
    name = f"s{subject:02d}"
    picture = Reference(path=f"{name}.png", subject=name, label="dog")
    return Case(
        case_id=f"{name}.p{prompt}", prompt=text, subjects=(name,), references=(picture,), targets=(picture,),
        category="animal" if subject < 12 else "object", prompt_index=prompt,
    )  # fmt: skip


def write_run(
    path: Path,
    scores: Mapping[str, NDArray[np.float64]],
    *,
    method: str = "m",
    weights: str = "w",
    prompt: str = "a dog",
    profile: str = "sandbox",
    in_domain: tuple[str, ...] = (),
    states: Mapping[tuple[str, int, int], State] | None = None,
    pixels: str = "p",
) -> Path:
    """A run folder with these scores by metric, [subjects, prompts]; `states` replaces (metric, subject, prompt)."""
    identity = RunIdentity.model_validate(
        {"method": method, "method_version": "1", "method_config": {}, "benchmark": "dreambench_pp", "profile": profile}
    )
    choices = tuple(MetricChoice.parse(METRICS[name]) for name in scores)
    request = RunRequest(protocol="extended", metrics=choices, seeds=(0,))
    cases = [
        RunCase.of(c, {f"s{i:02d}.png": f"{i}"})
        for i in range(len(next(iter(scores.values()))))
        for c in (case(i, p, prompt) for p in range(PROMPTS))
    ]
    rows, summaries = [], {}
    for name, choice in zip(scores, choices, strict=True):
        signature = Signature.of(metric=choice.metric, variant=choice.variant, weights=weights)
        own = []
        for (subject, p), value in np.ndenumerate(scores[name]):
            state = (states or {}).get((name, subject, p), State.SCORED)
            told: dict[str, Any] = {"value": float(value)} if state is State.SCORED else {"reason": "r"}
            own.append(
                Score(
                    case_id=f"s{subject:02d}.p{p}",
                    seed=0,
                    metric=choice.column,
                    signature=str(signature),
                    inputs="i",
                    state=state,
                    **told,
                )
            )
        scored = [score.value for score in own if score.value is not None]
        missing: dict[str, int] = {}
        for score in own:
            if score.value is None:
                missing[score.state.value] = missing.get(score.state.value, 0) + 1
        summaries[name] = MetricSummary(
            value=float(np.mean(scored)) if scored else None, n_scored=len(scored), n_cases=len(own),
            signature=str(signature.with_part("agg", "micro")), states=missing,
        )  # fmt: skip
        rows += own
    with RunFolder.open(path, identity=identity, request=request, cases=cases) as run:
        run.samples.append(
            [
                Sample(
                    case_id=c.case_id,
                    seed=0,
                    state="made",
                    path=f"{c.case_id}/seed_0.png",
                    case_sha256=c.sha256,
                    pixels_sha256=f"{pixels}{c.case_id}",
                    method=method,
                    method_version="1",
                )
                for c in cases
            ]
        )
        run.scores.append(rows)
        result = Result(
            path=path, method=method, benchmark="dreambench_pp", protocol="extended", profile=profile,
            scores=summaries, scales={n: SCALES[n] for n in scores}, directions={n: DIRECTIONS[n] for n in scores},
            in_domain=in_domain,
        )  # fmt: skip
        run.write_results(result.to_summary() | {"request": request.digest()}, rows)
    return path
