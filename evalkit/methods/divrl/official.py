"""DivRL through its authors' own code; the recipe beside this file says all there is to say about it."""

from __future__ import annotations

from pathlib import Path

from evalkit.methods.find import recipe_method

DIVRL_OFFICIAL = recipe_method(Path(__file__).with_name("official.yaml"))
