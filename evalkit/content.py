"""Finds the folders that people edit (`benchmarks/`, `metrics/`, `leaderboard/`, `data_cards/`), installed or in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, EvalkitError

_PACKAGE = Path(__file__).resolve().parent


def content(*parts: str) -> Path:
    """The path of a content file or folder, e.g. `content("metrics", "clip_i", "card.yaml")`.

    A wheel carries the folders inside the package; a checkout has them beside it. Raises EvalkitError where neither has it.
    """
    for root in (_PACKAGE / "content", _PACKAGE.parent):
        if (found := root.joinpath(*parts)).exists():
            return found
    raise EvalkitError(
        f"wanted evalkit's own file {'/'.join(parts)!r}, found none in {_PACKAGE}; install evalkit again"
    )


@cache
def _loader() -> Any:
    """A safe loader that refuses a key that stands twice in one mapping, of which YAML's own would keep the last."""
    import yaml
    from yaml.constructor import ConstructorError

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times as quick and reads the same

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if key.value in seen and isinstance(key, yaml.ScalarNode):
                    raise ConstructorError(None, None, f"found the key {key.value!r} twice", key.start_mark)
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            return super().construct_mapping(node, deep)

    return Loader


def read_yaml(path: Path) -> Any:
    """The data in a YAML file. Raises DataError with the file and the line where it cannot be read."""
    import yaml

    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_loader())
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}; check the path") from error
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path}: wanted YAML, found something else: {told:.200}; mend the file") from error
