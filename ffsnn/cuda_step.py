"""A training step as a CUDA graph: what a hundred kernels do is launched in one call.

The first steps run as they are, on a stream of their own: kernels get compiled, the optimisers make their moments. The
next one is captured, and from then on the graph is replayed. What changes from batch to batch lies where the graph
looks for it: the index in one tensor, and the random numbers in generators that live on and are seeded anew for each
batch. So a replayed step draws what it would have drawn on its own.
"""

import math
import warnings
from collections.abc import Callable, Collection, Hashable
from functools import partial

import torch

from ffsnn.memory import ran_out

WARM_UP = 3  # steps: as many as torch's notes on CUDA graphs advise

Random = Callable[..., torch.Generator]  # the generator for a purpose: (name, *where)
Step = Callable[[torch.Tensor, Random], torch.Tensor]  # index and random numbers to a result, all on the device


class CapturedStep:
    """Runs a step on batches of one size; it is captured on the way.

    The step must ask for a generator once for each purpose, and may work on tensors that outlive it alone.
    """

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.index = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.stream = torch.cuda.Stream(device)
        self.forget()

    def forget(self, variant: Hashable = None) -> None:
        """Warm up and capture once more: the step is another one, or works on other tensors."""
        self.variant = variant
        self.generators: dict[tuple[str | int, ...], torch.Generator] = {}
        self.warm_up: float = WARM_UP
        self.replay: Callable[[], torch.Tensor] | None = None

    def __call__(
        self, step: Step, index: torch.Tensor, seed_of: Callable[..., int], variant: Hashable = None
    ) -> torch.Tensor:
        """Run the step on the images `index`.

        Args:
            step: what is captured; it is not kept.
            index: (B,), B the batch size.
            seed_of: the seed for a purpose in this batch.
            variant: what the step depends on beside index and random numbers.
        """
        if variant != self.variant:
            self.forget(variant)
        self.index.copy_(index)
        for purpose, generator in self.generators.items():
            generator.manual_seed(seed_of(*purpose))
        work = partial(step, self.index, partial(self._generator, seed_of))
        if not self.warm_up and self.replay is None:
            self._capture(work)
        if self.replay is not None:
            return self.replay().clone()
        self.warm_up -= 1
        return on_stream(self.stream, work)

    def _generator(self, seed_of: Callable[..., int], *purpose: str | int) -> torch.Generator:
        if purpose not in self.generators:
            self.generators[purpose] = torch.Generator(self.index.device).manual_seed(seed_of(*purpose))
        return self.generators[purpose]

    def _capture(self, work: Callable[[], torch.Tensor]) -> None:
        try:
            self.replay = captured(self.stream, work, self.generators.values())
        except RuntimeError as error:
            if ran_out(error):
                raise
            reason = " ".join(str(error).split())[:200]
            warnings.warn(f"no CUDA graph ({reason}): kernels are launched one by one, slower", stacklevel=4)
            self.generators.clear()  # a capture that failed may have left them in its hands
            self.warm_up = math.inf


def on_stream(stream: torch.cuda.Stream, work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The result of work that is done after what was launched before, and before what will be."""
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        result = work()
    current.wait_stream(stream)
    return result


def captured(
    stream: torch.cuda.Stream, work: Callable[[], torch.Tensor], generators: Collection[torch.Generator]
) -> Callable[[], torch.Tensor]:
    """What does the work again and gives its result, always in the same tensor."""
    graph = torch.cuda.CUDAGraph()
    with warnings.catch_warnings(action="ignore"):  # needed before torch 2.14, which says that it is not any more
        for generator in generators:
            graph.register_generator_state(generator)
    with torch.cuda.stream(stream), torch.cuda.graph(graph, stream=stream):  # the outer one if capturing fails
        result = work()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay
