"""Stand-ins that keep the contracts and count what is asked of them: a backbone, metrics, methods, a tiny benchmark.

The fake backbone's outputs depend on the number of rows of its batch, as those of real networks do in their last bits:
who does not run it at its fixed shape gets other numbers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.benchmarks.base import Loaded
from evalkit.benchmarks.spec import BenchmarkSpec
from evalkit.engine.columns import Column
from evalkit.engine.score import CHUNK, Scorer
from evalkit.engine.targets import Targets
from evalkit.errors import WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import Pictures
from evalkit.features.service import FeatureService
from evalkit.features.spec import ExtractorSpec, FeatureRequest, ImageContent, PairContent, TextContent
from evalkit.media import decode_image, write_image
from evalkit.media.known import KnownPixels
from evalkit.methods.base import Job, Made, Method, MethodInfo
from evalkit.metrics.base import Bound, Item, Metric, Outcome
from evalkit.nouns import Case, MetricChoice, Reference, Sample, Score, Signature, State
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.record import RunIdentity, RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

SPEC = ExtractorSpec(family="fake", model="fake/one", preprocess="corners", text="plain")
LONGEST_TEXT = 40
Pair = tuple[Case, int]


def picture(seed: int, height: int = 6, width: int = 8) -> NDArray[np.uint8]:
    """uint8 [height, width, 3] that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_picture(path: Path, seed: int) -> ImageContent:
    """Draws `picture(seed)` into a file."""
    write_image(path, picture(seed))
    return ImageContent(decode_image(path).sha256, path)


class FakeExtractor:
    """A backbone that keeps the `Extractor` contract: `embedding` [5] and `mean` [] of pictures and texts, `distance`."""

    def __init__(
        self, spec: ExtractorSpec = SPEC, *, forward_batch: int = 4, preprocess_key: str | None = None
    ) -> None:
        self.spec, self.forward_batch = spec, forward_batch
        self.fingerprint = fake_fingerprint(spec)
        self.preprocess_key = preprocess_key or spec.preprocess
        self.shapes: list[tuple[int, ...]] = []
        """Of every batch that went through, in order; texts as (rows,)."""
        self.prepared = 0
        self._projection = np.random.default_rng(7).normal(size=(12, 5)).astype(np.float32)

    def signature_parts(self) -> Mapping[str, str]:
        """What the signature says."""
        return {"backbone": self.spec.model, "weights": self.fingerprint[:12]}

    def prepare(self, pixels: NDArray[np.uint8]) -> Array:
        """The four corners, [3, 2, 2] in [0, 1]."""
        self.prepared += 1
        return np.ascontiguousarray(
            pixels[:: len(pixels) - 1, :: pixels.shape[1] - 1].transpose(2, 0, 1) / 255, np.float32
        )

    def encode_images(self, batch: Array) -> dict[str, Array]:
        """[B, 3, 2, 2] to `embedding` [B, 5] and `mean` [B]."""
        self.shapes.append(batch.shape)
        flat = batch.reshape(len(batch), -1)
        return self._outputs(flat @ self._projection, flat.mean(1))

    def text_problem(self, text: str) -> str | None:
        """Texts of more than LONGEST_TEXT characters are too long."""
        return None if len(text) <= LONGEST_TEXT else f"wanted at most {LONGEST_TEXT} characters, found {len(text)}"

    def encode_texts(self, texts: Sequence[str]) -> dict[str, Array]:
        """Texts to `embedding` [B, 5] and `mean` [B]."""
        self.shapes.append((len(texts),))
        digests = [hashlib.sha256(text.encode()).digest()[:5] for text in texts]
        numbers = (np.array([list(digest) for digest in digests]) / 255 - 0.5).astype(np.float32)
        return self._outputs(numbers, numbers.mean(1))

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Pairs [B, 3, 2, 2] to `distance` [B], the mean absolute difference."""
        assert first.shape == second.shape
        self.shapes.append(first.shape)
        return {"distance": np.abs(first - second).mean((1, 2, 3))}

    def encode_prompted(self, batch: Array, texts: Sequence[str]) -> dict[str, Array]:
        """Pictures [B, 3, 2, 2] with texts to `fit` [B], the picture's mean plus the text's."""
        return {"fit": self.encode_images(batch)["mean"] + self.encode_texts(texts)["mean"]}

    @staticmethod
    def _outputs(embedding: Array, mean: Array) -> dict[str, Array]:
        rows = np.float32(len(embedding))
        return {"embedding": embedding + rows * np.float32(1e-3), "mean": mean + rows * np.float32(1e-3)}


def fake_fingerprint(spec: ExtractorSpec) -> str:
    """The digest under which a fake's features are cached."""
    return hashlib.sha256(spec.to_json().encode()).hexdigest()


@dataclass
class FakeBackbones:
    """Hands out FakeExtractors; models in `missing` have no weights."""

    missing: set[str] = field(default_factory=set)
    forward_batch: int = 4
    loaded: list[FakeExtractor] = field(default_factory=list)

    def fingerprint(self, spec: ExtractorSpec) -> str:
        """What features are cached under. Raises WeightsError."""
        self._need(spec)
        return fake_fingerprint(spec)

    def load(self, spec: ExtractorSpec) -> FakeExtractor:
        """A new extractor, kept in `loaded`. Raises WeightsError."""
        self._need(spec)
        self.loaded.append(FakeExtractor(spec, forward_batch=self.forward_batch))
        return self.loaded[-1]

    def _need(self, spec: ExtractorSpec) -> None:
        if spec.model in self.missing:
            raise WeightsError(f"wanted the weights of {spec.model!r}, found none")

    def service(self, cache: FeatureCache | None = None, pictures: Pictures | None = None) -> FeatureService:
        """A service on these backbones; close it."""
        return FeatureService(
            cache or FeatureCache(None), pictures or Pictures(), fingerprint=self.fingerprint, load=self.load
        )


CARD = """\
name: {name}
title: Fake
meaning: Nothing.
formula: none
unit: none
range: [-100, null]
direction: higher
identical: 1.0
needs: [sample, targets, prompt]
media: [image]
undefined: never
reward_family: fake
version: 1
sources: [none]
default_variant: plain
variants:
  plain:
    kind: paper
    meaning: The one.
    source: none
    extractor: {{family: fake, model: fake/one, preprocess: corners, text: plain}}
    tolerance: 1.0e-6
  percent:
    kind: official
    meaning: In percent.
    source: none
    extractor: {{family: fake, model: fake/one, preprocess: corners, text: plain}}
    scale: 100
    params: {{floor: true, alpha: 0.5}}
    tolerance: 1.0e-4
"""


def write_card(folder: Path, name: str) -> Path:
    """A valid card of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(CARD.format(name=name), encoding="utf-8")
    return path


class FakeMetric(Metric):
    """Mean over targets of the pairs' distances plus the first number of the prompt's embedding.

    `raises` names the cases on which its code fails.
    """

    def __init__(self, card: Path, *, raises: Sequence[str] = ()) -> None:
        super().__init__(card)
        self.raises = set(raises)
        self.scored: list[tuple[str, int]] = []
        """(case_id, seed) in the order in which it was asked."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Text, sample and every pair."""
        item.need_targets()
        pairs = [FeatureRequest(bound.extractor, PairContent(item.sample, t), "distance") for t in item.targets]
        text = FeatureRequest(bound.extractor, TextContent(item.case.prompt), "embedding")
        return [text, FeatureRequest(bound.extractor, item.sample, "embedding"), *pairs]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """One value an item; fails on the whole batch where a case of `raises` is in it."""
        for item in items:
            if item.case.case_id in self.raises:
                raise ZeroDivisionError(f"no way with {item.case.case_id}")
        self.scored += [(item.case.case_id, item.seed) for item in items]
        return [
            Outcome.scored(bound.card.scale * float(text[0] + sample[1] + np.mean(pairs)), weight=len(pairs))
            for text, sample, *pairs in features
        ]


def column(metric: Metric, *, variant: str = "plain", aggregation: str = "micro", **choice: Any) -> Column:
    """The metric as a column of a run."""
    card = metric.card.variant(variant)
    chosen = MetricChoice.read(
        {"metric": metric.card.name, "variant": variant, "aggregation": aggregation, **choice}, where="test"
    )
    signature = Signature.of(metric=metric.card.name, variant=variant, backbone=card.extractor.model)
    return Column(metric.card.name, chosen, metric, Bound(variant, card, card.extractor), signature, None)


def benchmark_spec(**changes: Any) -> BenchmarkSpec:
    """A spec with one protocol, `plain`."""
    source = {"paper": "none", "repository": "none", "licence": "none", "get": "draw it"}
    protocol = {"name": "plain", "title": "Plain", "source": "none", "seeds": 1,
                "metrics": [{"metric": "fake", "variant": "plain"}]}  # fmt: skip
    told = {
        "name": "tiny", "title": "Tiny", "meaning": "Drawn.", "medium": "image", "source": source, "data_card": "none",
        "layout": "pictures", "design": {"unit": "subject", "prompts": "crossed"},
        "expected": {"subjects": 2, "prompts_per_subject": 2, "cases": {"plain": 4}},
        "default_protocol": "plain", "protocols": [protocol], "sandbox": False,
    }  # fmt: skip
    return BenchmarkSpec.read(told | changes, where="test")


def tiny_cases(root: Path, *, subjects: int = 2, prompts: int = 2, references: int = 1) -> tuple[Case, ...]:
    """Cases `s0.p0`, `s0.p1`, ...; the pictures that they name are drawn below `root`."""
    cases = []
    for s in range(subjects):
        pictures = [Reference(path=f"s{s}/{r}.png", subject=f"s{s}", label="thing") for r in range(references)]
        for r, reference in enumerate(pictures):
            write_picture(root / reference.path, 100 * s + r)
        cases += [
            Case(
                case_id=f"s{s}.p{p}", prompt=f"thing {s} in place {p}", subjects=(f"s{s}",), references=tuple(pictures),
                targets=tuple(pictures), category="thing", prompt_index=p,
            )
            for p in range(prompts)
        ]  # fmt: skip
    return tuple(cases)


def tiny_benchmark(root: Path, **shape: int) -> Loaded:
    """A drawn benchmark with no real pictures beside its references; `shape` as for `tiny_cases`."""
    return Loaded(benchmark_spec(), "plain", tiny_cases(root, **shape), root, lambda _case, _seed: None)


class FakeMethod(Method):
    """Draws a picture from each job's own seed; fails with a reason on the cases in `fails`."""

    info = MethodInfo(
        name="fake", version="1", title="Fake", kind="method", meaning="Draws.", media=("image",), max_references=None,
        licence="none", source="none", stochastic=True,
    )  # fmt: skip

    def __init__(self, fails: Mapping[str, str | None] | None = None) -> None:
        self.fails, self.asked = dict(fails or {}), list[Job]()

    def make(self, jobs: Sequence[Job], context: Any) -> Iterator[Made]:
        """A picture a job."""
        for job in jobs:
            self.asked.append(job)
            if job.case.case_id in self.fails:
                yield Made(job, None, self.fails[job.case.case_id])
            else:
                yield Made(job, picture(job.rng_seed % 2**32))


@dataclass
class World:
    """A run folder on a tiny benchmark with one sample a case and seed, to be scored again and again."""

    benchmark: Loaded
    run: RunFolder
    expected: list[Pair]
    backbones: FakeBackbones = field(default_factory=FakeBackbones)
    cache: FeatureCache = field(default_factory=lambda: FeatureCache(None))

    def score(self, *columns: Column, chunk: int = CHUNK) -> int:
        """Scores with a service of its own, as a new process would; returns how many scores are new."""
        pictures = Pictures()
        service = self.backbones.service(self.cache, pictures)
        targets = targets_of(self.benchmark, pictures)
        try:
            return Scorer(self.run, columns, targets, service, chunk=chunk).score(self.expected)
        finally:
            service.close()

    def write_sample(self, case_id: str, seed: int, *, drawn: int | None = None, **changes: Any) -> Sample:
        """Stores a sample drawn from that seed, or the record of one that is none."""
        number = 1000 + seed + 10 * [case.case_id for case in self.benchmark.cases].index(case_id)
        path = self.run.media_path(case_id, seed, ".png")
        content = write_picture(path, number if drawn is None else drawn)
        sample = Sample(
            case_id=case_id, seed=seed, state="made", path=f"{case_id}/{path.name}", pixels_sha256=content.sha256,
            case_sha256=self.run.cases[case_id].sha256, method="fake", method_version="1",
        ).model_copy(update=changes)  # fmt: skip
        self.run.samples.append([sample])
        return sample

    def scores(self) -> dict[tuple[str, int, str], Score]:
        """The newest score by (case, seed, metric)."""
        return {(s.case_id, s.seed, s.metric): s for s in self.run.scores.latest().values()}

    def states(self) -> Counter[State]:
        """How many of the newest scores have each state."""
        return Counter(score.state for score in self.scores().values())


@contextmanager
def world(folder: Path, *, seeds: int = 1, samples: bool = True, **shape: int) -> Iterator[World]:
    """A World under `folder`, with a sample for every case and seed unless told otherwise."""
    benchmark = tiny_benchmark(folder / "data", **shape)
    with ExitStack() as stack:
        run = stack.enter_context(open_run(folder / "run", benchmark, seeds=seeds))
        made = World(benchmark, run, [(case, seed) for case in benchmark.cases for seed in range(seeds)])
        if samples:
            for case, seed in made.expected:
                made.write_sample(case.case_id, seed)
        yield made


def targets_of(benchmark: Loaded, pictures: Pictures) -> Targets:
    """The benchmark's targets; hashes of known files are kept beside its data."""
    return Targets(benchmark.cases, benchmark.root, pictures, KnownPixels(benchmark.root.parent / "pixels"))


def open_run(path: Path, benchmark: Loaded, *, seeds: int = 1) -> RunFolder:
    """The run folder of the fake method on that benchmark, open for writing."""
    pixels = targets_of(benchmark, Pictures()).pixels()
    return RunFolder.open(
        path,
        identity=RunIdentity(method="fake", method_version="1", benchmark="tiny", profile="sandbox"),
        request=RunRequest(
            protocol="plain", metrics=benchmark.spec.protocols[0].metrics, seeds=tuple(range(seeds)), limit=None
        ),
        cases=[RunCase.of(case, pixels) for case in benchmark.cases],
    )


def replace_spec(spec: ExtractorSpec, **changes: Any) -> ExtractorSpec:
    """The spec with some fields changed, checked again."""
    return ExtractorSpec.read(spec.model_dump() | changes, where="test")


def moved(benchmark: Loaded, **changes: Any) -> Loaded:
    """The benchmark with some fields changed."""
    return replace(benchmark, **changes)
