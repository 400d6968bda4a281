"""Search spaces: what may vary in a run's configuration, as YAML files beside their models."""
