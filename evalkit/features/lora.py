"""Low-rank changes of weights (LoRA), read from peft's files and merged, so that peft is not needed to run them.

Source: W + (alpha / r) B A, as peft's `LoraLayer` computes for its plain form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evalkit.errors import WeightsError
from evalkit.features.weight_files import other_model, read_json, read_state

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_BEYOND_PLAIN = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")


def read_config(adapter: Path) -> dict[str, Any]:
    """What decides the merge, from adapter_config.json by the adapter. Raises WeightsError on more than plain LoRA."""
    path = adapter.parent / "adapter_config.json"
    config = read_json(path)
    odd = {key: config[key] for key in _BEYOND_PLAIN if config.get(key)}
    plain = {key: config.get(key) for key in ("r", "lora_alpha")}
    if odd or None in plain.values() or config.get("bias", "none") != "none" or config.get("fan_in_fan_out"):
        found = odd or {key: config.get(key) for key in ("r", "lora_alpha", "bias", "fan_in_fan_out")}
        raise WeightsError(
            f"{path}: wanted a plain LoRA adapter (r, lora_alpha, bias 'none'), found {found}; get it again"
        )
    return plain


def read_changes(adapter: Path, pattern: str, networks: int) -> list[dict[str, torch.Tensor]]:
    """For each of `networks` the change of each adapted weight by its name.

    `pattern` takes a module's name in the adapter apart into (index of the network, name inside it).
    Raises WeightsError naming what does not fit.
    """
    config, state = read_config(adapter), read_state([adapter])
    changes: list[dict[str, torch.Tensor]] = [{} for _ in range(networks)]
    for name, low in state.items():
        module, _, half = name.rpartition(".lora_")
        match = re.fullmatch(pattern, module)
        if match is None or int(match[1]) >= networks or half not in ("A.weight", "B.weight"):
            raise other_model(adapter, f"low-rank weights of {networks} networks", f"an unknown {name}")
        if half == "A.weight":
            high = state.get(f"{module}.lora_B.weight")
            if high is None or high.shape[1:] != low.shape[:1] or low.shape[0] != config["r"]:
                found = "none" if high is None else f"{list(high.shape)} and {list(low.shape)}"
                raise other_model(adapter, f"both halves of rank {config['r']} for {module}", found)
            scale = config["lora_alpha"] / config["r"]
            changes[int(match[1])][f"{match[2]}.weight"] = scale * (high.float() @ low.float())
    return changes


def merged(state: dict[str, torch.Tensor], changes: dict[str, torch.Tensor], *, where: Path) -> dict[str, torch.Tensor]:
    """`state` in float32 with the changes added. Raises WeightsError where a change fits no weight."""
    told = {name: tensor.float() for name, tensor in state.items()}
    for name, change in changes.items():
        if name not in told or told[name].shape != change.shape:
            found = f"of shape {list(told[name].shape)}" if name in told else "none"
            raise other_model(where, f"{name} of shape {list(change.shape)} for the adapter", found)
        told[name] = told[name] + change
    return told
