"""Draws docs/output.png, the README's picture: what `make demo` prints, above some of the world's pictures.

    python docs/write_picture.py RUN [RUN ...]

The runs are read as they are; nothing in the picture is typed in. The font is Pillow's own, in fixed columns.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from evalkit.cli.output import number
from evalkit.engine.result import Result, read_result
from evalkit.runs.folder import RunFolder

TARGET = Path(__file__).with_name("output.png")
INK, PAPER, QUIET = (32, 36, 44), (251, 250, 247), (120, 124, 132)
TILE, GAP, LINE, MARGIN = 132, 8, 30, 28
PICTURES = 8


def table(results: list[Result]) -> list[list[str]]:
    """A header and one row a metric: values of each run, and the coverage they share."""
    labels = list(results[0].scores)
    rows = [["", *(result.method for result in results), "coverage"]]
    for label in labels:
        cells = [result.scores[label] for result in results]
        values = [number(cell.value, results[0].scales[label]) for cell in cells]
        rows.append([label, *values, f"{cells[0].n_scored}/{cells[0].n_cases}"])
    return rows


def strip(run: Path, count: int) -> list[Image.Image]:
    """Samples of a run, spread over its cases."""
    folder = RunFolder.read(run)
    samples = [folder.samples.latest()[case.case_id, 0] for case in folder.requested]
    chosen = [samples[(2 * i + 1) * len(samples) // (2 * count)] for i in range(count)]
    return [Image.open(folder.media_folder / str(sample.path)).convert("RGB") for sample in chosen]


def main() -> None:
    """Reads the runs named on the command line and writes the picture."""
    runs = [Path(word) for word in sys.argv[1:]]
    results = [read_result(run) for run in runs]
    rows = table(results)
    width = 2 * MARGIN + PICTURES * (TILE + GAP) - GAP
    height = 2 * MARGIN + (len(rows) + 2) * LINE + len(runs) * (TILE + GAP + LINE)
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(20), ImageFont.load_default(16)
    told = f"{results[0].benchmark}/{results[0].protocol}, profile {results[0].profile}"
    draw.text((MARGIN, MARGIN), f"{told}: small embedded models, sandbox numbers", QUIET, small)
    columns = [
        MARGIN,
        *(MARGIN + 400 + i * (width - 2 * MARGIN - 400) // len(results) for i in range(len(results) + 1)),
    ]
    for index, row in enumerate(rows):
        y = MARGIN + (index + 1) * LINE
        draw.text((columns[0], y), row[0], INK, font)
        for x, cell in zip(columns[1:], row[1:], strict=True):
            draw.text((x, y), cell, INK if index else QUIET, font if index else small, anchor="ra")
    y = MARGIN + (len(rows) + 2) * LINE
    for run, result in zip(runs, results, strict=True):
        draw.text((MARGIN, y), result.method, QUIET, small)
        for index, tile in enumerate(strip(run, PICTURES)):
            picture.paste(
                tile.resize((TILE, TILE), Image.Resampling.LANCZOS), (MARGIN + index * (TILE + GAP), y + LINE - 6)
            )
        y += TILE + GAP + LINE
    picture.quantize(128).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
