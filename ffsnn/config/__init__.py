"""The whole input of a training run, validated once, here.

A `RunConfig` is a tree of frozen models. Everything downstream takes its own branch of it (`NetworkConfig`,
`LearningConfig`, `DataConfig`) and trusts it. YAML in, YAML out, round trip exact.
"""

from ffsnn.config.data import DataConfig
from ffsnn.config.learning import LearningConfig
from ffsnn.config.network import NetworkConfig
from ffsnn.config.run import RunConfig

__all__ = ["DataConfig", "LearningConfig", "NetworkConfig", "RunConfig"]
