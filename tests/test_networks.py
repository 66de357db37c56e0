"""Small networks behind the same face as linear predictors."""

import dataclasses

import numpy as np
import pytest
import torch
from support import method

from irmbench.contract.first_steps import first_steps
from irmbench.engine.batch import Batch
from irmbench.engine.risks import environments
from irmbench.engine.solve import solve
from irmbench.interface import Network, Solver, Truth
from irmbench.moments import Examples, stack

NETWORK = Network(inputs=3, hidden=4)
NOTHING = Truth(torch.zeros(0), torch.zeros(0, dtype=torch.bool), torch.zeros(0, 0))


def parity(seed=0, n=60):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(2, n, 3, generator=generator, dtype=torch.float64)
    return Examples(inputs, (inputs.prod(-1) > 0).double(), logistic=True, network=NETWORK)


def start(seed=0):
    return NETWORK.start(np.random.default_rng(seed))


def test_prediction_is_the_formula():
    x, phi = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64), torch.arange(1.0, 22.0, dtype=torch.float64) / 10
    weights, bias, last, constant = phi[:12].view(4, 3), phi[12:16], phi[16:20], phi[20]
    expected = last @ torch.relu(weights @ x + bias) + constant
    torch.testing.assert_close(NETWORK(x, phi), expected)


def test_gradients_are_those_of_autograd():
    env = environments(parity(), method("erm"), start())
    jacobian = torch.func.jacrev(lambda coefficients: env.at(coefficients).risk)(env.coefficients)
    torch.testing.assert_close(env.gradient, jacobian)


def test_gradient_variance_is_of_the_last_layer():
    data, phi = parity(), start()
    env = environments(data, method("erm"), phi)
    slope = torch.sigmoid(NETWORK(data.inputs, phi)) - data.targets
    each = slope[..., None] * NETWORK.features(data.inputs, phi)
    torch.testing.assert_close(env.gradient_variance, each.var(1, correction=0))


@pytest.mark.parametrize("name", ["erm", "irmv1", "vrex", "iga", "group_dro", "and_mask"])
def test_a_trial_does_not_depend_on_its_batch(name):
    def batch(seeds):
        data, solver = stack([parity(seed) for seed in seeds]), Solver(steps=20)
        return Batch([method(name)], data, [NOTHING] * len(seeds), [solver], seeds)

    together, alone = solve(batch([0, 1])).coefficients, first_steps(batch([1]), 20)
    torch.testing.assert_close(together[1:], alone, rtol=1e-8, atol=1e-10)


def test_adam_learns_what_is_not_linear():
    wide = Network(inputs=3, hidden=16)
    data = stack([dataclasses.replace(parity(n=200), network=wide)])
    fit = solve(Batch([method("erm")], data, [NOTHING], [Solver(steps=1_000, learning_rate=1e-2)], [0]))
    assert fit.objective.item() < 0.2  # log 2 = 0.69 for a coin
