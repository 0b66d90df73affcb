"""store/cases.jsonl: the cases a run was asked for, so that it is shown and scored without parsing the data again."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Self

from evalkit.errors import DataError, RunError, UsageError
from evalkit.files import atomic_write_text
from evalkit.nouns import Case, Noun, Reference, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class RunCase(Noun):
    """A case with the identity of what its sample depends on."""

    case: Case
    sha256: str
    """Digest of the case and its references' pixels, `Sample.case_sha256` of what is made for it."""
    pixels: dict[str, str | None]
    """sha256 of the pixels of each picture the case names, by path; None for one that cannot be decoded."""
    requested: bool = True
    """Whether the newest request asks for it."""

    @classmethod
    def of(cls, case: Case, pixels: Mapping[str, str | None]) -> Self:
        """The case with the pixel hashes of its pictures, taken from `pixels` (which may hold more).

        The digest leaves out `targets`: protocols choose them, and no method sees them, so that one run can be scored
        by two protocols. A score's own `inputs` covers them.

        Raises: UsageError naming the picture that `pixels` lacks.
        """
        seen = _paths(case.references)
        own = dict.fromkeys([*seen, *_paths(case.targets)])
        if missing := [path for path in own if path not in pixels]:
            raise UsageError(f"case {case.case_id!r}: wanted the pixel hash of {missing[0]!r}, found none")
        given = case.model_dump(mode="json", exclude={"targets"}, exclude_defaults=True)
        sha256 = digest({"case": given, "pixels": {path: pixels[path] for path in seen}})
        return cls(case=case, sha256=sha256, pixels={path: pixels[path] for path in own})

    @property
    def case_id(self) -> str:
        """The case's id."""
        return self.case.case_id


def read_cases(path: Path) -> dict[str, RunCase]:
    """The cases by id, in the file's order. Raises: RunError naming the line that is no case."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"cannot read {path}: {error}; `evalkit run` or `evalkit score` with this folder writes it anew"
        ) from error
    cases = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            case = _case(line)
        except DataError as error:
            told = f"{path}, line {number}{error}"
            raise RunError(f"{told}; `evalkit run` or `evalkit score` with this folder writes it anew") from None
        cases[case.case_id] = case
    return cases


@lru_cache(maxsize=1 << 14)
def _case(line: str) -> RunCase:
    """The case in a line, whose digest is that of what it says. Runs that stand beside each other have the same lines."""
    told = RunCase.read(line, where="")
    try:
        own = RunCase.of(told.case, told.pixels)
    except UsageError as error:
        raise DataError(f": {error}") from None
    if told.sha256 != own.sha256:
        raise DataError(
            f": wanted case {told.case_id!r} as its digest says, found another (digest {own.sha256[:12]}, stored "
            f"{told.sha256!r:.16})"
        )
    return told


def write_cases(path: Path, cases: Iterable[RunCase]) -> None:
    """Writes the file whole, one JSON line a case. Raises: RunError where it cannot be written."""
    atomic_write_text(path, "".join(case.to_json() + "\n" for case in cases))


def merged(known: Mapping[str, RunCase], asked: Sequence[RunCase]) -> dict[str, RunCase]:
    """`asked` as the newest request, then the cases known from earlier ones; a case asked for again replaces itself.

    Raises: UsageError for a case asked for twice.
    """
    newest = {case.case_id: case.model_copy(update={"requested": True}) for case in asked}
    if len(newest) < len(asked):
        ids = [case.case_id for case in asked]
        twice = next(name for name in ids if ids.count(name) > 1)
        raise UsageError(f"wanted each case once, found {twice!r} twice")
    rest = {key: case.model_copy(update={"requested": False}) for key, case in known.items() if key not in newest}
    return newest | rest


def _paths(references: Iterable[Reference]) -> list[str]:
    return [path for item in references for path in (item.path, item.mask) if path is not None]
