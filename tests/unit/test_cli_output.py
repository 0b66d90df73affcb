from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from evalkit import __version__, cli
from evalkit.cli.cache import human, parse_size
from evalkit.cli.output import number, print_result, print_table
from evalkit.engine.doctor import examine_method
from evalkit.engine.result import Result, read_result
from evalkit.engine.setting import Request
from evalkit.engine.summary import MetricSummary
from evalkit.errors import PluginError, RunError, UsageError
from evalkit.features.backbones import backbones
from evalkit.registry import BENCHMARKS, METHODS, METRICS, load, names
from evalkit.sandbox.benchmark import write_dreambench_pp
from tests.fakes import FakeMetric, World, world, write_card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
KINDS = {"metric": METRICS, "benchmark": BENCHMARKS, "method": METHODS}


def printed(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert cli.main(list(arguments)) == code
    return capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_list_shows_everything_registered(capsys: Capture, kind: str) -> None:
    lines = printed(capsys, "list", f"{kind}s").splitlines()
    assert lines[0].split()[0] == kind
    assert [line.split()[0] for line in lines[1:]] == names(KINDS[kind])


def test_list_shows_variants_and_default_protocols(capsys: Capture) -> None:
    assert "alex_256, alex_512, vgg_256" in printed(capsys, "list", "metrics")
    assert "(default)" in printed(capsys, "list", "benchmarks")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, group in KINDS.items() for name in names(group)])
def test_describe_is_the_card(capsys: Capture, kind: str, name: str) -> None:
    told = json.loads(printed(capsys, "describe", kind, name, "--json"))
    assert told["name"] == name
    assert told == yaml.safe_load(printed(capsys, "describe", kind, name))


def test_describe_holds_the_whole_card(capsys: Capture) -> None:
    told = json.loads(printed(capsys, "describe", "metric", "clip_i", "--json"))
    card = load(METRICS, "clip_i").card
    assert set(told["variants"]) == set(card.variants)
    assert told["meaning"] == card.meaning
    assert "facts" not in json.loads(printed(capsys, "describe", "benchmark", "dreambench", "--json"))


def test_a_plugin_that_is_broken_does_not_hide_the_others(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(group: str, name: str) -> Any:
        if name == "clip_t":
            raise PluginError("the metric 'clip_t' of 'acme' does not load")
        return load(group, name)

    monkeypatch.setattr("evalkit.cli.listing.load", failing)
    assert cli.main(["list", "metrics"]) == 1
    found = capsys.readouterr()
    assert [line.split()[0] for line in found.out.splitlines()[1:]] == [n for n in names(METRICS) if n != "clip_t"]
    assert found.err == "evalkit: error: the metric 'clip_t' of 'acme' does not load\n"


def test_an_entry_point_to_another_thing_is_told(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "evalkit.cli.listing.load", lambda group, name: load(group, name) if name != "lpips" else "text"
    )
    assert cli.main(["list", "metrics"]) == 1
    assert capsys.readouterr().err == (
        "evalkit: error: wanted a metric behind the entry point, found str; mend the plugin\n"
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("1K", 1024), ("1k", 1024), ("1KiB", 1024), ("1KB", 1024), ("1.5K", 1536), ("2 M", 2 * 2**20),
     ("20G", 20 * 2**30), (" 1T ", 2**40), ("3B", 3)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "G", "5Q", "-1", "1e3", "1,5G", "five", "1.G", "0x10", "5 MM", "5i", "5iB", "9" * 400, "0." + "9" * 400],
)
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_size(text)
    assert str(raised.value) == f"wanted a size like 500M or 20G, found {text!r}"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 * 2**20, "5.0 MiB"), (2**30, "1.0 GiB"),
     (2**40, "1.0 TiB"), (3 * 2**50, "3072.0 TiB"), (2**20 - 1, "1.0 MiB"), (2**30 - 1, "1.0 GiB")],
)  # fmt: skip
def test_sizes_for_people(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [(None, 1, "-"), (0.0, 1, "0.0000"), (0.123456, 1, "0.1235"), (85.12345, 100, "85.12"), (-0.5, 1, "-0.5000"),
     (1.23456, 2.5, "1.2346"), (12345.678, 10**6, "12346")],
)  # fmt: skip
def test_numbers_have_the_digits_that_mean_something(value: float | None, scale: float, text: str) -> None:
    assert number(value, scale) == text


def test_a_table_in_a_pipe_is_not_cut_and_not_marked_up(capsys: Capture) -> None:
    long = "x" * 500
    print_table(("a", "b"), [("[red]1", long), ("2", "")], right=(0,))
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == ["     a  b", f"[red]1  {long}", "     2"]


def result(path: Path, **changes: Any) -> Result:
    scored = MetricSummary(value=85.12345, n_scored=4, n_cases=4, signature="metric:a|agg:micro", states={})
    lacking = MetricSummary(
        value=None, n_scored=0, n_cases=4, signature="metric:b|agg:micro", states={"weights_missing": 4}
    )
    told: dict[str, Any] = {
        "path": path, "method": "mine", "benchmark": "tiny", "protocol": "plain", "profile": "sandbox",
        "scores": {"a": scored, "b": lacking}, "scales": {"a": 100.0, "b": 1.0}, "directions": {"a": "higher", "b": "lower"},
        "in_domain": ("a",), "part": "3 of 4 cases",
        "problems": ("b: wanted weights",),
    }  # fmt: skip
    return Result(**told | changes)


def of_one_metric(path: Path) -> Result:
    """As the tiny run asks for."""
    whole = result(path)
    return result(path, **{key: {"a": getattr(whole, key)["a"]} for key in ("scores", "scales", "directions")})


def test_a_result_as_a_table(capsys: Capture, tmp_path: Path) -> None:
    assert print_result(result(tmp_path), as_json=False) == 3
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "mine on tiny/plain, profile sandbox: small embedded models, not comparable with published numbers",
        "not the whole protocol: 3 of 4 cases",
        "metric value coverage not scored",
        "a \N{UPWARDS ARROW} 85.12 4/4 - in-domain",
        "b \N{DOWNWARDS ARROW} - 0/4 weights_missing 4",
        "",
        "a metric:a|agg:micro",
        "b metric:b|agg:micro",
        "! b: wanted weights",
        f"run: {tmp_path}",
    ]


def test_a_result_as_json(capsys: Capture, tmp_path: Path) -> None:
    print_result(result(tmp_path), as_json=True)
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    told = json.loads(out)
    assert told["run"] == str(tmp_path)
    assert told["profile"] == "sandbox"
    assert told["scores"]["b"] == {
        "value": None, "n_scored": 0, "n_cases": 4, "signature": "metric:b|agg:micro", "states": {"weights_missing": 4},
    }  # fmt: skip
    assert told["scores"]["a"]["value"] == 85.12345
    assert told["in_domain"] == ["a"]
    print_result(result(tmp_path, in_domain=()), as_json=True)
    assert set(json.loads(capsys.readouterr().out)) == {"run", "profile", "scores"}


@pytest.mark.parametrize(("states", "whole"), [({"inconsistent": 2}, True), ({"inconsistent": 1, "no_face": 1}, False)])
def test_a_metric_without_a_number_is_a_lack_unless_no_sample_keeps_its_subject(
    tmp_path: Path, states: dict[str, int], whole: bool
) -> None:
    summary = MetricSummary(value=None, n_scored=0, n_cases=2, signature="s", states=states)
    assert result(tmp_path, scores={"a": summary}).whole is whole


@pytest.mark.parametrize(
    ("states", "code"), [({}, 0), ({"no_face": 1, "not_applicable": 2}, 0), ({"sample_missing": 1}, 3)]
)
def test_the_exit_code_says_whether_the_run_is_whole(
    capsys: Capture, tmp_path: Path, states: dict[str, int], code: int
) -> None:
    summary = MetricSummary(value=0.5, n_scored=1, n_cases=2, signature="s", states=states)
    one = result(tmp_path, scores={"a": summary})
    assert print_result(one, as_json=True) == code
    assert one.whole is (code == 0)
    capsys.readouterr()


def test_a_metric_without_any_number_is_not_whole(tmp_path: Path) -> None:
    nothing = MetricSummary(value=None, n_scored=0, n_cases=2, signature="s", states={"undefined": 2})
    assert not result(tmp_path, scores={"a": nothing}).whole
    none_apply = nothing.model_copy(update={"n_cases": 0, "states": {"not_applicable": 2}})
    assert result(tmp_path, scores={"a": none_apply}).whole


def test_problems_are_not_said_twice_on_a_terminal(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print_result(result(tmp_path), as_json=False, told=True)
    assert "! b: wanted weights" in capsys.readouterr().out  # stdout may be a file that has nothing else
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    print_result(result(tmp_path), as_json=False, told=True)
    assert "! b" not in capsys.readouterr().out
    print_result(result(tmp_path), as_json=False)
    assert "! b: wanted weights" in capsys.readouterr().out


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, samples=False) as made:
        yield made


def test_a_result_comes_back_from_its_run(tiny: World) -> None:
    kept = of_one_metric(tiny.run.path)
    tiny.run.write_results(kept.to_summary() | {"request": tiny.run.record.request.digest()}, [])
    assert read_result(tiny.run.path) == kept
    assert str(tiny.run.path) not in (tiny.run.path / "summary.json").read_text(encoding="utf-8")


def test_show_prints_what_was_scored(capsys: Capture, tiny: World) -> None:
    shown = of_one_metric(tiny.run.path).to_summary()
    tiny.run.write_results(shown | {"request": tiny.run.record.request.digest()}, [])
    assert "a \N{UPWARDS ARROW}     85.12       4/4  -" in printed(capsys, "show", str(tiny.run.path))
    assert json.loads(printed(capsys, "show", str(tiny.run.path), "--json"))["scores"]["a"]["value"] == 85.12345


def test_a_run_without_scores_says_how_to_make_them(tiny: World) -> None:
    path = tiny.run.path
    with pytest.raises(RunError) as raised:
        read_result(path)
    assert str(raised.value) == f"{path} has samples but no scores yet; `evalkit score {path}` makes them"


@pytest.mark.parametrize("text", ["{", "{}", '{"scores": {}}', "[]"])
def test_a_damaged_summary_says_how_to_mend_it(tiny: World, text: str) -> None:
    (tiny.run.path / "summary.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"summary\.json is damaged \(.*\); `evalkit score .*` writes it anew$"):
        read_result(tiny.run.path)


def test_the_cache_is_shown_and_pruned(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    root = tmp_path / "features"
    assert printed(capsys, "cache", "show") == f"{root}: 0 features, 0 B\n"
    (root / "abc" / "embedding" / "00").mkdir(parents=True)
    (root / "abc" / "embedding" / "00" / "00ff").write_bytes(bytes(1536))
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "00.npz").write_bytes(bytes(2048))
    shown = printed(capsys, "cache", "show").splitlines()
    assert (shown[0], shown[-1]) == (f"{root}: 1 features, 1.5 KiB", "beside them: scores 2.0 KiB")
    assert printed(capsys, "cache", "prune") == "removed 0 features, 0 B\n"
    assert printed(capsys, "cache", "prune", "--limit", "1K") == "removed 1 features, 1.5 KiB\n"


def test_doctor_tells_the_same_in_json(capsys: Capture) -> None:
    code = cli.main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["sandbox_runs"] else 3)
    assert {weights["model"] for weights in told["weights"]} == set(backbones())
    assert all(weights["mend"] for weights in told["weights"] if weights["state"] == "missing")
    assert told["paper"] in ("yes", "in part", "slowly", "no")
    assert cli.main(["doctor"]) == code
    table = capsys.readouterr().out
    assert all(weights["model"] in table for weights in told["weights"])


def test_the_version_is_printed(capsys: Capture) -> None:
    assert printed(capsys, "--version") == f"evalkit {__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [([], "doctor"), (["cache"], "prune"), (["sandbox"], "draw")],
    ids=["evalkit", "cache", "sandbox"],
)
def test_no_command_is_help_on_stdout(capsys: Capture, words: list[str], told: str) -> None:
    assert cli.main(words) == 0
    found = capsys.readouterr()
    assert found.out.startswith(f"Usage: {' '.join(['evalkit', *words])} ")
    assert f"\n  {told} " in found.out
    assert found.err == ""


def test_a_card_that_is_invalid_does_not_hide_the_others(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = write_card(tmp_path, "fake")
    card.write_text(card.read_text(encoding="utf-8") + "colour: red\n", encoding="utf-8")
    monkeypatch.setattr(
        "evalkit.cli.listing.load", lambda group, name: FakeMetric(card) if name == "clip_t" else load(group, name)
    )
    assert cli.main(["list", "metrics"]) == 1
    found = capsys.readouterr()
    assert [line.split()[0] for line in found.out.splitlines()[1:]] == [n for n in names(METRICS) if n != "clip_t"]
    assert found.err == f"evalkit: error: {card}: not a metriccard: colour is not a known key\n"


def test_doctor_of_a_method_that_is_ready(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_dreambench_pp(tmp_path / "world", subjects_per_category={"animal": 2})
    asked = ("doctor", "noise", "--profile", "sandbox", "--data", str(tmp_path / "world"))
    assert printed(capsys, *asked).splitlines()[1].split() == ["method", "Noise", "(noise", "1,", "control)"]
    told = json.loads(printed(capsys, *asked, "--json"))
    assert [finding["mend"] for finding in told] == [None] * len(told)


def test_doctor_of_a_method_that_lacks_something(capsys: Capture, tmp_path: Path) -> None:
    write_dreambench_pp(tmp_path / "world", subjects_per_category={"animal": 1})
    told = printed(capsys, "doctor", "wrong_subject", "--profile", "sandbox", "--data", str(tmp_path / "world"), code=3)
    assert "needs two subjects in category 'animal'" in told
    with pytest.raises(UsageError, match="wanted a method with external code to set up, found 'noise'"):
        examine_method("noise", Request(bench="dreambench_pp"), setup=True)
