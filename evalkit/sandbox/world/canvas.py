"""A float canvas and the few drawing operations that the backdrops are made of. Coordinates are 0..1, y down."""

from __future__ import annotations

from typing import Self

import numpy as np

from evalkit.sandbox.world.solids import F32

Colour = tuple[int, int, int]


class Canvas:
    """RGB in 0..1, [size, size, 3]; a seeded generator for detail. Methods return the canvas, so that calls chain."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        self.x, self.y = line[None, :], line[:, None]
        self.pixels = np.zeros((size, size, 3), np.float32)
        self.cover = np.zeros((size, size), np.float32)

    def blend(self, alpha: F32, colour: Colour | F32) -> Self:
        """Lay a colour over the canvas with coverage `alpha` [size, size]."""
        rgb = np.asarray(colour, np.float32) / np.float32(255) if isinstance(colour, tuple) else colour
        alpha = np.broadcast_to(alpha, self.cover.shape)
        self.pixels += alpha[:, :, None] * (rgb - self.pixels)
        self.cover += alpha * (1 - self.cover)
        return self

    def soft(self, distance: F32, blur: float = 1.0) -> F32:
        """Coverage of the region where `distance` (in picture units) is positive, softened over `blur` pixels."""
        coverage: F32 = np.clip(distance * np.float32(self.size / blur) + np.float32(0.5), 0, 1)
        return coverage

    def fade(self, top: Colour, bottom: Colour, y0: float = 0.0, y1: float = 1.0, gamma: float = 1.0) -> Self:
        """A vertical gradient over y0..y1; its last colour goes on to the bottom."""
        t = (np.clip((self.y - y0) / (y1 - y0), 0, 1) ** np.float32(gamma))[:, :, None]
        a, b = (np.asarray(c, np.float32) / np.float32(255) for c in (top, bottom))
        band = self.soft(self.y - np.float32(y0 - 0.5 / self.size))
        return self.blend(band + 0 * self.x, np.broadcast_to(a + t * (b - a), self.pixels.shape))

    def ridge(self, base: float, height: float, waves: float, colour: Colour, *, sharp: bool = False) -> Self:
        """A skyline of hills (or sharp peaks) above `base`, filled to the bottom."""
        line = np.zeros_like(self.x)
        for octave in range(3):
            phase, rate = self.rng.uniform(0, 6.28), waves * 2**octave * self.rng.uniform(0.85, 1.15)
            t = self.x * np.float32(rate * 6.2832) + np.float32(phase)
            wave = np.abs((t / np.float32(6.2832)) % 1 - np.float32(0.5)) * 4 - 1 if sharp else np.sin(t)
            line = line + wave / np.float32(2**octave)
        return self.blend(
            self.soft(self.y - np.float32(base) + (line * np.float32(0.5) + np.float32(0.5)) * np.float32(height)),
            colour,
        )

    def disc(
        self,
        x: float,
        y: float,
        r: float,
        colour: Colour,
        *,
        squash: float = 1.0,
        alpha: float = 1.0,
        blur: float = 1.0,
    ) -> Self:
        """An ellipse of half width r and half height r * squash."""
        d = np.sqrt((self.x - np.float32(x)) ** 2 + ((self.y - np.float32(y)) / np.float32(squash)) ** 2)
        return self.blend(self.soft(np.float32(r) - d, blur) * np.float32(alpha), colour)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, alpha: float = 1.0) -> Self:
        """An axis-aligned rectangle."""
        across = np.minimum(self.x - np.float32(x0), np.float32(x1) - self.x)
        down = np.minimum(self.y - np.float32(y0), np.float32(y1) - self.y)
        return self.blend(self.soft(np.minimum(across, down)) * np.float32(alpha), colour)

    def wedge(self, x: float, tip: float, base: float, half: float, colour: Colour) -> Self:
        """An upright triangle with its tip at (x, tip) and a base of half width `half` at y = base."""
        slope = np.float32(half / (base - tip))
        side = (self.y - np.float32(tip)) * slope - np.abs(self.x - np.float32(x))
        return self.blend(self.soft(np.minimum(side, np.float32(base) - self.y)), colour)

    def grain(self, y0: float, strength: float, cells: int = 24, stretch: float = 2.0) -> Self:
        """Brightness noise below y0, its cells wider than high, as ground seen at a slant."""
        rows = self.rng.uniform(-1, 1, (int(cells * stretch) + 2, cells + 2)).astype(np.float32)
        v = np.clip(self.y[:, 0], 0, 0.999) * np.float32(cells * stretch)
        u = self.x[0] * np.float32(cells * 0.999)
        i, j = v.astype(int), u.astype(int)
        fv, fu = (v - i)[:, None], (u - j)[None, :]
        top = rows[np.ix_(i, j)] * (1 - fu) + rows[np.ix_(i, j + 1)] * fu
        low = rows[np.ix_(i + 1, j)] * (1 - fu) + rows[np.ix_(i + 1, j + 1)] * fu
        noise = (top * (1 - fv) + low * fv) * self.soft(self.y - np.float32(y0))
        self.pixels *= 1 + np.float32(strength) * noise[:, :, None]
        return self

    def scatter(self, count: int, y0: float, y1: float, r: float, colours: tuple[Colour, ...], *, squash: float = 1.0,
                grow: float = 0.0) -> Self:  # fmt: skip
        """`count` small ellipses between y0 and y1; `grow` makes the lower ones larger."""
        for _ in range(count):
            y = float(self.rng.uniform(y0, y1))
            size = r * (0.7 + 0.6 * float(self.rng.uniform())) * (1 + grow * (y - y0) / (y1 - y0))
            colour = colours[int(self.rng.integers(len(colours)))]
            self.disc(float(self.rng.uniform(0, 1)), y, size, colour, squash=squash)
        return self
