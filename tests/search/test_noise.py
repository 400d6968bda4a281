"""Student's interval and the paired test: against scipy's own, and against values that a table gives."""

import pytest
from scipy import stats

from search.retrain.noise import interval, paired

A, B = [0.91, 0.93, 0.92, 0.95, 0.90], [0.90, 0.93, 0.90, 0.93, 0.91]


def test_the_interval_by_hand():
    """Of 1, 2, 3: s = 1, t(2; 97.5 %) = 4.303, half of it 4.303 / sqrt(3)."""
    mean, low, high = interval([1, 2, 3])
    assert (mean, low, high) == pytest.approx((2, 2 - 2.4843, 2 + 2.4843), abs=1e-3)


def test_the_interval_is_scipys():
    found = interval(A)
    assert found[1:] == pytest.approx(stats.t.interval(0.95, 4, found.mean, stats.sem(A)))


def test_the_paired_test_is_scipys():
    expected = stats.ttest_rel(A, B)
    assert paired(A, B).p == pytest.approx(expected.pvalue)
    assert paired(B, A).p == pytest.approx(expected.pvalue)
    assert paired(A, B).difference == pytest.approx(0.008)
    assert paired(A, B).is_noise


def test_the_same_difference_with_every_seed_says_nothing_of_noise():
    """Accuracies are counts of a few images: two differences are often the same."""
    assert paired([3, 4], [1, 2]) == (2, None)
    assert paired([3, 4], [1, 2]).is_noise
    assert paired([1, 2], [1, 2]) == (0, 1)


def test_one_seed_says_nothing_of_noise():
    assert interval([0.5]) == (0.5, None, None)
    assert paired([0.5], [0.1]) == (0.4, None)
    assert paired([0.5], [0.1]).is_noise


def test_no_value_is_refused():
    with pytest.raises(ValueError, match="no value"):
        interval([])
    with pytest.raises(ValueError, match="2 and 1 values"):
        paired([1, 2], [1])
