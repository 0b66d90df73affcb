"""Wan2.1-VACE as a method: what it declares, what it says is missing, how it loads and calls the pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from evalkit.media import decode_image, write_image
from evalkit.methods import published, wan_vace
from evalkit.methods.base import Context, Job, rng_seed
from evalkit.methods.wan_vace import HUB, PUBLISHED, WAN_VACE, loaded
from evalkit.nouns import Reference
from evalkit.sandbox.kontext.assemble import new_tokenizer
from evalkit.sandbox.vace import assemble, sample
from evalkit.sandbox.vace.vae import fit_clip_vae
from tests.fakes import picture, tiny_benchmark

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.benchmarks.base import Loaded
    from evalkit.nouns import Profile


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    return tiny_benchmark(tmp_path / "data", subjects=2, references=2)


def context(benchmark: Loaded, profile: Profile = "sandbox") -> Context:
    return Context(benchmark, profile, benchmark.root / "work")


def jobs(benchmark: Loaded) -> list[Job]:
    return [
        Job(case.model_copy(update={"medium": "video"}), 0, rng_seed("wan_vace", case.case_id, 0))
        for case in benchmark.cases
    ]


def test_it_declares_what_it_is() -> None:
    info = WAN_VACE.info
    assert (info.name, info.kind, info.media, info.max_references) == ("wan_vace", "baseline", ("video",), None)
    assert (info.licence, info.gated, info.stochastic, info.rewards) == ("Apache-2.0", False, True, ())
    assert "2503.07598" in info.source


def test_nothing_is_loaded_for_no_jobs(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "load", lambda: pytest.fail("loaded"))
    monkeypatch.setattr(wan_vace, "published_pipeline", lambda: pytest.fail("loaded"))
    assert list(WAN_VACE.make([], context(benchmark))) == []
    assert list(WAN_VACE.make([], context(benchmark, "paper"))) == []


# --- sandbox --------------------------------------------------------------------------------------------------------------


def test_the_sandbox_needs_nothing_but_the_shipped_weights(benchmark: Loaded) -> None:
    assert WAN_VACE.check(context(benchmark)) == []


def test_small_weights_that_are_not_there_are_told_in_a_line(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(assemble.lacking, "__defaults__", (tmp_path,))
    (problem,) = WAN_VACE.check(context(benchmark))
    assert problem.startswith(f"wanted the small VACE in {str(tmp_path)!r}, found no transformer, ")


def test_one_clip_a_job_in_any_order(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (6, 9, 96, 96, 3), dtype=np.uint8)
    fresh = assemble.new_pipeline(tmp_path / "fresh", fit_clip_vae(drawn), layers=2, vace_layers=(0,))
    monkeypatch.setattr(assemble, "load", lambda: fresh)
    monkeypatch.setattr(sample.sample, "__kwdefaults__", {"steps": 1, "guidance": 2.0})
    asked = jobs(benchmark)[:3]
    forth, back, alone = (
        {made.job.case.case_id: made for made in WAN_VACE.make(order, context(benchmark))}
        for order in (asked, asked[::-1], asked[1:2])
    )
    assert set(forth) == set(back) == {job.case.case_id for job in asked}
    for case_id, made in forth.items():
        assert made.clip is not None
        assert (made.clip.shape, made.fps) == ((9, 96, 96, 3), 8.0)
        assert made.clip.dtype == np.uint8
        assert np.array_equal(made.clip, np.asarray(back[case_id].clip))
    ((case_id, single),) = alone.items()
    assert np.array_equal(np.asarray(single.clip), np.asarray(forth[case_id].clip))


def test_more_references_than_the_small_model_knows_are_a_reason(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "load", lambda: None)
    job = jobs(benchmark)[0]
    many: tuple[Reference, ...] = job.case.references * 4
    (made,) = WAN_VACE.make(
        [job._replace(case=job.case.model_copy(update={"references": many[:4]}))], context(benchmark)
    )
    assert made.clip is None
    assert made.reason == "the small VACE looks at 3 references at most, found 4"


# --- paper ----------------------------------------------------------------------------------------------------------------


def test_missing_weights_and_device_are_told_in_a_line_each(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALKIT_WEIGHTS", raising=False)
    monkeypatch.setattr(published, "cuda_gib", lambda: 0.0)
    weights, device = WAN_VACE.check(context(benchmark, "paper"))
    assert weights == (
        "wanted the weights of 'Wan-AI/Wan2.1-VACE-1.3B-diffusers' (about 19 GB, licence Apache-2.0), found none complete in "
        "EVALKIT_WEIGHTS (not set), the hub cache; get them with `hf download Wan-AI/Wan2.1-VACE-1.3B-diffusers`, or put the "
        "files into $EVALKIT_WEIGHTS/Wan-AI--Wan2.1-VACE-1.3B-diffusers"
    )
    assert device == (
        "Wan-AI/Wan2.1-VACE-1.3B-diffusers wants a CUDA device with 16 GiB or more (24 to keep all of it there), found none; run "
        "on such a machine, or use --profile sandbox"
    )


class _Told:
    """Stands in for the published pipeline and keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **options: Any) -> Any:
        self.calls.append(options)
        return type("Made", (), {"frames": [np.full((5, 8, 8, 3), 0.5)]})()


def test_the_published_pipeline_is_called_with_its_defaults(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _Told()
    monkeypatch.setattr(wan_vace, "published_pipeline", lambda: pipeline)
    asked = jobs(benchmark)
    made = list(WAN_VACE.make(asked, context(benchmark, "paper")))
    assert [one.job for one in made] == asked
    assert all(one.clip is not None and one.clip.dtype == np.uint8 and one.clip[0, 0, 0, 0] == 128 for one in made)
    assert {one.fps for one in made} == {16.0}
    call = pipeline.calls[0]
    told = ("height", "width", "num_frames", "num_inference_steps", "guidance_scale", "output_type")
    assert tuple(call[name] for name in told) == (480, 832, 81, 50, 5.0, "np")
    assert call["prompt"] == asked[0].case.prompt
    assert call["generator"].initial_seed() == asked[0].rng_seed
    shown = [decode_image(benchmark.root / one.path).pixels for one in asked[0].case.references]
    assert len(shown) == 2
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(call["reference_images"], shown, strict=True))


def tiny_published(folder: Path) -> Path:
    """The published layout with random weights of every published class, a few kilobytes large."""
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACEPipeline, WanVACETransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    tokenizer = new_tokenizer(folder / "tokenizer")
    text = UMT5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, is_encoder_decoder=False
    )
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=2, vace_layers=[0],
        rope_max_seq_len=32,
    )  # fmt: skip
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    WanVACEPipeline(
        tokenizer=tokenizer, text_encoder=UMT5EncoderModel(text), vae=vae, transformer=transformer,
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
    ).to(torch.bfloat16).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_folder_of_the_published_layout_is_loaded_and_makes_clips(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(published, "cuda_gib", lambda: 80.0)
    tiny_published(tmp_path / HUB.replace("/", "--"))
    assert WAN_VACE.check(context(benchmark, "paper")) == []
    pipeline = loaded(PUBLISHED.need())
    assert type(pipeline).__name__ == "WanVACEPipeline"
    assert (pipeline.transformer.dtype, pipeline.text_encoder.dtype) == (torch.bfloat16, torch.bfloat16)
    assert pipeline.vae.dtype == torch.float32
    assert (pipeline.scheduler.config.flow_shift, pipeline.scheduler.config.use_flow_sigmas) == (3.0, True)
    monkeypatch.setattr(wan_vace, "published_pipeline", lambda: pipeline)
    for name, value in {"HEIGHT": 16, "WIDTH": 32, "FRAMES": 5, "STEPS": 1}.items():
        monkeypatch.setattr(wan_vace, name, value)
    asked = jobs(benchmark)[:1]
    for number, reference in enumerate(asked[0].case.references):
        write_image(benchmark.root / reference.path, picture(number, height=40, width=24))
    (made,) = WAN_VACE.make(asked, context(benchmark, "paper"))
    assert made.clip is not None
    assert made.clip.shape == (5, 16, 32, 3)
    assert made.clip.dtype == np.uint8
