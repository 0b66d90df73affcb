"""Training before a run's samples are made, in one process or in several that `accelerate launch` started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.files import sha256_file
from evalkit.methods.base import Context, TrainOrder
from evalkit.processes import launched
from evalkit.registry import blamed
from evalkit.rl.workers import Workers

if TYPE_CHECKING:
    from evalkit.engine.setting import Setting
    from evalkit.runs.folder import RunFolder


def train(setting: Setting, run: RunFolder) -> Path:
    """The checkpoint of the method, trained in the run's folder, which notes the weights; other processes train along."""
    if launched()[1] > 1:
        Workers().told(str(run.path.resolve()))
    checkpoint = _trained(setting, run.path)
    run.update_record(method_weights={path.name: sha256_file(path) for path in _weight_files(checkpoint)})
    return checkpoint


def helps(setting: Setting) -> bool:
    """Trains along where this is not the first of several processes; whether it did.

    Raises: UsageError for several processes that have nothing to train.
    """
    rank, count = launched()
    if count > 1 and not setting.request.train:
        raise UsageError(
            f"wanted one process, found {count}: samples are made and scored by one; run evalkit without `accelerate "
            "launch`, or give --train"
        )
    if rank == 0:
        return False
    _trained(setting, Path(Workers().told("")))
    return True


def context_of(setting: Setting, path: Path) -> Context:
    """What the setting's method may know of the run at `path`."""
    assert setting.method is not None
    return Context(setting.benchmark, setting.profile.profile, path / "logs" / setting.method.info.name)


def _trained(setting: Setting, path: Path) -> Path:
    assert setting.method is not None
    order = TrainOrder(path / "train", setting.request.train_data, seed=setting.seeds[0])
    with blamed(f"the method {setting.method.info.name!r}, in its training,"):
        return setting.method.train(order, context_of(setting, path))


def _weight_files(checkpoint: Path) -> list[Path]:
    files = sorted(checkpoint.rglob("*")) if checkpoint.is_dir() else [checkpoint]
    return [path for path in files if path.suffix in (".safetensors", ".bin", ".pt", ".pth")]
