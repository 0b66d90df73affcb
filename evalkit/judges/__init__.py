"""Judges: language and vision-language models that are asked to rate samples, behind one interface."""
