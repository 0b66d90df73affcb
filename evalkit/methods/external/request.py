"""What a program is told of a job: one flat record, as placeholders, as a line of a file or as a worker's request."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from evalkit.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from evalkit.methods.base import Job
    from evalkit.methods.recipe import Recipe
    from evalkit.nouns import Case, Reference

Request = dict[str, Any]


def references_of(case: Case, recipe: Recipe) -> tuple[Reference, ...]:
    """The references that the program is shown: the first `max_references`."""
    return case.references[: recipe.max_references]


def lacking(case: Case, recipe: Recipe) -> str | None:
    """Why the program cannot be asked for this case, None where it can."""
    there = references_of(case, recipe)
    if not there and recipe.max_references != 0:
        return "the case has no reference"
    if recipe.needs_masks and (without := [reference.path for reference in there if reference.mask is None]):
        return f"the reference {without[0]!r} has no mask"
    return None


def request_of(job: Job, recipe: Recipe, root: Path, *, index: int, output: Path, checkpoint: str | None) -> Request:
    """The record of a job; paths are absolute, `root` is the benchmark's folder.

    `seed` is the generator's, in [0, 2**63) or, with seed_bits 32, in [0, 2**32); `sample` the benchmark's count from 0.
    """
    there = references_of(job.case, recipe)
    references = [str(root / reference.path) for reference in there]
    masks = [str(root / reference.mask) if reference.mask is not None else None for reference in there]
    labels = [reference.label for reference in there]
    return {
        "index": index,
        "case_id": job.case.case_id,
        "sample": job.seed,
        "seed": job.rng_seed % 2**recipe.seed_bits,
        "prompt": job.case.prompt,
        "prompt_index": job.case.prompt_index,
        "reference": references[0] if references else None,
        "references": references,
        "mask": masks[0] if masks else None,
        "masks": masks,
        "label": labels[0] if labels else None,
        "labels": labels,
        "output": str(output),
        "checkpoint": checkpoint,
    }


def values_of(request: Request) -> dict[str, str]:
    """The placeholders of a job; `references` are joined with commas, what the job lacks is empty."""
    values = {key: "" if value is None else str(value) for key, value in request.items() if not isinstance(value, list)}
    reference = request["reference"]
    return values | {
        "references": ",".join(request["references"]),
        "reference_stem": PurePosixPath(reference).stem if reference is not None else "",
    }


def items_of(requests: Sequence[Request], fields: Mapping[str, str]) -> list[Request]:
    """The requests with the program's own names for the fields, all fields by ours where it has none."""
    return [{own: request[field] for own, field in fields.items()} if fields else request for request in requests]


def write_items(path: Path, requests: Sequence[Request], form: str, fields: Mapping[str, str]) -> None:
    """Writes the file of a batch: a JSON list, or one JSON object a line."""
    items = items_of(requests, fields)
    if form == "json":
        atomic_write_text(path, json.dumps(items, ensure_ascii=False, indent=1))
    else:
        atomic_write_text(path, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
