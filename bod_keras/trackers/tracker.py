"""What all trackers of experiments get from a run, and that none of them stops it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras

from bod_keras.errors import UserError
from bod_keras.registry import Registry
from bod_keras.training import steps_taken

TRACKERS = Registry("config.tracker", "bod_keras.trackers")


class Tracker(keras.callbacks.Callback):
    """Tell a tracker of experiments a run's config, the numbers of each epoch, pictures and pages.

    A subclass has `open`, `log`, `add` and `close`, which speak to one package. An error of theirs after `open`
    is printed once, and the run goes on without its tracker.

    Args:
        name: of the run.
        identity: of the run, the same whenever it goes on, and of no other run.
        config: all settings, nested dicts of plain values.

    Raises:
        UserError: the tracker's package is not installed, or, when the run begins, `open` fails.

    Example:
        >>> import keras, numpy as np
        >>> from bod_keras.trackers import Tracker
        >>> class Print(Tracker):
        ...     def open(self):
        ...         print(self.name, self.config)
        ...
        ...     def log(self, numbers, step):
        ...         print(sorted(numbers))
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> tracker = Print("a", "1f", {"seed": 0})
        >>> _ = model.fit(np.ones((4, 2)), np.zeros((4, 1)), callbacks=[tracker], verbose=0)
        a {'seed': 0}
        ['epoch', 'loss']
    """

    packages: ClassVar[tuple[str, ...]] = ()  # what must be installed
    extra: ClassVar[str] = ""  # of pyproject.toml, which installs them

    def __init__(self, name: str, identity: str, config: Mapping[str, Any]):
        super().__init__()
        self.name, self.identity, self.config = name, identity, config
        self._open = self._failed = False
        self.check()

    @classmethod
    def check(cls) -> None:
        """Raise a `UserError` if a package is missing."""
        missing = [name for name in cls.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(
                f"config.tracker={cls.extra} needs {' and '.join(missing)}, not installed here: "
                f"pip install 'bod-keras[{cls.extra}]'"
            )

    def open(self) -> None:
        """Begin the run at the tracker, or find it again by its identity."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Tell finite numbers after so many training steps."""

    def add(self, files: Sequence[Path]) -> None:
        """Give it pictures (.png) and pages (.html)."""

    def close(self) -> None:
        """End it; what the tracker still holds is written."""

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.tell({"epoch": epoch + 1, **(logs or {})}, steps_taken(self.model))

    def tell(self, numbers: Mapping[str, float], step: int, files: Sequence[Path] = ()) -> None:
        """Begin if it is not begun, log the numbers that are finite, and add files."""
        self._begin()
        finite = {k: float(v) for k, v in numbers.items() if math.isfinite(float(v))}
        self._try(lambda: self.log(finite, step))
        if files:
            self._try(lambda: self.add(files))

    def end(self) -> None:
        """Close it if it is open."""
        if self._open:
            self._open = False
            self._try(self.close)

    def _begin(self) -> None:
        if not self._open:
            try:
                self.open()
            except UserError:
                raise
            except Exception as error:  # whatever a package raises
                raise UserError(
                    f"The tracker cannot begin: {type(error).__name__}: {' '.join(str(error).split())}. Mend "
                    'that, or leave it out: --config.tracker=""'
                ) from error
            self._open = True

    def _try(self, function: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            function()
        except Exception as error:  # whatever it is, the run is worth more
            self._failed = True
            print(
                f"\nThe tracker is left out from here on: {type(error).__name__}: {error}",
                flush=True,
            )
