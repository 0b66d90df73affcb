"""What every test runs under: no network, its own cache, one thread; slow, gpu and network tests only when asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

MARKERS = ("slow", "gpu", "network")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker in MARKERS:
        parser.addoption(f"--run-{marker}", action="store_true", help=f"run tests marked {marker!r}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in MARKERS:
        if not config.getoption(f"--run-{marker}"):
            skip = pytest.mark.skip(reason=f"needs --run-{marker}")
            for item in items:
                if marker in item.keywords:
                    item.add_marker(skip)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features and worlds that tests make stay out of the user's cache; the session shares one, so a world is drawn once."""
    base: Path = tmp_path_factory.getbasetemp() / "evalkit-cache"
    monkeypatch.setenv("EVALKIT_CACHE", str(base))
    monkeypatch.delenv("EVALKIT_WEIGHTS", raising=False)
