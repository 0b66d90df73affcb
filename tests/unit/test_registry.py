from __future__ import annotations

import sys
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import TYPE_CHECKING

import pytest

from evalkit import cli, registry
from evalkit.benchmarks.base import Benchmark
from evalkit.cli import listing
from evalkit.content import content
from evalkit.errors import DataError, EvalkitError, PluginError, UsageError
from evalkit.features.loading import describe_extractor
from evalkit.features.spec import ExtractorSpec
from evalkit.methods.base import Method
from evalkit.metrics.base import Metric
from evalkit.registry import BENCHMARKS, EXTRACTORS, METHODS, METRICS, load, names, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUPS = (METRICS, BENCHMARKS, METHODS, EXTRACTORS)


def dist(name: str, folder: Path) -> Distribution:
    """A distribution of that name, as an installer writes it."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", encoding="utf-8")
    return Distribution.at(info)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Adds entry points (distribution, group, name, value) to those that are there."""
    added: list[EntryPoint] = []

    def found(*, group: str) -> list[EntryPoint]:
        return [*entry_points(group=group), *(entry for entry in added if entry.group == group)]

    def add(distribution: str, group: str, name: str, value: str) -> None:
        entry = EntryPoint(name, value, group)
        vars(entry).update(dist=dist(distribution, tmp_path))
        added.append(entry)
        clear()

    monkeypatch.setattr(registry, "entry_points", found)
    yield add
    clear()


def clear() -> None:
    registry.entries.cache_clear()
    registry.load.cache_clear()


@pytest.mark.parametrize("group", GROUPS)
def test_every_entry_point_of_evalkit_loads(group: str) -> None:
    own = [entry.name for entry in entry_points(group=group) if entry.dist is not None and entry.dist.name == "evalkit"]
    assert own
    for name in own:
        assert load(group, name) is load(group, name)


@pytest.mark.parametrize("group", GROUPS)
def test_names_are_sorted_and_each_once(group: str) -> None:
    assert names(group) == sorted(set(names(group)))


def test_what_is_registered_is_of_its_kind() -> None:
    for name in names(METRICS):
        assert isinstance(load(METRICS, name), Metric), name
    for name in names(BENCHMARKS):
        assert isinstance(load(BENCHMARKS, name), Benchmark), name
    for name in names(METHODS):
        assert isinstance(load(METHODS, name), Method), name
    for name in names(EXTRACTORS):
        assert callable(load(EXTRACTORS, name).load), name


def test_names_are_those_of_the_cards() -> None:
    assert {name: load(METRICS, name).card.name for name in names(METRICS)} == {n: n for n in names(METRICS)}
    assert {name: load(BENCHMARKS, name).spec.name for name in names(BENCHMARKS)} == {n: n for n in names(BENCHMARKS)}
    assert {name: load(METHODS, name).info.name for name in names(METHODS)} == {n: n for n in names(METHODS)}


@pytest.mark.parametrize(
    ("group", "folder", "file"), [(METRICS, "metrics", "card.yaml"), (BENCHMARKS, "benchmarks", "spec.yaml")]
)
def test_every_folder_is_registered_and_every_entry_has_its_folder(group: str, folder: str, file: str) -> None:
    """In both directions: a card that nothing reads, and a plugin without one, are both mistakes."""
    folders = {path.parent.name for path in content(folder).glob(f"*/{file}")}
    own = {entry.name for entry in entry_points(group=group) if entry.dist is not None and entry.dist.name == "evalkit"}
    assert folders == own
    assert folders == {path.name for path in content(folder).iterdir() if path.is_dir()}


def test_cards_are_read_from_the_content_folder() -> None:
    for name in names(METRICS):
        assert load(METRICS, name).card_path == content("metrics", name, "card.yaml")


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        (METRICS, "clipi", "wanted a metric, found 'clipi', which is none; did you mean 'clip_i' or 'clip_t' or 'lpips'?"),
        (METRICS, "", "wanted a metric, found '', which is none; `evalkit list metrics` shows the {} there are"),
        (METHODS, "nois", "wanted a method, found 'nois', which is none; did you mean 'noise'?"),
        (METHODS, "zzz", "wanted a method, found 'zzz', which is none; `evalkit list methods` shows the {} there are"),
        (BENCHMARKS, "qqq", "wanted a benchmark, found 'qqq', which is none; `evalkit list benchmarks` shows the {} there are"),
    ],
)  # fmt: skip
def test_an_unknown_name_gives_the_nearest(group: str, name: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(group, name)
    assert str(raised.value) == message.format(len(names(group)))


def test_unknown_shows_three_names_at_most() -> None:
    told = unknown("metric", "aaaa", ["aaab", "aaac", "aaad", "aaae"], "evalkit list metrics")
    assert told.count("'aaa") == 4


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes the module `acme_plugin`."""

    def write(text: str) -> None:
        (tmp_path / "acme_plugin.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)

    return write


def test_a_plugin_of_somebody_is_found_like_our_own(install: Callable[..., None], acme: Callable[[str], None]) -> None:
    acme(
        "from evalkit.metrics.clip_i import CLIP_I\n"
        "METRIC = type(CLIP_I)(CLIP_I.card_path, output='embedding')\n"
        "METRIC.card = CLIP_I.card.model_copy(update={'name': 'acme_metric'})\n"
    )
    install("acme", METRICS, "acme_metric", "acme_plugin:METRIC")
    assert "acme_metric" in names(METRICS)
    assert load(METRICS, "acme_metric").card.name == "acme_metric"


@pytest.mark.parametrize(
    ("group", "value", "told"),
    [
        (METHODS, "evalkit.methods.controls:Noise",
         "the method 'acme' of 'acme': wanted an object behind 'evalkit.methods.controls:Noise', found the class itself; "
         "name an instance of it"),
        (METHODS, "evalkit.methods.controls:NOISE",
         "the method 'acme' of 'acme': wanted that name in its info, found 'noise'; give entry point and info one name"),
        (BENCHMARKS, "evalkit.benchmarks.dreambench:DREAMBENCH",
         "the benchmark 'acme' of 'acme': wanted that name in its spec, found 'dreambench'; "
         "give entry point and spec one name"),
        (BENCHMARKS, "evalkit.methods.controls:NOISE",
         "the benchmark 'acme' of 'acme': wanted an object with spec, load, fetch, embed, "
         "found Noise without spec, load, fetch, embed; mend or uninstall that plugin"),
        (METRICS, "evalkit.registry:METRICS",
         "the metric 'acme' of 'acme': wanted an object with card, requests, score, "
         "found str without card, requests, score; mend or uninstall that plugin"),
    ],
)  # fmt: skip
def test_a_plugin_that_does_not_keep_its_contract_is_named(
    install: Callable[..., None], group: str, value: str, told: str
) -> None:
    install("acme", group, "acme", value)
    with pytest.raises(PluginError) as raised:
        load(group, "acme")
    assert str(raised.value) == told


def test_a_method_without_a_declaration_is_named(install: Callable[..., None], acme: Callable[[str], None]) -> None:
    acme(
        "from evalkit.methods.base import Method\n"
        "class Bare(Method):\n"
        "    def make(self, jobs, context): ...\n"
        "METHOD = Bare()\n"
    )
    install("acme", METHODS, "bare", "acme_plugin:METHOD")
    with pytest.raises(PluginError, match="wanted an object with info, check, make, found Bare without info; mend or"):
        load(METHODS, "bare")


BENCHMARK = """
class Benchmark:
    load = fetch = embed = print
    @property
    def spec(self):
        {body}
BENCHMARK = Benchmark()
"""


def test_a_declaration_that_fails_is_named(install: Callable[..., None], acme: Callable[[str], None]) -> None:
    acme(BENCHMARK.format(body="return open('/no/such/file')"))
    install("acme", BENCHMARKS, "bare", "acme_plugin:BENCHMARK")
    told = (
        "^the benchmark 'bare' of 'acme', reading its spec, failed \\(FileNotFoundError: .*; --debug before the command"
    )
    with pytest.raises(PluginError, match=told):
        load(BENCHMARKS, "bare")


def test_a_declaration_that_does_not_validate_keeps_its_own_message(
    install: Callable[..., None], acme: Callable[[str], None]
) -> None:
    acme(BENCHMARK.format(body="from evalkit.nouns import Case; return Case.read({}, where='acme/spec.yaml')"))
    install("acme", BENCHMARKS, "bare", "acme_plugin:BENCHMARK")
    with pytest.raises(DataError, match=r"^acme/spec\.yaml: not a case: case_id is missing"):
        load(BENCHMARKS, "bare")


def test_a_plugin_that_fails_at_import_is_named(
    install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no such GPU')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    install("acme", METRICS, "broken", "acme_broken:METRIC")
    with pytest.raises(PluginError) as raised:
        load(METRICS, "broken")
    assert str(raised.value) == (
        "the metric 'broken' of 'acme' does not load from 'acme_broken:METRIC': RuntimeError: no such GPU; "
        "mend or uninstall that plugin"
    )
    assert load(METRICS, "clip_i")


@pytest.mark.parametrize(
    ("value", "told"),
    [("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
     ("evalkit.errors:NoSuch", "AttributeError: module 'evalkit.errors' has no attribute 'NoSuch'")],
)  # fmt: skip
def test_an_entry_point_to_nowhere_is_named(install: Callable[..., None], value: str, told: str) -> None:
    install("acme", METHODS, "nowhere", value)
    with pytest.raises(PluginError) as raised:
        load(METHODS, "nowhere")
    assert str(raised.value) == (
        f"the method 'nowhere' of 'acme' does not load from {value!r}: {told}; mend or uninstall that plugin"
    )


def test_two_distributions_that_claim_one_name_are_both_named(install: Callable[..., None]) -> None:
    install("acme", METRICS, "clip_i", "acme:CLIP")
    with pytest.raises(PluginError) as raised:
        names(METRICS)
    assert str(raised.value) == (
        "two plugins claim the metric 'clip_i': 'evalkit' (evalkit.metrics.clip_i:CLIP_I) and 'acme' (acme:CLIP); "
        "uninstall or rename one"
    )


def test_one_installation_seen_twice_is_no_conflict(install: Callable[..., None]) -> None:
    """A folder that is on the path twice shows every entry point of it twice."""
    install("evalkit", METRICS, "clip_i", "evalkit.metrics.clip_i:CLIP_I")
    assert names(METRICS).count("clip_i") == 1


def test_a_family_without_its_functions_is_named(install: Callable[..., None]) -> None:
    install("acme", EXTRACTORS, "acme_family", "evalkit.errors")
    spec = ExtractorSpec(family="acme_family", model="sandbox:clip", preprocess="none")
    with pytest.raises(PluginError, match="^the extractor family 'acme_family' needs the function 'load' in <module"):
        describe_extractor(spec)


def test_content_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(
        EvalkitError, match=r"^wanted evalkit's own file 'metrics/no/card\.yaml', found none in .*; install"
    ):
        content("metrics", "no", "card.yaml")


def test_an_unknown_backbone_family_points_to_a_command_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as raised:
        load(EXTRACTORS, "qqqq")
    assert str(raised.value) == (
        "wanted a backbone family, found 'qqqq', which is none; "
        f"`evalkit list backbones` shows the {len(names(EXTRACTORS))} there are"
    )
    with pytest.raises(
        UsageError, match=r"^wanted a backbone family, found 'clipp', which is none; did you mean 'clip'"
    ):
        load(EXTRACTORS, "clipp")


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_that_an_unknown_name_points_to_is_one(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as raised:
        load(group, "qqqq")
    command = str(raised.value).split("`")[1].split()
    assert command[0] == "evalkit"
    assert cli.main([command[1], "--help"]) == 0
    assert command[2:] == [] or command[2] in listing.KINDS
    capsys.readouterr()
