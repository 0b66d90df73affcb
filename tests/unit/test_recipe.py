"""Recipes as data: what is read, what is refused and in which words, and samples that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from evalkit.errors import DataError, ProblemsError, UsageError
from evalkit.methods.base import Context, Method
from evalkit.methods.command import CommandMethod
from evalkit.methods.divrl.official import DIVRL_OFFICIAL
from evalkit.methods.external.placeholders import fill, placeholders
from evalkit.methods.find import Finding, find_method, method_report, recipe_method
from evalkit.methods.precomputed import PrecomputedMethod
from evalkit.methods.recipe import Recipe, read_recipe
from tests.fakes import picture, tiny_benchmark, write_picture
from tests.unit.recipe_samples import BATCH, ITEM, WORKER, drawer, jobs_of, made, recipe, told

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Loaded

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = {"url": "https://example.org/r", "commit": "0123abc", "licence": "MIT"}
UV = {"kind": "uv", "python": "3.10"}


def refusal(mode: str = "item", **changes: Any) -> str:
    with pytest.raises(DataError) as raised:
        recipe(mode, **changes)
    text = str(raised.value)
    assert text.startswith("test: not a recipe: ")
    return text.removeprefix("test: not a recipe: ").replace("Value error, ", "")


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    return tiny_benchmark(tmp_path / "data")


@pytest.fixture
def context(benchmark: Loaded, tmp_path: Path) -> Context:
    return Context(benchmark, "sandbox", tmp_path / "work")


def test_a_recipe_becomes_a_method(tmp_path: Path) -> None:
    data = told(
        rewards=["clip"], sizes=[[512, 768]], gated=True, weights=["org/model"], kind="baseline", stochastic=False
    )
    method = find_method(str(write(tmp_path / "mine.yaml", data)))
    assert isinstance(method, CommandMethod)
    info = method.info
    assert (info.name, info.kind, info.version, info.media) == ("drawer", "baseline", "1", ("image",))
    assert (info.max_references, info.needs_masks, info.sizes) == (1, False, ((512, 768),))
    assert (info.rewards, info.gated, info.trains, info.stochastic) == (("clip",), True, False, False)


def test_the_readings_of_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "- 1")
    with pytest.raises(DataError) as raised:
        read_recipe(path)
    assert (
        str(raised.value) == f"{path}: wanted a recipe with keys such as name and generate, found list; mend the file"
    )
    path = write(tmp_path / "b.yaml", told(colour="red", name="Not A Name"))
    with pytest.raises(DataError) as raised:
        read_recipe(path)
    assert str(raised.value) == (
        f"{path}: not a recipe: name: Value error, a name is lower-case letters, digits and '_', found 'Not A Name', found "
        "'Not A Name'; colour is not a known key"
    )


def test_every_key_that_does_not_fit_is_named() -> None:
    assert (
        refusal(generate=ITEM | {"shell": True}, titel="x")
        == "generate.shell is not a known key; titel is not a known key"
    )
    assert refusal(environment=UV | {"python": 3.10}) == "environment.python: Input should be a valid string, found 3.1"
    assert refusal(media=["video"]).startswith("media.0: Input should be 'image'")
    assert refusal(name=None) == "name is missing"


def test_a_shell_string_is_refused() -> None:
    text = refusal(generate=ITEM | {"command": "python x.py --prompt {prompt}"})
    assert text.startswith(
        "generate.command: wanted a list of arguments, found one string; no shell reads it, so write "
        "[python, x.py, --prompt, {prompt}], found 'python x.py"
    )
    assert "setup.0: wanted a list of arguments" in refusal(setup=["pip install ."])


@pytest.mark.parametrize(
    "command", [["bash", "-c", "x {prompt}"], ["/bin/sh", "-ec", "x"], ["env", "A=1", "zsh", "-l", "-c", "x"]]
)
def test_a_shell_with_a_command_line_is_refused(command: list[str]) -> None:
    shell = next(Path(word).name for word in command if Path(word).name in ("bash", "sh", "zsh"))
    told = f"generate.command gives {shell} a command line to take apart; write the program and its arguments as a list"
    assert told in refusal(generate=ITEM | {"command": command})


def test_a_shells_script_may_be_run_and_code_without_placeholders() -> None:
    recipe(generate=ITEM | {"command": ["bash", "run.sh", "-c", "{recipe}/config.yaml", "{prompt}"]})
    recipe(generate=ITEM | {"command": ["{python}", "-c", "print(1)", "{prompt}"]})


def test_placeholders_in_code_are_refused() -> None:
    told = "generate.command puts placeholders into code after '-c'; pass them as arguments of their own"
    for program in ("{python}", "python3.11", "/usr/bin/python"):
        assert told in refusal(generate=ITEM | {"command": [program, "-u", "-c", "print('{prompt}')"]})


def test_an_unknown_placeholder_is_named() -> None:
    text = refusal(generate=ITEM | {"command": ["x", "--colour={colour}"]})
    assert (
        "{colour} is no placeholder that generate.command has here; it has {case_id}, {checkpoint}, {items}, {label}, {mask}, "
        "{output}, {prompt}, {prompt_index}, {python}, {recipe}, {reference}, {reference_stem}, {references}, {sample}, {seed}; "
        "write {{ for a brace"
    ) in text
    assert "{prompt} is no placeholder that generate.command has here" in refusal(
        generate=BATCH | {"command": ["x", "{prompt}", "{items}"]}
    )
    assert "{prompt} is no placeholder that generate.outputs has here" in refusal(
        generate=ITEM | {"outputs": "{prompt}.png"}
    )
    assert "{repository} is no placeholder that variables.X has here; it has {python}, {recipe};" in refusal(
        variables={"X": "{repository}"}
    )
    assert "{python} is no placeholder that setup command 1 has here; it has {recipe};" in refusal(
        environment=None, setup=[["{python}"]]
    )
    assert "{environment} is no placeholder" in refusal(generate=ITEM | {"command": ["{environment}/bin/x"]})
    train = {"command": ["x", "{prompt}"], "checkpoint": "c"}
    assert "{prompt} is no placeholder that train.command has here" in refusal(train=train)


@pytest.mark.parametrize(("text", "brace"), [("a{b", "{"), ("a}b", "}"), ("{{{", "{")])
def test_half_a_placeholder_is_named(text: str, brace: str) -> None:
    told = f"{text!r} holds a single {brace!r}; write {{{{ or }}}} for a brace that is meant"
    assert told in refusal(generate=ITEM | {"command": ["x", text]})


def test_what_is_filled_in_is_not_read_again() -> None:
    values = {"prompt": "{seed} }} 'x' \\1 \\g<0>\n", "seed": "3"}
    assert fill("{prompt}-{seed}-{{seed}}", values) == "{seed} }} 'x' \\1 \\g<0>\n-3-{seed}"
    assert placeholders("{{a}}{b}") == ["b"]


WHOLE = [
    ({"generate": None}, "a recipe has either generate, a command, or precomputed, a folder of samples"),
    ({"precomputed": "x"}, "a recipe has either generate, a command, or precomputed, a folder of samples"),
    ({"precomputed": "x", "generate": None}, "samples that are there need no environment, seconds, variables"),
    ({"gated": True}, "gated is for weights whose terms have to be accepted: name their hub ids in weights"),
    ({"seconds": None}, "every command has a time limit: add seconds.item"),
    ({"environment": UV}, "every command has a time limit: add seconds.setup"),
    ({"repository": REPOSITORY}, "every command has a time limit: add seconds.setup"),
    ({"train": {"command": ["x"], "checkpoint": "c"}}, "every command has a time limit: add seconds.train"),
    ({"seconds": {"item": 0}}, "seconds.item: Input should be greater than 0, found 0"),
    ({"seconds": {"item": float("inf")}}, "seconds.item: Input should be a finite number, found inf"),
    ({"generate": ITEM | {"outputs": None}},
     "generate.outputs is needed in modes item and batch, and not in mode worker, which answers with files"),
    ({"generate": WORKER | {"outputs": "x"}}, "generate.outputs is needed in modes item and batch, and not in mode worker"),
    ({"generate": BATCH | {"items": None, "command": ["x"]}},
     "mode batch needs generate.items and {items} in generate.command"),
    ({"generate": ITEM | {"items": "json"}}, "{items} in generate.command and generate.items (json or jsonl) go together"),
    ({"generate": ITEM | {"chunk": 4}}, "generate.chunk is for mode batch"),
    ({"generate": ITEM | {"command": ["x", "{mask}"]}}, "generate.command asks for {mask}: add needs_masks: true"),
    ({"generate": ITEM | {"command": ["x", "{checkpoint}"]}},
     "generate.command asks for {checkpoint}: add train, or say in generate.checkpoint what it is"),
    ({"generate": ITEM | {"command": []}}, "generate.command: wanted a program and its arguments, found an empty list"),
    ({"generate": BATCH | {"fields": {"a": "colour"}}}, "generate.fields.a: Input should be 'index', 'case_id', "),
    ({"repository": REPOSITORY | {"commit": "main"}},
     "repository.commit: String should match pattern '^[0-9a-f]{7,40}$', found 'main'"),
    ({"environment": {"kind": "uv"}}, "environment: an environment of kind uv needs python"),
    ({"environment": {"kind": "docker", "python": "3.10"}}, "environment: an environment of kind docker needs image"),
    ({"environment": {"kind": "existing", "interpreter": "python", "requirements": ["x"]}},
     "environment: an environment of kind existing has no requirements"),
    *(({"train": {"command": ["x"], "checkpoint": pattern}},
       f"train: train.checkpoint is a pattern inside {{output}}, without placeholders, found {pattern!r}")
      for pattern in ("/x", "../x", "{output}/x", "C:\\x")),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), WHOLE)
def test_a_recipe_that_is_not_whole(changes: dict[str, Any], told: str) -> None:
    assert told in refusal(**changes)


def test_the_identity_is_of_what_can_change_a_sample() -> None:
    mine = recipe("batch").identity()
    same: list[dict[str, Any]] = [
        {"title": "Other"}, {"meaning": "Other."}, {"notes": ["Other."]}, {"seconds": {"batch": 99}},
        {"generate": BATCH | {"chunk": 3}},
    ]  # fmt: skip
    other: list[dict[str, Any]] = [
        {"version": "2"}, {"max_references": 2}, {"seed_bits": 32}, {"variables": {}},
        {"generate": BATCH | {"items": "jsonl"}}, {"environment": {"kind": "existing", "interpreter": "python9"}},
    ]  # fmt: skip
    assert {recipe("batch", **changes).identity() for changes in same} == {mine}
    assert len({recipe("batch", **changes).identity() for changes in other} | {mine}) == 7
    keys: dict[str, Any] = {"seconds": {"item": 1, "setup": 1}}
    one, two = ({**REPOSITORY, **more} for more in ({"licence": "MIT"}, {"licence": "GPL", "commit": "0123abd"}))
    assert recipe(repository=one, **keys).identity() != recipe(repository=two, **keys).identity()
    assert recipe(repository=one, **keys).identity() == recipe(repository=one | {"licence": "GPL"}, **keys).identity()


def test_the_page_shows_a_whole_recipe_and_documents_every_key() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    shown = [block.split("```")[0] for block in page.split("```yaml\n")[1:]]
    assert len(shown) == 3
    recipes = [Recipe.read(yaml.safe_load(text), where="docs/recipes.md") for text in shown]
    assert [type(r.generate).__name__ for r in recipes] == ["Generate", "Generate", "NoneType"]
    for noun, prefix in _nouns():
        for key in noun.model_fields:
            assert f"| `{prefix}{key}` |" in page, prefix + key
    for name in ("prompt", "reference", "references", "mask", "label", "case_id", "sample", "seed", "prompt_index",
                 "reference_stem", "output", "items", "checkpoint", "repository", "environment", "python", "recipe", "shim",
                 "data", "index"):  # fmt: skip
        assert f"`{{{name}}}`" in page, name


def _nouns() -> list[tuple[Any, str]]:
    from evalkit.methods.external.parts import Environment, Generate, Limits, Patch, Repository, Train

    return [
        (Recipe, ""), (Repository, "repository."), (Patch, "repository.patches."), (Environment, "environment."),
        (Train, "train."), (Generate, "generate."), (Limits, "seconds."),
    ]  # fmt: skip


# Samples that are there.


def precomputed(folder: Path, samples: str = "samples") -> PrecomputedMethod:
    kept: dict[str, Any] = {"environment": None, "generate": None, "seconds": None, "variables": None}
    method = recipe_method(write(folder / "there.yaml", told(precomputed=samples, **kept)))
    assert isinstance(method, PrecomputedMethod)
    return method


def test_samples_that_are_there(tmp_path: Path, context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a recipe"
    for seed, name in enumerate(["s0.p0_0.png", "s0.p0/seed_1.png", "s1.p0.png", "stray.png"]):
        write_picture(folder / "samples" / name, seed)
    (folder / "samples" / "s1.p1.png").write_bytes((folder / "samples" / "stray.png").read_bytes()[:40])
    method, jobs = precomputed(folder), jobs_of(context.benchmark, seeds=2)
    assert method.check(context) == []
    found = made(method, jobs, context)
    for seed, pair in enumerate([("s0.p0", 0), ("s0.p0", 1), ("s1.p0", 0)]):
        assert np.array_equal(np.asarray(found[pair].pixels), picture(seed))
    where = folder / "samples"
    assert found["s0.p1", 1].reason == f"no file for case 's0.p1' seed 1 in {where}"
    assert str(found["s1.p1", 0].reason).startswith(f"cannot decode '{where}/s1.p1.png': it is a PNG of 40 bytes")
    assert (
        capsys.readouterr().err
        == f"evalkit: 1 files in {where} are no sample of tiny and are left out, first: stray.png\n"
    )
    # The same, whatever is asked together; and nothing that is asked for may be there.
    assert [one.reason for one in method.make([jobs[3]], context)] == [found["s0.p1", 1].reason]


def test_a_folder_of_samples_by_its_own_path(tmp_path: Path, context: Context) -> None:
    write_picture(tmp_path / "elsewhere" / "s0.p0.png", 3)
    method = precomputed(tmp_path / "recipes", str(tmp_path / "elsewhere"))
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert np.array_equal(np.asarray(one.pixels), picture(3))
    assert method.config["precomputed"] == str(tmp_path / "elsewhere")


def test_a_folder_that_does_not_fit_is_told_before_anything_is_made(tmp_path: Path, context: Context) -> None:
    method, where = precomputed(tmp_path), tmp_path / "samples"
    assert method.check(context) == [f"wanted a folder of samples, found nothing at {where}; check the path"]
    write_picture(where / "holiday.png", 0)
    assert method.check(context) == [
        f"wanted samples of tiny/plain in {where}, named CASE_ID/seed_N.png, CASE_ID_N.png or CASE_ID.png (seed 0), the "
        "benchmark's own layout, or a manifest.jsonl; found 1 files, of which none is one"
    ]
    write_picture(where / "s0.p0.png", 0)
    write_picture(where / "s0.p0_0.png", 0)
    assert method.check(context) == ["2 files for case 's0.p0' seed 0: s0.p0_0.png, s0.p0.png; leave one"]
    with pytest.raises(ProblemsError, match="do not fit tiny/plain"):
        list(method.make(jobs_of(context.benchmark), context))


# Finding and reporting.


def test_a_method_by_name_or_path(tmp_path: Path) -> None:
    assert find_method("noise").info.name == "noise"
    with pytest.raises(UsageError, match=r"^wanted a method, found 'nois', which is none; did you mean 'noise'\?$"):
        find_method("nois")
    with pytest.raises(UsageError) as raised:
        find_method("there/is/none.yaml")
    assert str(raised.value) == (
        "wanted a method's name or the path of its recipe, found no file at 'there/is/none.yaml'; check the path"
    )
    path = write(tmp_path / "x.yml", told(name="noise"))
    with pytest.raises(UsageError) as raised:
        find_method(str(path))
    assert (
        str(raised.value)
        == f"wanted a name of its own in {path}, found 'noise', which is a registered method; rename it"
    )


def lines(found: list[Finding], name: str) -> list[str]:
    return [line.found for line in found if line.name == name]


def test_the_report_shows_every_command_and_runs_none(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "cache" / "methods" / "drawer-0123abc"
    command = ["{python}", "run.py", "{items}", "--prompt={prompt}", "{checkpoint}", "{output}"]
    method = drawer(
        tmp_path / "home", environment=UV | {"requirements": ["numpy==1.26"]}, setup=[["{python}", "build.py"]],
        repository=REPOSITORY | {"patches": [{"file": "a.py", "what": "add b", "why": "it is missing"}]}, notes=["Mind the gap."],
        train={"command": ["{python}", "train.py", "{data}", "{output}"], "checkpoint": "last"},
        seconds={"item": 1, "setup": 1, "train": 1}, generate=ITEM | {"items": "json", "command": command},
    )  # fmt: skip
    found = method_report(method, context)
    work, python = context.work, f"{root}/environment/bin/python"
    assert lines(found, "note") == ["Mind the gap."]
    assert lines(found, "repository") == ["https://example.org/r at 0123abc, licence: MIT"]
    assert lines(found, "patch") == ["a.py: add b (it is missing)"]
    assert [line.found for line in found if line.name.startswith("setup ")] == [
        f"git clone --filter=blob:none --no-checkout -- https://example.org/r {root}/repository",
        f"git -C {root}/repository checkout --detach 0123abc",
        f"uv venv --python 3.10 {root}/environment",
        f"uv pip install --python {python} numpy==1.26",
        f"{python} build.py",
    ]
    assert lines(found, "train") == [f"{python} train.py {Path.cwd()}/DATA {work}/train"]
    assert lines(found, "generate") == [
        f"{python} run.py {work}/call_0001/items.json '--prompt=thing 0 in place 0' {work}/train/last {work}/call_0001/output"
    ]
    assert lines(found, "request")[0].startswith('{"index": 0, "case_id": "s0.p0", "sample": 0, "seed": ')
    lacks = [(line.found, line.mend) for line in found if line.name == "lacks"]
    mend = "`evalkit doctor drawer --setup` sets it up"
    assert lacks == [
        (f"wanted a clone of https://example.org/r in {root}/repository, found none", mend),
        (f"wanted the interpreter {python}, found none", mend),
    ]
    assert not (tmp_path / "cache").exists()
    assert not work.exists()


def test_the_report_of_other_methods(tmp_path: Path, context: Context) -> None:
    found = method_report(find_method("real_images"), context)
    assert [line.name for line in found] == ["method", "licence", "lacks"]
    write_picture(tmp_path / "samples" / "s0.p0.png", 0)
    write_picture(tmp_path / "samples" / "stray.png", 0)
    found = method_report(precomputed(tmp_path), context)
    where = tmp_path / "samples"
    assert lines(found, "samples") == [
        f"1 samples of 1 of 4 cases in {where}",
        f"1 files in {where} are no sample of tiny and are left out, first: stray.png",
    ]


def test_the_recipe_of_divrl(context: Context) -> None:
    assert isinstance(DIVRL_OFFICIAL, CommandMethod)
    assert isinstance(DIVRL_OFFICIAL, Method)
    source = DIVRL_OFFICIAL.recipe.repository
    assert source is not None
    assert source.commit.startswith("b0d3f69")
    assert len(source.patches) == 11
    (shown,) = lines(method_report(DIVRL_OFFICIAL, context), "generate")
    assert "'--prompt=thing 0 in place 0' --lora_path=QWW/DivRL --selected_lora=stage_2 --seed=" in shown
