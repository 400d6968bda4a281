"""Every name that leaves this package: metrics, tags, files, environment."""

EPOCH = "epoch"  # what a trial reports to Tune, beside its objectives

OUT_OF_MEMORY = "out_of_memory"  # why a process of a trial failed
PROBLEM = "problem"  # "reason: detail", in the last report of a trial that cannot go on

# What a trial is given by the searcher.
NUMBER, FOLDER, THREADS, OBJECTIVES, RUNGS, ON_CLUSTER, EXCLUSIVE, VETO, OWN_DATA, DATA_DIR, PARTS = (
    "number", "folder", "threads", "objectives", "rungs", "on_cluster", "exclusive", "veto", "own_data", "data_dir",
    "parts",
)  # fmt: skip

# A search's folder, and what a trial's has beside its run.
SEARCHES, SEARCH_FILE, STUDY_FILE, TRIALS, BEST_FILE, LEASE_FILE, SPENT_FILE = (
    "searches", "search.json", "study.log", "trials", "best.yaml", "driver.lock", "spent.json",
)  # fmt: skip
RUNS = "runs"  # of `ffsnn train`, beside the searches
FRONT = "front"  # before the number of a trial of the front, as the name of its configuration
SHARED_DATA = "data"  # beside the searches: copies of data sets of one's own, for the nodes of a cluster
PLACES_FILE = "ffsnn.toml"  # addresses and folders, beside where one works
OWNER = "ffsnn.search"  # of a study in a database: the id of its search
SCRATCH = ".tune"  # Ray Tune's own folder within a search's, while it runs
END_FILE, FAILURES_FILE, OUTPUT_FILE, TRIAL_LOCK = "end.json", "failures.jsonl", "output.log", "trial.lock"
REST_FILE = "rest.json"  # the history of a trial that had ended at a rung, and may go on
RETRAIN, PLAN_FILE, RESULT_FILE = "retrain", "plan.json", "retrain.json"  # a retraining's folders, within the search's
FINAL = "final"  # the final fit's folder, within the retraining's
REPORT, REPORT_PAGE, REPORT_MARKDOWN, REPORT_CSV = "report", "report.html", "report.md", "trials.csv"

# MLflow.
DATABASE, ARTIFACTS, EXPERIMENT = "mlflow.db", "artifacts", "ffsnn"
MODEL, PICTURES = "model", "pictures"  # folders among a run's artifacts
TAG_SEARCH, TAG_TRIAL, TAG_KIND = "ffsnn.search", "ffsnn.trial", "ffsnn.kind"
IS_SEARCH = f"tags.`{TAG_KIND}` = 'search'"  # the filter that finds the searches' own runs
TAG_OBJECTIVE, TAG_LIMIT = "ffsnn.objective", "ffsnn.limit"
TAG_EPOCHS = "ffsnn.epochs"  # of a trial at full length, on a search's own run; MLflow changes no parameter
TAG_PARETO = "ffsnn.pareto"  # 1 on runs of the front
TAG_ID = "ffsnn.search_id"  # a search keeps it when it is renamed; a copy of it has another
TAG_RUN = "ffsnn.run"  # of `ffsnn train`: its id, which its folder keeps when it is moved
TAG_STATE, TAG_STOP_REASON, TAG_CONFIG_ID = "ffsnn.state", "ffsnn.stop_reason", "ffsnn.config_id"
TAG_SPACE, TAG_SEED, TAG_DATASET, TAG_DATA = "ffsnn.space", "ffsnn.seed", "ffsnn.dataset", "ffsnn.data_checksum"
TAG_COMMIT = "mlflow.source.git.commit"  # MLflow shows it as the run's version
TAG_KEPT = "ffsnn.kept"  # the epoch whose weights are among the run's artifacts
# A retraining's runs bear none of a search's tags, or they would be taken for trials.
TAG_RETRAIN_OF, TAG_RETRAIN, TAG_RETRAIN_RUN = "ffsnn.retrain_of", "ffsnn.retrain", "ffsnn.retrain_run"
TAG_RETRAIN_TRIAL, TAG_RETRAIN_SEED = "ffsnn.retrain_trial", "ffsnn.retrain_seed"
TAG_FINAL = "ffsnn.final_fit"  # of a run and a registered version: what it was trained on, in words
TAG_VALIDATION, TAG_TEST = "ffsnn.validation", "ffsnn.test"  # of a registered version: means over seeds
CHAMPION, CHEAPEST = "champion", "cheapest"  # aliases
TEST, TEST_PREFIX = "test_accuracy", "test_"  # a metric; before the short name of another objective
BEST_PREFIX = "best_"  # before the objective's name
EPOCHS, SECONDS, SPEED = "epochs", "total_seconds", "mean_images_per_second"
TRIAL_COUNT = "trials_ended"  # of a search, beside its best value, epochs and seconds
SPIKES, OPERATIONS, ENERGY = "spikes_per_sample", "synaptic_operations_per_sample", "nanojoules_per_sample"
LOG10 = "_log10"  # after the name of a parameter that is searched over a logarithmic range; MLflow's axes are linear
VIEW = "mlflow.sharedViewState."  # before the key of a prepared view, among an experiment's tags
TAG_KIND_OF_EXPERIMENT = "mlflow.experimentKind"
TAG_PARENT, TAG_NAME, TAG_NOTE = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"

# Said to Ray, Tune and MLflow before they are imported (`search.environment`); what a person has set stays.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # Ray's own 15 leaves a trial a twentieth of a CPU beside any other busy process
    "RAY_preload_python_modules": "search.execution.preload",  # by the processes that it starts beforehand
    "RAY_idle_worker_killing_time_threshold_ms": "60000",  # its own second is over before the first trial is ready
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_health_check_period_ms": "1000",  # a dead or frozen node is noticed within 10 seconds, rather than 64
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # its snapshots are never read
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the driver's
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they stand in the trial's folder
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the tracker tries again by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may have a password in it
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
