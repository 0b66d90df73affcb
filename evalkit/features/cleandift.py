"""CleanDIFT: the maps of Stable Diffusion 2.1's UNet on a clean picture, at the timestep that it learnt.

The picture goes through the autoencoder and, without noise and with the empty prompt, through the UNet; what its up
blocks give is `us1` to `us10`.

Source: CompVis/cleandift (b070976) `src/sd_feature_extraction.py`, `src/ae.py` and `configs/sd21_feature_extractor.yaml`,
`get_features` with `t=None`. Deviation: the source draws the autoencoder's latent at random, here it is the mean of that
distribution, so that a picture has one feature.
Weights, in `cleandift_sd21_full.safetensors`: `unet_feature_extractor_cleandift.` before diffusers' names of the UNet,
`ae.ae.` before those of the autoencoder, and `timestep`; the rest (`unet_feature_extractor_base.`, `adapters.`,
`mapping.`, `time_emb.`, `time_in_proj.`) takes no part. Mind-the-Glitch's own weights are the state of a module that
holds CleanDIFT as `cleandift_model.`, and override these where they have such names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import WeightsError
from evalkit.features.building import build, load_strictly
from evalkit.features.weight_files import other_model, read_json, read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch

    from evalkit.features.weights import WeightsSource

    Placed = Callable[[Any], Any]
    State = dict[str, torch.Tensor]

LATENT_SCALE = 0.18215
MODULES = {
    "us1": "up_blocks.0.resnets.0",
    "us2": "up_blocks.0.resnets.1",
    "us3": "up_blocks.0",
    "us4": "up_blocks.1.attentions.0",
    "us5": "up_blocks.1.attentions.1",
    "us6": "up_blocks.1",
    "us7": "up_blocks.2.attentions.0",
    "us8": "up_blocks.2.attentions.1",
    "us9": "up_blocks.2",
    "us10": "up_blocks.3.attentions.0",
}
"""The module of diffusers' UNet whose output each map is; a block's own output is that of its upsampler."""
_UNET, _AUTOENCODER = "unet_feature_extractor_cleandift.", "ae.ae."
_INSIDE_MTG = "cleandift_model."


class Files(NamedTuple):
    """The files of `abdo-eldesokey/mind-the-glitch` and its parts, in the order of `metrics/backbones.yaml`."""

    networks: Path
    config: Path
    cleandift: Path
    text: Path
    text_config: Path
    unet_config: Path
    autoencoder_config: Path

    @classmethod
    def of(cls, weights: WeightsSource) -> Files:
        """Raises WeightsError where a folder was named, which cannot hold all three models."""
        if len(weights.files) != len(cls._fields):
            raise WeightsError(
                f"wanted Mind-the-Glitch by its hub id, found {weights.model!r}, which does not say where CleanDIFT and "
                "Stable Diffusion 2.1 are; put each under EVALKIT_WEIGHTS as org--name"
            )
        return cls(*weights.files)

    @property
    def side(self) -> int:
        """Pixels a side that the autoencoder and the UNet were made for: 768 of the published ones."""
        unet, autoencoder = read_json(self.unet_config), read_json(self.autoencoder_config)
        try:
            return int(unet["sample_size"]) << (len(autoencoder["block_out_channels"]) - 1)
        except KeyError as error:
            where = self.unet_config if "sample_size" not in unet else self.autoencoder_config
            raise other_model(where, "a configuration of Stable Diffusion", f"no {error.args[0]}") from None


class CleanDift:
    """Pictures [B, 3, s, s] in [-1, 1] to the maps of `layers`. `state` is CleanDIFT's, under its own names."""

    def __init__(self, files: Files, state: State, layers: Sequence[str], *, placed: Placed) -> None:
        self._unet, self._autoencoder = placed(_models(files, state))
        self._prompt = placed(_empty_prompt(files))
        if "timestep" not in state:
            raise other_model(files.cleandift, "CleanDIFT", "no timestep")
        self._timestep = state["timestep"].float().reshape(1).to(self._prompt.device)
        self._kept: dict[str, torch.Tensor] = {}
        self._layers = tuple(layers)
        for name in layers:
            self._unet.get_submodule(MODULES[name]).register_forward_hook(self._keeper(name))

    @property
    def channels(self) -> list[int]:
        """Of each layer's map."""
        widths = self._unet.config.block_out_channels[::-1]
        return [widths[int(MODULES[name].split(".")[1])] for name in self._layers]

    def __call__(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """[B, C_l, H_l, W_l] for each layer."""
        latents = self._autoencoder.encode(pixels).latent_dist.mode() * LATENT_SCALE
        prompt = self._prompt.expand(len(pixels), -1, -1)
        self._unet(latents, self._timestep.expand(len(pixels)), prompt)
        return [self._kept.pop(name) for name in self._layers]

    def _keeper(self, name: str) -> Callable[[Any, Any, Any], None]:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            self._kept[name] = output[0] if isinstance(output, tuple) else output

        return keep


def read_states(files: Files) -> tuple[State, State]:
    """The aggregation networks' weights and CleanDIFT's, each under its own names."""
    both, below = read_state([files.networks]), read_state([files.cleandift])
    inside = {name: tensor for name, tensor in both.items() if name.startswith(_INSIDE_MTG)}
    networks = {name: tensor for name, tensor in both.items() if name not in inside}
    return networks, below | {name.removeprefix(_INSIDE_MTG): tensor for name, tensor in inside.items()}


def check_layers(layers: Sequence[str], *, where: Path) -> None:
    """Raises WeightsError naming a layer that CleanDIFT has not."""
    for name in layers:
        if name not in MODULES:
            raise WeightsError(f"{where}: wanted layers of {', '.join(MODULES)} in model.feat_type, found {name!r}")


def _below(state: Mapping[str, torch.Tensor], prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _models(files: Files, state: State) -> torch.nn.ModuleList:
    """The UNet and the autoencoder; as one plain module, since diffusers' own warn where they are moved."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    unet = _built(UNet2DConditionModel, files.unet_config, _below(state, _UNET), files.cleandift)
    autoencoder = _built(AutoencoderKL, files.autoencoder_config, _below(state, _AUTOENCODER), files.cleandift)
    return torch.nn.ModuleList([unet, autoencoder])


def _built(kind: Any, config: Path, state: State, where: Path) -> Any:
    import torch

    with torch.device("meta"):
        model = kind.from_config(read_json(config))
    load_strictly(model, state, where=where)
    return model


def _empty_prompt(files: Files) -> torch.Tensor:
    """The text encoder's last states [1, T, D] for no words: start, end, and padding with token 0 to full length."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig.from_dict(read_json(files.text_config))
    encoder = build(CLIPTextModel, config, read_state([files.text]), where=files.text)
    ids = torch.zeros(1, config.max_position_embeddings, dtype=torch.int64)
    ids[0, 0], ids[0, 1] = config.vocab_size - 2, config.vocab_size - 1
    with torch.inference_mode():
        states: torch.Tensor = encoder(input_ids=ids).last_hidden_state
    return states
