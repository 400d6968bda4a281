"""A prepared view: a tag of MLflow's experiment, opened by its key; its JSON is what MLflow's own page (3.17) keeps of
its state.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search import names

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MACHINE_LEARNING = "workflowType=machine_learning"  # else MLflow shows an experiment as one of language models
BEST = " best"  # after a search's name: the key of the view of its best trials
FIRST = ("attributes.`Run Name`", "runDateAndNestInfo", "attributes.`Created`")  # columns that are always there


def filtered(found: str, order: str, ascending: bool, columns: Sequence[str]) -> dict[str, Any]:
    """The state of a page that shows the runs which a filter finds."""
    return {
        "searchFilter": found, "orderByKey": order, "orderByAsc": ascending,
        "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns), "columnOrder": [*FIRST, *columns],
        "runsHiddenMode": "SHOW_ALL", "hideEmptyCharts": True,
    }  # fmt: skip


def shared(client: "MlflowClient", experiment: str, key: str, state: dict[str, Any], when: int) -> None:
    """Keep a state under a key; `when`: milliseconds, so that the same state is the same tag."""
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode()))
    envelope = {"name": key, "createdAt": when, "updatedAt": when, "state": f"deflate;{packed.decode()}"}
    client.set_experiment_tag(experiment, names.VIEW + key, json.dumps(envelope))
