"""`evalkit cache`: look at and prune what is kept between runs."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from evalkit.errors import UsageError

app = typer.Typer(
    help="Look at and prune the features kept between runs.", invoke_without_command=True, rich_markup_mode=None
)
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(?:([KMGT])i?)?B?", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@app.callback()
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


@app.command("show")
def show() -> int:
    """Show where the cache is, what each extractor's features take, and what else is kept there."""
    from evalkit.cli.output import print_table
    from evalkit.features.cache import uses
    from evalkit.paths import cache_root

    root = cache_root() / "features"
    found = uses(root)
    print(f"{root}: {sum(u.entries for u in found)} features, {human(sum(u.bytes for u in found))}")
    if found:
        print_table(
            ("features", "size", "extractor"),
            [(str(u.entries), human(u.bytes), u.label or u.fingerprint) for u in found],
            right=(0, 1),
        )
    others = sorted(path for path in cache_root().iterdir() if path != root) if cache_root().is_dir() else []
    sizes = [(path.name, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())) for path in others]
    if told := ", ".join(f"{name} {human(size)}" for name, size in sizes if size):
        print(f"beside them: {told}")
    return 0


@app.command("prune")
def prune(
    limit: Annotated[str, typer.Option("--limit", metavar="SIZE", help="What may stay, e.g. 500M, 20G, 0.")] = "20G",
) -> int:
    """Remove least recently used features until at most SIZE is left."""
    from evalkit.features.cache import prune as prune_features
    from evalkit.paths import cache_root

    count, size = prune_features(cache_root() / "features", limit_bytes=parse_size(limit))
    print(f"removed {count} features, {human(size)}")
    return 0


def parse_size(text: str) -> int:
    """Bytes in a size like `500M` (powers of 1024).

    Example:
        >>> parse_size("1.5K")
        1536
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"wanted a size like 500M or 20G, found {text!r}")
    return int(float(match[1]) * 1024 ** _UNITS[(match[2] or "").upper()])


def human(size: float) -> str:
    """A size for people.

    Example:
        >>> human(1536)
        '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(size, 1) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
