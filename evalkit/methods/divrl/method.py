"""DivRL as a method: generation with its adapter, and training.

Source: DivRL (arXiv 2606.23950); QianWangX/DivRL (b0d3f69) and its published adapters `QWW/DivRL`.
Deviations: see the rewards and the trainer; the reference is scaled as in `flux_kontext`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import DataError, MethodError, UsageError
from evalkit.files import sha256_file
from evalkit.methods import flux_kontext
from evalkit.methods.base import Context, Job, Made, Method, MethodInfo, TrainOrder
from evalkit.methods.divrl.memory import need_memory
from evalkit.methods.divrl.preset import ABLATIONS, FEATURES, NUMBERS, Preset, preset, presets, whole_number
from evalkit.methods.published import cuda_gib
from evalkit.paths import cache_root
from evalkit.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

HUB = "QWW/DivRL"
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
STAGES = ("stage_2", "stage_1")
SHIPPED = Path(__file__).resolve().parents[2] / "sandbox" / "weights" / "divrl"


_GENERATION = frozenset({"stage"})
_TRAINING = frozenset({"preset", "ablation", "features", "epochs", "seed", "batch", *NUMBERS})


class DivRL(Method):
    """FLUX.1-Kontext with an adapter that was rewarded for new poses and gated by identity."""

    info = MethodInfo(
        name="divrl",
        version="1",
        title="DivRL",
        kind="method",
        meaning=(
            "FLUX.1-Kontext with a LoRA adapter trained by group-relative policy optimisation: reward nSSM, then nSSM gated "
            "by VSM. Training data: images/NAME.png, masks/NAME.png and captions/NAME.txt (line 1 the subject, then "
            "prompts), or a dataset with the columns image, mask, caption."
        ),
        media=("image",),
        max_references=1,
        trains=True,
        options={
            "preset": f"one of {', '.join(presets())}; sandbox or paper by the profile if not given",
            "ablation": f"what a single stage is rewarded for instead: {', '.join(ABLATIONS)}",
            "features": f"what the rewards are computed on: {', '.join(FEATURES)}",
            "epochs": "epochs a stage",
            "seed": "of the training; 0 if not given",
            "batch": "samples at a time in a training; less wants less memory and learns the same but for rounding",
            "threshold": "s of the gate: VSM below it is punished",
            "weight": "lambda of the punishment",
            "share": "w of the ablation linear: w VSM + (1 - w) nSSM",
            "stage": f"which published adapter generates: {', '.join(STAGES)}",
        },
        rewards=("nssm", "vsm"),
        licence=f"{flux_kontext.LICENCE} (published base); none stated (published adapter); Apache-2.0 (the embedded model)",
        gated=True,
        source=f"arXiv:2606.23950; https://huggingface.co/{HUB}",
        stochastic=True,
    )

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        self._options = dict(options or {})

    def configured(self, options: Mapping[str, str]) -> DivRL:
        """With these options. Raises UsageError for one that does not exist or does not fit."""
        super().configured(options)
        made = DivRL(options)
        if _TRAINING & set(options):
            made.info = self.info.model_copy(update={"rewards": made.preset_of("sandbox").reward_families()})
        whole_number(options, "seed", 0, 0)
        if options.get("stage", STAGES[0]) not in STAGES:
            raise UsageError(unknown("stage", options["stage"], list(STAGES), "evalkit describe method divrl"))
        return made

    @property
    def config(self) -> dict[str, JsonValue]:
        """The options that were given."""
        return dict(sorted(self._options.items()))

    def preset_of(self, profile: str) -> Preset:
        """What is trained in a profile. Raises UsageError."""
        default = "sandbox" if profile == "sandbox" else "paper"
        return preset(self._options.get("preset", default)).with_options(self._options)

    def check(self, context: Context) -> list[str]:
        """What is missing for generation: the base model, the adapter, a device."""
        problems = flux_kontext.FLUX_KONTEXT.check(context)
        trains = context.checkpoint is not None
        idle = sorted(set(self._options) & (_GENERATION if trains else _TRAINING))
        if idle:
            what = "leave out --train, which makes its own adapter" if trains else "add --train, which they are for"
            problems.append(f"wanted options that do something, found {', '.join(idle)}; {what}")
        if context.checkpoint is None and self._adapter(context) is None:
            problems.append(self._no_adapter(context))
        return problems

    def train(self, order: TrainOrder, context: Context) -> Path:
        """All stages of the preset into `order.folder`; returns the last adapter."""
        from evalkit.methods.divrl.train import train_stages

        told = self.preset_of(context.profile)
        order = order._replace(seed=whole_number(self._options, "seed", 0, order.seed))
        if context.profile == "sandbox":
            from evalkit.methods.divrl.world import world_lessons
            from evalkit.sandbox.kontext.assemble import SHIPPED as SMALL
            from evalkit.sandbox.kontext.assemble import load
            from evalkit.sandbox.kontext.sample import fitted

            data = order.data or world_lessons(cache_root())
            return train_stages(
                told,
                order,
                pipeline=load,
                weights=sha256_file(SMALL / "transformer" / WEIGHTS_NAME),
                data=data,
                cache=cache_root(),
                profile="sandbox",
                device="cpu",
                fitted=fitted,
            )
        if order.data is None:
            raise DataError(
                "wanted training data for the published model, found none; --train-data takes a folder or a dataset such as "
                "QWW/Syncd_filtered"
            )
        need_memory(told, cuda_gib())
        side = told.base.side
        return train_stages(
            told, order, pipeline=flux_kontext.published_pipeline, weights=flux_kontext.HUB, data=order.data,
            cache=cache_root(), profile="paper", device="cuda",
            fitted=lambda pixels: flux_kontext.squared(pixels, side),
        )  # fmt: skip

    def make(self, jobs: Sequence[Job], context: Context) -> Iterator[Made]:
        """A picture for each job, with the adapter trained in this run, else the published or shipped one."""
        adapter = context.checkpoint or self._adapter(context)
        if jobs:
            if adapter is None:
                raise MethodError(self._no_adapter(context))
            yield from flux_kontext.pictures(jobs, context, adapter=adapter)

    def _adapter(self, context: Context) -> Path | None:
        """The adapter at hand, None where there is none; nothing is fetched."""
        if context.profile == "sandbox":
            return SHIPPED if (SHIPPED / "adapter_config.json").is_file() else None
        stage = self._options.get("stage", STAGES[0])
        root = os.environ.get("EVALKIT_WEIGHTS")
        own = Path(root).expanduser() / HUB.replace("/", "--") / stage if root else None
        if own is not None and (own / "adapter_config.json").is_file():
            return own
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            cached = Path(snapshot_download(HUB, local_files_only=True)) / stage
        except LocalEntryNotFoundError:
            return None
        return cached if (cached / "adapter_config.json").is_file() else None

    def _no_adapter(self, context: Context) -> str:
        if context.profile == "sandbox":
            return f"wanted the small model's adapter in {str(SHIPPED)!r}, found none; --train makes one"
        return (
            f"wanted the adapter {HUB!r} ({self._options.get('stage', STAGES[0])}), found none in EVALKIT_WEIGHTS or the hub "
            f"cache; get it with `hf download {HUB}`, or --train one"
        )


DIVRL = DivRL()
