"""Every quantity a method may look at, against automatic differentiation of the risk on examples."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from irmbench.engine.risks import environments
from irmbench.interface import Method
from irmbench.moments import Examples, Moments, compress

E, N, D = 3, 40, 4
IDENTITY = Method()


@pytest.fixture(params=[False, True], ids=["plain", "intercept"])
def intercept(request):
    return request.param


def make(logistic, intercept):
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(E, N, D, generator=generator, dtype=torch.float64) + 0.3
    targets = inputs.sum(-1) + torch.randn(E, N, generator=generator, dtype=torch.float64)
    phi = torch.randn(D + intercept, generator=generator, dtype=torch.float64)
    return Examples(inputs, (targets > 0).double() if logistic else targets, intercept, logistic), phi


def risk(data, phi, scale=1.0, bias=0.0):
    """Return the risks [E] of the predictor ``scale * (x'phi) + bias``, written out."""
    prediction = scale * (data.inputs @ phi[:D] + (phi[D] if data.intercept else 0.0)) + bias
    if data.logistic:
        return binary_cross_entropy_with_logits(prediction, data.targets, reduction="none").mean(-1)
    return ((prediction - data.targets) ** 2).mean(-1)


def views(logistic, intercept):
    data, phi = make(logistic, intercept)
    sources = [data] if logistic else [data, compress(data)]
    return data, phi, [environments(source, IDENTITY, phi) for source in sources]


@pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
class TestAgainstAutograd:
    def test_risk(self, logistic, intercept):
        data, phi, seen = views(logistic, intercept)
        for env in seen:
            torch.testing.assert_close(env.risk, risk(data, phi), rtol=1e-10, atol=1e-10)

    def test_gradient(self, logistic, intercept):
        data, phi, seen = views(logistic, intercept)
        expected = torch.autograd.functional.jacobian(lambda at: risk(data, at), phi)
        for env in seen:
            torch.testing.assert_close(env.gradient, expected, rtol=1e-10, atol=1e-10)

    def test_scale_gradient(self, logistic, intercept):
        data, phi, seen = views(logistic, intercept)
        one = torch.ones((), dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(lambda w: risk(data, phi, scale=w), one)
        for env in seen:
            torch.testing.assert_close(env.scale_gradient, expected, rtol=1e-10, atol=1e-10)

    def test_bias_gradient(self, logistic, intercept):
        data, phi, seen = views(logistic, intercept)
        zero = torch.zeros((), dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(lambda b: risk(data, phi, bias=b), zero)
        for env in seen:
            torch.testing.assert_close(env.bias_gradient, expected, rtol=1e-10, atol=1e-10)

    def test_vector_dummy_gradient_is_the_gradient_seen_through_phi(self, logistic, intercept):
        data, _ = make(logistic, intercept)
        P = D + intercept
        matrix = torch.randn(P, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        ones = torch.ones(P, dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(lambda w: risk(data, matrix @ w), ones)
        for source in [data] if logistic else [data, compress(data)]:
            env = environments(source, IDENTITY, matrix @ ones)
            torch.testing.assert_close(env.gradient @ matrix, expected, rtol=1e-10, atol=1e-10)

    def test_second_derivatives_of_the_dummy_gradient(self, logistic, intercept):
        data, phi, seen = views(logistic, intercept)

        def penalty(at):
            one = torch.ones((), dtype=torch.float64, requires_grad=True)
            (gradient,) = torch.autograd.grad(risk(data, at, scale=one)[0], one, create_graph=True)
            return gradient**2

        expected = torch.autograd.functional.jacobian(penalty, phi)
        for env in seen:
            got = torch.func.grad(lambda at, env=env: env.at(at).scale_gradient[0] ** 2)(phi)
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_variance_of_the_dummy_gradient_makes_its_square_unbiased(intercept):
    data, _, (env, _) = views(False, intercept)
    s = 2 * (env.predictions - data.targets) * env.predictions
    total, each = s.sum(-1), (s**2).sum(-1)
    torch.testing.assert_close(
        env.scale_gradient**2 - env.scale_gradient_variance, (total**2 - each) / (N * (N - 1)), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("n", [N, N - 1], ids=["even", "odd"])
def test_split_gradients_are_those_of_two_halves(n):
    data, phi = make(False, False)
    data = Examples(data.inputs[:, :n], data.targets[:, :n])
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(3))
    first, second = chosen[: (n + 1) // 2], chosen[(n + 1) // 2 :]
    half = torch.zeros(E, n, dtype=torch.float64)
    half[:, first] = 1
    got = environments(data, IDENTITY, phi, half=half).split_scale_gradients
    for part, gradient in zip((first, second), got, strict=True):
        alone = environments(Examples(data.inputs[:, part], data.targets[:, part]), IDENTITY, phi)
        torch.testing.assert_close(gradient, alone.scale_gradient)


def test_a_population_is_its_own_half_and_has_no_sampling_variance():
    data, phi = make(False, False)
    moments = compress(data)
    env = environments(type(moments)(moments.second, moments.count, population=True), IDENTITY, phi)
    for gradient in env.split_scale_gradients:
        torch.testing.assert_close(gradient, env.scale_gradient)
    assert env.scale_gradient_variance.tolist() == [0.0] * E


def test_moments_of_a_sample_refuse_what_needs_its_examples():
    data, phi = make(False, False)
    env = environments(compress(data), IDENTITY, phi)
    with pytest.raises(ValueError, match="needs_examples"):
        env.scale_gradient_variance  # noqa: B018
    with pytest.raises(ValueError, match="needs_split"):
        env.split_scale_gradients  # noqa: B018


def test_smooth_maximum_bounds_the_maximum_from_above():
    data, phi = make(False, False)
    values = torch.tensor([1.0, 2.0, 2.0])
    sharp = environments(data, IDENTITY, phi).max(values)
    smooth = environments(data, IDENTITY, phi, smoothing=torch.tensor(0.1)).max(values)
    assert sharp == 2
    assert 2 < smooth <= 2 + 0.1 * torch.log(torch.tensor(3.0))


@pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
def test_predictions_and_their_moments(logistic, intercept):
    data, phi, seen = views(logistic, intercept)
    f = data.inputs @ phi[:D] + (phi[D] if intercept else 0.0)
    for env in seen:
        torch.testing.assert_close(env.prediction_mean, f.mean(-1))
        torch.testing.assert_close(env.prediction_square, f.square().mean(-1))
        assert env.count.tolist() == [N] * E
    torch.testing.assert_close(seen[0].predictions, f)


@pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
def test_gradient_variance_is_over_the_gradients_of_single_examples(logistic, intercept):
    data, phi, (env, *_) = views(logistic, intercept)
    alone = data.with_tensors(data.inputs.flatten(0, 1)[:, None], data.targets.flatten()[:, None])
    each = torch.autograd.functional.jacobian(lambda at: risk(alone, at), phi).view(E, N, -1)
    torch.testing.assert_close(env.gradient_variance, each.var(1, correction=0), rtol=1e-10, atol=1e-10)


def test_gradient_variance_of_a_normal_population(intercept):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(1, D + 1, D + 1, generator=generator, dtype=torch.float64)
    mean = torch.randn(1, 1, D + 1, generator=generator, dtype=torch.float64)
    rows = torch.randn(1, 1_000_000, D + 1, generator=generator, dtype=torch.float64) @ mixing + mean
    sample = Examples(rows[..., :D], rows[..., D], intercept)
    moments = compress(sample)
    population = Moments(moments.second, moments.count, intercept, population=True, gaussian=True)
    phi = torch.ones(D + intercept, dtype=torch.float64)
    exact, seen = (environments(data, IDENTITY, phi).gradient_variance for data in (population, sample))
    torch.testing.assert_close(exact, seen, rtol=0.02, atol=0.0)


def test_what_needs_examples_says_so():
    data, phi = make(False, False)
    env = environments(compress(data), IDENTITY, phi)
    for name in ("predictions", "targets", "gradient_variance", "half"):
        with pytest.raises(ValueError, match=r"needs? examples"):
            getattr(env, name)
