"""What the engine says of a benchmark or a method whose code fails or does not keep its contract."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from evalkit import registry
from evalkit.engine import setting
from evalkit.engine.run import generate_only
from evalkit.engine.setting import Request, prepare
from evalkit.errors import DataError, MethodError, PluginError, ProblemsError
from evalkit.methods import find
from evalkit.registry import BENCHMARKS, METHODS
from tests.fakes import FakeMethod, benchmark_spec, tiny_benchmark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evalkit.benchmarks.base import Loaded
    from evalkit.methods.base import Made

PROTOCOL = {"name": "plain", "title": "Plain", "source": "none", "seeds": 1,
            "metrics": [{"metric": "clip_i", "variant": "divrl"}]}  # fmt: skip


class Tiny:
    """The drawn benchmark, wherever its data are said to be; `change` is what its faulty loader does to it."""

    spec = benchmark_spec(protocols=[PROTOCOL])

    def __init__(self, root: Path, change: Callable[[Loaded], Loaded]) -> None:
        self.fetched: list[Path] = []
        self._root, self._change = root, change

    def load(self, data: Path, protocol: str) -> Loaded:
        """The cases, changed."""
        return self._change(replace(tiny_benchmark(self._root), spec=self.spec))

    def fetch(self, folder: Path) -> Path:
        """An empty folder, which is what its loader needs."""
        self.fetched.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def embed(self, folder: Path) -> Path:
        """Refused."""
        raise DataError("wanted an embedded tiny, found none")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tiny]:
    """Registers the benchmark, and a method where one is given."""

    def registered(change: Callable[[Loaded], Loaded] = lambda loaded: loaded, method: Any = None) -> Tiny:
        things: dict[tuple[str, str], Any] = {(METHODS, "fake"): method}
        tiny = things[BENCHMARKS, "tiny"] = Tiny(tmp_path / "data", change)
        for module in (setting, find):
            monkeypatch.setattr(
                module, "load", lambda group, name: things.get((group, name)) or registry.load(group, name)
            )
        return tiny

    (tmp_path / "data").mkdir()
    return registered


def asked(tmp_path: Path, **changes: Any) -> Request:
    words: dict[str, Any] = {"data": tmp_path / "data", "profile": "sandbox", "out": tmp_path / "run"}
    return Request(bench="tiny", **words | changes)


def test_a_loader_that_fails_is_named_and_not_evalkit(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    def fails(_loaded: Loaded) -> Loaded:
        raise KeyError("s3")

    install(fails)
    with pytest.raises(PluginError) as raised:
        prepare(asked(tmp_path))
    assert str(raised.value) == (
        f"the benchmark 'tiny', reading {str(tmp_path / 'data')!r}, failed (KeyError: 's3'); "
        "--debug before the command shows where"
    )


def test_what_a_loader_says_of_its_data_is_left_as_it_is(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    def refuses(_loaded: Loaded) -> Loaded:
        raise ProblemsError("not whole", ["one", "two"])

    install(refuses)
    with pytest.raises(ProblemsError, match=r"^not whole \(2 problems\):\n  - one\n  - two$"):
        prepare(asked(tmp_path))


def test_cases_of_one_id_are_refused(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    install(lambda loaded: replace(loaded, cases=(*loaded.cases, *loaded.cases[:2])))
    told = (
        "^the benchmark 'tiny': wanted each case id once, found 's0.p0' 2 times and 1 more such ids; mend its loader$"
    )
    with pytest.raises(PluginError, match=told):
        prepare(asked(tmp_path))


def test_no_cases_are_refused(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    install(lambda loaded: replace(loaded, cases=()))
    with pytest.raises(
        PluginError, match="^the benchmark 'tiny': wanted cases for the protocol 'plain', found none in '"
    ):
        prepare(asked(tmp_path))


def test_a_benchmark_without_a_hub_id_fetches_in_its_own_way(
    tmp_path: Path, install: Callable[..., Tiny], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    tiny = install()
    found = prepare(asked(tmp_path, data=None, profile="paper", fetch=True))
    assert tiny.fetched == [found.data]
    assert "evalkit: Tiny from none\nevalkit: licence: none\n" in capsys.readouterr().err


def test_without_fetch_nothing_is_fetched(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    tiny = install()
    with pytest.raises(DataError, match=r"^tiny needs its data: --data DIR takes a copy\. draw it$"):
        prepare(asked(tmp_path, data=None, profile="paper"))
    assert tiny.fetched == []


class Checking(FakeMethod):
    """Finds a list of problems, or fails."""

    def __init__(self, problems: Any) -> None:
        super().__init__()
        self.problems = problems

    def check(self, context: Any) -> list[str]:
        """The list itself, as a method may keep one."""
        if isinstance(self.problems, Exception):
            raise self.problems
        return self.problems  # type: ignore[no-any-return]


def test_a_check_that_fails_is_named(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    install(method=Checking(AttributeError("no such device")))
    told = (
        "the method 'fake', asked whether it can make these samples, failed (AttributeError: no such device); --debug"
    )
    with pytest.raises(PluginError, match=re.escape(told)):
        generate_only("fake", asked(tmp_path))


def test_a_method_s_own_list_of_problems_is_left_alone(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    method = Checking(["it is too dark"])
    method.info = method.info.model_copy(update={"media": ("video",)})
    install(method=method)
    for _ in range(2):
        with pytest.raises(ProblemsError) as raised:
            generate_only("fake", asked(tmp_path))
        assert raised.value.problems == (
            "it is too dark", "wanted the medium 'image', found a method that makes video",
        )  # fmt: skip
    assert method.problems == ["it is too dark"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda made: made.pixels, "TypeError: wanted a Made for each job, found ndarray"),
        (tuple, "TypeError: wanted a Made for each job, found tuple"),
        (lambda made: made._replace(job=made.job._replace(seed=7)),
         "ValueError: wanted one Made for each job it was given, found another for 's0.p1', seed 7"),
        (lambda made: made._replace(job=made.job._replace(rng_seed=7)),
         "ValueError: wanted one Made for each job it was given, found another for 's0.p1', seed 0"),
    ],
)  # fmt: skip
def test_a_method_that_yields_anything_else_is_named(
    tmp_path: Path, install: Callable[..., Tiny], change: Callable[[Made], Any], told: str
) -> None:
    class Strange(FakeMethod):
        def make(self, jobs: Any, context: Any) -> Any:
            first, *others = super().make(jobs, context)
            yield first
            yield from map(change, others)

    install(method=Strange())
    with pytest.raises(MethodError, match=re.escape(f"fake failed ({told}); what it made before is kept, run again")):
        generate_only("fake", asked(tmp_path))
    assert len(list((tmp_path / "run").glob("samples/*/*.png"))) == 1


def test_a_method_that_answers_a_job_twice_is_named(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    class Twice(FakeMethod):
        def make(self, jobs: Any, context: Any) -> Any:
            for made in super().make(jobs, context):
                yield from (made, made)

    install(method=Twice())
    with pytest.raises(
        MethodError, match=r"^fake failed \(ValueError: wanted one Made .* found another for 's0\.p0', seed 0"
    ):
        generate_only("fake", asked(tmp_path))


def test_a_sound_benchmark_and_method_run(tmp_path: Path, install: Callable[..., Tiny]) -> None:
    install(method=FakeMethod())
    again = generate_only("fake", asked(tmp_path))
    assert again is not None
    assert again[1:] == (4, 4)
