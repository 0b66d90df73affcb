from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from evalkit.paths import cache_root


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    assert not cache_root().exists()


@pytest.mark.parametrize("value", [None, ""])
def test_the_cache_is_the_users_own_where_it_says_nothing(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("EVALKIT_CACHE")
    if value is not None:
        monkeypatch.setenv("EVALKIT_CACHE", value)
    assert cache_root() == Path(platformdirs.user_cache_dir("evalkit"))
