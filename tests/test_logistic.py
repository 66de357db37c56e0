"""Compiled loops over logistic examples: risks and derivatives as PyTorch's operators have them, and the same steps."""

import dataclasses

import pytest
import torch
from support import batch, dataset, method
from torch.func import grad, vmap
from torch.testing import assert_close

from irmbench.engine import descent
from irmbench.engine.logistic import curvature, sign, sums, without_unused
from irmbench.engine.on_examples import ExampleEnvironments
from irmbench.engine.on_signed import SignedEnvironments
from irmbench.engine.tracing import trace
from irmbench.interface import Method, Solver
from irmbench.moments import Examples
from irmbench.perf.ordinary_loops import OrdinaryLoop

SINGLE = {"rtol": 2e-5, "atol": 2e-6}  # what float32 examples leave of a sum of a thousand
SCORES = {
    "risk": lambda env: env.risk,
    "gradient": lambda env: (env.gradient - env.gradient.mean(0)).square().sum(-1),
    "dummy gradient": lambda env: env.scale_gradient**2 + env.bias_gradient**2,
    "predictions": lambda env: env.prediction_variance,
}
# The Linear Unit Tests' and IB-IRM's methods, as their suite has them.
TRIALS = {
    "erm": {},
    "irmv1": {"penalty_weight": 0.9, "variant": "scale_bias", "normalisation": "unit_tests"},
    "iga": {"penalty_weight": 1e3},
    "ib_erm": {"penalty_weight": 0.1},
    "ib_irm": {"penalty_weight": 0.9, "variance_weight": 0.1},
    "and_mask": {"tau": 0.9, "rule": "unit_tests"},
}


@pytest.fixture
def examples():
    """Two seeds of three environments of 1,001 examples: a number that no block holds exactly."""
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, 1001, 4, dtype=torch.float64)
    return Examples(inputs, (torch.rand(2, 3, 1001) > 0.4).double(), intercept=True, logistic=True)


def seen(face, data, points, score):
    """Return a score [S, H, E] and the gradient of its sum, of all points [S, H, P]."""

    def one(tensors, point):
        def value(at):
            return score(face(data.with_tensors(*tensors), Method(), at))

        return value(point), grad(lambda at: value(at).sum())(point)

    return vmap(vmap(one, in_dims=(None, 0)))(data.tensors, points)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("score", SCORES)
def test_scores_and_their_gradients_are_those_of_double_precision_operators(examples, score, intercept):
    examples = dataclasses.replace(examples, intercept=intercept)
    points = torch.randn(2, 3, 4 + intercept, dtype=torch.float64)
    found = seen(SignedEnvironments, sign(examples), points, SCORES[score])
    assert_close(found, seen(ExampleEnvironments, examples, points, SCORES[score]), **SINGLE)


def test_logits_of_any_size_leave_losses_and_gradients_finite(examples):
    points = torch.tensor([1e-30, 1.0, 1e2, 1e6]).double()[None, :, None].expand(2, 4, 5)
    risk, gradient = seen(SignedEnvironments, sign(examples), points, SCORES["risk"])
    reference, _ = seen(ExampleEnvironments, examples, points, SCORES["risk"])
    assert_close(risk, reference, rtol=1e-5, atol=1e-6)
    assert torch.isfinite(gradient).all()


def test_a_draw_s_sums_are_bit_for_bit_the_same_alone_and_beside_others(examples):
    data, points = sign(examples), torch.randn(2, 5, 5, dtype=torch.float64)
    together = sums(data.blocks, points, data.n, [True, True, True])
    for h in range(5):
        alone = sums(data.blocks[1:], points[1:, h : h + 1], data.n, [True, True, True])
        assert all(torch.equal(one[0, 0], many[1, h]) for one, many in zip(alone, together, strict=True))


def test_examples_of_other_widths_than_a_vector_s_are_summed_whole():
    for inputs in (1, 3, 11, 14):
        data = Examples(torch.randn(2, 17, inputs).double(), torch.ones(2, 17).double(), logistic=True)
        risk, gradient, *_ = sums(
            sign(data).blocks[None], torch.zeros(1, 1, inputs + 1).double(), 17, [True, False, False]
        )
        assert_close(risk[0, 0], torch.full((2,), 2.0).double().log(), rtol=1e-6, atol=0.0)
        assert_close(gradient[0, 0, :, :-1], -data.inputs.mean(1) / 2, **SINGLE)


def test_what_a_step_does_not_use_is_not_computed(examples):
    data = sign(examples)

    def lifted(points):
        return seen(SignedEnvironments, data, points, lambda env: env.scale_gradient**2)[1]

    graph = without_unused(trace(lifted, torch.ones(2, 3, 5).double())).__self__.graph
    asked = [node.args[3] for node in graph.nodes if node.target is sums]
    assert [False, True, False] in asked  # of risk, dummy and bias gradient
    assert not any(node.target is curvature for node in graph.nodes)


@pytest.mark.parametrize("data", ["unit_test_1", "unit_test_2", "unit_test_3"])
@pytest.mark.parametrize("name", TRIALS)
def test_steps_are_those_of_an_ordinary_loop(data, name):
    solver = Solver(
        optimizer="sgd" if name == "and_mask" else "adam",
        learning_rate=3e-3,
        weight_decay=1e-3,
        steps=40,
        start="linear",
    )
    one = batch(dataset(data, n=1500), method(name, **TRIALS[name]), solver, [3])
    examples = dataset(data, n=1500).sample(1500, 3)
    floats = {key: value for key, value in TRIALS[name].items() if isinstance(value, float)}
    rates = {"learning_rate": solver.learning_rate, "weight_decay": solver.weight_decay}
    loop = OrdinaryLoop(name, examples, one.start()[0, 0], floats | rates)
    loop.run(solver.steps)
    found = descent.descend(one).coefficients[0, 0]
    assert_close(found.float(), loop.coefficients, rtol=1e-4, atol=1e-5)
    assert not torch.equal(found, one.start()[0, 0])


def test_loops_are_compiled_for_many_linear_examples_and_for_nothing_else():
    many, few = dataset("unit_test_2", n=1500), dataset("unit_test_2", n=100)
    compiled = [
        not isinstance(descent.laid_out(batch(data, method(name, **params), Solver(), 1)).data, Examples)
        for data, name, params in ((many, "erm", {}), (few, "erm", {}), (many, "irmv1", {"variant": "split"}))
    ]
    assert compiled == [True, False, False]


def test_linear_starts_are_those_of_a_linear_layer_made_under_the_draw_s_published_seed():
    """The Linear Unit Tests' code makes the layer right after seeding PyTorch with 1000 plus the number of the draw."""
    rows = batch(dataset("unit_test_2", n=100), [method("erm")] * 3, Solver(start="linear"), 2).start()
    with torch.random.fork_rng():
        for draw in range(3):
            torch.manual_seed(1000 + draw)
            layer = torch.nn.Linear(10, 1)
            expected = torch.cat([layer.weight.detach()[0], layer.bias.detach()]).double()
            assert torch.equal(rows[0, draw], expected)
            assert torch.equal(rows[1, draw], expected)


class OfPredictions(Method):
    def objective(self, env):
        return (env.predictions - env.targets).square().mean()


class OfGradientNorm(Method):
    """Its direction needs the second derivative of the gradient, which the compiled loops do not have."""

    def objective(self, env):
        norm = grad(lambda at: env.at(at).gradient.square().sum())(env.coefficients)
        return env.risk.mean() + norm.square().sum()


@pytest.mark.parametrize(
    "of", [OfPredictions, OfGradientNorm, method("birm")], ids=lambda of: getattr(of, "__name__", "BIRM")
)
def test_what_compiled_loops_cannot_tell_is_told_by_examples(of, monkeypatch):
    data, asked = dataset("unit_test_2", n=1400), of() if isinstance(of, type) else of
    one = batch(data, [asked], Solver("official", steps=2), [0])
    found = descent.descend(one).coefficients
    monkeypatch.setattr(descent, "MANY", 10**9)
    assert_close(found, descent.descend(one).coefficients, rtol=1e-9, atol=0)


def test_risks_are_twice_differentiable(examples):
    one = Examples(examples.inputs[0], examples.targets[0], intercept=True, logistic=True)
    at = torch.randn(5, dtype=torch.float64)

    def curved(data, face):
        return grad(lambda q: grad(lambda p: face(data, Method(), p).risk.sum())(q).square().sum())(at)

    assert_close(curved(sign(one), SignedEnvironments), curved(one, ExampleEnvironments), **SINGLE)
