"""The examples of use: a notebook, a loop of one's own, a Slurm job."""

import json
import os
import runpy
import subprocess

import nbformat
import optuna
import pytest
from nbclient import NotebookClient

from tests.examples.test_examples import EXAMPLES
from tests.search.conftest import FFSNN

NOTEBOOK = EXAMPLES / "search.ipynb"


def test_a_loop_of_ones_own_learns():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = runpy.run_path(str(EXAMPLES / "own_loop.py"))["main"]()
    assert len(study.trials) == 8
    assert study.best_value > 0.5
    assert study.best_trial.last_step == 6


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@pytest.mark.slow
def test_the_notebook_runs_and_shows_a_search_as_one_table(tmp_path, monkeypatch):
    monkeypatch.setenv("FFSNN_HOME", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    first, *rest = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "starting Ray" in "".join(output.text for output in first.outputs if output.output_type == "stream")
    kinds = [output.output_type for output in first.outputs]
    assert kinds.count("display_data") == 1
    assert kinds.count("execute_result") == 1
    (shown,) = [output for output in first.outputs if output.output_type == "display_data"]
    assert "12/12 trials" in shown.data["text/html"]
    assert "<table>" in first.outputs[-1].data["text/html"]
    said = [output.get("text") or str(output.get("data")) for cell in rest for output in cell.outputs]
    assert "nanojoules_per_sample" in "".join(said)
    assert "dataset: digits" in "".join(said)
    assert "report.html" in said[-1]


def test_a_slurm_job_asks_for_its_search_and_goes_back_into_the_queue(tmp_path):
    """With commands in Slurm's place that say how they were called."""
    for name, says in {"srun": 'echo "srun $*"; exit 130', "scontrol": 'echo "scontrol $*"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "FFSNN": FFSNN}
    job = [str(EXAMPLES / "slurm.sh"), "digits_smoke", "mine", "--trials", "9"]
    done = subprocess.run(job, env=environment, capture_output=True, text=True, cwd=tmp_path)
    asked, requeued = done.stdout.splitlines()
    assert asked == f"srun {FFSNN} search digits_smoke --name mine --concurrency 1 --trials 9"
    assert requeued == "scontrol requeue 7"
    assert done.returncode == 130
    assert (EXAMPLES / "slurm.sh").read_text().count("#SBATCH") == 8
