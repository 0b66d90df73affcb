"""The documents say what is there: every command, environment variable and plugin group."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

from evalkit import registry

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_page_is_the_commands_own_help(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("COLUMNS", "100")
    spec = importlib.util.spec_from_file_location("write_commands", ROOT / "docs" / "write_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == module.text(), "run: python docs/write_commands.py"


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
