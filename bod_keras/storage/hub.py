"""Files of repositories on the Hugging Face hub, "hf://owner/name[@revision][/file]"."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

from bod_keras.errors import UserError

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?")
# Numbers and text alone; nothing that a reader would have to unpickle or run.
_SUFFIXES = (".keras", ".safetensors", ".json")


def is_hub(path: str | os.PathLike) -> bool:
    """Return whether a path is an address on the hub.

    Example:
        >>> from bod_keras.storage.hub import is_hub
        >>> is_hub("hf://owner/name"), is_hub("runs/demo")
        (True, False)
    """
    return os.fspath(path).startswith("hf://")


def hub_path(address: str, *files: str) -> Path:
    """Fetch files of a repository into the hub's cache, and return where they are.

    Args:
        address: ``hf://owner/name``, a branch, tag or commit after ``@``; a file after a further slash.
        files: which files of the repository, if the address names none. One that is not there is left out.

    Returns:
        The local folder of the repository, or the file that the address names.

    Raises:
        UserError: the address is wrong, the package `huggingface_hub` is missing, or a file is of a kind that
            is not read.
        OSError: there is no such repository, revision or file, or the hub does not answer.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or ".." in (found[3] or "").split("/"):
        raise UserError(
            f"A model on the hub is hf://owner/name, with @revision if need be. Received: {address!r}"
        )
    repository, revision, file = found.groups()
    for name in [file] if file else files:
        if not name.endswith(_SUFFIXES):
            raise UserError(
                f"From the hub {', '.join(_SUFFIXES)} files are read, which hold no code. Received: {address}"
            )
    hub = hub_package()
    try:
        folder = hub.snapshot_download(
            repository,
            revision=revision,
            allow_patterns=[_exact(name) for name in ([file] if file else files)],
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except Exception as error:  # of the package, of its HTTP library, and of the system
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise OSError(f"{address} cannot be fetched: {reason}") from error
    path = Path(folder, file) if file else Path(folder)
    if not path.exists():
        raise FileNotFoundError(f"There is no {file} in {address.removesuffix(f'/{file}')}.")
    return path


def hub_package():
    """Return the module `huggingface_hub`.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UserError(
            "Models on the hub need huggingface_hub, not installed here: pip install 'bod-keras[hub]'"
        )
    import huggingface_hub

    return huggingface_hub


def _exact(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
