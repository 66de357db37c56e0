"""The experiment this project grew from: appendix D of the IRM paper, as a notebook ran and printed it.

The notebook is unseeded, so its rows are compared with an ensemble of data seeds, and its path with the same loop on
exact moments. Printed rows: github.com/fastforwardlabs/causal-experiments, notebook
1-invariant-risk-minimization-minimal-example, commit a832639; step k is printed after k + 1 updates.
"""

import pytest
import torch
from support import batch, dataset, method

from irmbench.engine.solve import solve
from irmbench.interface import Solver

PRINTED = {
    0: (0.8598, 0.8562, 0.6880, 0.6795),
    1000: (0.9306, 0.9261, 0.1654, 0.1612),
    2000: (0.9655, 0.9609, 0.1134, 0.1104),
    3000: (0.9778, 0.9729, 0.0900, 0.0871),
    4000: (0.9836, 0.9787, 0.0764, 0.0737),
    5000: (0.9869, 0.9823, 0.0672, 0.0648),
    6000: (0.9891, 0.9845, 0.0609, 0.0586),
    7000: (0.9906, 0.9860, 0.0558, 0.0540),
    10000: (0.9933, 0.9890, 0.0456, 0.0445),
    20000: (0.9964, 0.9921, 0.0315, 0.0314),
    30000: (0.9973, 0.9931, 0.0253, 0.0259),
    40000: (0.9979, 0.9934, 0.0227, 0.0232),
    49999: (0.9982, 0.9936, 0.0207, 0.0214),
}
# The loop on exact moments in float64, computed independently: (x, z).
POPULATION = {
    0: (0.8555, 0.6787),
    1000: (0.9364, 0.1595),
    2000: (0.9694, 0.1084),
    5000: (0.9889, 0.0637),
    10000: (0.9948, 0.0432),
    20000: (0.9975, 0.0297),
    30000: (0.9983, 0.0241),
    40000: (0.9987, 0.0208),
    49000: (0.9990, 0.0188),
    49999: (0.9990, 0.0186),
}


def run(variant="scale_sq", seeds=1, steps=50_000, data="sample", record_every=1000):
    """Return coefficients [S, 4] by step, under the notebook's protocol: 1e-5 risk + penalty, sgd 1e-3, from ones."""
    protocol = method("irmv1", variant=variant, normalisation="appendix_d", penalty_weight=1e5)
    solver = Solver(optimizer="sgd", learning_rate=1e-3, steps=steps, data=data)
    fit = solve(batch(dataset("irm_appendix_d"), protocol, solver, seeds=seeds), record_every)
    return {step: coefficients[:, 0] for step, coefficients in fit.trajectory}


@pytest.mark.slow
def test_every_printed_row_is_within_the_ensemble():
    ensemble = run(seeds=200)
    for step, row in PRINTED.items():
        mean, deviation = ensemble[step].mean(0), ensemble[step].std(0)
        assert ((torch.tensor(row) - mean).abs() < 3 * deviation).all(), step


@pytest.mark.slow
def test_the_population_path_is_the_one_computed_independently():
    path = run(data="population")
    for step, (x, z) in POPULATION.items():
        expected = torch.tensor([x, x, z, z]).double()
        torch.testing.assert_close(path[step][0], expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_random_splits_follow_the_full_batch_within_the_seeds_spread():
    full, split = (run(v, seeds=s, steps=1001, record_every=500) for v, s in (("scale_sq", 50), ("split", 3)))
    for step in (0, 500, 1000):
        assert ((split[step] - full[step][:3]).abs() < 3 * full[step].std(0)).all(), step
