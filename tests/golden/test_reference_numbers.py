"""nSSM, VSM and the flow transition against numbers of the authors' own code, where the reference files are at hand.

A few cases by hand, which need no files, are beside each function's other tests.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evalkit.metrics.nssm import nssm
from evalkit.metrics.vsm import vsm
from evalkit.rl.flow import sde_step

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference numbers are not beside this checkout")


def read(name: str) -> tuple[list[dict[str, Any]], Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text()), np.load(GOLDEN / f"{name}.npz")


def test_nssm_is_the_official_one_at_every_resolution_batched_and_one_by_one() -> None:
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


def test_vsm_is_the_official_one_at_every_threshold() -> None:
    cases, arrays = read("vsm_official")
    names = ("sem_gen", "sem_ref", "vis_gen", "vis_ref", "mask_gen", "mask_ref")
    features = [torch.stack([torch.tensor(arrays[f"{name}_{case['k']}"]) for case in cases]) for name in names]
    for semantic in ("0.6", "0.7"):
        for visual in ("0.5", "0.6", "0.7"):
            found = vsm(*features, semantic_threshold=float(semantic), visual_threshold=float(visual))
            wanted = [case["expected"][semantic] for case in cases]
            assert found.survivors.tolist() == [w["survivors"] for w in wanted]
            values = [math.nan if w["vsm"][visual] is None else w["vsm"][visual] for w in wanted]
            torch.testing.assert_close(found.score, torch.tensor(values), atol=1e-6, rtol=0, equal_nan=True)


def test_a_given_transition_has_the_official_log_probability() -> None:
    cases, arrays = read("flow_sde_official")
    for case in cases:
        x, v, after, mean = (torch.tensor(arrays[f"{name}_{case['k']}"]) for name in ("x", "v", "next", "mean"))
        sigmas, step = case["sigmas"], case["step"]
        found = sde_step(
            x, v, sigmas[step], sigmas[step + 1], sigma_max=sigmas[1], noise_level=case["noise_level"], next_state=after
        )
        torch.testing.assert_close(found.log_prob, torch.tensor(case["log_prob"]), rtol=1e-5, atol=0)
        torch.testing.assert_close(found.mean, mean, rtol=1e-5, atol=1e-6)
        assert found.std.item() == pytest.approx(case["std_dev"][0], rel=1e-5)
