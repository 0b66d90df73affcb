"""The documents say what is there: every command, environment variable and plugin group."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evalkit import registry

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def writer(name: str) -> ModuleType:
    """A script of `docs/` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_page_is_the_commands_own_help(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("COLUMNS", "100")
    module = writer("write_commands")
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == module.text(), "run: python docs/write_commands.py"


def test_the_tests_that_the_metric_page_names_are_of_these_metrics() -> None:
    """A test, or a module of references that it imports, has the metric's name or module in it, and the variant's."""
    page = writer("write_metrics")
    named = [name for names in page.TESTS.values() for name in names]
    assert len(named) == len(set(named))
    ours = {
        n: e for n, e in registry.entries(registry.METRICS).items() if e.dist is not None and e.dist.name == "evalkit"
    }
    variants = {(name, variant) for name in ours for variant in registry.load(registry.METRICS, name).card.variants}
    assert {name.partition("@")[0] for name in named} == set(ours)
    assert {name for name in named if "@" in name} <= {"@".join(pair) for pair in variants}
    assert all((ROOT / "tests" / page.test_of(*pair)).is_file() for pair in variants)
    for test, names in page.TESTS.items():
        text = (ROOT / "tests" / test).read_text(encoding="utf-8")
        for module in re.findall(r"^from tests\.golden\.(\w+) import", text, re.MULTILINE):
            text += (ROOT / "tests" / "golden" / f"{module}.py").read_text(encoding="utf-8")
        for metric, _, variant in (name.partition("@") for name in names):
            module = re.escape(ours[metric].module)
            assert re.search(rf'"{metric}["@]|\b{metric}\(|\b{metric.upper()}\b|{module} import', text), (
                f"{test} has no {metric}"
            )
            assert variant in text, f"{test} has no {metric}@{variant}"


def test_a_metric_without_a_named_test_is_told() -> None:
    page = writer("write_metrics")
    with pytest.raises(
        LookupError, match="^wanted the test that holds sparkle@bright in TESTS, found none; name it there$"
    ):
        page.test_of("sparkle", "bright")


def test_every_environment_variable_is_documented() -> None:
    used = set()
    for path in (ROOT / "evalkit").rglob("*.py"):
        used |= set(re.findall(r"""environ(?:\.get)?[\[(]["'](EVALKIT_\w+)["']""", path.read_text(encoding="utf-8")))
    documented = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert used
    assert {name for name in used if f"`{name}`" not in documented} == set()


def test_every_plugin_group_is_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for group in (registry.METRICS, registry.BENCHMARKS, registry.METHODS, registry.EXTRACTORS):
        assert f"`{group}`" in documented


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("run", "generate", "score", "show", "list", "describe", "doctor", "cache", "sandbox"):
        assert f"evalkit {command}" in readme


def test_documents_link_to_files_that_exist() -> None:
    for document in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("data_cards/*.md"),
        *ROOT.glob("perf/*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_seconds_that_the_metric_page_shows_are_of_metrics_that_there_are() -> None:
    told = json.loads((ROOT / "perf" / "metric_seconds.json").read_text(encoding="utf-8"))
    assert set(told["seconds_per_1000"]) <= set(registry.names(registry.METRICS))
    assert {"clip_i", "dino_i", "sdino", "si_iou", "vsm"} <= set(told["seconds_per_1000"])
    assert all(seconds > 0 for seconds in told["seconds_per_1000"].values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", told["date"])
