"""Every name that leaves this package: metrics, tags, files, environment."""

# What a trial reports to Tune, and the fields of its history.
EPOCH = "epoch"
OBJECTIVE = "val_accuracy"

# What a trial is given by the searcher.
NUMBER, FOLDER, THREADS = "number", "folder", "threads"

# A search's folder.
SEARCHES, SEARCH_FILE, STUDY_FILE, TRIALS, END_FILE, BEST_FILE, LEASE_FILE = (
    "searches", "search.json", "study.log", "trials", "end.json", "best.yaml", "driver.lock",
)  # fmt: skip

# MLflow.
DATABASE, ARTIFACTS, EXPERIMENT = "mlflow.db", "artifacts", "ffsnn"
MODEL, PICTURES = "model", "pictures"  # folders among a run's artifacts
TAG_SEARCH, TAG_TRIAL, TAG_KIND = "ffsnn.search", "ffsnn.trial", "ffsnn.kind"
TAG_STATE, TAG_STOP_REASON, TAG_CONFIG_ID = "ffsnn.state", "ffsnn.stop_reason", "ffsnn.config_id"
TAG_KEPT = "ffsnn.kept"  # the epoch whose weights are among the run's artifacts
TAG_PARENT, TAG_NAME = "mlflow.parentRunId", "mlflow.runName"

# Said to Ray, Tune and MLflow before they are imported; what a person has set stays.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's own 15 leaves a trial a twentieth of a CPU beside any other busy process
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # its snapshots are never read
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
