"""LPIPS v0.1: the distance of two pictures over a trunk's layers, weighted by heads fitted to human judgements.

Source: richzhang/PerceptualSimilarity `lpips/lpips.py` (package 0.1.4), spatial average. The heads come from that
package, the trunk from torchvision. Deviation: `sandbox:lpips` has no heads, because none are fitted to human
judgements of its pictures; there every channel counts 1, which is the package's own baseline (`lpips=False`).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import WeightsError
from evalkit.features.base import Backbone, Fingerprint, fingerprint, read_no_text
from evalkit.features.model_input import IMAGENET_224
from evalkit.features.preprocess import preprocess
from evalkit.features.weight_files import other_model, read_state, sha256_of
from evalkit.features.weights import SANDBOX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from evalkit.features.base import Array
    from evalkit.features.spec import ExtractorSpec
    from evalkit.features.weights import WeightsSource

PREPROCESSES = ("lpips_96", "lpips_256", "lpips_512")
CODE_VERSION = 1
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPS = 1e-10


class Trunk(NamedTuple):
    """A torchvision feature stack: its builder, and the layers whose outputs are compared."""

    builder: str
    taps: tuple[int, ...]


TRUNKS = {
    "alex": Trunk("alexnet", (1, 4, 7, 9, 11)),
    "vgg": Trunk("vgg16", (3, 8, 15, 22, 29)),
    "squeeze": Trunk("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12)),
}


def describe(spec: ExtractorSpec, weights: WeightsSource) -> Fingerprint:
    """What `load` would give distances of, without loading. Raises UsageError on a preprocessing it has none of."""
    read_no_text(spec)
    pre = preprocess(spec.preprocess, IMAGENET_224, among=PREPROCESSES)
    heads = "none" if _headless(weights) else sha256_of([_heads_file(name) for name in TRUNKS])
    return fingerprint(spec, weights, pre, code_version=CODE_VERSION, also=[f"heads {heads}"])


def load(spec: ExtractorSpec, weights: WeightsSource, *, device: str) -> Lpips:
    """The trunk with its heads on `device`. Raises WeightsError where the trunk is none of LPIPS's."""
    return Lpips(spec, describe(spec, weights), weights, device=device)


class Lpips(Backbone):
    """`distance` [B] of picture pairs: 0 for equal pictures, no upper bound that the heads keep."""

    def __init__(self, spec: ExtractorSpec, described: Fingerprint, weights: WeightsSource, *, device: str) -> None:
        import torch

        super().__init__(spec, described, device=device)
        name, features = _read_trunk(weights)
        self._taps, self._features = TRUNKS[name].taps, self._placed(features)
        self._heads = None if _headless(weights) else [self._placed(head) for head in _heads(name)]
        self._shift, self._scale = (self._placed(torch.tensor(v).reshape(1, 3, 1, 1)) for v in (SHIFT, SCALE))

    def encode_pairs(self, first: Array, second: Array) -> dict[str, Array]:
        """Prepared pictures [B, 3, h, w] in [-1, 1], twice, to `distance` [B]."""
        return self._run(self._distance, first, second)

    def _distance(self, first: torch.Tensor, second: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        layers = []
        for i, (a, b) in enumerate(zip(self._layers(first), self._layers(second), strict=True)):
            squares = (a - b).square()
            weighed = squares if self._heads is None else squares * self._heads[i]
            layers.append(weighed.sum(1).mean((1, 2)))
        return {"distance": torch.stack(layers).sum(0)}

    def _layers(self, pictures: torch.Tensor) -> Iterator[torch.Tensor]:
        """Each compared layer [B, C, h, w], of length 1 over its channels."""
        x = (pictures - self._shift) / self._scale
        for i, layer in enumerate(self._features):
            x = layer(x)
            if i in self._taps:
                yield x / (x.square().sum(1, keepdim=True).sqrt() + EPS)


def _read_trunk(weights: WeightsSource) -> tuple[str, Any]:
    import torch
    import torchvision

    from evalkit.features.building import load_strictly

    state = {
        n.removeprefix("features."): t for n, t in read_state(weights.files).items() if not n.startswith("classifier.")
    }
    name = _trunk_of(state, weights.folder)
    with torch.device("meta"):
        features = getattr(torchvision.models, TRUNKS[name].builder)(weights=None).features
    load_strictly(features, state, where=weights.folder)
    return name, features[: TRUNKS[name].taps[-1] + 1]


def _trunk_of(state: dict[str, torch.Tensor], where: Path) -> str:
    """Which trunk the names and shapes are of."""
    first = tuple(state["0.weight"].shape) if "0.weight" in state else ()
    if "3.squeeze.weight" in state:
        return "squeeze"
    by_first: dict[tuple[int, ...], str] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
    trunk = by_first.get(first)
    if trunk is None:
        raise other_model(where, f"a trunk of LPIPS ({', '.join(TRUNKS)})", f"features.0.weight of shape {list(first)}")
    return trunk


def _headless(weights: WeightsSource) -> bool:
    return weights.model.startswith(SANDBOX)


def _heads(name: str) -> list[torch.Tensor]:
    """One weight a channel [1, C, 1, 1] for each layer that is compared."""
    state = read_state([_heads_file(name)])
    return [state[f"lin{i}.model.1.weight"] for i in range(len(TRUNKS[name].taps))]


def _heads_file(name: str) -> Path:
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise WeightsError(f"wanted the {name!r} heads of LPIPS, found no package lpips; `pip install lpips==0.1.4`")
    return Path(package.origin).parent / "weights" / "v0.1" / f"{name}.pth"
