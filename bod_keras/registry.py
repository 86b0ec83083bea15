"""Things that are chosen by name: a file that registers itself is all that a new one takes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

from bod_keras.errors import UserError, check_choice


class Registry:
    """Names to classes or functions, each registered in its own file of one package.

    Args:
        kind: what is registered, for messages: ``"framework"``.
        package: the package whose modules register something; they are imported when a name is asked for.

    Example:
        >>> from bod_keras.frameworks import FRAMEWORKS
        >>> FRAMEWORKS["vmoco"].__name__
        'VMoCo'
    """

    def __init__(self, kind: str, package: str):
        self.kind = kind
        self.package = package
        self._found: dict[str, object] = {}
        self._complete = False

    def register(self, name: str) -> Callable:
        """Decorate a class or function that is to be found under this name.

        Raises:
            UserError: another one has the name.
        """

        def decorate(thing):
            other = self._found.get(name)
            if other is not None and other.__qualname__ != thing.__qualname__:
                raise UserError(
                    f"There is a {self.kind} {name!r} already, {other.__qualname__}. Choose another name."
                )
            self._found[name] = thing
            return thing

        return decorate

    def __getitem__(self, name: str):
        """The thing of that name, or of an address ``"module:Name"`` outside of the package."""
        if ":" in str(name):
            return self._imported(name)
        self._import_all()
        check_choice(self.kind, name, self._found)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return iter(sorted(self._found))

    def __contains__(self, name: object) -> bool:
        self._import_all()
        return name in self._found

    def items(self) -> list[tuple[str, object]]:
        """Names and things, sorted by name."""
        return [(name, self._found[name]) for name in self]

    def _import_all(self) -> None:
        if self._complete:
            return
        self._complete = True
        path = importlib.import_module(self.package).__path__
        for module in pkgutil.iter_modules(path):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")

    def _imported(self, address: str):
        module, name = address.split(":", 1)
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(
                f"{self.kind} {address!r} cannot be imported: {error}. It must be module:Name, with the module "
                "on Python's path."
            ) from error
