"""A recipe that is run: each sample from a program outside evalkit, its failures kept apart, its logs kept."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, MethodError
from evalkit.methods import worker_shim
from evalkit.methods.base import Context, Job, Made, Method, TrainOrder
from evalkit.methods.external.calls import Call, Calls
from evalkit.methods.external.checks import device_problem, unfit, weights_problem
from evalkit.methods.external.outputs import Outputs
from evalkit.methods.external.placeholders import fill, used
from evalkit.methods.external.places import Places, places_of, program
from evalkit.methods.external.process import Ended, Program, find_program, run
from evalkit.methods.external.request import Request, lacking, request_of, values_of, write_items
from evalkit.methods.external.setup import unready
from evalkit.methods.external.worker import Worker, serve
from evalkit.progress import warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from evalkit.methods.external.parts import Generate
    from evalkit.methods.recipe import Recipe

SHIM = Path(worker_shim.__file__)


class CommandMethod(Method):
    """What a recipe with `generate` in `folder` is; `folder` is where its file lies."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        if recipe.generate is None:
            raise DataError(f"{recipe.name}: wanted a recipe with generate, found one with precomputed samples")
        self.recipe, self.folder, self.info = recipe, folder, recipe.info()
        self._generate: Generate = recipe.generate

    @property
    def places(self) -> Places:
        """Where its repository and environment are, whether set up or not."""
        return places_of(self.recipe, self.folder)

    @property
    def config(self) -> dict[str, JsonValue]:
        """What of the recipe can change a sample, as a digest. Changes made by hand in the clone are not in it."""
        return {"recipe": self.recipe.identity()}

    def check(self, context: Context) -> list[str]:
        """What is missing: setup, device, gated weights, or what the benchmark's cases lack."""
        recipe = self.recipe
        return [
            *unfit(recipe, context.benchmark.cases),
            *unready(recipe, self.places),
            *device_problem(recipe),
            *weights_problem(recipe),
        ]

    def train(self, order: TrainOrder, context: Context) -> Path:
        """Runs the train command and returns the last checkpoint that it left. Raises MethodError, DataError."""
        if self.recipe.train is None:
            return super().train(order, context)
        takes_data = "data" in used(self.recipe.train.command)
        if takes_data != (order.data is not None):
            told = (
                "wants training data, found none; give --train-data" if takes_data else "has training data of its own"
            )
            left = "" if takes_data else f", found {order.data}; leave out --train-data"
            raise DataError(f"{self.info.name} {told}{left}")
        output = order.folder.absolute()
        output.mkdir(parents=True, exist_ok=True)
        ready, log = self.train_program(order, context), Calls(context.work).log("train")
        find_program(ready, "train.command")
        ended = run(ready, log, seconds=self.recipe.seconds.train or 0, key="seconds.train")
        if ended.code != 0:
            raise MethodError(
                f"the training of {self.info.name} failed: {ended.told()}; mend it and run again to go on"
            )
        found = sorted(output.glob(self.recipe.train.checkpoint), key=lambda path: _by_numbers(path, output))
        if not found:
            raise MethodError(
                f"the training of {self.info.name} left no {self.recipe.train.checkpoint!r} in {output}: {ended.told()}; "
                "mend train.checkpoint, or see the log"
            )
        return found[-1]

    def train_program(self, order: TrainOrder, context: Context) -> Program:
        """The train command, filled in."""
        command = self.recipe.train.command if self.recipe.train is not None else ()
        data = str(order.data.absolute()) if order.data is not None else ""
        values = {
            "output": str(order.folder.absolute()),
            "seed": str(order.seed % 2**self.recipe.seed_bits),
            "data": data,
        }
        sees = [order.folder, *([order.data] if order.data is not None else [])]
        return program(self.recipe, self.places, command, values, scratch=context.work.absolute(), sees=sees)

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A picture, or why there is none, for each job. Raises MethodError where no job can be made at all."""
        able = []
        for job in jobs:
            reason = lacking(job.case, self.recipe)
            if reason is not None:
                yield Made(job, None, reason)
            else:
                able.append(job)
        if not able:
            return
        calls = Calls(context.work)
        if self._generate.mode == "worker":
            yield from self._by_worker(able, context, calls)
            return
        size = self._generate.chunk or len(able) if self._generate.mode == "batch" else 1
        for start in range(0, len(able), size):
            yield from self._by_call(able[start : start + size], context, calls)

    def _by_call(self, jobs: Sequence[Job], context: Context, calls: Calls) -> Iterator[Made]:
        call = calls.new("call")
        requests = [self.request(job, context, call.output, index) for index, job in enumerate(jobs)]
        if (reason := self._unaskable(requests[0])) is not None:
            yield Made(jobs[0], None, reason)
            return
        each = [self.places.values() | values_of(request) for request in requests]
        outputs = Outputs(self._generate.outputs or "", call.output, each)
        ready = self.program(requests, call, context)
        find_program(ready, "generate.command")
        if self._generate.items is not None:
            write_items(self._items(call), requests, self._generate.items, self._generate.fields)
        single = self._generate.mode == "item"
        try:
            ended = self._run(ready, call.log, "item" if single else "batch")
        except MethodError as error:
            if not single:
                raise
            yield Made(jobs[0], None, str(error))
            return
        if single and ended.code != 0:
            yield Made(jobs[0], None, ended.told())
            return
        failed = 0
        for made in outputs.read(jobs, ended.told()):
            failed += made.pixels is None
            yield made
        if ended.code != 0 and not failed:
            warn(f"{self.info.name} left every sample, but {ended.told()}")
        told = calls.tell_extra(self.info.name, outputs.unclaimed(), call)
        if not failed and not told:
            call.remove()

    def _run(self, ready: Program, log: Path, limit: str) -> Ended:
        return run(ready, log, seconds=getattr(self.recipe.seconds, limit) or 0, key=f"seconds.{limit}")

    def _unaskable(self, request: Request) -> str | None:
        """Why a job's values cannot be told apart in an argument."""
        several = len(request["references"]) > 1 and "references" in used(self._generate.command)
        if several and (cut := [path for path in request["references"] if "," in path]):
            return f"{{references}} parts paths by commas, found one in {cut[0]!r}"
        return None

    def _by_worker(self, jobs: Sequence[Job], context: Context, calls: Calls) -> Iterator[Made]:
        scratch = calls.new("jobs")

        def start() -> Worker:
            ready, seconds = self.program([], scratch, context), self.recipe.seconds
            find_program(ready, "generate.command")
            return Worker(ready, calls.log("worker"), item=seconds.item or 0, start=seconds.start or 0)

        def ask(job: Job) -> Request:
            folder = scratch.output / f"{job.case.case_id}.seed_{job.seed}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            return self.request(job, context, folder, 0)

        yield from serve(jobs, start, ask)
        if not any(scratch.output.iterdir()):
            scratch.remove()

    def request(self, job: Job, context: Context, output: Path, index: int) -> Request:
        """What the program is told of a job."""
        root = context.benchmark.root.absolute()
        checkpoint = self._checkpoint(context)
        return request_of(job, self.recipe, root, index=index, output=output, checkpoint=checkpoint)

    def program(self, requests: Sequence[Request], call: Call, context: Context) -> Program:
        """The generate command for these jobs, filled in."""
        values: Mapping[str, str] = {
            "output": str(call.output), "shim": str(SHIM), "checkpoint": self._checkpoint(context) or "",
        }  # fmt: skip
        if self._generate.mode == "item":
            values = {**values_of(requests[0]), **values}
        if self._generate.items is not None:
            values = {**values, "items": str(self._items(call))}
        sees = [context.benchmark.root, SHIM.parent, *([context.checkpoint] if context.checkpoint is not None else [])]
        filled = partial(program, self.recipe, self.places, self._generate.command, values)
        return filled(scratch=call.folder, sees=[path.absolute() for path in sees])

    def _items(self, call: Call) -> Path:
        return call.folder / f"items.{self._generate.items}"

    def _checkpoint(self, context: Context) -> str | None:
        if context.checkpoint is not None:
            return str(context.checkpoint.absolute())
        if self._generate.checkpoint is not None:
            return fill(self._generate.checkpoint, self.places.values())
        if "checkpoint" in used(self._generate.command):
            raise MethodError(f"{self.info.name} needs a checkpoint, and nothing was trained in this run; add --train")
        return None


def _by_numbers(path: Path, folder: Path) -> list[tuple[int, str]]:
    """Orders `checkpoint-90` before `checkpoint-100`."""
    parts = re.split(r"(\d+)", path.relative_to(folder).as_posix())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
