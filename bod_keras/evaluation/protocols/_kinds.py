"""The registry of the kinds of protocols, and what each says about its table."""

from __future__ import annotations

from collections.abc import Callable

from bod_keras.registry import Registry

KINDS = Registry("The kind of a protocol", "bod_keras.evaluation.protocols")
PARTS = "pooled: time mean of the encoder's features, static and dynamic: the two parts."


def kind(
    name: str,
    legend: str = PARTS,
    by_part: bool = False,
    columns: tuple[str, ...] = (),
    as_in_the_run: bool = False,
) -> Callable:
    """Decorate the function ``run(subject, protocol) -> dict`` of a new kind of protocol.

    Args:
        name: `kind` of a protocol's config.
        legend: what the parts in its table are.
        by_part: its table has a column for each measure and part, instead of a row for each part.
        columns: of a kind without "factors": how the names of the numbers in its table begin; all if empty.
        as_in_the_run: it takes the views and crops of the run's config.

    Example:
        >>> from bod_keras.evaluation.protocols import KINDS, kind
        >>> @kind("count-videos", columns=("videos",))
        ... def count_videos(subject, protocol):
        ...     return {"videos": len(subject.test.records)}
        >>> KINDS["count-videos"].columns
        ('videos',)
    """

    def decorate(run):
        run.legend, run.by_part = legend, by_part
        run.columns, run.as_in_the_run = columns, as_in_the_run
        return KINDS.register(name)(run)

    return decorate
