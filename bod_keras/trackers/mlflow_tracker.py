"""MLflow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bod_keras.flatten import flatten
from bod_keras.trackers.tracker import TRACKERS, Tracker

_TAG = "bod_keras.run"
_ODD = re.compile(r"[^\w\-. /:]")  # which no name of a metric may have
_LONGEST = 500  # characters of a parameter


@TRACKERS.register("mlflow")
class MlflowTracker(Tracker):
    """MLflow: in the file ``mlflow.db`` here, unless MLFLOW_TRACKING_URI names a server or another place.

    The experiment is MLFLOW_EXPERIMENT_NAME (``bod_keras``). The config is parameters, and the file
    ``config.json``, which alone shows what was changed when a run went on: parameters cannot be.

    Args:
        name, identity, config: as of `Tracker`.

    Reference:
        https://mlflow.org/docs/latest/ml/tracking
    """

    packages = ("mlflow", "sqlalchemy", "alembic")
    extra = "mlflow"

    def open(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client = client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "bod_keras")
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        known = client.search_runs([number], f"tags.`{_TAG}` = '{self.identity}'", max_results=1)
        tags = {_TAG: self.identity}
        run = known[0] if known else client.create_run(number, run_name=self.name, tags=tags)
        self._id = run.info.run_id
        client.update_run(self._id, status="RUNNING")
        client.log_dict(self._id, dict(self.config), "config.json")
        there = run.data.params
        settings = {k: str(v)[:_LONGEST] for k, v in flatten(self.config).items() if k not in there}
        client.log_batch(self._id, params=[Param(k, v) for k, v in settings.items()])

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_ODD.sub("_", k), v, now, step) for k, v in numbers.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def add(self, files: Sequence[Path]) -> None:
        for file in files:
            self._client.log_artifact(self._id, str(file))

    def close(self) -> None:
        self._client.set_terminated(self._id)
