"""How many trials share a card: the choice, the measuring processes, and what is said where it cannot be done."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from rich.console import Console

from ffsnn.config import ConfigError, RunConfig
from ffsnn.hardware.memory import OutOfMemory
from search import preflight
from search.cluster import gpu_packing
from search.cluster.gpu_packing import PackingResult, chosen, fit, largest, measure, refuse_full
from search.cluster.packing_worker import Endless
from search.cluster.resources import Node
from search.config import SearchConfig
from search.store.folder import TrialsFolder
from spaces.space import Space

SPACE = Space.load("digits_smoke")
TINY = RunConfig.parse({
    "data": {"dataset": "digits", "train_images": 128}, "network": {"widths": [16], "T": 2},
    "learning": {"batch_size": 64}, "device": "cpu",
})  # fmt: skip
MEASURED = PackingResult(card="A", total=80_000, free=76_000, needed=1_000, rates={1: 100.0, 2: 190.0, 4: 195.0})


@pytest.mark.parametrize(
    ("rates", "number"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 109.0}, 1),
        ({1: 100.0, 2: 110.0}, 2),
        ({1: 100.0, 2: 190.0, 4: 300.0, 7: 320.0}, 4),
        ({1: 100.0, 2: 90.0, 4: 300.0}, 1),
    ],
)
def test_twice_as_many_must_gain_a_tenth(rates, number):
    assert chosen(rates) == number


@pytest.mark.parametrize(("free", "needed", "number"), [(100, 10, 9), (100, 45, 2), (100, 46, 1), (100, 200, 1)])
def test_a_tenth_of_the_card_stays_free(free, needed, number):
    assert fit(free, needed) == number


def test_the_largest_configuration_is_among_the_ends_of_a_space():
    space = Space.parse({
        "base": {"data": {"dataset": "digits"}},
        "parameters": {
            "T": {"int": [2, 9]}, "batch_size": {"choice": [512, 64]}, "surrogate": {"choice": ["atan", "erf"]},
        },
    })  # fmt: skip
    config = SearchConfig(name="s", space=space, trials=1, epochs=1)
    found = largest(config.extremes())
    assert (found.network.T, found.learning.batch_size) == (9, 512)


def test_full_cards_are_refused_and_what_is_not_known_is_passed_over():
    refuse_full([])
    refuse_full(["NVIDIA A, 400 MiB, 24000 MiB", "NVIDIA A, 600 MiB, 24000 MiB"])
    refuse_full(["NVIDIA B, [N/A], [N/A]"])
    with pytest.raises(ConfigError, match=r"512 MB free at least, but there is NVIDIA A, 400 MiB, 24000 MiB: end what"):
        refuse_full(["NVIDIA A, 400 MiB, 24000 MiB"])


def test_the_figures_are_one_line_and_a_file(tmp_path):
    assert str(MEASURED) == (
        "A: 0 MB a trial at most, 100 images/s alone, 190 with 2, 195 with 4: 2 share the card"
    )  # fmt: skip
    folder = TrialsFolder(tmp_path)
    assert folder.card() is None
    folder.write_card(MEASURED)
    assert folder.card() == MEASURED
    (tmp_path / "card.json").write_text("{")
    assert folder.card() is None


class Scripted:
    """Stands in for a process: a card of `total` bytes, of which each process takes `takes` for itself."""

    cards: tuple[str, ...] = ("A",)
    total, takes, most, gain, free = 1000, 100, 99, 2.0, 1000
    running = 0

    @classmethod
    @contextmanager
    def probing(cls, config: RunConfig) -> Iterator["Scripted"]:
        probe = cls()
        cls.running += 1
        probe.number, probe.asked, probe.turn = cls.running, [], 0
        try:
            yield probe
        finally:
            cls.running -= 1

    def tell(self, line: str) -> None:
        self.asked.append(line)

    def answer(self):
        self.turn += 1
        free = self.total - self.number * self.takes
        if self.turn == 1:
            return {"cards": self.cards, "total": self.total, "free": self.free}
        if self.turn == 2:
            if self.number > self.most:
                raise OutOfMemory("0 of 1 MB were free; CUDA out of memory")
            return {"bytes": self.takes // 2, "free": free}  # the context is not the process's own
        return {"rate": 100.0 if self.running < 4 else 100.0 / self.gain}


@pytest.fixture
def scripted(monkeypatch):
    class Fresh(Scripted):
        pass

    monkeypatch.setattr(gpu_packing, "probing", Fresh.probing)
    return Fresh


def test_numbers_double_until_they_do_not_pay(scripted):
    found = measure(TINY, 8)
    assert (found.needed, found.free) == (100, 1000)  # with the context, as the second process has shown
    assert found.rates == {1: 100.0, 2: 200.0, 4: 200.0}
    assert found.trials == 2


@pytest.mark.parametrize(
    ("most", "script", "numbers"),
    [
        (1, {}, [1]),
        (3, {"gain": 1.0}, [1, 2, 3]),
        (8, {"takes": 300, "gain": 1.0}, [1, 2, 3]),  # 0.9 x 1000 / 300
        (8, {"takes": 480}, [1]),  # the second fits, but not with a tenth to spare
        (8, {"most": 1}, [1]),
        (8, {"most": 3, "gain": 1.0}, [1, 2]),
    ],
)
def test_never_more_than_fit_or_could_run(scripted, most, script, numbers):
    for name, value in script.items():
        setattr(scripted, name, value)
    assert sorted(measure(TINY, most).rates) == numbers


def test_what_was_measured_holds_for_the_same_card_alone(scripted):
    before = MEASURED.model_copy(update={"total": 1000, "most": 8, "needed": 400})
    assert measure(TINY, 8, before) == before
    assert measure(TINY, 9, before).most == 9  # more are to share it now
    assert measure(TINY, 8, before.model_copy(update={"card": "B"})).card == "A"
    scripted.free = 700  # two of 400 do not fit any more
    assert measure(TINY, 8, before).needed == 100


def test_not_one_trial_fits(scripted):
    scripted.most = 0
    with pytest.raises(
        ConfigError, match=r"not one trial .* fits on the card \(0 of 1 MB were free; .*\): end what else"
    ):
        measure(TINY, 8)


def test_cards_of_two_kinds(scripted):
    scripted.cards = ("A", "B")
    with pytest.raises(ConfigError, match=r"measures one kind of card, but there are A, B: name a share"):
        measure(TINY, 8)


def test_a_process_that_fails():
    broken = TINY.model_copy(update={"device": "abacus"})
    with pytest.raises(ConfigError, match=r"could not measure a trial \(.*abacus.*\): name a share"):
        measure(broken, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")),
    ],
)
def test_a_search_measures_once_and_keeps_it(device, tmp_path: Path, monkeypatch, capsys):
    """With real processes; on a CPU, which stands in for a card of the memory of this machine."""
    monkeypatch.setattr(gpu_packing, "SECONDS", 0.05)
    monkeypatch.setattr(preflight, "this_machine", lambda device: Node("", "", 2, 1))
    monkeypatch.setattr(preflight, "gpus", list)
    config = SearchConfig(name="s", space=SPACE, trials=2, epochs=1, gpus_per_trial="auto", device="auto")
    folder = TrialsFolder(tmp_path)
    configs = [TINY.model_copy(update={"device": device})]
    found = preflight.gpu_packing(folder, config, configs, Console())
    assert sorted(found.rates) == [1, 2]
    assert found.needed > 50e6  # PyTorch alone takes more
    assert found.free <= found.total
    assert "MB a trial at most" in capsys.readouterr().out.replace("\n", " ")
    folder.write_card(found)
    assert preflight.gpu_packing(folder, config, configs, Console()) == found


def test_nothing_is_measured_unless_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "gpus", list)
    folder, console = TrialsFolder(tmp_path), Console()

    def found(cards: int, **asked):
        monkeypatch.setattr(preflight, "this_machine", lambda device: Node("", "", 8, cards))
        return preflight.gpu_packing(
            folder, SearchConfig(name="s", space=SPACE, trials=9, epochs=1, **asked), [], console
        )

    assert found(1) is None
    assert found(1, gpus_per_trial=0.5) is None
    assert found(0, gpus_per_trial="auto") is None  # trials on CPUs, as ever
    with pytest.raises(ConfigError, match="auto measures this machine's cards, not a cluster's: name a share"):
        found(1, gpus_per_trial="auto", address="10.0.0.1:6379")


@pytest.mark.parametrize(
    ("cpus", "cards", "asked", "most"),
    [(16, 1, {}, 9), (16, 2, {}, 5), (4, 1, {}, 4), (16, 1, {"concurrency": 3}, 3), (1, 2, {}, 1)],
)
def test_never_more_than_cpus_or_trials(cpus, cards, asked, most, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "gpus", list)
    monkeypatch.setattr(preflight, "this_machine", lambda device: Node("", "", cpus, cards))
    monkeypatch.setattr(preflight, "measure", lambda config, most, before: MEASURED.model_copy(update={"free": most}))
    config = SearchConfig(name="s", space=SPACE, trials=9, epochs=1, gpus_per_trial="auto", **asked)
    assert preflight.gpu_packing(TrialsFolder(tmp_path), config, [TINY], Console(quiet=True)).free == most


@pytest.mark.parametrize("epochs", [3, 5])
def test_where_layers_learn_one_after_another_each_is_measured(epochs, monkeypatch):
    changes = {"network.widths": (16, 16, 16), "learning.layers": "greedy", "learning.epochs": epochs}
    training, learners = Endless(TINY.replaced(changes), torch.device("cpu")), []
    train = training.trainer.train_epoch
    monkeypatch.setattr(
        training.trainer, "train_epoch", lambda: (learners.append(training.trainer._greedy_layer()), train())
    )
    training.each_kind()
    assert learners == [0, 1, 2]
