"""The error of a caller's mistake, and the choice of a thing by its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What the caller can mend: a wrong argument, setting or file.

    The message says what was expected, what came and what to do. The commands print it as one line; any other
    exception is a fault of the program and keeps its traceback.

    Example:
        >>> from bod_keras.errors import UserError
        >>> issubclass(UserError, ValueError)
        True
    """


def check_choice(what: str, name: object, choices: Iterable[str]) -> None:
    """Raise a `UserError` that names the nearest choice if `name` is none of them.

    Args:
        what: what is chosen, for the message: ``"framework"``.
        name: what came.
        choices: the names that can be chosen.

    Raises:
        UserError: `name` is not among the choices.
    """
    choices = list(choices)
    if name in choices:
        return
    near = nearest(str(name), choices)
    hint = f" Did you mean {near}?" if near else ""
    raise UserError(f"{what} must be one of {', '.join(choices)}. Received: {name!r}.{hint}")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that was probably meant, or None if none is like the name."""
    return next(iter(difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)), None)
