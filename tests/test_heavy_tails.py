"""Which estimators say that they may have no finite mean, against the tails of many estimates."""

import numpy as np
import pytest
import torch
from support import method

from irmbench.interface import Examples
from irmbench.moments import Moments, compress

HEAVY = {
    "causal_dantzig": {},
    "causal_dantzig one_vs_rest": {"variant": "one_vs_rest"},
    "iv_2sls": {},
    "iv_2sls liml": {"variant": "liml"},
    "drig": {"gamma": 5.0},
}
LIGHT = {"erm": {}, "iv_2sls fuller": {"variant": "fuller"}, "drig": {"gamma": 1.0}, "anchor_regression": {}}
TOP = 200  # of 100,000 estimates


@pytest.fixture(scope="module")
def moments():
    """Two environments of six examples of one confounded input, whose mean and variance the environment moves."""
    draw = torch.Generator().manual_seed(0)
    hidden, own, noise = torch.randn(3, 100_000, 2, 6, generator=draw, dtype=torch.float64)
    e = torch.tensor([0.0, 1.0])[:, None]
    x = e + (1 + e) * own + hidden
    return compress(Examples(x[..., None], x + hidden + noise))


def tail_index(name, params, moments):
    """Return Hill's (1975) estimate of the order from which on moments are infinite: below 1, no mean."""
    estimator = method(name.split()[0], **params)
    fit = torch.func.vmap(lambda second, count: estimator.fit(Moments(second, count)))
    largest = np.sort(fit(*moments.tensors).abs().numpy()[:, 0])[-TOP - 1 :]
    return 1 / np.log(largest[1:] / largest[0]).mean()


@pytest.mark.parametrize("name", HEAVY)
def test_estimators_that_say_so_have_no_mean(name, moments):
    assert method(name.split()[0], **HEAVY[name]).heavy_tailed
    assert tail_index(name, HEAVY[name], moments) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("name", LIGHT)
def test_estimators_that_do_not_say_so_have_a_mean(name, moments):
    assert not method(name.split()[0], **LIGHT[name]).heavy_tailed
    assert tail_index(name, LIGHT[name], moments) > 1.75
