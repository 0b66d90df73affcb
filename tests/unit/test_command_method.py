"""Programs outside evalkit, run for real: what they make, and every way in which they fail."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.engine.generate import generate
from evalkit.errors import DataError, MethodError
from evalkit.methods.base import Context, Job, Made, TrainOrder
from evalkit.methods.command import CommandMethod
from evalkit.methods.external import process
from tests.fakes import moved, tiny_benchmark, world
from tests.unit.recipe_samples import BATCH, ITEM, MODES, WORKER, assert_drawn, drawer, drawn, jobs_of, made, recipe

if TYPE_CHECKING:
    from evalkit.benchmarks.base import Loaded

PROMPTS = [
    "a 'dog' with \"quotes\" and $HOME `id` ; rm -rf * && {seed} {{x}} %s",
    "две собаки 犬 🐕\nsecond line\ttab \\n",
    "-- starts like an option",
    "plain",
]


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    return tiny_benchmark(tmp_path / "data with 'spaces' ü")


@pytest.fixture
def context(benchmark: Loaded, tmp_path: Path) -> Context:
    return Context(benchmark, "sandbox", tmp_path / "work here" / "drawer")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a recipe, its folder"


def prompted(context: Context, *prompts: str) -> Context:
    """The context with the prompts of its cases replaced."""
    cases = tuple(
        case.model_copy(update={"prompt": p}) for case, p in zip(context.benchmark.cases, prompts, strict=True)
    )
    return replace(context, benchmark=moved(context.benchmark, cases=cases))


def reasons(found: dict[tuple[str, int], Made]) -> list[str | None]:
    return [one.reason for one in found.values()]


def log(context: Context, number: int = 1, word: str = "call") -> Path:
    return context.work / f"{word}_{number:04}.log"


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_makes_every_sample(mode: str, home: Path, context: Context) -> None:
    context = prompted(context, *PROMPTS)
    found = made(drawer(home, mode), jobs_of(context.benchmark, seeds=2), context)
    for one in found.values():
        assert_drawn(one)
    assert len({one.pixels.tobytes() for one in found.values() if one.pixels is not None}) == 8
    assert [path.suffix for path in context.work.iterdir()] == [".log"] * (8 if mode == "item" else 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_sample_does_not_depend_on_what_is_asked_with_it(mode: str, home: Path, context: Context) -> None:
    jobs = jobs_of(context.benchmark)
    method = drawer(home, mode)
    for job in reversed(jobs):
        assert_drawn(made(method, [job], context)[job.case.case_id, 0])


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("chunk", [1, 3, None])
def test_batches_of_any_size_and_form(form: str, chunk: int | None, home: Path, context: Context) -> None:
    method = drawer(home, generate=BATCH | {"items": form, "chunk": chunk})
    for one in made(method, jobs_of(context.benchmark), context).values():
        assert_drawn(one)
    assert len(list(context.work.glob("call_*.log"))) == {1: 4, 3: 2, None: 1}[chunk]


def test_nothing_is_run_for_no_jobs(home: Path, context: Context) -> None:
    assert made(drawer(home), [], context) == {}
    assert not context.work.exists()


def test_a_relative_work_folder(home: Path, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = made(drawer(home), jobs_of(context.benchmark)[:1], replace(context, work=Path("runs/here")))
    assert_drawn(found["s0.p0", 0])
    assert (tmp_path / "runs/here/call_0001.log").is_file()


def test_seeds_of_32_bits(home: Path, context: Context) -> None:
    command = ["{python}", "{recipe}/draw.py", "item", "{seed}", "{seed}", "{reference}", "{output}"]
    job = jobs_of(context.benchmark)[0]
    assert job.rng_seed >= 2**32
    for bits in (32, 63):
        method = drawer(home, generate=ITEM | {"command": command}, seed_bits=bits)
        (one,) = method.make([job], context)
        seed = job.rng_seed % 2**bits
        expected = drawn(Job(job.case.model_copy(update={"prompt": str(seed)}), 0, seed))
        assert np.array_equal(np.asarray(one.pixels), expected)


def test_a_log_holds_the_command_and_all_output(home: Path, context: Context) -> None:
    context = prompted(context, "FAIL", *PROMPTS[:3])
    made(drawer(home), jobs_of(context.benchmark)[:1], context)
    text = log(context).read_text(encoding="utf-8")
    assert text.startswith(f"$ {sys.executable} '{home}/draw.py' item ")
    assert "Traceback" in text
    assert text.endswith("RuntimeError: CUDA out of memory\n")


def test_logs_are_never_written_over(home: Path, context: Context) -> None:
    job = jobs_of(context.benchmark)[:1]
    for _ in range(2):
        made(drawer(home), job, context)
    assert sorted(path.name for path in context.work.iterdir()) == ["call_0001.log", "call_0002.log"]


def test_a_failure_names_exit_code_log_and_last_line_and_costs_no_other(home: Path, context: Context) -> None:
    context = prompted(context, "FAIL", "a", "b", "c")
    found = made(drawer(home), jobs_of(context.benchmark), context)
    assert found["s0.p0", 0].reason == f"exit code 1; {log(context)} ends with 'RuntimeError: CUDA out of memory'"
    assert [one.reason is None for one in found.values()] == [False, True, True, True]


def test_a_program_killed_by_a_signal(home: Path, context: Context) -> None:
    context = prompted(context, "DIE ABORT", "a", "b", "c")
    (one,) = drawer(home).make(jobs_of(context.benchmark)[:1], context)
    assert one.reason == f"killed by SIGABRT; {log(context)} ends with 'about to die'"


def test_a_silent_program(home: Path, context: Context) -> None:
    method = drawer(home, generate=ITEM | {"command": ["{python}", "-c", "raise SystemExit(3)"]})
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert one.reason == f"exit code 3; it wrote nothing to {log(context)}"


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("mode", ["item", "batch"])
def test_a_hanging_program_is_cut_with_its_children(mode: str, home: Path, context: Context) -> None:
    context = prompted(context, "a", "HANG CHILD", "b", "c")
    jobs = jobs_of(context.benchmark)[:2]
    started = time.monotonic()
    found = made(drawer(home, mode, seconds={"item": 2.5, "batch": 2.5}), jobs, context)
    assert time.monotonic() - started < 15
    assert_drawn(found["s0.p0", 0])
    reason = str(found["s0.p1", 0].reason)
    if mode == "item":
        assert reason == f"cut after 2.5 s (seconds.item); {log(context, 2)} ends with 'sleeping'"
    else:
        assert reason.startswith("cannot decode ")
        assert reason.endswith(f"; cut after 2.5 s (seconds.batch); {log(context)} ends with 'sleeping'")
    child = int(
        next(context.work.glob(f"call_000{2 if mode == 'item' else 1}.log")).read_text().split("child ")[1].split()[0]
    )
    deadline = time.monotonic() + 5
    while not _gone(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _gone(child)


def test_a_program_that_ignores_being_asked_to_end(
    home: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.3)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    method = drawer(home, generate=ITEM | {"command": ["{python}", "-c", code]}, seconds={"item": 2})
    started = time.monotonic()
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert time.monotonic() - started < 6
    assert one.reason == f"cut after 2 s (seconds.item); {log(context)} ends with 'deaf'"


def test_children_left_behind_by_a_program_that_ended_are_ended(home: Path, context: Context) -> None:
    code = (
        "import subprocess, sys; "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)"
    )
    method = drawer(home, generate=ITEM | {"command": ["{python}", "-c", code]})
    list(method.make(jobs_of(context.benchmark)[:1], context))
    child = int(log(context).read_text().split()[-1])
    deadline = time.monotonic() + 5
    while not _gone(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _gone(child)


@pytest.mark.parametrize("mode", ["item", "batch"])
def test_a_half_written_file(mode: str, home: Path, context: Context) -> None:
    context = prompted(context, "HALF", "a", "b", "c")
    found = made(drawer(home, mode), jobs_of(context.benchmark)[:2], context)
    assert_drawn(found["s0.p1", 0])
    job = found["s0.p0", 0].job
    name = f"0_{job.rng_seed}.png" if mode == "item" else f"s0.p0_{job.rng_seed}.png"
    reason = str(found["s0.p0", 0].reason)
    assert reason.startswith(f"cannot decode '{context.work}/call_0001/output/{name}': it is a PNG of 30 bytes")
    assert "; exit code 0; " in reason
    assert (context.work / "call_0001" / "output" / name).is_file(), "what failed is kept to be looked at"


@pytest.mark.parametrize("mode", ["item", "batch"])
def test_too_few_and_too_many_files(mode: str, home: Path, context: Context) -> None:
    context = prompted(context, "NONE", "TWO", "b", "c")
    found = made(drawer(home, mode), jobs_of(context.benchmark)[:3], context)
    none, two, third = found.values()
    stem = {"item": "0", "batch": "s0.p0"}[mode]
    output = context.work / "call_0001" / "output"
    assert str(none.reason).startswith(
        f"wanted one file '*{stem}_{none.job.rng_seed}.png' in {output}, found none; exit code 0; "
    )
    name = f"{ {'item': '0', 'batch': 's0.p1'}[mode] }_{two.job.rng_seed}.png"
    both = ", ".join(sorted([name, f"again_{name}"]))
    assert f", found 2: {both}; exit code 0; " in str(two.reason)
    assert_drawn(third)


def test_pictures_that_nobody_asked_for_are_told(
    home: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    context = prompted(context, "TWO", "a", "b", "c")
    method = drawer(home, generate=BATCH | {"outputs": "{case_id}_{seed}.png"})
    found = made(method, jobs_of(context.benchmark), context)
    for one in found.values():
        assert_drawn(one)
    output = context.work / "call_0001" / "output"
    name = f"again_s0.p0_{found['s0.p0', 0].job.rng_seed}.png"
    told = f"evalkit: drawer left 1 files in {output} that are no sample asked for, first: {name}\n"
    assert capsys.readouterr().err == told


def test_pictures_that_nobody_asked_for_are_told_once(
    home: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    context = prompted(context, "TWO", "TWO b", "c", "TWO d")
    made(drawer(home, generate=ITEM | {"outputs": "0_{seed}.png"}), jobs_of(context.benchmark), context)
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in sorted(context.work.iterdir()) if path.is_dir()] == ["call_0001"]


def test_a_pattern_that_fits_several_jobs(home: Path, context: Context) -> None:
    method = drawer(home, generate=BATCH | {"outputs": "*_{seed}.png"})
    first, second, *_ = jobs_of(context.benchmark)
    found = made(method, [first, second._replace(rng_seed=first.rng_seed)], context)
    output = context.work / "call_0001" / "output"
    assert all(
        str(reason).startswith(f"wanted one file '*_{first.rng_seed}.png' in {output}, found 2: ")
        for reason in reasons(found)
    )
    method = drawer(home, generate=BATCH | {"outputs": "s0.p0*.png"})
    found = made(method, [first, second], context)
    path = context.work / "call_0002" / "output" / f"s0.p0_{first.rng_seed}.png"
    assert reasons(found) == [f"{path} fits 2 jobs; tell them apart in generate.outputs"] * 2


def test_stale_files_do_not_count(home: Path, context: Context) -> None:
    """A program that writes beside its code: what an earlier call left there must not pass for this one's."""
    code = "import sys, draw; draw.draw(int(sys.argv[3]), sys.argv[2], sys.argv[1], 'out.png')"
    command = ["{python}", "-c", code, "{recipe}", "{prompt}", "{seed}"]
    method = drawer(home, generate=ITEM | {"command": command, "outputs": f"{home}/out.png"})
    context = prompted(context, "a", "NONE", "b", "c")
    jobs = jobs_of(context.benchmark)
    assert_drawn(made(method, jobs[:1], context)["s0.p0", 0])
    stale = made(method, jobs[1:2], context)["s0.p1", 0]
    output = context.work / "call_0002" / "output"
    told = f"wanted one file '{home}/out.png' in {output}, found only {home}/out.png, which was there before the call"
    assert str(stale.reason).startswith(f"{told}; exit code 0; ")
    assert_drawn(made(method, jobs[:1], context)["s0.p0", 0])


def test_what_a_batch_made_before_it_failed_is_kept(
    home: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    context = prompted(context, "a", "b", "FAIL", "c")
    found = made(drawer(home, "batch"), jobs_of(context.benchmark), context)
    assert [one.reason is None for one in found.values()] == [True, True, False, False]
    assert str(found["s1.p1", 0].reason).endswith(
        f", found none; exit code 1; {log(context)} ends with 'RuntimeError: CUDA out of memory'"
    )
    assert capsys.readouterr().err == ""


def test_a_batch_that_fails_after_its_last_sample(
    home: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys, runpy; sys.argv[0:1] = []; runpy.run_path(sys.argv[0], run_name='__main__'); sys.exit(9)"
    method = drawer(home, generate=BATCH | {"command": [*BATCH["command"][:1], "-c", code, *BATCH["command"][1:]]})
    for one in made(method, jobs_of(context.benchmark), context).values():
        assert_drawn(one)
    assert (
        capsys.readouterr().err
        == f"evalkit: drawer left every sample, but exit code 9; {log(context)} ends with 'done 4'\n"
    )


def test_a_program_that_is_not_there(home: Path, context: Context) -> None:
    for mode in MODES:
        method = drawer(home, generate={**MODES[mode], "command": ["no-such-program", *MODES[mode]["command"][1:]]})
        with pytest.raises(MethodError) as raised:
            list(method.make(jobs_of(context.benchmark), context))
        assert str(raised.value) == (
            "wanted the program 'no-such-program' of generate.command, found none; install it, or mend the recipe"
        )


def test_a_prompt_that_cannot_be_an_argument_costs_one_sample(home: Path, context: Context) -> None:
    context = prompted(context, "a\0b", "a", "x" * 200_000, "c")
    found = made(drawer(home), jobs_of(context.benchmark), context)
    assert found["s0.p0", 0].reason == (
        f"cannot start {sys.executable!r}: an argument cannot be passed on (embedded null byte)"
    )
    assert found["s1.p0", 0].reason == f"cannot start {sys.executable!r}: Argument list too long"
    assert_drawn(found["s0.p1", 0])


def test_the_programs_own_names_for_fields(home: Path, context: Context) -> None:
    code = "import json, sys; print(sorted(json.load(open(sys.argv[1]))[0].items()))"
    fields = {"text": "prompt", "image_paths": "references"}
    method = drawer(home, generate=BATCH | {"command": ["{python}", "-c", code, "{items}"], "fields": fields})
    made(method, jobs_of(context.benchmark)[:1], context)
    reference = str(context.benchmark.root / "s0/0.png")
    assert log(context).read_text().splitlines()[-1] == str(
        [("image_paths", [reference]), ("text", "thing 0 in place 0")]
    )


def test_variables_and_devices_reach_the_program(home: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['MINE'])"
    method = drawer(home, generate=ITEM | {"command": ["{python}", "-c", code]}, variables={"MINE": "{recipe} {{x}}"})
    list(method.make(jobs_of(context.benchmark)[:1], context))
    assert log(context).read_text().splitlines()[-1] == f"5 {home} {{x}}"


def test_references_masks_and_their_lack(home: Path, context: Context, tmp_path: Path) -> None:
    cases = context.benchmark.cases
    masked = cases[0].references[0].model_copy(update={"mask": "s0/mask.png"})
    changed = (
        cases[0].model_copy(update={"references": (masked, masked, masked)}),
        cases[1],
        cases[2].model_copy(update={"references": ()}),
    )
    code = "import sys; print(*sys.argv[1:], sep='|')"
    command = ["{python}", "-c", code, "{references}", "{mask}", "{label}", "{case_id}", "{sample}", "{prompt_index}"]
    method = drawer(home, generate=ITEM | {"command": command}, needs_masks=True, max_references=2)
    context = replace(context, benchmark=moved(context.benchmark, cases=changed))
    found = made(method, jobs_of(context.benchmark), context)
    root = context.benchmark.root
    shown = f"{root}/s0/0.png,{root}/s0/0.png|{root}/s0/mask.png|thing|s0.p0|0|0"
    assert log(context).read_text().splitlines()[-1] == shown
    assert found["s0.p1", 0].reason == "the reference 's0/0.png' has no mask"
    assert found["s1.p0", 0].reason == "the case has no reference"
    told = "drawer cannot make 2 of 3 cases, first s0.p1: the reference 's0/0.png' has no mask"
    assert method.check(context) == [told]


def test_a_comma_in_one_of_several_paths(home: Path, context: Context) -> None:
    case = context.benchmark.cases[0]
    odd = case.references[0].model_copy(update={"path": "a,b.png"})
    job = jobs_of(context.benchmark)[0]._replace(case=case.model_copy(update={"references": (odd, odd)}))
    method = drawer(home, generate=ITEM | {"command": ["{python}", "-V", "{references}"]}, max_references=None)
    (one,) = method.make([job], context)
    assert (
        one.reason == f"{{references}} parts paths by commas, found one in {str(context.benchmark.root / 'a,b.png')!r}"
    )


def test_a_run_keeps_the_reason_and_asks_again_for_what_failed(home: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, draw; os.path.exists(sys.argv[1]) or sys.exit('not yet'); draw.draw(0, *sys.argv[2:], 'x.png')"
    )
    ready = tmp_path / "ready"
    command = ["{python}", "-c", code, str(ready), "{prompt}", "{output}"]
    method = drawer(home, generate=ITEM | {"command": command, "outputs": "x.png"})
    with world(tmp_path, samples=False) as tiny:
        context = Context(tiny.benchmark, "sandbox", tiny.run.path / "logs" / "drawer")
        digests = {case_id: case.sha256 for case_id, case in tiny.run.cases.items()}
        for state, seen in (("failed", "exit code 1; "), ("made", "None")):
            assert generate(method, context, tiny.run, tiny.expected, digests) == 4
            samples = tiny.run.samples.latest().values()
            assert {sample.state for sample in samples} == {state}
            assert all(str(sample.reason).startswith(seen) for sample in samples)
            ready.touch()
        assert generate(method, context, tiny.run, tiny.expected, digests) == 0


# Workers.


def worker(home: Path, **changes: Any) -> CommandMethod:
    return drawer(home, "worker", **changes)


def test_a_worker_serves_all_and_its_own_prints_do_no_harm(home: Path, context: Context) -> None:
    found = made(worker(home), jobs_of(context.benchmark), context)
    for one in found.values():
        assert_drawn(one)
    assert log(context, 2, "worker").read_text().count("a foreign library prints to stdout") == 4


def test_a_worker_that_says_why_it_failed(home: Path, context: Context) -> None:
    context = prompted(context, "a", "FAIL", "HALF", "NONE")
    found = made(worker(home), jobs_of(context.benchmark), context)
    assert_drawn(found["s0.p0", 0])
    assert found["s0.p1", 0].reason == "the worker says: RuntimeError: CUDA out of memory"
    assert str(found["s1.p0", 0].reason).startswith("cannot decode ")
    assert str(found["s1.p1", 0].reason).startswith("the worker says: TypeError: ")
    assert len(list(context.work.glob("worker_*.log"))) == 1


def test_a_worker_that_dies_is_started_once_more(home: Path, context: Context) -> None:
    context = prompted(context, "a", "DIE", "b", "c")
    found = made(worker(home), jobs_of(context.benchmark), context)
    told = f"the worker ended instead of answering: exit code 7; {log(context, 3, 'worker')} ends with 'about to die'"
    assert reasons(found) == [None, told, None, None]
    assert len(list(context.work.glob("worker_*.log"))) == 3


def test_a_worker_that_dies_once(home: Path, context: Context) -> None:
    code = (
        "import os, pathlib, draw\n"
        "def make(request):\n"
        "    mark = pathlib.Path(__file__).with_name('died')\n"
        "    if request['case_id'] == 's0.p1' and not mark.exists():\n"
        "        mark.touch(); os._exit(1)\n"
        "    return draw.make(request)\n"
    )
    method = worker(home, generate=WORKER | {"command": ["{python}", "{shim}", "once:make"]})
    (home / "once.py").write_text(code, encoding="utf-8")
    for one in made(method, jobs_of(context.benchmark), context).values():
        assert_drawn(one)
    assert len(list(context.work.glob("worker_*.log"))) == 2


def test_a_worker_that_never_answers_is_not_asked_for_all(home: Path, context: Context) -> None:
    method = worker(home, generate=WORKER | {"command": ["{python}", "{shim}", "no_such_module:make"]})
    found = made(method, jobs_of(context.benchmark), context)
    told = (
        f"the worker ended instead of answering: exit code 1; {log(context, 3, 'worker')} ends with "
        "\"ModuleNotFoundError: No module named 'no_such_module'\""
    )
    assert reasons(found) == [told, *[f"not asked for: {told}"] * 3]
    assert len(list(context.work.glob("worker_*.log"))) == 2


def test_a_worker_that_hangs_is_cut(home: Path, context: Context) -> None:
    context = prompted(context, "a", "HANG", "b", "c")
    found = made(worker(home, seconds={"item": 4}), jobs_of(context.benchmark), context)
    told = f"no answer: cut after 4 s (seconds.item); {log(context, 2, 'worker')} ends with 'sleeping'"
    assert reasons(found) == [None, told, None, None]


def test_a_worker_may_take_longer_for_its_first_answer(home: Path, context: Context) -> None:
    code = "import time\ntime.sleep(1.2)\nfrom draw import make\n"
    generate = WORKER | {"command": ["{python}", "{shim}", "slow:make"]}
    method = worker(home, generate=generate, seconds={"item": 1})
    (home / "slow.py").write_text(code, encoding="utf-8")
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert str(one.reason).startswith("no answer: cut after 1 s (seconds.item); ")
    (one,) = worker(home, generate=generate, seconds={"item": 1, "start": 20}).make(
        jobs_of(context.benchmark)[:1], context
    )
    assert_drawn(one)


ANSWERS = [
    ("Loading model...", "'Loading model...'"),
    ("{}", "'{}'"),
    ('{"ok": true}', "'{\"ok\": true}'"),
    ('{"ok": false, "error": 3}', '\'{"ok": false, "error": 3}\''),
    ('["ok"]', "'[\"ok\"]'"),
]


@pytest.mark.parametrize(("answer", "shown"), ANSWERS)
def test_a_worker_that_answers_garbage(answer: str, shown: str, home: Path, context: Context) -> None:
    code = "import sys\nfor line in sys.stdin:\n    print(sys.argv[1], flush=True)\n"
    method = worker(
        home,
        generate=WORKER
        | {"command": ["{python}", "{recipe}/garbage.py", answer.replace("{", "{{").replace("}", "}}")]},
    )
    (home / "garbage.py").write_text(code, encoding="utf-8")
    found = made(method, jobs_of(context.benchmark)[:2], context)
    told = (
        'wanted {"ok": true, "file": PATH} or {"ok": false, "error": TEXT} from the worker, '
        f"found {shown}; what else it prints belongs on stderr"
    )
    assert reasons(found) == [told, told]


@pytest.mark.parametrize(("file", "told"), [
    ("/etc/passwd", "wanted a file in {output} from the worker, found '/etc/passwd'"),
    ("../secret.png", "wanted a path inside '{output}', found '../secret.png', which climbs out of it; "
                      "write paths relative to that folder"),
    ("gone.png", "cannot decode '{output}/gone.png': there is no such file; check the path, or make the file again"),
])  # fmt: skip
def test_a_worker_that_names_another_file(file: str, told: str, home: Path, context: Context) -> None:
    method = worker(home, generate=WORKER | {"command": ["{python}", "{shim}", "astray:make"]})
    (home / "astray.py").write_text(f"def make(request):\n    return {file!r}\n", encoding="utf-8")
    (one,) = method.make(jobs_of(context.benchmark)[:1], context)
    assert one.reason == told.format(output=context.work / "jobs_0001" / "output" / "s0.p0.seed_0")


def test_a_worker_is_ended_where_nobody_wants_more(home: Path, context: Context) -> None:
    method = worker(home)
    (home / "whoami.py").write_text("import os, draw\nprint('pid', os.getpid())\nmake = draw.make\n", encoding="utf-8")
    method = CommandMethod(recipe("worker", generate=WORKER | {"command": ["{python}", "{shim}", "whoami:make"]}), home)
    making = method.make(jobs_of(context.benchmark), context)
    next(making)
    making.close()  # type: ignore[attr-defined]
    pid = int(log(context, 2, "worker").read_text().split("pid ")[1].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# Training.

RUNS = "import pathlib, sys; [pathlib.Path(sys.argv[1], f'run_{{n}}').mkdir() for n in (9, 10)]; print(sys.argv)"
TRAIN = {"command": ["{python}", "-c", RUNS, "{output}", "{seed}"], "checkpoint": "run_*"}


def trained(home: Path, **train: Any) -> CommandMethod:
    return drawer(home, train=TRAIN | train, seconds={"item": 30, "train": 30})


def test_training_gives_the_last_checkpoint(home: Path, context: Context, tmp_path: Path) -> None:
    method = trained(home)
    assert method.info.trains
    folder = tmp_path / "train here"
    assert method.train(TrainOrder(folder, None, 4), context) == folder / "run_10"
    assert log(context, 1, "train").read_text().splitlines()[-1] == str(["-c", str(folder), "4"])


def test_training_that_fails(home: Path, context: Context, tmp_path: Path) -> None:
    order = TrainOrder(tmp_path / "train", None, 0)
    with pytest.raises(MethodError) as raised:
        trained(home, command=["{python}", "-c", "raise SystemExit('no data')"]).train(order, context)
    assert str(raised.value) == (
        f"the training of drawer failed: exit code 1; {log(context, 1, 'train')} ends with 'no data'; "
        "mend it and run again to go on"
    )
    with pytest.raises(MethodError) as raised:
        trained(home, command=["{python}", "-c", "print('done')"]).train(order, context)
    assert str(raised.value) == (
        f"the training of drawer left no 'run_*' in {order.folder}: exit code 0; {log(context, 2, 'train')} ends with 'done'; "
        "mend train.checkpoint, or see the log"
    )


def test_training_data_must_fit_the_command(home: Path, context: Context, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        trained(home).train(TrainOrder(tmp_path, Path("/mine"), 0), context)
    assert str(raised.value) == "drawer has training data of its own, found /mine; leave out --train-data"
    with pytest.raises(DataError) as raised:
        trained(home, command=["{python}", "-V", "{data}"]).train(TrainOrder(tmp_path, None, 0), context)
    assert str(raised.value) == "drawer wants training data, found none; give --train-data"


def test_a_checkpoint_reaches_the_command(home: Path, context: Context) -> None:
    command = ["{python}", "-c", "import sys; print(sys.argv[1])", "{checkpoint}"]
    jobs = jobs_of(context.benchmark)[:1]
    method = drawer(home, generate=ITEM | {"command": command, "checkpoint": "org/{recipe}"})
    list(method.make(jobs, context))
    list(method.make(jobs, replace(context, checkpoint=Path("/mine/ckpt"))))
    assert [log(context, n).read_text().splitlines()[-1] for n in (1, 2)] == [f"org/{home}", "/mine/ckpt"]
    method = drawer(home, generate=ITEM | {"command": command}, train=TRAIN, seconds={"item": 9, "train": 9})
    with pytest.raises(MethodError) as raised:
        list(method.make(jobs, context))
    assert str(raised.value) == "drawer needs a checkpoint, and nothing was trained in this run; add --train"
