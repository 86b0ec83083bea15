"""Argument checks that the losses share."""

from __future__ import annotations

from typing import Any

from bod_keras.errors import UserError


def check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise UserError(f"temperature must be positive (0.1 is usual). Received: {temperature}")


def check_sinkhorn(epsilon: float, iterations: int) -> None:
    if not epsilon > 0:
        raise UserError(f"epsilon must be positive (0.05 is usual). Received: {epsilon}")
    if not isinstance(iterations, int) or iterations < 1:
        raise UserError(
            f"iterations must be an integer from 1 (3 is usual). Received: {iterations}"
        )


def check_views(name: str, view_a: Any, view_b: Any) -> None:
    """Two views (B, D) of the same videos."""
    if len(view_a.shape) != 2 or tuple(view_a.shape) != tuple(view_b.shape):
        raise UserError(
            f"{name} expects two views of equal shape (batch, width). "
            f"Received: {tuple(view_a.shape)} and {tuple(view_b.shape)}"
        )


def check_several(name: str, view: Any) -> None:
    """A loss that compares videos needs two of them, where their number is known."""
    if view.shape[0] == 1:
        raise UserError(
            f"{name} compares the videos of a batch and needs at least 2 of them. Received: 1. Choose a larger "
            "batch size, or one that leaves no single video over at the end of the data."
        )
