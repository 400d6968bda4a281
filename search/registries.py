"""What a search can name, by kind: each registry is filled by its home (`ffsnn.parts.registry`)."""

from typing import TYPE_CHECKING

from ffsnn.parts.registry import Registry

if TYPE_CHECKING:
    from search.execution.schedulers import Scheduler
    from search.objectives import Objective
    from search.study.samplers import Sampler

OBJECTIVES: Registry["Objective"] = Registry("objective", "search.objectives")
SAMPLERS: Registry["Sampler"] = Registry("sampler", "search.study.samplers", retired=("qmc", "cmaes"))
SCHEDULERS: Registry["Scheduler"] = Registry("scheduler", "search.execution.schedulers")
