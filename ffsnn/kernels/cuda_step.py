"""A training step as a CUDA graph: what a hundred kernels do is launched in one call.

The first steps run as they are, on a stream of their own: kernels get compiled, the optimisers make their moments. The
next one is captured, and from then on the graph is replayed; a batch of another size, such as an epoch's last one, has
a graph of its own. What changes from batch to batch lies where the graph looks for it: the index in one tensor, and the
random numbers in generators that live on and are seeded anew for each batch. So a replayed step draws what it would
have drawn on its own.
"""

import warnings
from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Any

import torch

from ffsnn.hardware.memory import ran_out
from ffsnn.validation import brief

WARM_UP = 3  # steps: as many as torch's notes on CUDA graphs advise
WARM = 1  # of a second size: moments and most kernels are there

Random = Callable[..., torch.Generator]  # the generator for a purpose: (name, *where)
Step = Callable[[torch.Tensor, Random], torch.Tensor]  # index and random numbers to a result, all on the device


class CapturedSteps:
    """Runs a step on batches; it is captured on the way, once for each size.

    The step must ask for a generator once for each purpose, and may work on tensors that outlive it alone.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream, self.pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()
        self.possible = True  # until a capture fails
        self.forget()

    def forget(self, variant: Hashable = None) -> None:
        """Warm up and capture once more: the step is another one, or works on other tensors."""
        self.variant = variant
        self.sizes: dict[int, _Size] = {}

    def __call__(
        self, step: Step, index: torch.Tensor, seed_of: Callable[..., int], variant: Hashable = None
    ) -> torch.Tensor:
        """Run the step on the images `index`.

        Args:
            step: what is captured; it is not kept.
            index: (B,), the images of a batch.
            seed_of: the seed for a purpose in this batch.
            variant: what the step depends on beside index and random numbers.
        """
        if variant != self.variant:
            self.forget(variant)
        if len(index) not in self.sizes:
            self.sizes[len(index)] = _Size(index, WARM if self.sizes else WARM_UP)
        size = self.sizes[len(index)]
        size.prepare(index, seed_of)
        work = partial(step, size.index, partial(size.generator, seed_of))
        if size.replay is None and not size.warm_up and self.possible:
            self._capture(size, work)
        if size.replay is not None:
            return size.replay().clone()
        size.warm_up = max(0, size.warm_up - 1)
        return on_stream(self.stream, work)

    def _capture(self, size: "_Size", work: Callable[[], torch.Tensor]) -> None:
        try:
            size.replay = captured(self.stream, self.pool, work, size.generators.values())
        except RuntimeError as error:
            if ran_out(error):
                raise
            warnings.warn(f"no CUDA graph ({brief(error)}): kernels are launched one by one, slower", stacklevel=4)
            size.generators.clear()  # a capture that failed may have left them in its hands
            self.possible = False


class _Size:
    """Buffers and graphs for batches of one size."""

    def __init__(self, index: torch.Tensor, warm_up: int) -> None:
        self.index = torch.zeros_like(index)
        self.warm_up = warm_up  # steps to go
        self.generators: dict[tuple[str | int, ...], torch.Generator] = {}
        self.replay: Callable[[], torch.Tensor] | None = None

    def prepare(self, index: torch.Tensor, seed_of: Callable[..., int]) -> None:
        self.index.copy_(index)
        for purpose, generator in self.generators.items():
            generator.manual_seed(seed_of(*purpose))

    def generator(self, seed_of: Callable[..., int], *purpose: str | int) -> torch.Generator:
        if purpose not in self.generators:
            self.generators[purpose] = torch.Generator(self.index.device).manual_seed(seed_of(*purpose))
        return self.generators[purpose]


def on_stream(stream: torch.cuda.Stream, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The result of work that is done after what was launched before, and before what will be."""
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        result = work()
    current.wait_stream(stream)
    return result


def captured(
    stream: torch.cuda.Stream,
    pool: Any,
    work: Callable[[], torch.Tensor],
    generators: Collection[torch.Generator],
) -> Callable[[], torch.Tensor]:
    """Capture the work; the function replays it and gives its result, always in the same tensor of the pool."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):  # also if capturing fails
        with warnings.catch_warnings(action="ignore"):  # needed before torch 2.14, which says that it is not any more
            for generator in generators:
                graph.register_generator_state(generator)
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            result = work()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay
