"""What each metric costs: CPU seconds for 1,000 pictures of the embedded world, one metric a process, nothing cached.

    python perf/metric_seconds.py [--samples N] [--threads N] [--only METRIC ...] [--note TEXT]

Each metric's default variant that the embedded models can compute scores true pictures of the embedded DreamBench++:
decoding them, the backbones' forward passes over pictures, references and texts, each once, and its own arithmetic. Loading
the models is left out. CPU seconds of the process, which other load on the machine disturbs little. Writes
perf/metric_seconds.json, of which docs/write_metrics.py makes a column of docs/metrics.md. `--note` says what else the
machine did.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

TARGET = Path(__file__).with_name("metric_seconds.json")
BATCH, WARM_UP = 16, 8
"""Samples scored together, and samples scored beforehand so that loading and first use are not counted."""
FIGURES = 3


def seconds_a_sample(metric: str, root: Path, count: int, threads: int) -> float | None:
    """Of the metric's default variant; None where it has no value of any of the samples."""
    import torch

    from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
    from evalkit.media import decode_image, write_image
    from evalkit.nouns import State
    from evalkit.registry import METRICS, load
    from evalkit.rl.reward import MetricScores

    loaded = DREAMBENCH_PP.load(DREAMBENCH_PP.embed(root / "world"), "official")
    step = max(1, len(loaded.cases) // (count + WARM_UP))
    cases = loaded.cases[::step][: count + WARM_UP]
    for case in cases:
        pixels = loaded.real_image(case, 0)
        assert pixels is not None
        write_image(root / f"{case.case_id}.png", pixels)
    name = f"{metric}@{load(METRICS, metric).card.default_variant}"
    scores, scored, seconds = MetricScores([name], "sandbox", device="cpu"), 0, 0.0
    torch.set_num_threads(threads)
    for first in (0, *range(WARM_UP, len(cases), BATCH)):
        chunk = cases[first : WARM_UP if first == 0 else first + BATCH]
        start = time.process_time()
        subjects = [scores.subject(case, loaded.root) for case in chunk]
        pictures = [decode_image(root / f"{case.case_id}.png").pixels for case in chunk]
        _, states = scores(subjects, pictures)[name]
        torch.set_num_threads(threads)
        if first:
            seconds += time.process_time() - start
            scored += states.count(State.SCORED)
    scores.close()
    return seconds / (len(cases) - WARM_UP) if scored else None


def embedded() -> list[str]:
    """Metrics of pictures whose default variant the embedded models can compute, without a judge."""
    from evalkit.features.profiles import resolve_spec
    from evalkit.registry import METRICS, entries, load

    found = []
    for name, entry in sorted(entries(METRICS).items()):
        card = load(METRICS, name).card
        variant = card.variant(None)
        models = [resolve_spec(spec, "sandbox").model for spec in (variant.extractor, *variant.beside.values())]
        own = entry.dist is not None and entry.dist.name == "evalkit"
        alone = "image" in card.media and "mates" not in card.needs
        if own and alone and all(model.startswith("sandbox:") for model in models):
            found.append(name)
    return found


def child(metric: str, arguments: argparse.Namespace) -> float | None:
    """One measurement in a process of its own; None where the metric has no value of these samples."""
    command = [sys.executable, __file__, "--metric", metric, "--samples", str(arguments.samples)]
    command += ["--threads", str(arguments.threads)]
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | {"EVALKIT_CACHE": cache, "OMP_NUM_THREADS": str(arguments.threads)}
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    seconds: float | None = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    """Measures every metric, or those that are asked for, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--note", default="nothing else ran")
    parser.add_argument("--metric", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.metric:
        with tempfile.TemporaryDirectory() as root:
            print(json.dumps(seconds_a_sample(arguments.metric, Path(root), arguments.samples, arguments.threads)))
        return
    import torch

    seconds = {}
    for metric in arguments.only or embedded():
        found = child(metric, arguments)
        print(f"{metric:28} {'no value here' if found is None else f'{1000 * found:.3g} s'}", flush=True)
        if found is not None:
            seconds[metric] = float(f"{1000 * found:.{FIGURES}g}")
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no CUDA",
        "threads": arguments.threads,
        "torch": torch.__version__.partition("+")[0],
        "samples": arguments.samples,
        "note": arguments.note,
        "seconds_per_1000": seconds,
    }
    TARGET.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
