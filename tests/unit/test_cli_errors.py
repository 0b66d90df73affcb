"""What the command line says of words that do not fit: one line on stderr, nothing on stdout, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from evalkit import cli
from evalkit.errors import UsageError, UsageProblemsError
from evalkit.registry import BENCHMARKS, METHODS, METRICS, names
from tests.fakes import world

if TYPE_CHECKING:
    from pathlib import Path

HINT = "`evalkit --help` shows what there is"
Capture = pytest.CaptureFixture[str]


def told(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The message after `evalkit: error: `."""
    assert cli.main(list(arguments)) == code
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("evalkit: error: ")
    assert "Traceback" not in found.err
    return found.err.removeprefix("evalkit: error: ").rstrip("\n")


WHERE = "give --data the folder where the benchmark's data lies now"
RUN = "run --method noise --bench dreambench_pp"


def none(kind: str, found: str, *near: str) -> str:
    """The message for a name that does not exist."""
    return f"wanted a {kind}, found {found!r}, which is none; did you mean {' or '.join(map(repr, near))}?"


MISTAKES = {
    "runn": f"No such command 'runn'. Did you mean 'run'?; {HINT}",
    "frobnicate": f"No such command 'frobnicate'; {HINT}",
    "cache prunee": f"No such command 'prunee'. Did you mean 'prune'?; {HINT}",
    "run --bnch x": f"No such option: --bnch (Possible options: --bench, --fetch); {HINT}",
    "run --bench x": f"Missing option '--method'; {HINT}",
    "list": f"Missing argument 'metrics|benchmarks|methods|backbones'; {HINT}",
    f"{RUN} --limit 0": f"Invalid value for '--limit': Input should be greater than or equal to 1; {HINT}",
    "list metric": none("kind of thing", "metric", "metrics"),
    "list xyz": "wanted a kind of thing, found 'xyz', which is none; `evalkit list --help` shows the 4 there are",
    "describe metrik clip_i": none("kind of thing", "metrik", "metric", "method"),
    "describe metric clip_ii": none("metric", "clip_ii", "clip_i", "clip_t", "lpips"),
    "describe method nois": none("method", "nois", "noise"),
    "run --method nois --bench dreambench_pp": none("method", "nois", "noise"),
    "generate --method nois --bench dreambench_pp": none("method", "nois", "noise"),
    f"{RUN}/offical": none("protocol of dreambench_pp", "offical", "official"),
    f"{RUN} --protocol offical": none("protocol of dreambench_pp", "offical", "official"),
    f"{RUN} --profile sandbx": none("profile", "sandbx", "sandbox"),
    f"{RUN} --metric clip_x": none("metric", "clip_x", "clip_t", "clip_i", "lpips"),
    f"{RUN} --metric clip_i@divr": none("variant of clip_i", "divr", "divrl"),
    f"{RUN} --metric clip_i@divrl:mean": (
        "wanted METRIC@VARIANT or METRIC@VARIANT:micro|macro, found 'clip_i@divrl:mean'"
    ),
    f"{RUN} --train": "wanted a method that can be trained, found 'noise', which cannot; leave out --train",
    f"{RUN} --train-data x": "wanted --train beside --train-data, found none; add it or leave out the data",
    f"{RUN} --set epochs=3": "wanted options of noise, found epochs; it has none",
    f"{RUN} --set epochs": (
        "wanted --set NAME=VALUE, found 'epochs'; `evalkit describe method noise` lists its options"
    ),
    f"{RUN} --set a=1 --set a=2": (
        "wanted --set NAME=VALUE, found the same twice; `evalkit describe method noise` lists its options"
    ),
    "run --method no.yaml --bench dreambench_pp": (
        "wanted a method's name or the path of its recipe, found no file at 'no.yaml'; check the path"
    ),
    "doctor nois": none("method", "nois", "noise"),
    "doctor --setup": "wanted METHOD beside --setup, found none; name the method to set up",
    "cache prune --limit 5Q": "wanted a size like 500M or 20G, found '5Q'",
    "score": "wanted RUN, or --samples, --bench and --name; found no --samples, --bench, --name",
    "score --samples x --bench y": "wanted RUN, or --samples, --bench and --name; found no --name",
    "score x --samples y --limit 3": (
        "wanted RUN alone, which brings benchmark and samples, found --samples, --limit beside it; leave one out"
    ),
    "score x --profile paper": "wanted RUN alone, which brings benchmark and samples, found --profile beside it; leave one out",
    "score x --no-resume": "wanted RUN alone, which brings benchmark and samples, found --no-resume beside it; leave one out",
}


@pytest.mark.parametrize(("command", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_one_line_that_says_what_was_wanted(capsys: Capture, command: str, message: str) -> None:
    assert told(capsys, *command.split()) == message


def test_an_unknown_benchmark_with_a_protocol(capsys: Capture) -> None:
    assert told(capsys, "run", "--method", "noise", "--bench", "dreamench/official").startswith(
        "wanted a benchmark, found 'dreamench', which is none; did you mean 'dreambench'"
    )


def test_two_protocols(capsys: Capture) -> None:
    message = told(capsys, "run", "--method", "noise", "--bench", "dreambench_pp/divrl", "--protocol", "official")
    assert message == "wanted one protocol, found 'divrl' in --bench and 'official' in --protocol; leave one out"


@pytest.mark.parametrize("group", [METRICS, METHODS, BENCHMARKS])
def test_a_name_like_no_other_points_to_the_list(capsys: Capture, group: str) -> None:
    kind = group.removeprefix("evalkit.").removesuffix("s")
    count = len(names(group))
    assert told(capsys, "describe", kind, "qqqq") == (
        f"wanted a {kind}, found 'qqqq', which is none; `evalkit list {kind}s` shows the {count} there are"
    )


def test_every_mistake_is_told_at_once(capsys: Capture, tmp_path: Path) -> None:
    message = told(
        capsys, "run", "--method", "nois", "--bench", "dreambench_p", "--profile", "sandbx", "--data", str(tmp_path / "no")
    )  # fmt: skip
    assert message.splitlines() == [
        "the command does not fit (4 problems):",
        "  - wanted a method, found 'nois', which is none; did you mean 'noise'?",
        "  - wanted a profile, found 'sandbx', which is none; did you mean 'sandbox'?",
        f"  - wanted a data folder for --data, found nothing at '{tmp_path / 'no'}'; {WHERE}",
        "  - wanted a benchmark, found 'dreambench_p', which is none; did you mean 'dreambench_pp' or 'dreambench' or "
        "'dream_vbench'?",
    ]


def test_every_unknown_metric_is_told_at_once(capsys: Capture) -> None:
    message = told(capsys, *RUN.split(), "--metric", "clipp_i", "--metric", "lpips@alex_25")
    assert "found 'clipp_i'" in message
    assert (
        "wanted a variant of lpips, found 'alex_25', which is none; did you mean 'alex_256' or 'alex_512'?" in message
    )


def test_data_that_is_a_file(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    message = told(capsys, *RUN.split(), "--data", str(tmp_path / "file"), code=1)
    assert message == f"wanted a data folder for --data, found a file at '{tmp_path / 'file'}'; {WHERE}"


def test_data_that_is_nowhere(capsys: Capture) -> None:
    message = told(capsys, *RUN.split(), "--data", "/no/such/folder", code=1)
    assert message == f"wanted a data folder for --data, found nothing at '/no/such/folder'; {WHERE}"


def test_samples_under_the_name_of_a_control(capsys: Capture, tmp_path: Path) -> None:
    message = told(capsys, "score", "--samples", str(tmp_path), "--bench", "dreambench_pp", "--name", "noise", code=2)
    assert "found 'noise', which is a control of evalkit's own; choose another" in message


def test_samples_that_are_nowhere(capsys: Capture, tmp_path: Path) -> None:
    samples = tmp_path / "no"
    message = told(capsys, "score", "--samples", str(samples), "--bench", "dreambench_pp", "--name", "mine", code=1)
    assert message == f"wanted a folder for --samples, found nothing at '{samples}'; check the path"


@pytest.mark.parametrize("command", ["score", "show"])
def test_a_run_that_is_none(capsys: Capture, tmp_path: Path, command: str) -> None:
    message = told(capsys, command, str(tmp_path), code=1)
    assert message == (
        f"wanted a run folder (with run.json), found an empty folder at {tmp_path}; give the folder that `evalkit run` wrote"
    )


@pytest.fixture
def calm() -> object:
    """`--debug` holds for one call of `main`; in one process the next call must not inherit it."""
    yield
    cli._debug = False


@pytest.mark.usefixtures("calm")
def test_debug_shows_the_traceback() -> None:
    with pytest.raises(UsageError, match="^wanted a metric, found 'x', which is none"):
        cli.main(["--debug", "describe", "metric", "x"])


@pytest.mark.usefixtures("calm")
def test_debug_of_one_call_is_not_that_of_the_next(capsys: Capture) -> None:
    with pytest.raises(UsageProblemsError):
        cli.main(["--debug", "run", "--method", "x", "--bench", "y"])
    told(capsys, "describe", "metric", "x")


def test_debug_from_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", "--debug", "describe", "metric", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1].startswith("evalkit.errors.UsageError: wanted a metric, found 'x'")


def test_from_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", "describe", "metric", "x"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("evalkit: error: wanted a metric, found 'x'")
    assert len(done.stderr.splitlines()) == 1


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fails(_group: str) -> list[str]:
        raise error

    monkeypatch.setattr("evalkit.cli.listing.names", fails)


def test_a_bug_of_ours_is_one_line_and_no_usage_error(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, ZeroDivisionError("by zero\nand more"))
    assert cli.main(["list", "metrics"]) == 70
    found = capsys.readouterr()
    assert found.err == (
        "evalkit: internal error: ZeroDivisionError: by zero; --debug before the command shows where\n"
    )


def test_an_interruption_says_that_nothing_is_lost(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, KeyboardInterrupt())
    assert cli.main(["list", "metrics"]) == 130
    assert "evalkit: interrupted; what was computed is kept, the same command goes on from there" in (
        capsys.readouterr().err.splitlines()
    )


def test_a_metric_to_add_that_does_not_exist_is_told_before_the_benchmark_is_loaded(
    capsys: Capture, tmp_path: Path
) -> None:
    """The run's benchmark is not installed, which would be the message if it came first."""
    with world(tmp_path, samples=False) as tiny:
        path = str(tiny.run.path)
    message = told(capsys, "score", path, "--metric", "clip_i@divr")
    assert message == "wanted a variant of clip_i, found 'divr', which is none; did you mean 'divrl'?"
    assert told(capsys, "score", path).startswith("wanted a benchmark, found 'tiny', which is none")
