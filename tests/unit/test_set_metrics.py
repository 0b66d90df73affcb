"""Sets of cases: who stands beside whom, what a missing mate costs, and the metrics that read mates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from evalkit.engine.mates import Sets
from evalkit.engine.setting import _limited
from evalkit.errors import UsageError
from evalkit.features.spec import FeatureRequest, ImageContent
from evalkit.metrics.base import Bound, Item, Mate, Metric, Outcome, Unscorable
from evalkit.metrics.cqs import cqs_har, mean_similarity
from evalkit.metrics.cqs_har import CQS_HAR, Parts, parts_read, parts_told
from evalkit.metrics.dreamsim_pairwise import DREAMSIM_PAIRWISE
from evalkit.metrics.text_alignment import TEXT_ALIGNMENT
from evalkit.nouns import Case, Sample, State
from tests.fakes import FakeMetric, World, column, world, write_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

K = 3


class Beside(FakeMetric):
    """The mean number of the sample's and its mates' pictures."""

    def requests(self, item: Item, bound: Bound) -> list[FeatureRequest]:
        """Every picture."""
        item.need_mates()
        return [FeatureRequest(bound.extractor, p, "mean") for p in (item.sample, *(m.sample for m in item.mates))]

    def score(
        self, items: Sequence[Item], bound: Bound, features: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[Outcome]:
        """How many pictures there are."""
        self.scored += [(item.case.case_id, item.seed) for item in items]
        return [Outcome.scored(float(len(row))) for row in features]


@pytest.fixture
def stories(tmp_path: Path) -> Iterator[World]:
    """Two sets of three pictures, two seeds, and a single case of no set."""
    with world(tmp_path, subjects=3, prompts=K, seeds=2) as made:
        cases = {c.case_id: c.model_copy(update={"set_id": c.subjects[0] if c.subjects[0] != "s2" else None})
                 for c in made.benchmark.cases}  # fmt: skip
        made.expected = [(cases[case.case_id], seed) for case, seed in made.expected]
        yield made


@pytest.fixture
def metric(tmp_path: Path) -> Beside:
    path = write_card(tmp_path, "beside")
    path.write_text(path.read_text().replace("[sample, targets, prompt]", "[sample, mates]"))
    return Beside(path)


def test_each_sample_is_seen_with_the_others_of_its_set_and_seed(stories: World, metric: Beside) -> None:
    stories.score(column(metric))
    found = stories.scores()
    assert {found[f"s{s}.p{p}", seed, "beside@plain"].value for s in (0, 1) for p in range(K) for seed in (0, 1)} == {K}
    alone = found["s2.p0", 0, "beside@plain"]
    assert (alone.state, alone.reason) == (State.NOT_APPLICABLE, "s2.p0 is of no set")


def test_mates_come_in_the_order_of_the_cases_and_of_one_seed(stories: World) -> None:
    samples = {(case.case_id, seed): f"{case.case_id}-{seed}" for case, seed in stories.expected}

    def standing(case_id: str, seed: int) -> Sample:
        return Sample(
            case_id=case_id, seed=seed, state="made", path="x.png", pixels_sha256=samples[case_id, seed],
            case_sha256="0", method="m", method_version="1",
        )  # fmt: skip

    case = stories.expected[2][0]
    assert case.case_id == "s0.p1"
    mates = Sets(stories.expected, Path("media")).mates(case, 1, standing)
    assert not isinstance(mates, Outcome)
    assert [(m.case.case_id, m.sample) for m in mates] == [
        ("s0.p0", ImageContent("s0.p0-1", Path("media/x.png"))), ("s0.p2", ImageContent("s0.p2-1", Path("media/x.png"))),
    ]  # fmt: skip


def test_a_set_is_never_made_smaller(stories: World, metric: Beside) -> None:
    stories.write_sample("s0.p1", 0, state="failed", path=None, pixels_sha256=None, reason="no memory")
    stories.score(column(metric))
    found = stories.scores()
    assert found["s0.p1", 0, "beside@plain"].state is State.SAMPLE_FAILED
    for case_id in ("s0.p0", "s0.p2"):
        score = found[case_id, 0, "beside@plain"]
        assert (score.state, score.value) == (State.MATE_MISSING, None)
        assert score.reason == "1 of the 2 other pictures of s0 are not there, first s0.p1"
    assert found["s0.p0", 1, "beside@plain"].value == K
    stories.write_sample("s0.p1", 0)
    assert stories.score(column(metric)) == K
    assert stories.scores()["s0.p0", 0, "beside@plain"].value == K


def test_a_changed_mate_makes_stale_what_reads_mates_and_nothing_else(
    stories: World, metric: Beside, tmp_path: Path
) -> None:
    plain = FakeMetric(write_card(tmp_path, "fake"))
    stories.score(column(metric), column(plain))
    before = stories.scores()
    stories.write_sample("s1.p0", 1, drawn=77)
    stories.score(column(metric), column(plain))
    changed = {key for key, score in stories.scores().items() if score != before[key]}
    assert changed == {("s1.p0", 1, "fake@plain"), *((f"s1.p{p}", 1, "beside@plain") for p in range(K))}


def test_a_mate_whose_file_shows_another_picture_is_missing(stories: World, metric: Beside) -> None:
    stories.run.media_path("s0.p1", 0, ".png").write_bytes(stories.run.media_path("s1.p1", 0, ".png").read_bytes())
    stories.score(column(metric))
    assert stories.scores()["s0.p0", 0, "beside@plain"].state is State.MATE_MISSING
    assert stories.scores()["s0.p1", 0, "beside@plain"].state is State.DECODE_ERROR


def case_of(number: int, **changes: object) -> Case:
    told = {"case_id": f"c{number}", "prompt": "a cat asleep", "subjects": ("cat",), "references": (), "targets": (),
            "category": "animal", "prompt_index": number % K, "set_id": f"set{number // K}",
            "texts": {"own_prompt": "asleep"}}  # fmt: skip
    return Case.model_validate(told | changes)


def test_a_limit_takes_whole_sets() -> None:
    cases = tuple(case_of(number) for number in range(30))
    for limit in range(1, 30):
        taken = _limited(cases, limit)
        sets = [case.set_id for case in taken]
        assert all(sets.count(name) == K for name in sets)
        assert len(taken) == max(K, limit // K * K)
        assert {case.case_id for case in taken} <= {case.case_id for case in _limited(cases, limit + 1)}
    assert _limited(cases, 30) == cases


def story(mates: int = 2, **changes: object) -> Item:
    case = case_of(0, **changes)
    others = tuple(Mate(case_of(n + 1), ImageContent(f"{n:064d}", Path(f"{n}.png"))) for n in range(mates))
    return Item(case, 0, ImageContent("f" * 64, Path("s.png")), (), mates=others)


def bound(metric: Metric, variant: str, **params: object) -> Bound:
    card = metric.card.variant(variant)
    card = card.model_copy(update={"params": card.params | params})
    return Bound(variant, card, card.extractor, card.beside)


def centred(*values: float) -> NDArray[np.float32]:
    row = np.asarray(values, np.float64)
    row = row - row.mean()
    return np.asarray(row / np.linalg.norm(row), np.float32)


def test_pairwise_dreamsim_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(3)
    pictures = [centred(*rng.normal(size=6)) for _ in range(4)]
    distances = 1 - np.array([[float(a @ b) for b in pictures] for a in pictures], np.float64)
    rows = [[pictures[i], *(pictures[j] for j in range(4) if j != i)] for i in range(4)]
    found = DREAMSIM_PAIRWISE.score([story(3)] * 4, bound(DREAMSIM_PAIRWISE, "ensemble"), rows)
    assert [o.value for o in found] == pytest.approx(1 - mean_similarity(distances), abs=1e-6)
    assert {o.weight for o in found} == {3}
    weighted = sum((o.value or 0) * o.weight for o in found) / sum(o.weight for o in found)
    assert weighted == pytest.approx(distances[np.triu_indices(4, 1)].mean(), abs=1e-6)


@pytest.mark.parametrize("metric", [DREAMSIM_PAIRWISE, CQS_HAR], ids=lambda m: m.card.name)
def test_the_only_one_of_a_set_has_no_value(metric: Metric) -> None:
    with pytest.raises(Unscorable, match="^c0 is the only one of its set set0$") as raised:
        metric.requests(story(0), bound(metric, metric.card.default_variant))
    assert raised.value.state is State.UNDEFINED


@pytest.mark.parametrize("metric", [TEXT_ALIGNMENT, CQS_HAR], ids=lambda m: m.card.name)
def test_a_case_without_an_own_prompt_is_not_measured(metric: Metric) -> None:
    with pytest.raises(Unscorable, match="^c0 has no 'own_prompt' among its texts$") as raised:
        metric.requests(story(texts={}), bound(metric, metric.card.default_variant))
    assert raised.value.state is State.NOT_APPLICABLE


@pytest.mark.parametrize(("mu", "tau"), [(0.5, 0.5), (0.0, 0.0), (1.0, 0.3)])
def test_cqs_of_a_picture_is_the_pure_measure_of_its_parts(mu: float, tau: float) -> None:
    rng = np.random.default_rng(4)
    rows = [[rng.normal(size=5).astype(np.float32) for _ in range(3)] + [centred(*rng.normal(size=6)) for _ in range(3)]
            for _ in range(9)]  # fmt: skip
    found = CQS_HAR.score([story()] * 9, bound(CQS_HAR, "clip_sandbox", mu=mu, tau=tau), rows)
    parts = [parts_read(outcome.reason or "") for outcome in found]
    whole = cqs_har(*zip(*parts, strict=True), mu=mu, tau=tau)
    assert [o.value for o in found] == pytest.approx(whole.per_sample.tolist(), abs=1e-7)
    picture, joint, own, sample, *mates = (row.astype(np.float64) for row in rows[0])
    cosines = [float(picture @ t / np.linalg.norm(picture) / np.linalg.norm(t)) for t in (joint, own)]
    assert parts[0] == pytest.approx([*((c + 1) / 2 for c in cosines), np.mean([sample @ m for m in mates])], abs=1e-6)


def test_cqs_rewards_pictures_that_are_alike_and_texts_that_fit() -> None:
    text, same = np.array([1, 0], np.float32), centred(1, 2, 3)
    row = [text, text, text, same, same, same]
    variant = bound(CQS_HAR, "clip_sandbox")
    assert CQS_HAR.score([story()], variant, [row])[0].value == pytest.approx(1, abs=1e-6)
    unlike = [*row[:4], centred(3, 2, 1), centred(3, 2, 1)]
    unfit = [text, -text, -text, *row[3:]]
    values = [CQS_HAR.score([story()], variant, [r])[0].value for r in (unlike, unfit)]
    assert [v is not None and v < 0.01 for v in values] == [True, True]


def test_a_zero_embedding_gives_no_cqs() -> None:
    row = [np.ones(2, np.float32)] * 3 + [centred(1, 2, 3), centred(1, 2, 3), np.zeros(3, np.float32)]
    assert CQS_HAR.score([story()], bound(CQS_HAR, "clip_sandbox"), [row])[0].state is State.UNDEFINED


def test_parts_are_told_and_read() -> None:
    assert parts_read(parts_told(Parts(0.1, 2 / 3, -0.25))) == pytest.approx((0.1, 2 / 3, -0.25), abs=1e-8)
    with pytest.raises(UsageError, match=r"wanted the parts of a CQS_har like .*, found 'runs 3 2 -'"):
        parts_read("runs 3 2 -")
