"""The search: trials run by Ray Tune, proposed by Optuna, kept in one folder, shown in MLflow."""
