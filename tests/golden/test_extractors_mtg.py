"""Mind-the-Glitch's features against the same pieces put together by hand: diffusers' and transformers' own models, and
the aggregation written again from its description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.features.aggregation import KINDS, Shape, aggregate, new_networks
from evalkit.features.loading import describe_extractor, load_extractor
from evalkit.features.spec import ExtractorSpec
from tests import tiny_mtg
from tests.tiny_weights import fill

if TYPE_CHECKING:
    from pathlib import Path

    import torch

SPEC = ExtractorSpec(family="mtg", model="abdo-eldesokey/mind-the-glitch", preprocess="mtg")
LAYERS = tuple(tiny_mtg.CHANNELS)


def picture(seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (50, 70, 3), np.uint8)


def by_hand(pixels: torch.Tensor, layers: tuple[str, ...]) -> list[torch.Tensor]:
    """The maps of the up blocks, taken by walking the UNet as CleanDIFT does."""
    import torch

    unet, autoencoder, text = tiny_mtg.models()
    with torch.inference_mode():
        prompt = text(input_ids=torch.tensor([[38, 39, 0, 0, 0, 0, 0]])).last_hidden_state
        x = autoencoder.encode(pixels).latent_dist.mean * 0.18215
        emb = unet.time_embedding(unet.time_proj(torch.full((len(x),), tiny_mtg.TIMESTEP)))
        prompt = prompt.expand(len(x), -1, -1)
        x = unet.conv_in(x)
        skips = [x]
        for block in unet.down_blocks:
            attends = {"encoder_hidden_states": prompt} if hasattr(block, "attentions") else {}
            x, more = block(x, emb, **attends)
            skips += more
        x = unet.mid_block(x, emb, encoder_hidden_states=prompt)
        found, number = {}, 0
        for block in unet.up_blocks:
            for index, resnet in enumerate(block.resnets):
                x = resnet(torch.cat([x, skips.pop()], 1), emb)
                if hasattr(block, "attentions"):
                    (x,) = block.attentions[index](x, encoder_hidden_states=prompt, return_dict=False)
                number += 1
                if index == 2 and block.upsamplers:
                    x = block.upsamplers[0](x)
                found[f"us{number}"] = x
    return [found[name] for name in layers]


@pytest.mark.parametrize("inside", [False, True], ids=["beside", "inside"])
def test_features_are_cleandifts_maps_through_the_aggregation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    import torch
    from torch.nn.functional import interpolate

    tiny_mtg.write_mtg(tmp_path, layers=LAYERS, inside=inside)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    extractor: Any = load_extractor(SPEC, device="cpu")
    assert extractor.forward_batch == 1
    prepared = extractor.prepare(picture())
    assert prepared.shape == (3, tiny_mtg.SIDE, tiny_mtg.SIDE)
    found = extractor.encode_images(prepared[None])
    maps = by_hand(torch.from_numpy(prepared)[None], LAYERS)
    assert [m.shape[-1] for m in maps] == [1, 2, 2, 4, 4, 8, 8]
    assert [m.shape[1] for m in maps] == [tiny_mtg.CHANNELS[name] for name in LAYERS]
    maps = [interpolate(m, (6, 6), mode="bilinear", align_corners=False) for m in maps]
    networks = fill(new_networks(Shape(LAYERS, 6, 32, 1, 4), [tiny_mtg.CHANNELS[name] for name in LAYERS])).state_dict()
    for kind in KINDS:
        wanted = tiny_mtg.reference(networks, kind, maps, 4)
        assert found[kind].shape == (1, 6, 6, 32)
        np.testing.assert_allclose(found[kind], wanted.numpy(), atol=2e-5)
        np.testing.assert_allclose(np.linalg.norm(found[kind], axis=-1), 1, atol=1e-6)
    assert np.abs(found["semantic"] - found["visual"]).max() > 0.1


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_aggregation_is_the_described_one(blocks: int) -> None:
    import torch

    shape = Shape(("a", "b", "c"), 5, 16, blocks, 4)
    networks = fill(new_networks(shape, [8, 16, 24]))
    state = networks.state_dict()
    assert "bottleneck_layers_semantic.1.0.shortcut.weight" not in state
    assert state["bottleneck_layers_visual.2.0.shortcut.weight"].shape == (16, 24, 1, 1)
    assert state["bottleneck_layers_visual.0.0.conv2.weight"].shape == (4, 4, 3, 3)
    maps = [torch.randn(2, count, 5, 5, generator=torch.Generator().manual_seed(count)) for count in (8, 16, 24)]
    with torch.inference_mode():
        for kind in KINDS:
            torch.testing.assert_close(
                aggregate(networks, kind, maps), tiny_mtg.reference(state, kind, maps, 4), atol=2e-6, rtol=1e-5
            )


def test_the_first_layer_has_no_weight() -> None:
    import torch

    networks = fill(new_networks(Shape(("a", "b"), 4, 16, 1, 4), [8, 8]))
    maps = [torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    with torch.inference_mode():
        networks.get_parameter("mixing_weights_visual").copy_(torch.tensor([30.0, 0.0]))
        first = aggregate(networks, "visual", maps)
        networks.get_parameter("mixing_weights_visual").copy_(torch.tensor([-30.0, 0.0]))
        both = aggregate(networks, "visual", maps)
        alone = fill(new_networks(Shape(("a",), 4, 16, 1, 4), [8]))
        alone.load_state_dict(
            {n: t for n, t in networks.state_dict().items() if ".1.0." not in n}
            | {f"mixing_weights_{kind}": torch.zeros(1) for kind in KINDS}
        )
        torch.testing.assert_close(first, aggregate(alone, "visual", maps[:1]))
    assert (both - first).abs().max() > 0.05


def test_what_is_described_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_mtg.write_mtg(tmp_path)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    described = describe_extractor(SPEC)
    parts = dict(described.parts)
    assert (parts["backbone"], parts["pre"]) == (SPEC.model, f"mtg_{tiny_mtg.SIDE}")
    for changed in (tiny_mtg.DIFFUSION + "/unet/config.json", tiny_mtg.MTG + "/experiment_cfg.yaml"):
        path = tmp_path / changed
        path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        again = describe_extractor(SPEC)
        assert again.digest != described.digest
        described = again
