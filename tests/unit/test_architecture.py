"""The design's arrows, held by reading the sources: who imports whom, what is imported when, what is documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import evalkit

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(evalkit.__file__).parent
HEAVY = {
    "torch", "torchvision", "transformers", "diffusers", "datasets", "open_clip", "pandas", "pyarrow", "scipy", "timm",
    "peft", "accelerate", "cv2", "dreamsim", "lpips", "facenet_pytorch", "plotly", "av", "huggingface_hub", "safetensors",
}  # fmt: skip
ANYBODY = {"processes", "errors", "files", "paths", "progress", "content", "registry", "nouns", ""}
MAY_IMPORT = {
    "errors": set(),
    "paths": set(),
    "files": {"errors"},
    "content": {"errors"},
    "processes": set(),
    "progress": {"processes"},
    "registry": {"errors"},
    "nouns": {"errors"},
    "media": {"errors", "files", "nouns"},
    "features": ANYBODY | {"media"},
    "metrics": ANYBODY | {"features", "media"},
    "sandbox": ANYBODY | {"media", "features", "metrics"},
    "benchmarks": ANYBODY | {"media", "sandbox"},
    "stats": ANYBODY,
    "judges": ANYBODY | {"features", "media"},
    "rl": ANYBODY | {"features", "media", "metrics"},
    "methods": ANYBODY | {"benchmarks", "media", "rl", "sandbox"},
    # a site shows runs as claims read them, and metrics with what the battery made of them; nothing below reads sites
    "leaderboard": ANYBODY | {"benchmarks", "engine", "media", "methods", "metrics", "runs", "sandbox", "stats"},
    "runs": ANYBODY | {"media"},
    "engine": ANYBODY
    | {"benchmarks", "features", "judges", "media", "methods", "metrics", "rl", "runs", "sandbox", "stats"},
    "__main__": {"cli"},
    "": set(),
}
"""What each part of evalkit may import besides itself; `""` is `evalkit/__init__.py`, and cli/ may import any."""


class Import(NamedTuple):
    file: Path
    module: str
    top: bool
    """At the top level of the module, so that importing it imports this."""
    typing: bool
    """Under `if TYPE_CHECKING`."""

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE)} imports {self.module}"


def part(name: str) -> str:
    """`evalkit.features.spec` -> `features`; `evalkit` -> ``."""
    return name.split(".")[1] if "." in name else ""


def part_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


@cache
def trees() -> dict[Path, ast.Module]:
    files = sorted(PACKAGE.rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def walk(file: Path, node: ast.AST, *, top: bool = True, typing: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if isinstance(child, ast.Import):
            yield from (Import(file, alias.name, top, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = str(child.module)
            full = module != "evalkit"
            yield from (Import(file, module if full else f"evalkit.{alias.name}", top, typing) for alias in child.names)
        yield from walk(file, child, top=top and not inside, typing=typing or checking)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file, tree in trees().items() for found in walk(file, tree))


def test_the_reader_of_imports_sees_them() -> None:
    """Without this the tests below could not fail."""
    told = {(part_of(i.file), i.module) for i in imports()}
    assert ("cli", "evalkit.engine.run") in told
    assert ("features", "torch") in told
    assert any(not i.top for i in imports())
    assert any(i.typing for i in imports())


def test_every_part_has_its_arrows() -> None:
    assert {part_of(file) for file in trees()} - set(MAY_IMPORT) == {"cli"}


def test_arrows_point_one_way() -> None:
    wrong = [
        str(i)
        for i in imports()
        if i.module.split(".")[0] == "evalkit"
        and part_of(i.file) != "cli"
        and part(i.module) not in MAY_IMPORT[part_of(i.file)] | {part_of(i.file)}
    ]
    assert wrong == []


@pytest.mark.parametrize(("who", "whom"), [("metrics", "methods"), ("features", "metrics"), ("features", "engine"),
                                           ("features", "methods"), ("methods", "metrics"), ("runs", "engine")])  # fmt: skip
def test_arrows_that_the_design_names(who: str, whom: str) -> None:
    assert [str(i) for i in imports() if part_of(i.file) == who and i.module.startswith(f"evalkit.{whom}")] == []


def test_nothing_imports_the_command_line() -> None:
    outside = [i for i in imports() if part_of(i.file) not in ("cli", "__main__")]
    assert [str(i) for i in outside if i.module.startswith("evalkit.cli")] == []


def test_nothing_imports_what_it_has_no_relation_to_by_dots() -> None:
    relative = [f for f, tree in trees().items() for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert relative == []


def test_no_heavy_import_at_the_top_of_a_module() -> None:
    heavy = [i for i in imports() if i.top and not i.typing and i.module.split(".")[0] in HEAVY]
    assert [str(i) for i in heavy] == []


HELP = """
import sys
from evalkit.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {heavy!r} | {{"numpy", "pydantic", "PIL", "yaml", "rich", "pyarrow"}}
loaded = sorted(heavy & set(sys.modules))
print(*loaded, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "needed"),
    # To check an option's value, typer itself imports pydantic.
    [(["--help"], []), (["run", "--help"], ["pydantic"]), (["score", "--help"], ["pydantic"])],
    ids=["evalkit", "run", "score"],
)
def test_help_imports_nothing_heavy(arguments: list[str], needed: list[str]) -> None:
    code = HELP.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert set(done.stderr.split()) <= set(needed)


def public(node: ast.Module | ast.ClassDef) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def test_every_module_says_what_it_is() -> None:
    assert [str(f.relative_to(PACKAGE)) for f, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_everything_public_says_what_it_is() -> None:
    silent = [
        f"{file.relative_to(PACKAGE)}: {node.name}"
        for file, tree in trees().items()
        for node in public(tree)
        if not ast.get_docstring(node) and "overload" not in ast.dump(ast.Module(node.decorator_list, []))  # type: ignore[arg-type]
    ]
    assert silent == []


def test_files_and_functions_stay_small() -> None:
    """What the models measured: the longest tenth of files under 500 lines, functions under 80."""
    assert [str(file) for file in trees() if len(file.read_text(encoding="utf-8").splitlines()) > 500] == []
    functions = [n for tree in trees().values() for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    assert [n.name for n in functions if n.end_lineno is not None and n.end_lineno - n.lineno > 80] == []


def test_code_prints_results_in_one_place_only() -> None:
    """Results go to stdout through cli/, progress and warnings to stderr through progress.py."""
    printing = {
        str(file.relative_to(PACKAGE))
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name for name in printing if not name.startswith("cli/")} == {"progress.py"}


def test_assert_is_not_for_input() -> None:
    """`python -O` drops assertions, so nothing that a user can cause may hang on one: a message would be for a user."""
    told = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and node.msg is not None
    ]
    assert told == []


def test_nothing_unfinished_is_left() -> None:
    marks = ("TODO", "FIXME", "XXX", "HACK", "for now", "NotImplemented" + "Error()")
    found = [f"{file.name}: {m}" for file in trees() for m in marks if m in file.read_text(encoding="utf-8")]
    assert found == []


def test_evalkit_is_the_only_name_in_the_wheel() -> None:
    import tomllib

    pyproject = PACKAGE.parent / "pyproject.toml"
    if not pyproject.is_file():
        pytest.skip("evalkit is installed, and its pyproject.toml is not beside it")
    wheel = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["evalkit"]
    assert all(target.startswith("evalkit/content/") for target in wheel["force-include"].values())
    assert all((PACKAGE.parent / source).is_dir() for source in wheel["force-include"])
