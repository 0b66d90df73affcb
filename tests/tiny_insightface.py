"""Small ONNX graphs with the inputs and outputs of insightface's detector and of the face recognisers.

The detector answers by colour: a place whose mean is pure red is a face around it, with landmarks at fixed offsets. The
recognisers are one linear layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PACK, CURRICULAR = "insightface--buffalo_l", "curricularface--ir101_glint360k"
STRIDES = (8, 16, 32)
EDGES = {8: (1.5, 2.0, 1.75, 2.25), 16: (1.25, 1.5, 1.0, 1.75), 32: (0.75, 1.0, 0.5, 1.25)}
"""How far left, top, right and bottom of a face are from its place, in strides."""
MARKS = ((-0.6, -0.5), (0.7, -0.6), (0.1, 0.2), (-0.5, 0.9), (0.6, 0.8))
"""Landmarks from a face's place, in strides."""
WIDTH = 512


def write_insightface(root: Path) -> None:
    """The pack and CurricularFace below `root`, under the names by which EVALKIT_WEIGHTS finds them."""
    for name in (PACK, CURRICULAR):
        (root / name).mkdir(parents=True)
    write_detector(root / PACK / "det_10g.onnx")
    write_recogniser(root / PACK / "w600k_r50.onnx", seed=1)
    write_recogniser(root / CURRICULAR / "curricularface.onnx", seed=2)


def write_detector(path: Path) -> None:
    """Scores, boxes and landmarks of three strides in turn, each place with two anchors, the second never a face."""
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    constants: list[Any] = []
    outputs: list[list[str]] = [[], [], []]

    def constant(name: str, values: NDArray[Any]) -> str:
        kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
        constants.append(helper.make_tensor(name, kind, values.shape, values.flatten().tolist()))
        return name

    for stride in STRIDES:
        s, places = str(stride), (320 // stride) ** 2
        mean = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        redness = constant(f"red{s}", np.array([[1.0, -1.0, -1.0]], np.float32).reshape(1, 3, 1, 1))
        nodes += [
            helper.make_node("AveragePool", ["input.1"], [f"mean{s}"], **mean),
            helper.make_node("Conv", [f"mean{s}", redness], [f"score{s}"]),
            helper.make_node("Sub", [f"score{s}", constant(f"least{s}", np.array(2.2, np.float32))], [f"above{s}"]),
            helper.make_node("Sigmoid", [f"above{s}"], [f"chance{s}"]),
            helper.make_node("Reshape", [f"chance{s}", constant(f"flat{s}", np.array([places, 1]))], [f"one{s}"]),
            helper.make_node("Mul", [f"one{s}", constant(f"zero{s}", np.zeros(1, np.float32))], [f"none{s}"]),
            helper.make_node("Concat", [f"one{s}", f"none{s}"], [f"both{s}"], axis=1),
            helper.make_node("Reshape", [f"both{s}", constant(f"rows{s}", np.array([2 * places, 1]))], [f"scores{s}"]),
        ]
        told = {"boxes": EDGES[stride], "marks": np.array(MARKS).flatten()}
        for values, names in zip(told.values(), outputs[1:], strict=True):
            name = f"{'boxes' if names is outputs[1] else 'marks'}{s}"
            rows = np.tile(np.asarray(values, np.float32), (2 * places, 1))
            nodes.append(helper.make_node("Identity", [constant(f"{name}c", rows)], [name]))
            names.append(name)
        outputs[0].append(f"scores{s}")
    shapes = {
        name: [2 * (320 // stride) ** 2, width]
        for names, width in zip(outputs, (1, 4, 10), strict=True)
        for name, stride in zip(names, STRIDES, strict=True)
    }
    _save(path, nodes, constants, "input.1", [1, 3, 320, 320], shapes)


def weights(seed: int) -> NDArray[np.float32]:
    """[3 * 112 * 112 / 16**2, 512] of a recogniser."""
    return np.random.default_rng(seed).normal(size=(147, WIDTH)).astype(np.float32)


def embedding(face: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Of a face [112, 112, 3] what the recogniser of that seed says, at length 1."""
    centred = (face.astype(np.float64).transpose(2, 0, 1) - 127.5) / 127.5
    means = centred.reshape(3, 7, 16, 7, 16).mean((2, 4)).reshape(-1)
    told = means @ weights(seed)
    return np.asarray(told / np.linalg.norm(told))


def write_recogniser(path: Path, *, seed: int) -> None:
    """Faces [N, 3, 112, 112] to [N, 512]: a linear layer on the means of 16 x 16 pixels."""
    from onnx import TensorProto, helper

    pool = {"kernel_shape": [16, 16], "strides": [16, 16]}
    matrix = weights(seed)
    constants = [helper.make_tensor("w", TensorProto.FLOAT, matrix.shape, matrix.flatten().tolist())]
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["means"], **pool),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["683"]),
    ]
    _save(path, nodes, constants, "input.1", [None, 3, 112, 112], {"683": [None, WIDTH]})


def _save(
    path: Path,
    nodes: list[Any],
    constants: list[Any],
    name: str,
    shape: list[int | None],
    outputs: dict[str, list[Any]],
) -> None:
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    told = [helper.make_tensor_value_info(key, TensorProto.FLOAT, one) for key, one in outputs.items()]
    graph = helper.make_graph(nodes, "tiny", [given], told, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
