"""Metrics beside human ratings: the figures against independent ones, and every key that does not match."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import krippendorff
import numpy as np
import pytest
from scipy.stats import kendalltau

from evalkit.cli import main
from evalkit.engine.agree import agree
from evalkit.engine.rated import Sampled, read_labels, read_ratings, read_scores
from evalkit.engine.result import Result
from evalkit.engine.summary import MetricSummary
from evalkit.errors import DataError, ProblemsError, RunError, UsageError
from evalkit.nouns import MetricChoice, Score, Signature, State
from evalkit.runs.cases import RunCase
from evalkit.runs.folder import RunFolder
from evalkit.runs.record import RunIdentity, RunRequest
from evalkit.runs.results import scores_text
from tests.unit import scored_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VALUES = {"a": 0.1, "b": 0.4, "c": 0.35, "d": 0.8}
GIVEN = {"a": (0, 1), "b": (2, 2), "c": (1, 3), "d": (4, 3)}
"""What two raters gave each case."""


def write_ratings(folder: Path, given: Mapping[str, Sequence[float]] = GIVEN, *, seed: int | None = None) -> Path:
    path = folder / "ratings.csv"
    lines = [
        f"{case},r{n},{rating}" + ("" if seed is None else f",{seed}")
        for case, ratings in given.items()
        for n, rating in enumerate(ratings)
    ]
    path.write_text("\n".join(["case_id,rater,rating" + ",seed" * (seed is not None), *lines, ""]), encoding="utf-8")
    return path


def write_scores(folder: Path, values: Mapping[str, float] = VALUES) -> Path:
    path = folder / "scores.csv"
    path.write_text("\n".join(["case_id,value", *(f"{c},{v}" for c, v in values.items()), ""]), encoding="utf-8")
    return path


def write_run(folder: Path, metric: str, values: Mapping[tuple[str, int], float | State]) -> Path:
    run = folder / "run"
    run.mkdir()
    scores = [
        Score(
            case_id=case, seed=seed, metric=metric, signature=f"metric:{metric}", inputs="x",
            state=value if isinstance(value, State) else State.SCORED, value=None if isinstance(value, State) else value,
            reason="why" if isinstance(value, State) else None,
        )
        for (case, seed), value in values.items()
    ]  # fmt: skip
    (run / "scores.csv").write_text(scores_text(scores), encoding="utf-8")
    return run


def two_columns_of_one_metric(folder: Path) -> Path:
    """A run whose table has BLEU of its first case in one column and of its second in another."""
    cases = {"qa": "s00.p0", "vqa": "s01.p0"}
    choices = [
        MetricChoice(metric="char_bleu", variant="official", label=f"{tag}_bleu", where={"tag": (tag,)})
        for tag in cases
    ]
    identity = RunIdentity(method="m", method_version="1", benchmark="unifybench", profile="paper")
    request = RunRequest(protocol="official", metrics=tuple(choices), seeds=(0,))
    rows, cells = [], {}
    for choice, (tag, own) in zip(choices, cases.items(), strict=True):
        signature = Signature.of(metric="char_bleu", variant="official", where=tag)
        for case in cases.values():
            told = {"value": 1.0 if tag == "qa" else 0.5} if case == own else {"reason": "limited"}
            state = State.SCORED if case == own else State.NOT_APPLICABLE
            row = {"case_id": case, "seed": 0, "metric": choice.column, "signature": str(signature), "inputs": "i"}
            rows.append(Score.model_validate({**row, "state": state, **told}))
        cells[f"{tag}_bleu"] = MetricSummary(
            value=0.5, n_scored=1, n_cases=2, signature=str(signature.with_part("agg", "macro")), states={"not_applicable": 1}
        )  # fmt: skip
    run_cases = [RunCase.of(scored_runs.case(n, 0), {f"s{n:02d}.png": f"{n}"}) for n in range(2)]
    with RunFolder.open(folder / "run", identity=identity, request=request, cases=run_cases) as run:
        result = Result(
            path=run.path, method="m", benchmark="unifybench", protocol="official", profile="paper", scores=cells,
            scales=dict.fromkeys(cells, 1.0), directions=dict.fromkeys(cells, "higher"), in_domain=(),
        )  # fmt: skip
        run.write_results(result.to_summary() | {"request": request.digest()}, rows)
    return folder / "run"


def test_the_figures_are_those_of_other_code(tmp_path: Path) -> None:
    (found,) = agree(read_scores(write_scores(tmp_path)), read_ratings(write_ratings(tmp_path)), scale=4)
    values, table = np.array([*VALUES.values()]), np.array([*GIVEN.values()], float).T
    assert (found.metric, found.direction, found.items, found.raters, found.pairs) == ("value", "higher", 4, 2, 5)
    assert found.tau == pytest.approx(kendalltau(values, table.mean(0)).statistic)
    # b and c are rated alike; the metric orders the other five pairs as people do.
    assert found.accuracy == 1.0
    assert found.people_alpha == pytest.approx(krippendorff.alpha(table, level_of_measurement="interval"))
    alphas = [krippendorff.alpha(np.stack([4 * values, row]), level_of_measurement="interval") for row in table]
    assert found.alpha == pytest.approx(np.mean(alphas))
    assert (found.not_scored, found.unscored, found.unrated, found.whole) == ({}, (), 0, True)


def test_without_a_scale_there_is_no_alpha_of_the_metric(tmp_path: Path) -> None:
    scores, ratings = read_scores(write_scores(tmp_path)), read_ratings(write_ratings(tmp_path))
    (found,) = agree(scores, ratings)
    assert found.alpha is None
    assert found.people_alpha is not None
    for scale in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=r"^wanted --scale above 0, found "):
            agree(scores, ratings, scale=scale)


def test_a_metric_that_is_better_when_lower_is_turned(tmp_path: Path) -> None:
    scores, ratings = read_scores(write_scores(tmp_path)), read_ratings(write_ratings(tmp_path))
    (up,), (down,) = agree(scores, ratings), agree(scores, ratings, lower=["value"])
    assert up.tau is not None
    assert (down.direction, down.accuracy) == ("lower", 0.0)
    assert down.tau == pytest.approx(-up.tau)
    run = write_run(tmp_path, "lpips@alex_256", {(case, 0): value for case, value in VALUES.items()})
    (found,) = agree(read_scores(run), ratings)
    assert (found.metric, found.direction) == ("lpips@alex_256", "lower")


def test_a_metric_that_is_better_when_lower_has_no_alpha_with_the_raters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # It orders the cases as the first rater does, the other way round: times a factor it would be at odds with people.
    distances = {"a": 0.9, "b": 0.4, "c": 0.6, "d": 0.1}
    scores, ratings = read_scores(write_scores(tmp_path, distances)), read_ratings(write_ratings(tmp_path))
    (found,) = agree(scores, ratings, lower=["value"], scale=4)
    assert found.tau is not None
    assert found.tau > 0
    assert found.alpha is None
    assert found.no_alpha is not None
    assert found.no_alpha.startswith("it is better when lower, and no factor turns it onto the raters' scale")
    (up,) = agree(scores, ratings, scale=4)
    assert up.alpha is not None
    assert up.no_alpha is None
    (unscaled,) = agree(scores, ratings, lower=["value"])
    assert (unscaled.alpha, unscaled.no_alpha) == (None, None)
    files = [str(tmp_path / name) for name in ("scores.csv", "ratings.csv")]
    assert main(["agree", *files, "--lower", "value", "--scale", "4"]) == 0
    assert "! no alpha of it and the raters: it is better when lower" in capsys.readouterr().out


def test_the_raters_own_alpha_is_over_all_rated_samples(tmp_path: Path) -> None:
    run = write_run(tmp_path, "facesim", {("a", 0): 0.1, ("b", 0): State.NO_FACE, ("c", 0): State.NO_FACE})
    ratings = read_ratings(write_ratings(tmp_path))
    (found,) = agree(read_scores(run), ratings, partial=True)
    table = np.array([*GIVEN.values()], float).T
    assert found.items == 1
    assert found.people_alpha == pytest.approx(krippendorff.alpha(table, level_of_measurement="interval"))


def test_alpha_with_the_raters_is_over_what_is_scored_and_rated(tmp_path: Path) -> None:
    run = write_run(tmp_path, "facesim", {("a", 0): 0.1, ("b", 0): 0.7, ("c", 0): State.NO_FACE, ("d", 0): 0.8})
    (found,) = agree(read_scores(run), read_ratings(write_ratings(tmp_path)), scale=4)
    table = np.array([GIVEN[case] for case in "abd"], float).T
    scaled = 4 * np.array([0.1, 0.7, 0.8])
    alphas = [krippendorff.alpha(np.stack([scaled, row]), level_of_measurement="interval") for row in table]
    assert found.alpha == pytest.approx(np.mean(alphas))


def test_raters_may_leave_samples_out(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("case_id,rater,rating\na,x,1\nb,x,2\nb,y,3\nd,y,4\n", encoding="utf-8")
    (found,) = agree(read_scores(write_scores(tmp_path)), read_ratings(path))
    assert (found.items, found.raters, found.unrated, found.pairs) == (3, 2, 1, 3)
    assert found.tau == pytest.approx(1)


def test_what_is_undefined_is_none(tmp_path: Path) -> None:
    flat = dict.fromkeys(VALUES, 0.5)
    same = dict.fromkeys(VALUES, (2, 2))
    (found,) = agree(read_scores(write_scores(tmp_path, flat)), read_ratings(write_ratings(tmp_path, same)), scale=4)
    assert (found.tau, found.accuracy, found.pairs, found.people_alpha) == (None, None, 0, None)
    # 4 x .5 is what both raters gave: nothing varies, and alpha is undefined.
    assert found.alpha is None
    assert found.no_alpha == "it shares no sample with any rater, or its values and their ratings are all the same"


def test_states_are_counted_and_no_numbers(tmp_path: Path) -> None:
    run = write_run(
        tmp_path, "facesim", {("a", 0): 0.1, ("b", 0): State.NO_FACE, ("c", 0): State.NO_FACE, ("d", 0): 0.2}
    )
    (found,) = agree(read_scores(run), read_ratings(write_ratings(tmp_path)))
    assert (found.items, found.not_scored, found.whole) == (2, {"no_face": 2}, False)


def test_rated_samples_without_a_score_are_refused_by_name(tmp_path: Path) -> None:
    scores = read_scores(write_scores(tmp_path, {"a": 1.0, "b": 2.0, "e": 3.0}))
    ratings = read_ratings(write_ratings(tmp_path))
    with pytest.raises(ProblemsError) as raised:
        agree(scores, ratings)
    assert str(raised.value).splitlines() == [
        "ratings of samples that the scores do not know; --partial leaves them out (2 problems):",
        "  - value: no score of c",
        "  - value: no score of d",
    ]
    (found,) = agree(scores, ratings, partial=True)
    assert (found.items, found.unscored, found.unrated, found.whole) == (2, ("c", "d"), 1, False)


def test_seeds_are_told_apart_where_there_are_several(tmp_path: Path) -> None:
    values = {(case, seed): value + seed for case, value in VALUES.items() for seed in (0, 1)}
    scores = read_scores(write_run(tmp_path, "clip_i", values))
    with pytest.raises(UsageError) as raised:
        agree(scores, read_ratings(write_ratings(tmp_path)))
    assert str(raised.value) == (
        "wanted a column 'seed' in the ratings, as clip_i is scored for the seeds 0, 1, found none; add it"
    )
    ratings = read_ratings(write_ratings(tmp_path, seed=1))
    assert set(ratings) == {Sampled(case, 1) for case in VALUES}
    (found,) = agree(scores, ratings)
    assert (found.items, found.unrated) == (4, 4)
    assert str(Sampled("a", 1)) == "a (seed 1)"


def test_names_and_levels_that_do_not_exist(tmp_path: Path) -> None:
    scores, ratings = read_scores(write_scores(tmp_path)), read_ratings(write_ratings(tmp_path))
    unknown = r"^wanted a metric of these scores, found 'valu', .*did you mean 'value'\?"
    with pytest.raises(UsageError, match=unknown):
        agree(scores, ratings, metrics=["valu"])
    with pytest.raises(UsageError, match=unknown):
        agree(scores, ratings, lower=["valu"])
    with pytest.raises(UsageError, match=r"^wanted --level nominal, ordinal, interval, found 'ratio'$"):
        agree(scores, ratings, level="ratio")


def test_a_metric_goes_by_its_label_in_the_run_s_own_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = scored_runs.write_run(tmp_path / "run", {"clip_t": scored_runs.values(), "lpips": scored_runs.values(seed=1)})
    rated = {f"s{subject:02d}.p0": (subject % 3, subject % 5) for subject in range(6)}
    ratings = write_ratings(tmp_path, rated)
    assert read_labels(run) == {"clip_t": "clip_t@dreambench_pp", "lpips": "lpips@alex_256"}
    given = read_scores(run), read_ratings(ratings)
    (found,) = agree(*given, metrics=["clip_t"], labels=read_labels(run))
    assert found.metric == "clip_t@dreambench_pp"
    assert agree(*given, metrics=["clip_t", "clip_t@dreambench_pp"], labels=read_labels(run)) == [found]
    turned = {one.metric: one.direction for one in agree(*given, lower=["clip_t"], labels=read_labels(run))}
    assert turned == {"clip_t@dreambench_pp": "lower", "lpips@alex_256": "lower"}
    with pytest.raises(UsageError, match=r"found 'clip_s', which is none; did you mean 'clip_t'"):
        agree(*given, metrics=["clip_s"], labels=read_labels(run))
    assert main(["agree", str(run), str(ratings), "-m", "clip_t"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("clip_t@dreambench_pp ")


def test_a_metric_without_its_variant_is_told_the_variants_there_are(tmp_path: Path) -> None:
    scores = read_scores(write_run(tmp_path, "clip_t@dreambench_pp", {(case, 0): v for case, v in VALUES.items()}))
    scores["clip_t@divrl"] = scores["clip_t@dreambench_pp"]
    with pytest.raises(UsageError) as raised:
        agree(scores, read_ratings(write_ratings(tmp_path)), metrics=["clip_t"])
    assert str(raised.value) == (
        "wanted a metric of these scores, found 'clip_t', which names no variant; did you mean 'clip_t@divrl' or "
        "'clip_t@dreambench_pp'?"
    )


def test_columns_of_one_metric_over_different_cases_are_told_apart(tmp_path: Path) -> None:
    run = two_columns_of_one_metric(tmp_path)
    scores, labels = read_scores(run), read_labels(run)
    names = {"qa_bleu": "char_bleu@official (qa_bleu)", "vqa_bleu": "char_bleu@official (vqa_bleu)"}
    assert labels == names
    assert scores[names["qa_bleu"]] == {Sampled("s00.p0", 0): 1.0, Sampled("s01.p0", 0): State.NOT_APPLICABLE}
    assert scores[names["vqa_bleu"]] == {Sampled("s00.p0", 0): State.NOT_APPLICABLE, Sampled("s01.p0", 0): 0.5}
    ratings = read_ratings(write_ratings(tmp_path, {"s00.p0": (1, 2)}))
    (found,) = agree(scores, ratings, metrics=["qa_bleu"], labels=labels)
    assert (found.metric, found.items) == (names["qa_bleu"], 1)


def test_levels_are_those_of_alpha(tmp_path: Path) -> None:
    scores, ratings = read_scores(write_scores(tmp_path)), read_ratings(write_ratings(tmp_path))
    table = np.array([*GIVEN.values()], float).T
    for level in ("nominal", "ordinal", "interval"):
        (found,) = agree(scores, ratings, level=level)
        assert found.people_alpha == pytest.approx(krippendorff.alpha(table, level_of_measurement=level))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "wanted a heading with case_id, rater, rating (and of case_id, rater, rating, seed each at most once), found nothing"),
        ("case_id,rating\na,1\n", "found case_id, rating"),
        ("case_id,rater,rating,note\na,x,1,\n", "found case_id, rater, rating, note"),
        ("case_id,rater,rating,rating\na,x,1,1\n", "found case_id, rater, rating, rating"),
        ("case_id,rater,rating\n", "wanted ratings, found the heading alone"),
        ("case_id,rater,rating\na,x\n", "line 2: wanted 3 cells, found 2"),
        ("case_id,rater,rating\na,x,good\n", "line 2: wanted a number as rating, found 'good'"),
        ("case_id,rater,rating\na,x,nan\n", "line 2: wanted a number as rating, found 'nan'"),
        ("case_id,rater,rating\na,x,\n", "line 2: wanted a rating, found an empty cell"),
        ("case_id,rater,rating\n,x,1\n", "line 2: wanted a case_id, found an empty cell"),
        ("case_id,rater,rating,seed\na,x,1,-1\n", "line 2: wanted a whole number as seed, found '-1'"),
        ("case_id,rater,rating\na,x,1\na,x,2\n", "line 3: a by 'x' is rated twice; keep one line"),
        ('case_id,rater,rating\n"a,x,1\n', "wanted a CSV in UTF-8, found something else (unexpected end of data)"),
    ],
)  # fmt: skip
def test_ratings_that_do_not_fit_name_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((DataError, ProblemsError)) as raised:
        read_ratings(path)
    assert str(path) in str(raised.value)
    assert told in str(raised.value)


def test_all_lines_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("case_id,rater,rating\na,x,good\nb,,1\nc,x,1\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as raised:
        read_ratings(path)
    assert len(raised.value.problems) == 2


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^wanted a CSV at '.*none\.csv', found No such file or directory; check the path$"
    ):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(RunError, match=r"^wanted scores\.csv in '.*', found none; `evalkit score .*` writes it$"):
        read_scores(tmp_path)
    (tmp_path / "bytes.csv").write_bytes(b"case_id,value\n\xff,1\n")
    with pytest.raises(DataError, match=r"bytes\.csv: wanted a CSV in UTF-8, found something else"):
        read_scores(tmp_path / "bytes.csv")


def test_scores_of_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings = write_ratings(tmp_path)
    path = tmp_path / "scores.csv"
    path.write_text("case_id,value\n", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_scores(path)
    assert str(raised.value) == f"{path}: wanted scores, found the heading alone; add a line for each case"
    assert main(["agree", str(path), str(ratings)]) == 1
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    run = write_run(tmp_path, "facesim", {})
    with pytest.raises(DataError, match=r"found the heading alone; `evalkit score .*run` writes them$"):
        read_scores(run)
    with pytest.raises(DataError, match=r"^wanted scores of samples, found none; give at least one$"):
        agree({}, read_ratings(ratings))
    with pytest.raises(DataError, match=r"^wanted ratings of samples, found none; give at least one$"):
        agree(read_scores(write_scores(tmp_path)), {})


def test_scores_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("case_id,value,state\na,1,\na,2,scored\nb,,lost\nc,,no_face\nd,,\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as raised:
        read_scores(path)
    twice, lost, empty = raised.value.problems
    assert twice.endswith("line 3: value of a is there twice; keep one line")
    assert "line 4: wanted a state (scored, " in lost
    assert "line 6: wanted a value, found an empty cell" in empty


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, ratings = str(write_scores(tmp_path)), str(write_ratings(tmp_path))
    assert main(["agree", scores, ratings, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["agreement"]
    assert (told["metric"], told["items"], told["alpha"], told["accuracy"]) == ("value", 4, None, 1.0)
    assert main(["agree", scores, ratings, "--scale", "4", "-m", "value"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["metric", "tau", "accuracy", "pairs", "alpha", "samples"]
    assert out[1].split()[0] == "value"
    assert out[-1].startswith("value: 2 raters, alpha among them 0.")


def test_the_command_s_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratings = str(write_ratings(tmp_path))
    short = str(write_scores(tmp_path, {"a": 1.0, "b": 2.0, "e": 0.0}))
    assert main(["agree", short, ratings]) == 1
    assert main(["agree", short, ratings, "--level", "x"]) == 2
    capsys.readouterr()
    assert main(["agree", short, ratings, "--partial"]) == 3
    out = capsys.readouterr().out
    assert "! 2 rated samples are not in the scores, first: c" in out
    assert "! 1 scored samples are not rated" in out
    run = write_run(tmp_path, "facesim", dict.fromkeys([(case, 0) for case in VALUES], State.NO_FACE))
    assert main(["agree", str(run), ratings]) == 3
    assert "! rated and not scored: no_face 4" in capsys.readouterr().out
