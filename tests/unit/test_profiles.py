from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.features.profiles import MINIMUM_CUDA_GIB, Resolved, choose_profile, resolve_spec
from evalkit.features.spec import ExtractorSpec
from evalkit.registry import METRICS, load, names

if TYPE_CHECKING:
    from collections.abc import Callable

CLIP = ExtractorSpec(
    family="clip", model="openai/clip-vit-base-patch32", preprocess="clip_hf", text="hf_pad", revision="a"
)
ARC = ExtractorSpec(family="arcface", model="acme/arcface", preprocess="faces")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with that much CUDA memory, those weights, and perhaps a driver without a device."""

    def set_up(*, driver: bool = True, device: bool = True, gib: float = 24.0, weights: tuple[str, ...] = ()) -> None:
        cuda = SimpleNamespace(
            is_available=lambda: device,
            get_device_properties=lambda _index: SimpleNamespace(total_memory=int(gib * 2**30)),
        )
        monkeypatch.setattr("shutil.which", lambda _name: "/bin/nvidia-smi" if driver else None)
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
        found: Any = lambda model: object() if model in weights else None  # noqa: E731
        monkeypatch.setattr("evalkit.features.weights.weights_at_hand", found)

    return set_up


def test_the_paper_profile_changes_nothing() -> None:
    assert resolve_spec(CLIP, "paper") == CLIP


def test_the_sandbox_has_one_model_for_a_family() -> None:
    found = resolve_spec(CLIP, "sandbox")
    assert found == CLIP.model_copy(update={"model": "sandbox:clip", "revision": None})
    open_clip = CLIP.model_copy(update={"family": "open_clip", "model": "laion/x"})
    assert resolve_spec(open_clip, "sandbox").family == "clip"
    assert resolve_spec(open_clip, "sandbox").model == "sandbox:clip"


def test_a_family_without_an_embedded_model_keeps_its_own() -> None:
    assert resolve_spec(ARC, "sandbox") == ARC


UNEMBEDDED = {
    "aesthetic", "clip_t5", "derived", "facenet", "farneback", "given_mask", "gme", "hps",
    "image_reward", "insightface", "judge", "q_align", "qwen_vqa", "words", "yolo_world",
}  # fmt: skip
"""Families that the sandbox has no model of: its pictures show no people, nobody was asked which of them they prefer, a
judge is the user's to name, and so are masks; models of many thousand millions of weights have no small likeness.
What has no weights (`derived`, `farneback`, `words`) is itself."""


def test_every_first_party_metric_has_an_embedded_model_or_is_known_to_have_none() -> None:
    cards = [variant for name in names(METRICS) for variant in load(METRICS, name).card.variants.values()]
    specs = {spec for card in cards for spec in (card.extractor, *card.beside.values())}
    own = {spec.family for spec in specs if not resolve_spec(spec, "sandbox").model.startswith("sandbox:")}
    assert own == UNEMBEDDED


FETCH = "--fetch downloads what can be downloaded"


@pytest.mark.parametrize("choice", ["paper", "sandbox"])
def test_what_is_asked_for_is_taken(choice: Any) -> None:
    assert choose_profile(choice, [CLIP]) == Resolved(choice, "asked for")


def test_auto_without_a_driver(machine: Callable[..., None]) -> None:
    machine(driver=False)
    assert choose_profile("auto", [CLIP]) == Resolved("sandbox", "no CUDA device on this machine")


def test_auto_without_a_device(machine: Callable[..., None]) -> None:
    machine(device=False)
    wanted = Resolved("sandbox", "an NVIDIA driver is there, but torch finds no CUDA device")
    assert choose_profile("auto", [CLIP]) == wanted


def test_auto_on_a_small_device(machine: Callable[..., None]) -> None:
    machine(gib=MINIMUM_CUDA_GIB - 1, weights=(CLIP.model,))
    assert choose_profile("auto", [CLIP]) == Resolved("sandbox", "the CUDA device has 5.0 GiB, wanted 6 or more")


def test_auto_on_a_device_too_small_for_one_of_the_backbones(machine: Callable[..., None]) -> None:
    mtg = ExtractorSpec(family="mtg", model="abdo-eldesokey/mind-the-glitch", preprocess="mtg")
    machine(gib=8.0, weights=(CLIP.model, mtg.model))
    told = "the CUDA device has 8.0 GiB, wanted 12 or more"
    assert choose_profile("auto", (spec for spec in (CLIP, mtg))) == Resolved("sandbox", told)
    assert choose_profile("auto", [CLIP]).profile == "paper"


def test_auto_without_weights(machine: Callable[..., None]) -> None:
    machine(weights=("acme/arcface",))
    wanted = Resolved("sandbox", f"weights not on this machine: openai/clip-vit-base-patch32; {FETCH}")
    assert choose_profile("auto", [ARC, CLIP, CLIP]) == wanted


def test_auto_may_not_rely_on_what_cannot_be_fetched(machine: Callable[..., None]) -> None:
    machine(weights=(CLIP.model,))
    dreamsim = ExtractorSpec(family="dreamsim", model="dreamsim/ensemble", preprocess="dreamsim")
    wanted = "weights not on this machine: dreamsim/ensemble; `evalkit doctor` says how to get them"
    assert choose_profile("auto", [CLIP, dreamsim], fetch=True) == Resolved("sandbox", wanted)


def test_auto_with_everything(machine: Callable[..., None]) -> None:
    machine(weights=(CLIP.model,))
    assert choose_profile("auto", [CLIP]) == Resolved("paper", "CUDA with 24 GiB and all weights at hand")


def test_auto_that_may_fetch(machine: Callable[..., None]) -> None:
    machine()
    assert choose_profile("auto", [CLIP], fetch=True) == Resolved(
        "paper", "CUDA with 24 GiB and all weights to be fetched"
    )
