"""FLUX.1 Kontext as a method: what it declares, what it says is missing, how it calls the pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.benchmarks.base import Loaded
from evalkit.media import decode_image
from evalkit.methods import flux_kontext, published
from evalkit.methods.base import Context, Job, rng_seed
from evalkit.methods.flux_kontext import FLUX_KONTEXT, HUB, reference_size
from evalkit.methods.published import complete
from evalkit.nouns import Profile
from evalkit.sandbox.kontext import assemble
from tests.fakes import tiny_benchmark


@pytest.fixture
def benchmark(tmp_path: Path) -> Loaded:
    return tiny_benchmark(tmp_path / "data", subjects=2, references=2)


def context(benchmark: Loaded, profile: Profile = "sandbox") -> Context:
    return Context(benchmark, profile, benchmark.root / "work")


def jobs(benchmark: Loaded) -> list[Job]:
    return [Job(case, 0, rng_seed("flux_kontext", case.case_id, 0)) for case in benchmark.cases]


def laid_out(folder: Path) -> Path:
    """An empty copy of the published folder's layout."""
    parts = ("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")
    index: dict[str, Any] = {"_class_name": "FluxKontextPipeline", "image_encoder": [None, None]}
    for part in parts:
        (folder / part).mkdir(parents=True)
        index[part] = ["library", "Class"]
        if part in ("transformer", "vae", "text_encoder", "text_encoder_2"):
            (folder / part / "model.safetensors").touch()
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def test_it_declares_what_it_is() -> None:
    info = FLUX_KONTEXT.info
    assert (info.name, info.kind, info.media, info.max_references) == ("flux_kontext", "baseline", ("image",), 1)
    assert info.stochastic
    assert info.rewards == ()
    assert "first" in info.meaning
    assert "Non-Commercial" in info.licence


# --- sandbox --------------------------------------------------------------------------------------------------------------


def test_the_sandbox_needs_nothing_but_the_shipped_weights(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert FLUX_KONTEXT.check(context(benchmark)) == []
    monkeypatch.setattr(assemble.lacking, "__defaults__", (tmp_path,))
    (problem,) = FLUX_KONTEXT.check(context(benchmark))
    assert problem.startswith(f"wanted the small Kontext in {str(tmp_path)!r}, found no transformer, ")


def test_one_picture_a_job_in_any_order(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.sandbox.kontext import sample

    monkeypatch.setattr(sample.sample, "__kwdefaults__", {"steps": 2, "guidance": 2.5})
    forth, back = (
        {made.job.case.case_id: made.pixels for made in FLUX_KONTEXT.make(order, context(benchmark))}
        for order in (jobs(benchmark), jobs(benchmark)[::-1])
    )
    assert set(forth) == {job.case.case_id for job in jobs(benchmark)}
    for case_id, pixels in forth.items():
        assert pixels is not None
        assert pixels.shape == (96, 96, 3)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, np.asarray(back[case_id]))


def test_nothing_is_loaded_for_no_jobs(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "load", lambda: pytest.fail("loaded"))
    monkeypatch.setattr(flux_kontext, "published_pipeline", lambda: pytest.fail("loaded"))
    assert list(FLUX_KONTEXT.make([], context(benchmark))) == []
    assert list(FLUX_KONTEXT.make([], context(benchmark, "paper"))) == []


# --- paper ----------------------------------------------------------------------------------------------------------------


def test_missing_weights_and_device_are_told_in_a_line_each(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "cuda_gib", lambda: 0.0)
    weights, device = FLUX_KONTEXT.check(context(benchmark, "paper"))
    assert weights == (
        "wanted the weights of 'black-forest-labs/FLUX.1-Kontext-dev' (about 34 GB, licence FLUX.1 [dev] Non-Commercial License, "
        "non-commercial use only, gated: accept its terms on the hub and log in first), found none complete in EVALKIT_WEIGHTS "
        "(not set), the hub cache; get them with `hf download black-forest-labs/FLUX.1-Kontext-dev`, or put the files into "
        "$EVALKIT_WEIGHTS/black-forest-labs--FLUX.1-Kontext-dev"
    )
    assert device == (
        "black-forest-labs/FLUX.1-Kontext-dev wants a CUDA device with 28 GiB or more (40 to keep all of it there), found none; "
        "run on such a machine, or use --profile sandbox"
    )


def test_a_small_device_is_told_with_its_memory(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "cuda_gib", lambda: 23.65)
    assert "found one with 23.6 GiB; run" in FLUX_KONTEXT.check(context(benchmark, "paper"))[1]
    monkeypatch.setattr(published, "cuda_gib", lambda: 31.0)
    assert len(FLUX_KONTEXT.check(context(benchmark, "paper"))) == 1


def test_weights_are_found_below_the_named_folder(
    benchmark: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(published, "cuda_gib", lambda: 80.0)
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path))
    folder = tmp_path / HUB.replace("/", "--")
    assert f"found none complete in EVALKIT_WEIGHTS ({folder}), " in FLUX_KONTEXT.check(context(benchmark, "paper"))[0]
    laid_out(folder)
    assert FLUX_KONTEXT.check(context(benchmark, "paper")) == []


@pytest.mark.parametrize("lost", ["tokenizer_2", "transformer/model.safetensors", "model_index.json"])
def test_a_folder_that_lacks_something_is_not_complete(tmp_path: Path, lost: str) -> None:
    folder = laid_out(tmp_path / "model")
    assert complete(folder)
    target = folder / lost
    target.rmdir() if target.is_dir() else target.unlink()
    assert not complete(folder)


def test_weights_in_several_files_are_complete_with_all_of_them(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "model")
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    files = ("model.safetensors", "other.safetensors")
    index.write_text(json.dumps({"weight_map": dict(zip("ab", files, strict=True))}), encoding="utf-8")
    assert not complete(folder)
    (folder / "transformer" / files[1]).touch()
    assert complete(folder)
    index.write_text("{", encoding="utf-8")
    assert not complete(folder)


class _Told:
    """Stands in for the published pipeline and keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **options: Any) -> Any:
        self.calls.append(options)
        return type("Made", (), {"images": [np.full((8, 8, 3), 0.5)]})()


def test_the_published_pipeline_is_called_with_its_defaults(benchmark: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = _Told()
    monkeypatch.setattr(flux_kontext, "published_pipeline", lambda: pipeline)
    asked = jobs(benchmark)
    made = list(FLUX_KONTEXT.make(asked, context(benchmark, "paper")))
    assert [one.job for one in made] == asked
    assert all(one.pixels is not None and one.pixels.dtype == np.uint8 and one.pixels[0, 0, 0] == 128 for one in made)
    call = pipeline.calls[0]
    first = decode_image(benchmark.root / asked[0].case.references[0].path).pixels
    assert call["image"].size == reference_size(first.shape[1], first.shape[0])
    assert (call["height"], call["width"], call["num_inference_steps"], call["guidance_scale"]) == (1024, 1024, 28, 2.5)
    assert call["_auto_resize"] is False
    assert call["generator"].initial_seed() == asked[0].rng_seed
    assert call["prompt"] == asked[0].case.prompt


def test_references_are_scaled_to_the_samples_area() -> None:
    for width, height in ((96, 96), (1600, 900), (300, 4000)):
        wide, high = reference_size(width, height)
        assert wide % 16 == high % 16 == 0
        assert wide * high == pytest.approx(1024**2, rel=0.07)
        assert wide / high == pytest.approx(width / height, rel=0.07)
