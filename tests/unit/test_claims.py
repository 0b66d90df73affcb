"""Runs against runs: compare, gate, freeze, diff, on scores whose truth is known."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from evalkit.cli import main
from evalkit.engine.compare import compare_runs, sentence
from evalkit.engine.diff import diff_runs
from evalkit.engine.frozen import Frozen, read_frozen
from evalkit.engine.gate import gate
from evalkit.engine.gate_report import junit, markdown
from evalkit.engine.plan import plan_runs
from evalkit.engine.policy import read_policy
from evalkit.engine.scored import read_scored
from evalkit.errors import DataError, EvalkitError, RunError, UsageError
from evalkit.nouns import State
from tests.unit.scored_runs import PROMPTS, SUBJECTS, values, write_run

if TYPE_CHECKING:
    from pathlib import Path

quick = partial(compare_runs, n_resamples=999)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_run(
        tmp_path / "base", {"clip_t": values(seed=1), "dino_i": values(seed=2), "lpips": values(seed=3)}, method="base"
    )


@pytest.fixture
def better(tmp_path: Path) -> Path:
    """Higher on clip_t by 3, the same on dino_i but for noise, higher (so worse) on lpips by 2."""
    scores = {"clip_t": values(3, seed=4), "dino_i": values(seed=5), "lpips": values(2, seed=6)}
    return write_run(tmp_path / "better", scores, method="new", in_domain=("clip_t",))


def policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class TestCompare:
    def test_finds_what_is_there_and_nothing_else(self, base: Path, better: Path) -> None:
        found = quick([base, better])
        claims = {claim.metric: claim for claim in found.claims}
        assert [claims[m].better for m in ("clip_t", "dino_i", "lpips")] == ["new", None, "base"]
        c = claims["clip_t"]
        wanted = float((values(3, seed=4) - values(seed=1)).mean())
        assert c.comparison.difference == pytest.approx(wanted, abs=1e-9)
        assert c.comparison.ci_low < wanted < c.comparison.ci_high
        assert (c.comparison.n_subjects, c.comparison.n_pairs) == (SUBJECTS, SUBJECTS * PROMPTS)
        assert (c.in_domain, c.direction, claims["lpips"].direction) == (("new",), "higher", "lower")
        assert claims["lpips"].win_rate < 0.2
        assert found.not_compared == ()
        assert found.design == "stratified"
        assert c.adjusted >= c.comparison.p_value

    def test_says_it_in_a_sentence(self, base: Path, better: Path) -> None:
        told = [sentence(claim) for claim in quick([base, better]).claims]
        assert told[0].startswith("clip_t: new is better than base (new - base +")
        assert told[0].endswith("; new trained on this metric")
        assert told[1].startswith("dino_i: no difference shown between new and base (")
        assert "24 subjects, adjusted p" in told[2]
        assert told[2].startswith("lpips: base is better than new (")

    def test_equal_seeds_give_equal_results_and_order_turns_the_sign(self, base: Path, better: Path) -> None:
        first = quick([base, better])
        assert quick([base, better]) == first
        turned = quick([better, base])
        assert [c.comparison.difference for c in turned.claims] == [-c.comparison.difference for c in first.claims]

    def test_three_runs_have_ranks(self, base: Path, better: Path, tmp_path: Path) -> None:
        third = write_run(tmp_path / "c", {"clip_t": values(seed=7)}, method="third")
        found = quick([base, better, third], all_pairs=True)
        assert [(c.a, c.b) for c in found.claims if c.metric == "clip_t"] == [
            ("new", "base"),
            ("third", "base"),
            ("third", "new"),
        ]
        ranking = found.rankings["clip_t"]
        assert ranking.entries[0].name == "new"
        assert (ranking.entries[0].highest, ranking.entries[0].lowest) == (1, 1)
        assert set(found.rankings) == {"clip_t"}
        why = {no.metric: no.why for no in found.not_compared}
        assert why["dino_i"].startswith("third has no scores of it; `evalkit score ")
        assert why["dino_i"].endswith("--metric dino_i@dreambench_pp` makes them")

    def test_by_category(self, base: Path, better: Path) -> None:
        found = quick([base, better], by_category=True, family="exploratory")
        assert [(c.metric, c.category) for c in found.claims][:2] == [("clip_t", "animal"), ("clip_t", "object")]
        assert {c.comparison.n_subjects for c in found.claims} == {12}
        assert found.method == "bh"

    def test_another_signature_is_not_compared_and_says_which_part(self, base: Path, tmp_path: Path) -> None:
        other = write_run(tmp_path / "o", {"clip_t": values(seed=8)}, method="other", weights="v2")
        found = quick([base, other])
        assert found.claims == ()
        assert found.not_compared[0].why.startswith(
            "the signatures differ in weights: v2 in other, w in base; score both"
        )

    def test_another_profile_or_case_is_not_compared(self, base: Path, tmp_path: Path) -> None:
        paper = write_run(tmp_path / "p", {"clip_t": values(seed=8)}, method="paper", profile="paper")
        worded = write_run(tmp_path / "w", {"clip_t": values(seed=8)}, method="worded", prompt="a cat")
        found = quick([base, paper, worded])
        assert [no.metric for no in found.not_compared] == [None, None]
        assert found.not_compared[0].why.startswith("wanted one profile, found 'paper' in paper and 'sandbox' in base")
        assert "found 72 whose prompt or pictures differ, the first 's00.p0'" in found.not_compared[1].why

    def test_other_cases_are_named(self, base: Path, tmp_path: Path) -> None:
        fewer = write_run(tmp_path / "f", {"clip_t": values(seed=8)[:20]}, method="fewer")
        why = {no.metric: no.why for no in quick([base, fewer]).not_compared}["clip_t"]
        assert "12 only in b (first: ('s20', '0', 0)" in why

    def test_missing_values_are_counted_and_bounded(self, base: Path, tmp_path: Path) -> None:
        states = {("clip_t", 0, 0): State.NO_FACE, ("clip_t", 5, 1): State.SAMPLE_FAILED}
        gaps = write_run(tmp_path / "g", {"clip_t": values(1, seed=8)}, method="gaps", states=states)
        (claim,) = quick([base, gaps]).claims
        c = claim.comparison
        assert (c.n_missing, c.n_pairs) == (2, 70)
        assert c.worst_low is not None
        assert c.worst_low < c.difference < (c.worst_high or 0)

    def test_what_is_missing_is_said_doubted_or_refused_as_asked(self, base: Path, tmp_path: Path) -> None:
        states = {("clip_t", subject, 0): State.NO_FACE for subject in range(12)}
        told = {"clip_t": values(1, seed=8), "dino_i": values(1, seed=9)}
        gaps = write_run(tmp_path / "g", told, method="gaps", states=states)
        complete, worst = (
            {c.metric: c for c in quick([base, gaps], missing=policy).claims} for policy in ("complete", "worst")
        )
        assert complete["clip_t"].better == "gaps"
        assert "12 missing, which could make it" in sentence(complete["clip_t"])
        assert complete["clip_t"].comparison == worst["clip_t"].comparison
        assert worst["clip_t"].better is None  # half of the subjects could be anywhere from -100 to 100
        assert worst["dino_i"].better == complete["dino_i"].better == "gaps"
        refused = quick([base, gaps], missing="refuse")
        assert [c.metric for c in refused.claims] == ["dino_i"]
        why = {no.metric: no.why for no in refused.not_compared}
        assert why["clip_t"].startswith("wanted a value for every case, found 12 without; --missing complete")

    def test_one_run_is_no_comparison(self, base: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="wanted two runs or more, found one"):
            compare_runs([base])
        with pytest.raises(UsageError, match="found .* twice; give each once"):
            compare_runs([base, base])
        with pytest.raises(RunError, match="wanted a run folder"):
            compare_runs([base, tmp_path / "nowhere"])

    def test_runs_of_one_method_go_by_their_folders(self, base: Path, tmp_path: Path) -> None:
        again = write_run(tmp_path / "again", {"clip_t": values(seed=1)}, method="base")
        assert [run.name for run in read_scored([base, again])] == ["base (base)", "base (again)"]


class TestGate:
    LIMITS = "metrics: {clip_t: {margin: 1.0}}\nn_resamples: 999\n"

    def test_passes_a_better_run_and_an_equal_one(self, base: Path, better: Path, tmp_path: Path) -> None:
        assert gate(better, base, policy(tmp_path, self.LIMITS)).outcome == "pass"
        again = write_run(tmp_path / "again", {"clip_t": values(seed=1)}, method="again")
        assert gate(again, base, policy(tmp_path, self.LIMITS)).outcome == "pass"

    def test_fails_a_worse_run_and_is_open_where_it_cannot_tell(self, base: Path, tmp_path: Path) -> None:
        worse = write_run(tmp_path / "worse", {"clip_t": values(-3, seed=4)}, method="worse")
        noisy = write_run(tmp_path / "noisy", {"clip_t": values(-1, seed=4, spread=6)}, method="noisy")
        told = policy(tmp_path, self.LIMITS)
        assert (gate(worse, base, told).outcome, gate(worse, base, told).exit_code) == ("fail", 1)
        assert (gate(noisy, base, told).outcome, gate(noisy, base, told).exit_code) == ("inconclusive", 2)

    def test_lower_is_better_where_the_metric_says_so(self, base: Path, better: Path, tmp_path: Path) -> None:
        limits = "metrics: {lpips: {margin: 0.5}}\nn_resamples: 999\n"
        assert gate(better, base, policy(tmp_path, limits)).outcome == "fail"
        assert gate(base, better, policy(tmp_path, limits)).outcome == "pass"

    def test_a_frozen_baseline_says_the_same(self, base: Path, better: Path, tmp_path: Path) -> None:
        frozen, told = tmp_path / "base.json", policy(tmp_path, self.LIMITS)
        assert main(["gate", "freeze", str(base), str(frozen)]) == 0
        for run in (base, better):
            assert gate(run, frozen, told).checks == gate(run, base, told).checks
        assert frozen.stat().st_size < 20_000
        assert read_frozen(frozen) == Frozen.of(read_scored([base])[0])

    def test_a_frozen_baseline_that_was_edited_is_refused(self, base: Path, tmp_path: Path) -> None:
        frozen = tmp_path / "base.json"
        main(["gate", "freeze", str(base), str(frozen)])
        frozen.write_text(frozen.read_text(encoding="utf-8").replace('"base"', '"mine"'), encoding="utf-8")
        with pytest.raises(DataError, match="the file was changed by hand; freeze the baseline again"):
            read_frozen(frozen)
        frozen.write_text("[]", encoding="utf-8")
        with pytest.raises(DataError, match="wanted a frozen baseline with its sha256, found none"):
            read_frozen(frozen)

    def test_gaps_fail_unless_the_policy_allows_them(self, base: Path, tmp_path: Path) -> None:
        states = {("clip_t", 0, 0): State.NO_FACE, ("clip_t", 5, 1): State.SAMPLE_FAILED}
        gaps = write_run(tmp_path / "g", {"clip_t": values(3, seed=8)}, method="gaps", states=states)
        checks = {c.name: c for c in gate(gaps, base, policy(tmp_path, self.LIMITS)).checks}
        assert (checks["coverage"].outcome, checks["missing"].outcome) == ("fail", "fail")
        assert checks["coverage"].told == "70/72 scored, wanted 100.0% or more; not scored: no_face 1, sample_failed 1"
        assert checks["missing"].told == "1/72 could be there and are not, wanted 0.0% or fewer"
        allowed = self.LIMITS + "min_coverage: 0.95\nmax_missing: 0.02\n"
        assert gate(gaps, base, policy(tmp_path, allowed)).outcome == "pass"

    def test_floor_ceiling_and_anchor(self, base: Path, better: Path, tmp_path: Path) -> None:
        noise = write_run(tmp_path / "n", {"clip_t": values(-9, seed=9)}, method="noise")
        real = write_run(tmp_path / "r", {"clip_t": values(9, seed=10)}, method="real_images")
        mean = read_scored([real])[0].result.scores["clip_t"].value
        limits = (
            "metrics: {clip_t: {margin: 1.0, floor: noise, ceiling: real_images}}\nn_resamples: 999\n"
            f"anchors: [{{run: real_images, metric: clip_t, value: {mean}, tolerance: 0.1}}]\n"
        )
        assert gate(better, base, policy(tmp_path, limits), [noise, real]).outcome == "pass"
        turned = limits.replace("floor: noise", "floor: real_images").replace("ceiling: real_images", "ceiling: noise")
        verdict = gate(better, base, policy(tmp_path, turned), [noise, real])
        failed = [check.name for check in verdict.checks if check.outcome == "fail"]
        assert failed == ["floor: better than real_images", "ceiling: not above noise"]
        drifted = policy(tmp_path, limits.replace(f"{mean}", f"{(mean or 0) + 1}"))
        assert [c.metric for c in gate(better, base, drifted, [noise, real]).checks if c.outcome == "fail"] == [
            "clip_t"
        ]
        with pytest.raises(
            UsageError, match=r"wanted a run of 'noise', the floor of clip_t, found none; give it with --control"
        ):
            gate(better, base, policy(tmp_path, limits))

    def test_a_relative_margin_is_of_the_baselines_mean(self, base: Path, better: Path, tmp_path: Path) -> None:
        (check,) = [
            c for c in gate(better, base, policy(tmp_path, "metrics: {clip_t: {margin: 2%}}\nn_resamples: 999\n")).checks
            if c.name == "no worse than the baseline"
        ]  # fmt: skip
        assert f"margin {0.02 * values(seed=1).mean():.4g}," in check.told

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("metrics: {clip_t: {margin: 1, colour: red}}", "metrics.clip_t.colour is not a known key"),
            ("metrics: {clip_t: {margin: -1}}", "a margin is a positive number"),
            (
                "metrics: {clip_t: {margin: much}}",
                "a margin is a positive number, or a percentage such as '2%', found 'much'",
            ),
            ("metrics: {}", "metrics"),
            ("alpha: 0.1", "metrics is missing"),
            (
                "{metrics: {clip_t: {margin: 1}}, anchors: [{run: a, metric: b, value: .nan, tolerance: 1}]}",
                "anchors.0.value: Input should be a finite number",
            ),
        ],
    )
    def test_a_policy_that_is_none(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=message):
            read_policy(policy(tmp_path, text))

    def test_what_cannot_be_held_against_each_other(self, base: Path, tmp_path: Path) -> None:
        told = policy(tmp_path, self.LIMITS)
        for name, change, message in (
            ("p", {"profile": "paper"}, "wanted one profile, found 'paper' in the run and 'sandbox'"),
            ("w", {"weights": "v2"}, "clip_t: the signatures differ in weights: v2 in the run, w in the baseline"),
            ("c", {"prompt": "a cat"}, "wanted the same cases, found 72 whose prompt or pictures differ"),
        ):
            other = write_run(tmp_path / name, {"clip_t": values(seed=8)}, **change)  # type: ignore[arg-type]
            with pytest.raises(EvalkitError, match=message):
                gate(other, base, told)
        lacking = write_run(tmp_path / "l", {"dino_i": values(seed=8)})
        with pytest.raises(
            UsageError, match="wanted 'clip_t', which the policy names, in the run, found dino_i; score it"
        ):
            gate(lacking, base, told)

    def test_reports_say_what_the_checks_say(self, base: Path, tmp_path: Path) -> None:
        worse = write_run(tmp_path / "<worse>|", {"clip_t": values(-3, seed=4)}, method="worse")
        verdict = gate(worse, base, policy(tmp_path, self.LIMITS))
        suite = ET.fromstring(junit(verdict))
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "0")
        (failure,) = suite.iter("failure")
        assert "margin 1," in (failure.get("message") or "")
        text = markdown(verdict)
        assert text.startswith("## evalkit gate: **failed**\n\nSandbox numbers")
        assert "&lt;worse>\\|" in text
        assert text.count("\n| clip_t |") == 3

    def test_exit_codes(self, base: Path, better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        told, worse = policy(tmp_path, self.LIMITS), write_run(tmp_path / "x", {"clip_t": values(-3, seed=4)})
        noisy = write_run(tmp_path / "y", {"clip_t": values(-1, seed=4, spread=6)})
        common = ["--baseline", str(base), "--policy", str(told)]
        runs = {better: 0, worse: 1, noisy: 2, tmp_path / "nowhere": 3}
        assert {run: main(["gate", "--run", str(run), *common]) for run in runs} == runs
        assert main(["gate"]) == 3
        assert main(["gate", "--nonsense"]) == 3
        capsys.readouterr()
        reports = ["--junit", str(tmp_path / "j.xml"), "--markdown", str(tmp_path / "m.md"), "--json"]
        assert main(["gate", "--run", str(worse), *common, *reports]) == 1
        assert json.loads(capsys.readouterr().out)["outcome"] == "fail"
        assert (tmp_path / "j.xml").is_file()
        assert (tmp_path / "m.md").is_file()


class TestDiff:
    def test_equal_runs_are_told_to_be(self, base: Path, tmp_path: Path) -> None:
        scores = {"clip_t": values(seed=1), "dino_i": values(seed=2), "lpips": values(seed=3)}
        again = write_run(tmp_path / "again", scores, method="base")
        found = diff_runs(base, again)
        assert found.same
        assert found.identity == ()

    def test_names_what_differs_first(self, base: Path, tmp_path: Path) -> None:
        changed = values(seed=1)
        changed[3, 1] += 7
        changed[4, 0] -= 2
        states = {("dino_i", 2, 2): State.DECODE_ERROR}
        other = write_run(
            tmp_path / "o", {"clip_t": changed, "dino_i": values(seed=2)}, method="other", states=states, pixels="q"
        )
        found = diff_runs(base, other)
        assert not found.same
        assert found.identity[0] == ("method", '"base"', '"other"')
        assert (found.samples, found.changed_samples, found.first_changed[0]) == (72, 72, "s00.p0 seed 0")
        clip, dino = found.metrics
        assert (clip.differing, clip.pairs) == (2, 72)
        assert [(d.case_id, round(d.b - d.a, 6), d.same_sample) for d in clip.largest] == [
            ("s03.p1", 7.0, False), ("s04.p0", -2.0, False),
        ]  # fmt: skip
        assert (dino.differing, dino.states_changed) == (0, 1)
        assert dino.states[0] == ("s02.p2", 0, "scored", "decode_error")
        assert found.only_metrics[0] == ("lpips", "scored", "not there")

    def test_runs_without_a_common_sample_are_said_to_have_none(
        self, base: Path, better: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        apart = diff_runs(base, better).model_copy(update={"samples": 0, "changed_samples": 0, "first_changed": ()})
        monkeypatch.setattr("evalkit.engine.diff.diff_runs", lambda *_, **__: apart)
        assert main(["diff", str(base), str(better)]) == 0
        told = capsys.readouterr().out
        assert "none is in both runs for the same case and seed" in told
        assert "0 of 0" not in told

    def test_names_the_part_of_the_signature(self, base: Path, tmp_path: Path) -> None:
        other = write_run(tmp_path / "o", {"clip_t": values(seed=1)}, method="base", weights="v2")
        assert diff_runs(base, other).metrics[0].signature == ("weights", "w", "v2")

    def test_prints(self, base: Path, better: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["diff", str(base), str(better), "--show", "1"]) == 0
        out = capsys.readouterr().out
        assert 'method: "base" in a, "new" in b' in out
        assert "72 of 72 values differ" in out
        assert main(["diff", str(base), str(better), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["same"] is False


class TestPlan:
    def test_two_pilots_need_fewer_subjects_than_one(self, base: Path, better: Path) -> None:
        both = plan_runs([base, better], 1.0, metric="clip_t", replications=50)
        one = plan_runs([base], 1.0, metric="clip_t", replications=50)
        needed = [next(c for c in p.plan.choices if (c.prompts, c.seeds) == (3, 1)).subjects for p in (both, one)]
        assert needed[0] is not None
        assert needed[1] is not None
        assert needed[0] < 15  # deviations of 1
        assert needed[1] > 200  # levels of 5
        assert (both.single, one.single, both.pilots) == (False, True, ("base", "new"))
        for choice in both.plan.choices:
            assert choice.simulated is not None
            assert 0.5 < choice.simulated <= 1

    def test_hours_are_what_samples_take(self, base: Path, better: Path) -> None:
        found = plan_runs([base, better], 1.0, seconds_per_sample=1800, replications=20)
        assert found.hours(found.plan.choices[0].samples) == (found.plan.choices[0].samples or 0) / 2
        assert plan_runs([base, better], 1.0, replications=20).hours(10) is None  # the runs were never timed
        assert found.to_dict()["plan"]["choices"][0]["hours"] == found.hours(found.plan.choices[0].samples)

    def test_what_cannot_be_planned(self, base: Path, tmp_path: Path) -> None:
        other = write_run(tmp_path / "o", {"clip_t": values(seed=8)}, weights="v2")
        with pytest.raises(UsageError, match="the pilots cannot be compared: the signatures differ in weights"):
            plan_runs([base, other], 1.0)
        with pytest.raises(
            UsageError, match="wanted a metric of the pilot, found 'clip', which is none; did you mean 'clip_t'"
        ):
            plan_runs([base], 1.0, metric="clip")

    def test_prints(self, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plan", "--pilot", str(base), "--detect", "1", "--replications", "20"]) == 0
        out = capsys.readouterr().out
        assert "to show a difference of 1 in clip_t with power 0.8, design nested" in out
        assert "one pilot: the other method counts as having nothing in common with it" in out


def test_compare_prints_a_table_and_sentences(base: Path, better: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(base), str(better), "--resamples", "999"]) == 0
    out = capsys.readouterr().out
    assert "stratified design, p adjusted by holm, profile sandbox: small embedded models, not comparable" in out
    assert "in-domain: new" in out
    assert "clip_t: new is better than base" in out
    assert main(["compare", str(base), str(better), "--resamples", "999", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [claim["better"] for claim in told["claims"]] == ["new", None, "base"]
    assert np.isfinite([claim["comparison"]["p_value"] for claim in told["claims"]]).all()
