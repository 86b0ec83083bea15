"""A finished run as a repository on the Hugging Face hub."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from bod_keras.errors import UserError
from bod_keras.evaluation.report import read_report
from bod_keras.hub.model_card import model_card
from bod_keras.hub.public_report import public_report
from bod_keras.storage.hub import hub_package
from bod_keras.storage.run_folder import RunFolder
from bod_keras.training import save_model
from bod_keras.weights import load

_PICTURES = ("losses.png", "online.png", "monitors.png", "spectrum.png")


def push_to_hub(
    run: str | os.PathLike,
    repo_id: str,
    license: str | None = None,
    private: bool = False,
    message: str = "A run of bod_keras",
) -> str:
    """Store a finished run in a repository on the hub, from which ``bod_keras.load("hf://...")`` reads it.

    It gets the model and its encoder without the optimizer's state, the report and pictures, and a card
    (`model_card`). Names of videos and folders stay here (`public_report`). One commit holds all, or nothing is
    stored. HF_TOKEN, or ``hf auth login``, says who you are; HF_ENDPOINT is another hub than the public one.

    Args:
        run: the run's folder, local or remote.
        repo_id: ``owner/name``; it is made if it is not there.
        license: identifier of the hub for the weights, such as ``"apache-2.0"``.
        private: whether a new repository can be seen by its owner alone.
        message: of the commit.

    Returns:
        The address to load it from, with the commit: ``hf://owner/name@1f2e...``.

    Raises:
        UserError: it is no finished run, or the package `huggingface_hub` is missing.
        OSError: the hub refuses or does not answer.

    Example:
        >>> import bod_keras
        >>> try:
        ...     address = bod_keras.push_to_hub("no-run", "ann/cats")
        ... except bod_keras.UserError as error:
        ...     print(str(error)[:42])
        no-run is not the folder of a finished run
    """
    folder = RunFolder(run)
    try:
        folder.pull("report.json", "model.keras", *_PICTURES)
        for name in ("report.json", "model.keras"):
            if not (folder.path / name).is_file():
                raise UserError(
                    f"{folder} is not the folder of a finished run: it holds no {name}. Let bod-keras train "
                    "finish it first."
                )
        hub = hub_package()
        report = public_report(read_report(folder.path / "report.json"))
        model = load(folder.path)
        card = model_card(report, repo_id, license)
        with tempfile.TemporaryDirectory(prefix="bod_keras-") as made:
            save_model(model, Path(made, "model.keras"))
            save_model(model.encoder, Path(made, "encoder.keras"))
            Path(made, "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
            Path(made, "README.md").write_text(card, encoding="utf-8", errors="backslashreplace")
            files = sorted(Path(made).iterdir())
            files += [folder.path / name for name in _PICTURES if (folder.path / name).is_file()]
            commit = _commit(hub, repo_id, private, message, files)
    finally:
        folder.close()
    return f"hf://{repo_id}@{commit}"


def _commit(hub, repo_id, private, message, files):
    api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="bod_keras")
    adds = [hub.CommitOperationAdd(file.name, str(file)) for file in files]
    try:
        if not api.repo_exists(repo_id):
            api.create_repo(repo_id, private=private, exist_ok=True)
        return api.create_commit(repo_id, adds, commit_message=message).oid
    except Exception as error:  # of the package, of its HTTP library, and of the system
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise OSError(f"{repo_id} cannot be stored: {reason}") from error
