"""Scoring throughput against the access pattern of per-pair scripts and against the bare encoders, as ratios in one run.

    python perf/score_throughput.py [--subjects N] [--peer N] [--size PX] [--threads N]

Scores nine samples for each of N subjects with CLIP-T, CLIP-I, DINO v1 and DINOv2 at their published sizes (CLIP
ViT-B/32, DINO ViT-S/16 and ViT-S/14, random weights) and prints

- evalkit's rate, models loaded, nothing cached;
- the rate of four passes at batch 1 with reference and text encoded again for every pair, on a part of the samples;
- the rate of the bare encoder forwards over the unique inputs, already prepared, at evalkit's batch;
- the peak memory for half of the samples and for all, each in a process of its own;
- the time of scoring again with nothing new.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.features.extractor import Extractor
    from evalkit.features.spec import ExtractorSpec

METRICS = ("clip_t@dreambench_pp", "clip_i@dreambench_pp", "dino_i@dreambooth", "dino_i@dreambench_pp_v2")
CLIP, DINO, DINOV2 = "openai/clip-vit-base-patch32", "facebook/dino-vits16", "facebook/dinov2-small"
SHARES = {"animal": 0.30, "human": 0.13, "object": 0.44}


def write_weights(root: Path) -> None:
    """The published sizes with random weights, in the published files' format."""
    import torch
    from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, ViTConfig, ViTModel

    from tests.tiny_weights import write_processor, write_tokenizer

    torch.manual_seed(0)
    small = {"hidden_size": 384, "num_attention_heads": 6}
    models = {
        CLIP: ("CLIPImageProcessor", CLIPModel(CLIPConfig(projection_dim=512))),
        DINO: ("BitImageProcessor", ViTModel(ViTConfig(intermediate_size=1536, **small), add_pooling_layer=False)),
        DINOV2: ("BitImageProcessor", Dinov2Model(Dinov2Config(image_size=518, patch_size=14, **small))),
    }
    for name, (kind, model) in models.items():
        folder = root / name.replace("/", "--")
        model.save_pretrained(folder)
        write_processor(folder, kind, side=224)
    write_tokenizer(root / CLIP.replace("/", "--"))


def write_data(root: Path, subjects: int, size: int) -> tuple[Path, Path]:
    """The embedded world with so many subjects, and its true pictures enlarged to `size` as samples; (data, samples)."""
    from PIL import Image

    from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
    from evalkit.sandbox.benchmark import write_dreambench_pp

    counts = {category: round(subjects * share) for category, share in SHARES.items()}
    write_dreambench_pp(root / "data", subjects_per_category={**counts, "style": subjects - sum(counts.values())})
    loaded = DREAMBENCH_PP.load(root / "data", "official")
    samples = root / "samples"
    samples.mkdir()
    for case in loaded.cases:
        pixels = loaded.real_image(case, 0)
        assert pixels is not None
        Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).save(samples / f"{case.case_id}.png")
    return root / "data", samples


def evalkit_rate(data: Path, samples: Path, out: Path, limit: int | None) -> dict[str, float]:
    """Scores through the engine; seconds leave out loading the models."""
    from evalkit.engine import run as engine
    from evalkit.engine.backbones import Backbones
    from evalkit.engine.setting import Request

    loading = 0.0
    original = Backbones.load

    def timed(self: Backbones, spec: ExtractorSpec) -> Extractor:
        nonlocal loading
        start = time.perf_counter()
        extractor = original(self, spec)
        loading += time.perf_counter() - start
        return extractor

    setattr(Backbones, "load", timed)  # noqa: B010 - a measurement, not an interface
    request = Request(bench="dreambench_pp/official", data=data, profile="paper", metrics=METRICS, out=out, limit=limit)
    start = time.perf_counter()
    result = engine.score_folder(samples, "perf", request)
    seconds = time.perf_counter() - start
    count = result.scores["clip_t"].n_scored
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"samples": count, "seconds": seconds - loading, "whole": seconds, "peak_gib": peak}


def bare_seconds(data: Path, samples: Path) -> float:
    """The encoder forwards alone over the unique inputs, each prepared beforehand."""
    import numpy as np

    from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
    from evalkit.engine.backbones import Backbones
    from evalkit.engine.columns import variant_specs
    from evalkit.engine.setting import Request, prepare
    from evalkit.media import decode_image

    loaded = DREAMBENCH_PP.load(data, "official")
    files = sorted(samples.glob("*.png")) + sorted({loaded.root / c.references[0].path for c in loaded.cases})
    backbones = Backbones(device="cpu")
    setting = prepare(Request(bench="dreambench_pp/official", data=data, profile="paper", metrics=METRICS))
    seconds = 0.0
    for spec in distinct(variant_specs(c for c in setting.choices if c.column in METRICS)):
        extractor = backbones.load(spec)
        extractor.encode_images(np.stack([extractor.prepare(decode_image(files[0]).pixels)] * extractor.forward_batch))
        for start in range(0, len(files), extractor.forward_batch):
            batch = np.stack(
                [extractor.prepare(decode_image(f).pixels) for f in files[start : start + extractor.forward_batch]]
            )
            before = time.perf_counter()
            extractor.encode_images(batch)
            seconds += time.perf_counter() - before
        if spec.text is not None:
            prompts = [case.prompt for case in loaded.cases]
            for start in range(0, len(prompts), extractor.forward_batch):
                before = time.perf_counter()
                extractor.encode_texts(prompts[start : start + extractor.forward_batch])
                seconds += time.perf_counter() - before
    return seconds


def peer_rate(data: Path, samples: Path, count: int) -> float:
    """Samples a second of four passes at batch 1 that read and encode sample, reference and text for every pair."""
    import numpy as np

    from evalkit.benchmarks.dreambench_pp import DREAMBENCH_PP
    from evalkit.engine.backbones import Backbones
    from evalkit.engine.columns import variant_specs
    from evalkit.engine.setting import Request, prepare
    from evalkit.media import decode_image

    loaded = DREAMBENCH_PP.load(data, "official")
    backbones = Backbones(device="cpu")
    setting = prepare(Request(bench="dreambench_pp/official", data=data, profile="paper", metrics=METRICS))
    specs = variant_specs(c for c in setting.choices if c.column in METRICS)
    extractors = {spec: backbones.load(spec) for spec in specs}
    cases = loaded.cases[:: max(1, len(loaded.cases) // count)][:count]
    start = time.perf_counter()
    for spec, extractor in extractors.items():
        for case in cases:
            files = [samples / f"{case.case_id}.png"]
            files += [] if spec.text is not None else [loaded.root / case.references[0].path]
            for file in files:
                extractor.encode_images(np.stack([extractor.prepare(decode_image(file).pixels)]))
            if spec.text is not None:
                extractor.encode_texts([case.prompt])
    return len(cases) / (time.perf_counter() - start)


def distinct(specs: list[ExtractorSpec]) -> list[ExtractorSpec]:
    """One spec for each model and preprocessing; the one that reads text where both are asked for."""
    found: dict[tuple[str, str], ExtractorSpec] = {}
    for spec in sorted(specs, key=lambda spec: spec.text is None):
        found.setdefault((spec.model, spec.preprocess), spec)
    return list(found.values())


def child(mode: str, arguments: argparse.Namespace, root: Path, **extra: object) -> dict[str, float]:
    """One measurement in a process of its own; its JSON result."""
    command = [sys.executable, __file__, "--mode", mode, "--root", str(root), "--threads", str(arguments.threads)]
    for key, value in extra.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    own = {"EVALKIT_WEIGHTS": str(root / "weights"), "EVALKIT_CACHE": str(root / str(extra.get("cache", "cache")))}
    env = os.environ | own | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """What a child process does."""
    import torch

    torch.set_num_threads(arguments.threads)
    root = arguments.root
    data, samples = root / "data", root / "samples"
    if arguments.mode == "evalkit":
        return evalkit_rate(data, samples, root / f"run-{arguments.cache}", arguments.limit)
    if arguments.mode == "bare":
        return {"seconds": bare_seconds(data, samples)}
    return {"rate": peer_rate(data, samples, arguments.peer)}


def main() -> None:
    """Prints one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=150)
    parser.add_argument("--peer", type=int, default=60, help="samples that the per-pair pattern is measured on")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    for name, kind in (("mode", str), ("root", Path), ("limit", int), ("cache", str)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mode:
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_weights(root / "weights")
        write_data(root, arguments.subjects, arguments.size)
        total = arguments.subjects * 9
        half = child("evalkit", arguments, root, cache="half", limit=total // 2)
        whole = child("evalkit", arguments, root, cache="whole")
        again = child("evalkit", arguments, root, cache="whole")
        bare = child("bare", arguments, root)
        peer = child("peer", arguments, root, peer=arguments.peer)
        rate = whole["samples"] / whole["seconds"]
        print(f"{total} samples of {arguments.size} px, {arguments.subjects} references, {arguments.threads} threads")
        print(f"evalkit                  {rate:.2f} samples/s")
        print(f"against per-pair pattern {rate / peer['rate']:.2f} x ({peer['rate']:.2f} samples/s)")
        print(f"against bare forwards    {bare['seconds'] / whole['seconds']:.3f} of their rate")
        print(
            f"peak memory              {half['peak_gib']:.2f} GiB at half the samples, {whole['peak_gib']:.2f} GiB at all"
        )
        print(
            f"scored again, no change  {again['whole']:.2f} s ({again['whole'] / whole['whole']:.4f} of the first time)"
        )


if __name__ == "__main__":
    main()
