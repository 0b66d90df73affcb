"""Building models from a state dict that was read safely, with every misfit an error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from evalkit.features.weight_files import other_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch

    Shapes = Mapping[str, tuple[int, ...]]

_NOT_WEIGHTS = ("position_ids",)
"""Index buffers that older files still carry."""


def build(
    model_class: Any,
    config: Any,
    state: dict[str, torch.Tensor],
    *,
    where: Path,
    spare: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """The transformers model `model_class(config)` with the weights `state`, in float32 unless `options` has a `dtype`.

    `spare` are prefixes of names that a file may carry without the model needing them. Raises WeightsError naming the
    first name that is missing, unknown or of another shape.
    """
    import torch

    state = {n: t for n, t in state.items() if not n.endswith(_NOT_WEIGHTS) and not n.startswith(spare)}
    options = {"dtype": torch.float32} | options | {"output_loading_info": True, "ignore_mismatched_sizes": True}
    with quiet():
        model, told = model_class.from_pretrained(None, config=config, state_dict=state, **options)
    shapes = [f"{n} of shape {list(found)} instead of {list(wanted)}" for n, found, wanted in told["mismatched_keys"]]
    _refuse(model_class.__name__, where, shapes, told["missing_keys"], told["unexpected_keys"])
    return model


def load_strictly(module: torch.nn.Module, state: dict[str, torch.Tensor], *, where: Path) -> None:
    """Gives a torch module the weights `state`, in float32. Raises WeightsError like `build`."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    refuse_misfits(type(module).__name__, where, {name: tuple(t.shape) for name, t in state.items()}, wanted)
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    module.eval()


def refuse_misfits(model: str, where: Path, found: Shapes, wanted: Shapes) -> None:
    """Raises WeightsError on the first misfit of names or shapes, counting the rest."""
    both = sorted(found.keys() & wanted.keys())
    shapes = [f"{n} of shape {list(found[n])} instead of {list(wanted[n])}" for n in both if found[n] != wanted[n]]
    _refuse(model, where, shapes, wanted.keys() - found.keys(), found.keys() - wanted.keys())


def _refuse(model: str, where: Path, shapes: Sequence[str], missing: set[str], unknown: set[str]) -> None:
    problems = [
        *sorted(shapes),
        *(f"no {name}" for name in sorted(missing)),
        *(f"an unknown {n}" for n in sorted(unknown)),
    ]
    if problems:
        more = f" and {len(problems) - 1} more misfits" if len(problems) > 1 else ""
        raise other_model(where, f"the weights of {model}", problems[0] + more)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and load reports: what they would say is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
