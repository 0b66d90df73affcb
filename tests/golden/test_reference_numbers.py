"""nSSM, VSM, the flow transition and character BLEU against numbers of the authors' own code.

A few cases of each are beside this file; all of them are held where the reference files are beside the checkout.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from evalkit.metrics.nssm import nssm
from evalkit.metrics.text import char_bleu
from evalkit.metrics.vsm import vsm
from evalkit.rl.flow import sde_step

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str], tuple[list[dict[str, Any]], Any]]

HERE = Path(__file__).resolve().parent
EVERY = Path(__file__).resolve().parents[3] / "shared" / "golden"


@pytest.fixture(params=[HERE, EVERY], ids=["some", "every"])
def read(request: pytest.FixtureRequest) -> Read:
    folder: Path = request.param
    if not folder.is_dir():
        pytest.skip("the reference numbers are not beside this checkout")

    def read(name: str) -> tuple[list[dict[str, Any]], Any]:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), np.load(folder / f"{name}.npz")

    return read


def test_nssm_is_the_official_one_at_every_resolution_batched_and_one_by_one(read: Read) -> None:
    cases, arrays = read("nssm_official")

    def stack(name: str, *shape: int) -> torch.Tensor:
        return torch.stack([torch.tensor(arrays[f"{name}_{case['i']}"]).view(*shape) for case in cases])

    gen, ref, mask = stack("gen", 48, 48, -1), stack("ref", 48, 48, -1), stack("mask", 768, 768)
    for resolution in (48, 32, 24):
        wanted = torch.tensor([case["official"][str(resolution)] for case in cases])
        batched = nssm(gen, ref, mask, resolution=resolution, variant="official")
        torch.testing.assert_close(batched, wanted.float(), atol=2e-5, rtol=0)
        single = [
            nssm(g[None], r[None], m[None], resolution=resolution, variant="official")
            for g, r, m in zip(gen, ref, mask, strict=True)
        ]
        torch.testing.assert_close(torch.cat(single), batched, atol=1e-6, rtol=0)


@pytest.mark.parametrize("semantic", ["0.6", "0.7"])
@pytest.mark.parametrize("visual", ["0.5", "0.6", "0.7"])
def test_vsm_is_the_official_one_batched_and_one_by_one(read: Read, semantic: str, visual: str) -> None:
    cases, arrays = read("vsm_official")
    names = ("sem_gen", "sem_ref", "vis_gen", "vis_ref", "mask_gen", "mask_ref")
    features = [torch.stack([torch.tensor(arrays[f"{name}_{case['k']}"]) for case in cases]) for name in names]
    measure = partial(vsm, semantic_threshold=float(semantic), visual_threshold=float(visual))
    wanted = [case["expected"][semantic] for case in cases]
    values = torch.tensor([math.nan if w["vsm"][visual] is None else w["vsm"][visual] for w in wanted])
    batched = measure(*features)
    assert batched.survivors.tolist() == [w["survivors"] for w in wanted]
    torch.testing.assert_close(batched.score, values, atol=1e-6, rtol=0, equal_nan=True)
    single = [measure(*(tensor[i : i + 1] for tensor in features)) for i in range(len(cases))]
    assert [one.survivors.item() for one in single] == batched.survivors.tolist()
    torch.testing.assert_close(torch.cat([one.score for one in single]), values, atol=1e-6, rtol=0, equal_nan=True)


def test_a_given_transition_has_the_official_log_probability_batched_and_one_by_one(read: Read) -> None:
    cases, arrays = read("flow_sde_official")
    for case in cases:
        x, v, after, mean = (torch.tensor(arrays[f"{name}_{case['k']}"]) for name in ("x", "v", "next", "mean"))
        sigmas, step = case["sigmas"], case["step"]
        assert len(x) == len(case["log_prob"]) > 1
        for rows in (slice(None), slice(0, 1), slice(1, None)):
            found = sde_step(
                x[rows],
                v[rows],
                sigmas[step],
                sigmas[step + 1],
                sigma_max=sigmas[1],
                noise_level=case["noise_level"],
                next_state=after[rows],
            )
            torch.testing.assert_close(found.log_prob, torch.tensor(case["log_prob"])[rows], rtol=1e-5, atol=0)
            torch.testing.assert_close(found.mean, mean[rows], rtol=1e-5, atol=1e-6)
            assert found.std.item() == pytest.approx(case["std_dev"][0], rel=1e-5)


@pytest.mark.parametrize("folder", [HERE, EVERY], ids=["some", "every"])
def test_character_bleu_is_nltks(folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip("the reference numbers are not beside this checkout")
    cases = json.loads((folder / "unictokens_bleu_official.json").read_text(encoding="utf-8"))
    assert len(cases) >= 10
    for case in cases:
        assert char_bleu(case["reference"], case["candidate"]) == pytest.approx(case["bleu"], abs=1e-9), case
