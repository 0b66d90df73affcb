"""What a recipe needs on this machine: cloned, installed, looked for, and run in environments of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import DataError, MethodError
from evalkit.methods.base import Context
from evalkit.methods.external import checks
from evalkit.methods.external.setup import set_up
from tests.fakes import tiny_benchmark
from tests.unit.recipe_samples import DRAW, ITEM, WORKER, assert_drawn, drawer, jobs_of, made

if TYPE_CHECKING:
    from evalkit.methods.command import CommandMethod

SECONDS = {"item": 30, "setup": 60}
MEND = "`evalkit doctor drawer --setup` sets it up"
# Stands in for uv and docker: notes how it was called, makes the interpreter, runs what a container would.
FAKE = f"""\
#!{sys.executable}
import json, os, pathlib, subprocess, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
with open(os.environ["CALLS"], "a", encoding="utf-8") as file:
    file.write(json.dumps([name, *arguments]) + "\\n")
if os.environ.get("BROKEN") == name:
    sys.exit("no network")
if name == "uv" and arguments[0] == "venv":
    binary = pathlib.Path(arguments[-1], "bin")
    binary.mkdir(parents=True)
    (binary / "python").symlink_to(sys.executable)
if name == "docker" and arguments[0] == "run":
    start = arguments.index("--entrypoint")
    for option, value in zip(arguments, arguments[1:]):
        if option == "--env" and "=" in value:
            os.environ.update([value.split("=", 1)])
    sys.exit(subprocess.call([arguments[start + 1], *arguments[start + 3:]], cwd=arguments[arguments.index("--workdir") + 1]))
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tiny_benchmark(tmp_path / "data"), "sandbox", tmp_path / "work")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "methods"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """uv and docker that only pretend; the file that their calls are noted in."""
    for name in ("uv", "docker"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE, encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def calls(file: Path) -> list[list[str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def git(*arguments: str, cwd: Path) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *own, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, str]:
    """A repository with the program in it: its path, and the first of its two commits."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "upstream of it"
    folder.mkdir()
    git("init", "--quiet", cwd=folder)
    commits = []
    for text in (DRAW, "raise SystemExit('the wrong commit')"):
        (folder / "draw.py").write_text(text, encoding="utf-8")
        git("add", ".", cwd=folder)
        git("commit", "--quiet", "--message", "x", cwd=folder)
        commits.append(git("rev-parse", "HEAD", cwd=folder))
    return str(folder), commits[0]


def cloned(tmp_path: Path, source: tuple[str, str], **changes: Any) -> CommandMethod:
    command = [argument.replace("{recipe}/", "") for argument in ITEM["command"]]
    repository = {"url": source[0], "commit": source[1], "licence": "none"}
    return drawer(
        tmp_path / "home",
        repository=repository,
        seconds=SECONDS,
        **({"generate": ITEM | {"command": command}} | changes),
    )


def test_a_repository_is_cloned_at_its_commit_and_used(
    tmp_path: Path, root: Path, source: tuple[str, str], context: Context
) -> None:
    method = cloned(tmp_path, source)
    folder = root / f"drawer-{source[1][:12]}"
    assert method.check(context) == [f"wanted a clone of {source[0]} in {folder}/repository, found none; {MEND}"]
    assert set_up(method.recipe, method.folder) == folder
    assert git("rev-parse", "HEAD", cwd=folder / "repository") == source[1]
    assert method.check(context) == []
    for one in made(method, jobs_of(context.benchmark)[:2], context).values():
        assert_drawn(one)
    assert sorted(path.name for path in folder.iterdir()) == ["ready.json", "repository", "setup_1.log", "setup_2.log"]


def test_a_wrong_commit_is_told_and_left_alone(
    tmp_path: Path, root: Path, source: tuple[str, str], context: Context
) -> None:
    method = cloned(tmp_path, source)
    repository = set_up(method.recipe, method.folder) / "repository"
    git("checkout", "--quiet", "HEAD@{0}", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "--message", "mine", cwd=repository)
    found = git("rev-parse", "HEAD", cwd=repository)
    assert method.check(context) == [
        f"wanted {source[0]} at commit {source[1]}, found {found} in {repository}; `git -C {repository} checkout {source[1]}`, "
        "or move the folder away and set up again"
    ]
    (repository.parent / "ready.json").unlink()
    with pytest.raises(DataError) as raised:
        set_up(method.recipe, method.folder)
    assert str(raised.value) == (
        f"wanted to clone {source[0]} at {source[1]} into {repository}, found commit {found} there; "
        "move that folder away and set up again"
    )
    assert git("rev-parse", "HEAD", cwd=repository) == found


def test_files_in_the_way_of_a_clone_are_left_alone(tmp_path: Path, root: Path, source: tuple[str, str]) -> None:
    method = cloned(tmp_path, source)
    repository = root / f"drawer-{source[1][:12]}" / "repository"
    repository.mkdir(parents=True)
    (repository / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="found files that are no clone there; move that folder away and set up again"):
        set_up(method.recipe, method.folder)
    (repository / "mine.txt").unlink()
    (repository / ".git").mkdir()  # what a killed clone leaves
    set_up(method.recipe, method.folder)
    assert (repository / "draw.py").is_file()


def test_a_failed_step_is_told_and_the_next_setup_goes_on(
    tmp_path: Path, root: Path, source: tuple[str, str], context: Context
) -> None:
    ready = tmp_path / "ready"
    step = [
        "{python}",
        "-c",
        "import pathlib, sys; pathlib.Path(sys.argv[1]).exists() or sys.exit('not yet')",
        str(ready),
    ]
    method = cloned(tmp_path, source, setup=[step])
    with pytest.raises(MethodError) as raised:
        set_up(method.recipe, method.folder)
    folder = root / f"drawer-{source[1][:12]}"
    assert str(raised.value).startswith(f"setup step 3 of drawer failed (`{sys.executable} -c 'import pathlib")
    assert str(raised.value).endswith(
        f"`): exit code 1; {folder}/setup_3.log ends with 'not yet'; mend it and set up again"
    )
    assert method.check(context) == [
        f"wanted the setup of drawer in {folder} done, found that it was never finished; {MEND}"
    ]
    ready.touch()
    (folder / "repository" / "patched.txt").touch()
    set_up(method.recipe, method.folder)
    assert method.check(context) == []
    assert (folder / "repository" / "patched.txt").is_file()


def test_a_recipe_whose_setup_has_changed(
    tmp_path: Path, root: Path, source: tuple[str, str], context: Context
) -> None:
    set_up(cloned(tmp_path, source).recipe, tmp_path)
    method = cloned(tmp_path, source, setup=[["{python}", "-V"]])
    told = f"wanted the setup of drawer in {root}/drawer-{source[1][:12]} done, found that the recipe has changed since; {MEND}"
    assert method.check(context) == [told]
    assert cloned(tmp_path, source, title="Another").check(context) == []


def test_an_environment_of_uv(
    tmp_path: Path, root: Path, tools: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/evalkits/own")
    code = "import os; print(os.environ['VIRTUAL_ENV'], os.environ.get('PYTHONPATH'), os.environ['PATH'].split(os.pathsep)[0])"
    method = drawer(
        tmp_path / "home", environment={"kind": "uv", "python": "3.10", "requirements": ["numpy==1.26", "a b"]},
        generate=ITEM | {"command": ["python", "-c", code]}, seconds=SECONDS, variables={},
    )  # fmt: skip
    environment = root / "drawer-1" / "environment"
    assert method.check(context) == [f"wanted the interpreter {environment}/bin/python, found none; {MEND}"]
    monkeypatch.setenv("BROKEN", "uv")
    with pytest.raises(
        MethodError, match=r"exit code 1; .*setup_1\.log ends with 'no network'; mend it and set up again$"
    ):
        set_up(method.recipe, method.folder)
    monkeypatch.delenv("BROKEN")
    set_up(method.recipe, method.folder)
    set_up(method.recipe, method.folder)  # nothing more to do
    python = str(environment / "bin" / "python")
    assert calls(tools)[1:] == [
        ["uv", "venv", "--python", "3.10", str(environment)],
        ["uv", "pip", "install", "--python", python, "numpy==1.26", "a b"],
    ]
    assert method.check(context) == []
    list(method.make(jobs_of(context.benchmark)[:1], context))
    last = (context.work / "call_0001.log").read_text(encoding="utf-8").splitlines()[-1]
    assert last == f"{environment} None {environment}/bin"


def test_an_interpreter_that_is_not_there(tmp_path: Path, context: Context) -> None:
    method = drawer(tmp_path / "home", environment={"kind": "existing", "interpreter": "/no/such/python"})
    told = (
        "wanted the interpreter /no/such/python, found none; install it, or mend environment.interpreter in the recipe"
    )
    assert method.check(context) == [told]
    assert drawer(tmp_path / "home").check(context) == []


IN_DOCKER = {"kind": "docker", "image": "org/image:1", "interpreter": sys.executable, "mounts": ["/weights, all"]}


@pytest.mark.parametrize("generate", [ITEM, WORKER], ids=["item", "worker"])
def test_a_container_sees_the_same_paths(
    generate: dict[str, Any], tmp_path: Path, tools: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    method = drawer(tmp_path / "home", environment=IN_DOCKER, generate=generate, seconds=SECONDS, cuda_gib=1)
    set_up(method.recipe, method.folder)
    for one in made(method, jobs_of(context.benchmark)[:1], context).values():
        assert_drawn(one)
    pull, run = calls(tools)
    assert pull == ["docker", "pull", "org/image:1"]
    assert run[:6] == ["docker", "run", "--rm", "--init", "--interactive", "--name"]
    assert run[6].startswith("evalkit-drawer-")
    mounts = [value for option, value in pairwise(run) if option == "--mount"]
    for folder in (tmp_path / "home", context.benchmark.root, Path("/weights, all")):
        assert f'type=bind,"source={folder}","target={folder}"' in mounts
    assert any(f'"source={context.work}' in mount for mount in mounts)
    variables = [value for option, value in pairwise(run) if option == "--env"]
    assert variables == ["CUDA_VISIBLE_DEVICES", "HOME=/tmp", "PYTHONUNBUFFERED=1", f"PYTHONPATH={tmp_path / 'home'}"]
    start = run.index("--gpus")
    assert run[start : start + 5] == ["--gpus", "all", "--entrypoint", sys.executable, "org/image:1"]


def test_a_container_that_hangs_is_killed_by_name(tmp_path: Path, tools: Path, context: Context) -> None:
    command = ["{python}", "-c", "import time; time.sleep(600)"]
    method = drawer(
        tmp_path / "home", environment=IN_DOCKER, generate=ITEM | {"command": command}, seconds={"item": 2, "setup": 9}
    )
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert str(one.reason).startswith("cut after 2 s (seconds.item); ")
    run, kill = calls(tools)
    assert kill == ["docker", "kill", run[6]]


def test_a_docker_that_is_not_there_or_lacks_the_image(
    tmp_path: Path, tools: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = drawer(tmp_path / "home", environment=IN_DOCKER, seconds=SECONDS)
    monkeypatch.setenv("BROKEN", "docker")
    assert method.check(context) == [
        f"wanted the image org/image:1, and docker does not have it or does not answer; {MEND}"
    ]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert method.check(context) == [
        "wanted docker, found no such program; install it, or write another environment into the recipe"
    ]


NVIDIA = """\
#!/bin/sh
[ "$3" = -i ] && [ "$4" = 1 ] && echo 40960 && exit
echo 81559
echo 24576
"""


def test_the_device_that_a_recipe_wants(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    method = drawer(tmp_path / "home", cuda_gib=48)
    told = "drawer wants a CUDA device with 48 GiB or more, found {}; run on such a machine"
    assert method.check(context) == [told.format("none")]
    (tmp_path / "nvidia-smi").write_text(NVIDIA, encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert method.check(context) == []
    assert round(checks.cuda_gib(), 1) == 79.6
    for visible, found in (("1", "one with 40.0 GiB"), ("", "none"), ("-1", "none")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert method.check(context) == [told.format(found)]


def test_gated_weights(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    there = {"org/there"}

    def download(hub: str, *, local_files_only: bool) -> str:
        assert local_files_only
        if hub not in there:
            raise LocalEntryNotFoundError(hub)
        return hub

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    method = drawer(tmp_path / "home", gated=True, weights=["org/there", "org/gone"])
    assert method.check(context) == [
        "wanted the weights of 'org/gone', which are gated, found none in the hub's cache; accept their terms on the hub, "
        "log in with `hf auth login`, then `hf download org/gone`"
    ]
    assert drawer(tmp_path / "home", weights=["org/gone"]).check(context) == []
