"""A repository that publishes a leaderboard: what `evalkit leaderboard init` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.content import content
from evalkit.errors import UsageError
from evalkit.files import atomic_write_text

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "README.md": "README.md",
    "workflow.yml": ".github/workflows/leaderboard.yml",
    "gitignore": ".gitignore",
    "runs.md": "runs/README.md",
}
"""Templates in `leaderboard/repository/`, and where each goes."""


def init(folder: Path) -> list[Path]:
    """Writes the repository into a new or empty folder; returns its files. Raises UsageError where something is there."""
    if folder.exists() and (not folder.is_dir() or any(entry.name != ".git" for entry in folder.iterdir())):
        raise UsageError(
            f"wanted a new or empty folder, found something in {str(folder)!r}; give another, nothing of it was touched"
        )
    made = []
    for template, name in FILES.items():
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(to, content("leaderboard", "repository", template).read_text(encoding="utf-8"))
        made.append(to)
    return made
