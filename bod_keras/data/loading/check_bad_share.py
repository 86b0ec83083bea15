"""How many broken files are too many."""

from __future__ import annotations

from collections.abc import Mapping

from bod_keras.errors import UserError

_NAMED = 5


def check_bad_share(skipped: Mapping[str, str], files: int, max_bad_share: float) -> None:
    """Raise an error if all files are broken, or more than a share of them.

    Args:
        skipped: path -> reason of each file that cannot be read.
        files: number of all files.
        max_bad_share: the largest share, in [0, 1], that is tolerated.

    Raises:
        ValueError: in one line, since TensorFlow escapes line breaks in messages.

    Example:
        >>> from bod_keras.data.loading.check_bad_share import check_bad_share
        >>> check_bad_share({"a.mp4": "empty"}, files=20, max_bad_share=0.1)
        >>> check_bad_share({"a.mp4": "empty"}, files=2, max_bad_share=0.1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        bod_keras.errors.UserError: 1 of 2 video files cannot be read (max_bad_share=0.1): a.mp4: empty. ...
    """
    bad = len(skipped)
    if bad < files and bad <= max_bad_share * files:
        return
    named = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:_NAMED])
    more = f"; and {bad - _NAMED} more" if bad > _NAMED else ""
    raise UserError(
        f"{bad} of {files} video files cannot be read (max_bad_share={max_bad_share}): {named}{more}. "
        "Repair or remove them, or allow more with max_bad_share."
    )
