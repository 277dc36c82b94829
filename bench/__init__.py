"""Reproducible measurements; they print figures and ratios and fail only on wrong answers."""
