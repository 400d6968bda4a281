"""Parts by name. A kind of part (goodness, losses, encoders, ...) has one registry, which its configuration field asks.

    from ffsnn import goodness

    @goodness.register("max")
    def largest(rate_BF):
        return rate_BF.amax(1)

The modules that are a registry's homes hold the parts that ship with the project; they are imported at the first
question, so that a configuration can be read without them.
"""

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

if TYPE_CHECKING:
    from ffsnn.datasets.dataset import Dataset
    from ffsnn.layer import LayerKind
    from ffsnn.parts.encoders import Encoder
    from ffsnn.parts.features import Features
    from ffsnn.parts.goodness import Goodness
    from ffsnn.parts.losses import Loss
    from ffsnn.parts.negatives import Negatives
    from ffsnn.parts.predictions import Prediction
    from ffsnn.parts.surrogates import Surrogate

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Mapping[str, T], Generic[T]):
    """The parts of one kind; as `Annotated[str, REGISTRY]` the type of the configuration field that names one.

    Args:
        kind: what a part is called in messages.
        homes: the modules that register the parts of the project.
        others: a module whose `found()` gives parts that are there without being registered, by name. A name may mean
            something elsewhere then, so that the model of the field has to check it. `ADDED` says how one adds them.
        retired: names that old configurations may have; they can be read, and no more.

    Attributes:
        every: all registries of this process.
    """

    every: ClassVar[list["Registry[Any]"]] = []

    def __init__(self, kind: str, *homes: str, retired: tuple[str, ...] = (), others: str | None = None) -> None:
        self.kind, self.homes, self.retired, self.others = kind, homes, retired, others
        self._parts: dict[str, T] = {}
        self._origins: dict[str, str] = {}  # the module that was being imported when a part was registered
        self.every.append(self)

    def add(self, name: str, part: T) -> None:
        """Register a part.

        Raises:
            ValueError: the name is taken, or is none that a configuration file could hold.
        """
        if not name.isidentifier():
            raise ValueError(f"a {self.kind}'s name must have letters, digits and '_' alone, but got {name!r}")
        if name in self._known():  # those of the project, too, whichever comes first
            raise ValueError(f"there is a {self.kind} {name!r} already, {self._of(name)}: choose another name")
        self._parts[name] = part
        self._origins[name] = _importing()

    def origin(self, name: str) -> str | None:
        """The module that registered a part; None: it ships with the project."""
        module = self._origins.get(name)
        return None if module in self.homes else module

    def registered_by(self, module: str) -> list[str]:
        """Names of the parts that a module registered."""
        return [name for name, origin in self._origins.items() if origin == module and name in self._parts]

    def forget(self, module: str) -> None:
        """Take back what a module registered."""
        for name in self.registered_by(module):
            del self._parts[name], self._origins[name]

    def _of(self, name: str) -> str:
        """Where a part is from, in words."""
        module = self.origin(name)
        if module is None:
            return "which ships with ffsnn"
        return f"of {getattr(sys.modules.get(module), '__file__', None) or 'this program'}"

    def decorator(self, part: Callable[..., T], named: bool = False) -> Callable[..., Callable[[F], F]]:
        """`register` of this kind: `@register("mine", **facts)` over a function (or a class) names a part made of it.

        Args:
            part: makes the part of the function and the facts.
            named: whether it is given the name, too.
        """

        def register(name: str, **facts: Any) -> Callable[[F], F]:
            if not isinstance(name, str):
                raise ValueError(f"a {self.kind} needs a name: @register('mine'), but got {name!r}")

            def add(function: F) -> F:
                self.add(name, part(function, **facts, **({"name": name} if named else {})))
                return function

            return add

        return register

    def check(self, name: str) -> str:
        """The name, if a part has it.

        Raises:
            ValueError: none has; one line that names those there are.
        """
        if name not in self and name not in self.retired:
            *others, last = map(repr, self)
            known = f"{', '.join(others)} or {last}" if others else last
            near = difflib.get_close_matches(name, self, n=1)
            added = import_module(self.others).ADDED if self.others else "parts of your own come with --use FILE"
            mend = f"did you mean {near[0]!r}?" if near else added
            raise ValueError(f"must be {known}, but got {name!r}: {mend}")
        return name

    def _known(self) -> dict[str, T]:
        for home in self.homes:
            import_module(home)
        return self._parts

    def ships(self, name: str) -> bool:
        """True for a part that is registered."""
        return name in self._known()

    def _found(self) -> Mapping[str, T]:
        found: Mapping[str, T] = import_module(self.others).found() if self.others else {}
        return found

    def __getitem__(self, name: str) -> T:
        part = self._known().get(name) or self._found().get(name)
        if part is None:
            raise KeyError(f"there is no {self.kind} {name!r}")
        return part

    def __iter__(self) -> Iterator[str]:
        yield from self._known()
        yield from self._found()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        if self.others:
            return handler(source)
        return core_schema.no_info_after_validator_function(self.check, handler(source))


def _importing() -> str:
    """The module whose top level is running: the innermost one, so that a home is told from who imports it."""
    frame = sys._getframe(1)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


DATASETS: Registry["Dataset"] = Registry("data set", "ffsnn.datasets.builtin", others="ffsnn.datasets.own")
ENCODERS: Registry["Encoder"] = Registry("encoder", "ffsnn.parts.encoders")
FEATURES: Registry["Features"] = Registry("kind of features", "ffsnn.parts.features")
GOODNESS: Registry["Goodness"] = Registry("goodness", "ffsnn.parts.goodness")
LAYERS: Registry["LayerKind"] = Registry("layer", "ffsnn.dense")
LOSSES: Registry["Loss"] = Registry("loss", "ffsnn.parts.losses")
NEGATIVES: Registry["type[Negatives]"] = Registry("kind of negatives", "ffsnn.parts.negatives")
PREDICTIONS: Registry["Prediction"] = Registry("prediction", "ffsnn.parts.predictions")
SURROGATES: Registry["Surrogate"] = Registry("surrogate", "ffsnn.parts.surrogates")
