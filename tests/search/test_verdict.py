"""Who wins a retraining, and what is said of it."""

import pytest
from rich.console import Console

from ffsnn.validation import ConfigError
from search.registries import OBJECTIVES
from search.retrain import verdict
from search.retrain.verdict import RetrainResult

GOAL = OBJECTIVES["val_accuracy"]


def ranked(*accuracies):
    numbers = range(10, 10 + len(accuracies))
    return verdict.ranked(list(numbers), [f"id{n}" for n in numbers], accuracies, GOAL)


def test_the_mean_decides_and_a_failed_seed_counts_against():
    ranking = ranked([0.8, 0.9], [0.99, None], [0.9, 0.92], [None, None])
    assert [it.trial for it in ranking] == [12, 10, 11, 13]
    assert ranking[-1].mean is None


def test_the_first_is_compared_with_the_next_over_the_seeds_that_both_have():
    first = ranked([0.9, 0.92, 0.94], [0.8, 0.83, None])
    lead = verdict.lead(first, GOAL)
    assert (lead.trial, lead.noise) == (11, False)
    assert lead.difference == pytest.approx(0.095)
    assert verdict.lead(ranked([0.9, 0.8]), GOAL) is None
    assert verdict.best_seed(first[0], [5, 6, 7], GOAL) == 7


def test_all_failed():
    with pytest.raises(ConfigError, match="every training has failed"):
        ranked([None], [None])


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        (([0.9, 0.92], [0.8, 0.81]), "more than noise (paired t-test over seeds, p = 0.03 < 0.05)"),
        (([0.9, 0.92], [0.91, 0.9]), "within noise (paired t-test over seeds, p = 0.8 >= 0.05)"),
        (([0.9], [0.8]), "nothing can be said of chance"),
        (([0.9, 0.91], [0.95, None]), "trial 10 is 5.00 points behind trial 11, which failed with a seed"),
    ],
)
def test_words(accuracies, said):
    ranking = ranked(*accuracies)
    seeds = tuple(range(len(ranking[0].values)))
    result = RetrainResult(
        search="s", epochs=1, seeds=seeds, ranking=tuple(ranking), lead=verdict.lead(ranking, GOAL), best_seed=0,
        test=verdict.tested(ranking[0].values, 360, 1),
    )  # fmt: skip
    words = verdict.words(result)
    assert said in words[0]
    assert "mean 9" in words[1]
    assert words[2].startswith("1 other retrainings")
    assert RetrainResult.model_validate_json(result.model_dump_json()) == result
    (table,) = verdict.tables(result, Console(width=100))
    assert table.row_count == 2
    assert len(verdict.tables(result, Console(width=40))) > 1
