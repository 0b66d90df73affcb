"""Folders of small models in the published layout: what is there, how it is saved, and a pipeline without bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.sandbox.training.save import save_half

BESIDE = ("scheduler", "tokenizer")
"""Folders of a pipeline beside those of its models."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside, and as it was afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def quiet(pipeline: Any) -> Any:
    """The pipeline, which shows no bars."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_pipeline(pipeline: Any, folder: Path, models: Iterable[str]) -> None:
    """The pipeline's parts under `folder`, each where diffusers has it, models in half precision."""
    pipeline.save_config(folder)
    for name in models:
        save_half(getattr(pipeline, name), folder / name)
    for name in BESIDE:
        getattr(pipeline, name).save_pretrained(folder / name)


def missing(what: str, folder: Path, names: Iterable[str], *, model: str) -> list[str]:
    """One line that says which files or folders of a small model `folder` lacks; empty when it has them all.

    model: how `evalkit sandbox train` calls it.
    """
    lacking = [name for name in names if not (folder / name).exists()]
    if not lacking:
        return []
    return [
        f"wanted {what} in {str(folder)!r}, found no {', '.join(lacking)} there; install evalkit again, or train it with "
        f"`evalkit sandbox train --model {model} --out {folder}`"
    ]
