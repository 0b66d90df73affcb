"""Drawn faces that MTCNN's published weights take for faces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
PALE, DARK = (224, 180, 150), (150, 105, 80)


class Face(NamedTuple):
    """Where a face is: its middle and about half its width, in pixels, and its skin."""

    x: float
    y: float
    r: float
    skin: Colour = PALE


def picture(
    width: int, height: int, *faces: Face, seed: int = 0
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Pixels [H, W, 3]: the faces before blurred noise."""
    noise = np.random.default_rng(seed).integers(90, 150, (height, width, 3)).astype(np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3))
    canvas = ImageDraw.Draw(image)
    for face in faces:
        _draw(canvas, face)
    return np.array(image.filter(ImageFilter.GaussianBlur(1.2)))


def _draw(canvas: ImageDraw.ImageDraw, face: Face) -> None:
    def oval(x: float, y: float, w: float, h: float, fill: Colour) -> None:
        """Around (x, y), in units of the face's half width."""
        middle_x, middle_y = face.x + x * face.r, face.y + y * face.r
        canvas.ellipse(
            (middle_x - w * face.r, middle_y - h * face.r, middle_x + w * face.r, middle_y + h * face.r), fill
        )

    shade = tuple(int(c * 0.7) for c in face.skin)
    assert len(shade) == 3
    oval(0, -0.15, 1.1, 1.35, (50, 35, 25))
    oval(0, 0.03, 0.85, 1.17, face.skin)
    for side in (-0.36, 0.36):
        oval(side, -0.2, 0.22, 0.11, (240, 240, 240))
        oval(side, -0.2, 0.1, 0.11, (40, 25, 20))
        oval(side, -0.37, 0.26, 0.06, (60, 40, 30))
        oval(side * 0.28, 0.27, 0.06, 0.05, shade)
    oval(0, 0.1, 0.1, 0.22, (int(face.skin[0] * 0.88), int(face.skin[1] * 0.88), int(face.skin[2] * 0.88)))
    oval(0, 0.65, 0.34, 0.11, (170, 70, 70))
