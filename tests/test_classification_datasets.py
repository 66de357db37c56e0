"""Datasets of bits, colours, classes and spirals against their papers' numbers and their own definitions."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support import batch, dataset, method

from irmbench.engine.batch import Batch
from irmbench.engine.risks import environments
from irmbench.engine.solve import solve, why_not
from irmbench.interface import Method, Network, Solver, Truth
from irmbench.moments import Examples, compress, stack
from irmbench.runs import scores
from irmbench.runs.scores import zero_one_risk

N = 100_000
SAME = Method()  # its parameters are the coefficients
EVERYTHING = [
    ("two_bit", {}),
    ("two_bit_logistic", {}),
    ("cmnist_synth", {}),
    ("cmnist_synth", {"shape": "hard"}),
    ("piif_linear", {}),
    ("piif_classification", {}),
    ("fiif_linear", {}),
    ("fiif_classification", {}),
    ("rosenfeld", {}),
    ("rex_discrete", {}),
    ("spirals", {"environments": 3}),
]


def seen(data, *coefficients):
    return environments(data, SAME, torch.tensor(coefficients, dtype=torch.float64))


def tail(x):
    """Return Phi(-x)."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def assert_frequency(found, expected, n=N):
    """Compare frequencies with chances, to five standard errors."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    error = torch.sqrt(expected * (1 - expected) / n) + 1e-12
    assert ((found.double() - expected).abs() <= 5 * error).all(), (found, expected)


def truth_in_observed(data, seed, parameters):
    truth = data.truth(seed)
    return truth.observed(truth.coefficients, parameters)


def converged(data, name, **params):
    """Return the converged coefficients of a method on each of the given data."""
    everything, solver = stack(data), Solver(optimizer="newton")
    return solve(Batch([method(name, **params)], everything, [], [solver], list(range(len(data))))).coefficients[:, 0]


def logistic_regression(inputs, targets):
    """Return the coefficients of least logistic risk by ten Newton steps: an oracle that shares no code."""
    X, y = inputs.flatten(0, -2), targets.flatten()
    phi = torch.zeros(X.shape[1]).double()
    for _ in range(10):
        p = (X @ phi).sigmoid()
        phi = phi - torch.linalg.solve((X.mT * p * (1 - p)) @ X, X.mT @ (p - y))
    return phi


@pytest.mark.parametrize(("dataset_name", "params"), EVERYTHING)
def test_official_steps_run_on_every_dataset(dataset_name, params):
    data = dataset(dataset_name, n=40, **params)
    # Its objective is made of the risks and of their derivatives.
    fit = solve(batch(data, method("irmv1"), Solver(steps=5), seeds=2))
    assert torch.isfinite(fit.coefficients).all()
    assert torch.isfinite(fit.objective).all()


@pytest.mark.parametrize(("dataset_name", "params"), EVERYTHING)
def test_scores_of_the_test_environments_are_finite(dataset_name, params):
    data = dataset(dataset_name, n=40, **params)
    found = scores.Tester(data, 0, data.truth(0))(torch.ones(data.sample(2, 0).dimension).double())
    assert all(math.isfinite(value) for value in found.values())


class TestTwoBit:
    """Predictors as (f(1, 1), f(1, -1)); the paper's loss is half of the squared one."""

    SETTINGS = ((0.1, 0.2, 0.25), (0.1, 0.11, 0.4), (0.25, 0.1, 0.2))

    def data(self, alpha=0.1, beta_1=0.2, beta_2=0.25, **params):
        return dataset("two_bit", alpha=alpha, beta_1=beta_1, beta_2=beta_2, **params)

    def values(self, phi):
        return [float(phi[0] + phi[1]), float(phi[0] - phi[1])]

    @pytest.mark.parametrize(("alpha", "beta_1", "beta_2"), SETTINGS)
    def test_population_moments_are_the_closed_form(self, alpha, beta_1, beta_2):
        moments = self.data(alpha, beta_1, beta_2).population(0)
        for e, beta in enumerate((beta_1, beta_2)):
            q = (1 - 2 * alpha) * (1 - 2 * beta)
            torch.testing.assert_close(moments.gram[e], torch.tensor([[1, q], [q, 1]]).double())
            torch.testing.assert_close(moments.cross[e], torch.tensor([1 - 2 * alpha, 1 - 2 * beta]).double())
        assert moments.target_square.tolist() == [1, 1]
        assert moments.population

    def test_bits_disagree_with_the_target_as_often_as_they_should(self):
        data = self.data()
        for examples, betas in ((data.sample(N, 0), (0.2, 0.25)), (data.test_sample(N, 0), (0.9,))):
            assert set(examples.inputs.unique().tolist()) == {-1, 1}
            wrong = (examples.inputs != examples.targets[..., None]).double().mean(1)
            assert_frequency(wrong, [[0.1, beta] for beta in betas])

    @pytest.mark.parametrize(
        ("setting", "values", "risks", "test"),
        [
            (SETTINGS[0], (0.8, 0.8), (0.18, 0.18), 0.18),
            (SETTINGS[0], (0.95572, 0.29428), (0.15078, 0.16732), 0.38229),
            (SETTINGS[0], (0.29428, 0.95572), (0.34922, 0.33268), 0.11771),
            (SETTINGS[1], (0.95572, 0.29428), (0.12102, 0.21693), 0.38229),
            (SETTINGS[2], (0.5, 0.5), (0.375, 0.375), 0.375),
        ],
    )
    def test_predictors_without_dummy_gradient_have_their_risks(self, setting, values, risks, test):
        data = self.data(*setting)
        phi = ((values[0] + values[1]) / 2, (values[0] - values[1]) / 2)
        train, held_out = seen(data.population(0), *phi), seen(data.test_population(0), *phi)
        assert train.scale_gradient.abs().max() < 2e-5
        np.testing.assert_allclose(train.risk / 2, risks, atol=1e-5)
        assert float(held_out.risk / 2) == pytest.approx(test, abs=1e-5)

    @pytest.mark.parametrize("beta", [0.01, 0.3, 0.5, 0.9])
    def test_two_predictors_have_no_dummy_gradient_whatever_the_second_bit_s_chance(self, beta):
        alpha, s = 0.1, 1 / 0.8
        second = math.sqrt(s**2 - 4 * alpha * s * (s + 1)) / 2
        for sign in (1, -1):
            env = seen(self.data(alpha, beta, 1 - beta).population(0), s / 2, sign * second)
            assert env.scale_gradient.abs().max() < 1e-12

    def test_no_other_predictor_has_a_zero_dummy_gradient_above_the_threshold(self):
        # 1/2 - 1/sqrt(8) = .1464: the discriminant is negative from there on.
        for alpha, exists in ((0.146, True), (0.147, False)):
            s = 1 / (1 - 2 * alpha)
            assert (s**2 - 4 * alpha * s * (s + 1) > 0) == exists

    @pytest.mark.parametrize(
        ("setting", "values", "total", "test"),
        [
            (SETTINGS[0], (0.9375, 0.4464), 0.31138, 0.30367),
            (SETTINGS[1], (0.9267, 0.5099), 0.32323, 0.27598),
            (SETTINGS[2], (0.8889, -0.3077), 0.43590, 0.98499),
        ],
    )
    def test_least_squares_is_where_it_should_be(self, setting, values, total, test):
        data = self.data(*setting)
        phi = converged([data.population(0)], "erm")[0]
        np.testing.assert_allclose(self.values(phi), values, atol=5e-5)
        assert float(seen(data.population(0), *phi).risk.sum() / 2) == pytest.approx(total, abs=1e-5)
        assert float(seen(data.test_population(0), *phi).risk / 2) == pytest.approx(test, abs=1e-5)

    def test_irmv1_prefers_a_predictor_that_is_not_invariant_unless_the_first_bit_is_noisy(self):
        found = converged([self.data(*s).population(0) for s in self.SETTINGS], "irmv1", penalty_weight=1e7)
        for phi, expected in zip(found, [(0.95572, 0.29428), (0.95572, 0.29428), (0.5, 0.5)], strict=True):
            np.testing.assert_allclose(self.values(phi), expected, atol=5e-5)

    @pytest.mark.parametrize(("name", "first"), [("vrex", 0.8), ("iga", 1.25)])
    def test_limits_of_equal_risks_and_of_equal_gradients(self, name, first):
        found = converged([self.data().population(0)], name, penalty_weight=1e7)
        np.testing.assert_allclose(found[0], (first, 0), atol=5e-5)

    def test_the_truth_has_the_same_risk_and_no_dummy_gradient_anywhere(self):
        data = self.data(scrambled=True)
        phi = truth_in_observed(data, 3, 2)
        for moments in (data.population(3), data.test_population(3)):
            env = seen(moments, *phi)
            np.testing.assert_allclose(env.risk, 1 - 0.8**2, rtol=1e-12)
            assert env.scale_gradient.abs().max() < 1e-12


class TestTwoBitLogistic:
    def exact(self, alpha):
        """Return 800 examples of each environment in exactly the chances of beta = .2 and .25."""
        inputs, bits = [], torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]).double()
        for beta in (0.2, 0.25):
            chances = torch.tensor([(1 - alpha) * (1 - beta), (1 - alpha) * beta, alpha * (1 - beta), alpha * beta])
            inputs.append(bits.repeat_interleave((400 * chances).round().long(), 0))
        positive = torch.stack(inputs)
        targets = torch.cat([torch.ones(2, 400), torch.zeros(2, 400)], 1).double()
        return Examples(torch.cat([positive, -positive], 1), targets, logistic=True)

    def test_bits_disagree_with_the_label_as_often_as_they_should(self):
        data = dataset("two_bit_logistic")
        for examples, betas in ((data.sample(N, 0), (0.2, 0.25)), (data.test_sample(N, 0), (0.9,))):
            assert_frequency(examples.targets.mean(1), 0.5)
            wrong = (examples.inputs != 2 * examples.targets[..., None] - 1).double().mean(1)
            assert_frequency(wrong, [[0.1, beta] for beta in betas])

    def test_the_truth_is_every_environment_s_best_logit_without_the_second_bit(self):
        phi = dataset("two_bit_logistic").truth(0).coefficients
        assert phi[0].item() == pytest.approx(math.log(9))
        env = seen(self.exact(0.1), *phi)
        np.testing.assert_allclose(env.gradient[:, 0], 0, atol=1e-12)
        np.testing.assert_allclose(env.scale_gradient, 0, atol=1e-12)

    def test_the_best_logit_of_one_environment_adds_that_of_its_second_bit(self):
        exact = self.exact(0.1)
        for e, beta in enumerate((0.2, 0.25)):
            found = logistic_regression(exact.inputs[e], exact.targets[e])
            np.testing.assert_allclose(found, (math.log(9), math.log(1 / beta - 1)), rtol=1e-9)

    def test_a_reliable_first_bit_has_other_predictors_without_dummy_gradient(self):
        # f(1, 1) = a and f(1, -1) = b with (1 - alpha) a sigmoid(-a) = alpha b sigmoid(b), and the same exchanged.
        env, truth = seen(self.exact(0.05), 2.944439, 2.040320), seen(self.exact(0.05), math.log(19), 0)
        assert env.scale_gradient.abs().max() < 1e-6
        assert (env.risk < truth.risk).all()

    def test_irmv1_ends_there_or_else_at_the_truth(self):
        found = converged([self.exact(0.05), self.exact(0.1)], "irmv1", penalty_weight=1e7)
        np.testing.assert_allclose(found, [(2.9444, 2.0403), (math.log(9), 0)], atol=1e-2)


class TestCMNISTSynth:
    @pytest.fixture(params=["linear", "hard"])
    def data(self, request):
        return dataset("cmnist_synth", shape=request.param)

    def channels(self, examples):
        """Return the image in either channel, and which of them has ink."""
        first, second = examples.inputs[..., :16], examples.inputs[..., 16:]
        return first, second, (second != 0).any(-1)

    def test_ink_is_in_one_channel(self, data):
        first, second, _ = self.channels(data.sample(1000, 0))
        assert ((first == 0).all(-1) != (second == 0).all(-1)).all()

    def test_colour_is_right_as_often_as_published(self, data):
        for examples, chances in ((data.sample(N, 0), (0.8, 0.9)), (data.test_sample(N, 0), (0.1,))):
            right = self.channels(examples)[2] == (examples.targets > 0.5)
            assert_frequency(right.double().mean(1), chances)

    def test_colour_and_shape_are_even_and_given_the_label_independent(self, data):
        examples = data.sample(N, 0)
        first, second, colour = self.channels(examples)
        shape = ((first + second) @ torch.from_numpy(data.patterns).T > 0).sum(-1) % 2 == 1
        assert_frequency(torch.stack([colour.double().mean(1), shape.double().mean(1)]), 0.5)
        agrees = shape == (examples.targets > 0.5)
        for disguise in (True, False):
            chosen = colour == disguise
            assert_frequency((agrees & chosen).sum(1) / chosen.sum(1), 0.75, N // 3)

    def test_the_truth_errs_a_quarter_of_the_time_everywhere(self):
        data = dataset("cmnist_synth")
        phi = truth_in_observed(data, 0, 33)
        shape_error = tail(4.0)
        expected = 0.25 + 0.5 * shape_error
        for examples in (data.sample(N, 0), data.test_sample(N, 0)):
            assert_frequency(zero_one_risk(examples, phi), expected)

    def test_colour_alone_is_a_linear_predictor(self):
        data = dataset("cmnist_synth")
        phi = torch.cat([-torch.ones(16), torch.ones(16), torch.zeros(1)]).double()
        error = tail(4.0)  # of the colour
        for examples, chances in ((data.sample(N, 0), (0.2, 0.1)), (data.test_sample(N, 0), (0.9,))):
            assert_frequency(zero_one_risk(examples, phi), [p + (1 - 2 * p) * error for p in chances])

    def test_the_truth_is_the_direction_of_the_best_predictor_on_the_sum_of_the_channels(self):
        data = dataset("cmnist_synth")
        examples = data.sample(N, 0)
        gray = examples.inputs[..., :16] + examples.inputs[..., 16:]
        phi = logistic_regression(gray, examples.targets)
        along = phi * data.truth(0).coefficients[:16]
        assert along.mean() > 0.05
        assert (along - along.mean()).abs().max() < 5 / math.sqrt(2 * N * 0.18)  # P(y) (1 - P(y)) is about .19

    def test_least_risk_follows_the_colour(self):
        data = dataset("cmnist_synth")
        examples, test = data.sample(5000, 0), data.test_sample(5000, 0)
        phi = torch.cat([logistic_regression(examples.inputs, examples.targets), torch.zeros(1)])
        assert zero_one_risk(examples, phi).mean() < 0.2
        assert zero_one_risk(test, phi).item() > 0.75

    def test_a_hard_shape_is_a_parity_that_the_network_can_compute(self):
        # t, the sum of three bits of +-1, has the sign of their product at -3, -1, 1, 3 if it is passed through
        # (t + 2) - 2 relu(t + 1) + 2 relu(t - 1); that is wrong where the noise of t, sqrt(3) / mu, crosses a root.
        data = dataset("cmnist_synth", shape="hard")
        network, code = data.network, np.tile(data.patterns.sum(0), 2) / (4 * data.mu)
        weights, bias, last = np.zeros((network.hidden, 32)), np.zeros(network.hidden), np.zeros(network.hidden)
        weights[:3], bias[:3], last[:3] = code, (20, 1, -1), (1, -2, 2)
        phi = torch.from_numpy(np.concatenate([weights.ravel(), bias, last, [-18]]))
        cross = tail(data.mu / math.sqrt(3))
        wrong = 0.75 * 2 * cross + 0.25 * cross  # about: a noise that crosses two roots is right again
        found = zero_one_risk(data.test_sample(N, 0), phi)
        assert_frequency(found, data.irreducible_risk + 0.5 * wrong)

    def test_only_a_hard_shape_takes_a_network(self):
        linear, hard = dataset("cmnist_synth"), dataset("cmnist_synth", shape="hard")
        assert linear.network is None
        assert linear.assumption_class == "classification, anti-causal"
        assert hard.assumption_class == "not linear"
        assert "network" in why_not(method("zero"), hard, Solver(), 2, False)


class TestInvariantFeatures:
    """Regression and classification in which the other inputs follow the target (PIIF) or its causes (FIIF)."""

    @pytest.mark.parametrize("name", ["piif_linear", "fiif_linear"])
    def test_the_truth_s_risk_is_the_target_s_noise_everywhere(self, name):
        data = dataset(name, sigma=0.7, scrambled=True)
        phi = truth_in_observed(data, 2, 10)
        for moments in (data.population(2), data.test_population(2)):
            env = seen(moments, *phi)
            np.testing.assert_allclose(env.risk, 0.49, rtol=1e-9)
            np.testing.assert_allclose(env.scale_gradient, 0, atol=1e-9)

    @pytest.mark.parametrize("seed", range(3))
    def test_least_squares_recovers_the_causes_where_they_tell_everything(self, seed):
        data = dataset("fiif_linear")
        phi = solve(batch(data, method("erm"), "population", seeds=[seed])).coefficients[0, 0]
        np.testing.assert_allclose(phi, data.truth(seed).coefficients, atol=1e-9)

    def test_least_squares_prefers_the_others_where_they_tell_more(self):
        data = dataset("piif_linear")
        phi = solve(batch(data, method("erm"), "population")).coefficients[0, 0]
        truth = data.truth(0).coefficients
        assert (phi - truth).norm() > 0.5 * truth.norm()
        assert seen(data.population(0), *phi).risk.mean() < 0.5
        assert seen(data.test_population(0), *phi).risk.max() > 2

    @pytest.mark.parametrize("name", ["piif_linear", "piif_classification"])
    def test_others_are_the_target_times_a_slope_and_noise(self, name):
        data = dataset(name)
        for examples, slopes in ((data.sample(N, 0), (1, 1.5, 2)), (data.test_sample(N, 0), (-1, -1, -1))):
            for e, (slope, tau) in enumerate(zip(slopes, (0.1, 0.3, 0.5), strict=True)):
                noise = examples.inputs[e, :, 5:] - slope * examples.targets[e, :, None]
                assert noise.mean(0).abs().max() < 5 * tau / math.sqrt(N)
                np.testing.assert_allclose(noise.std(0), tau, rtol=5 / math.sqrt(2 * N))

    @pytest.mark.parametrize("name", ["fiif_linear", "fiif_classification"])
    def test_others_are_the_causes_times_a_slope_and_noise(self, name):
        data = dataset(name)
        W = torch.from_numpy(data.seeded_weights(0)["W"])
        for examples, slopes in ((data.sample(N, 0), (1, 1.5, 2)), (data.test_sample(N, 0), (-1, -1, -1))):
            for e, (slope, tau) in enumerate(zip(slopes, (0.1, 0.3, 0.5), strict=True)):
                noise = examples.inputs[e, :, 5:] - slope * examples.inputs[e, :, :5] @ W
                np.testing.assert_allclose(noise.std(0), tau, rtol=5 / math.sqrt(2 * N))
                y = examples.targets[e] - examples.targets[e].mean()
                correlation = (noise * y[:, None]).mean(0) / (tau * y.std())
                assert correlation.abs().max() < 5 / math.sqrt(N)

    @pytest.mark.parametrize(("name", "q"), [("piif_classification", 0.1), ("fiif_classification", 0.0)])
    def test_the_truth_errs_as_often_as_labels_are_flipped(self, name, q):
        data = dataset(name)
        for examples in (data.sample(N, 0), data.test_sample(N, 0)):
            assert_frequency(zero_one_risk(examples, truth_in_observed(data, 0, 11)), q)

    def test_least_risk_is_misled_where_the_others_follow_the_label(self):
        data = dataset("piif_classification", n=1000)
        phi = solve(batch(data, method("erm"), Solver(steps=500, learning_rate=0.1, start=0.0))).coefficients[0, 0]
        assert zero_one_risk(data.sample(1000, 0), phi).max() < 0.1
        assert zero_one_risk(data.test_sample(1000, 0), phi)[:3].min() > 0.3


class TestRosenfeld:
    def test_the_truth_errs_as_often_as_published_everywhere(self):
        data = dataset("rosenfeld")
        found = zero_one_risk(data.test_sample(N, 0), truth_in_observed(data, 0, 11))
        assert_frequency(found, tail(0.5 * math.sqrt(5)))

    def test_the_truth_is_the_best_logit_of_the_causes(self):
        data = dataset("rosenfeld", environments=3)
        examples = data.sample(N, 0)
        alone = examples.with_tensors(examples.inputs[..., :5], examples.targets)
        env = seen(alone, *data.truth(0).coefficients[:5], 0)
        assert env.gradient.abs().max() < 5 * 1.2 / math.sqrt(N)  # inputs have variance 1.25

    def test_the_first_test_environment_has_the_opposite_mean(self):
        data = dataset("rosenfeld")
        examples = data.test_sample(N, 0)
        sign = 2 * examples.targets[0] - 1
        expected = -torch.tensor([env.mu for env in data.training(0)], dtype=torch.float64).mean(0)
        found = (sign[:, None] * examples.inputs[0, :, 5:]).mean(0)
        assert (found - expected).abs().max() < 5 / math.sqrt(N)

    def test_other_test_environments_break_the_tie_between_effects_and_label(self):
        examples = dataset("rosenfeld").test_sample(N, 0)
        product = ((2 * examples.targets[1:] - 1)[..., None] * examples.inputs[1:, :, 5:]).mean(1)
        scale = examples.inputs[1:, :, 5:].square().mean(1).sqrt()
        assert (product / scale).abs().max() < 5 / math.sqrt(N)

    def test_with_few_environments_a_better_predictor_is_as_invariant(self):
        # Rosenfeld et al.: p with ||p|| = 1 and p'mu_e = m for all e; the logit 2 m p'z is every environment's best.
        data = dataset("rosenfeld", environments=3)
        assert not data.setting.identifiable
        mu = np.array([env.mu for env in data.training(0)])
        p = np.linalg.pinv(mu) @ np.ones(3)
        p /= np.linalg.norm(p)
        m = float((mu @ p)[0])
        np.testing.assert_allclose(mu @ p, m)
        truth, examples = truth_in_observed(data, 0, 11), data.sample(N, 0)
        better = truth + torch.from_numpy(np.concatenate([np.zeros(5), 2 * m * p, [0]]))
        env = seen(examples, *better)
        slack = env.scale_gradient_variance.sqrt()
        assert (env.scale_gradient.abs() < 5 * slack).all()
        assert (env.risk < seen(examples, *truth).risk).all()

    def test_more_environments_keep_the_first_ones_and_identify(self):
        few, many = dataset("rosenfeld", environments=3), dataset("rosenfeld", environments=6)
        assert many.training(1)[:3] == few.training(1)
        assert many.setting.identifiable


class TestRExDiscrete:
    @pytest.fixture
    def exact(self):
        """40 examples of every environment in exactly its chances."""
        inputs, targets = [], []
        for counts, positives in (((16, 4, 20), (8, 3, 2)), ((4, 16, 20), (2, 12, 2)), ((4, 16, 20), (2, 12, 4))):
            inputs.append(torch.eye(3).double().repeat_interleave(torch.tensor(counts), 0))
            halves = [(k, n - k) for k, n in zip(positives, counts, strict=True)]
            labels = torch.tensor([1.0, 0.0]).double().repeat(3)
            targets.append(labels.repeat_interleave(torch.tensor(halves).flatten()))
        return Examples(torch.stack(inputs), torch.stack(targets), logistic=True)

    def test_cells_and_positives_are_as_frequent_as_published(self):
        examples = dataset("rex_discrete").sample(N, 0)
        frequency = examples.inputs.mean(1)
        assert_frequency(frequency, [[0.4, 0.1, 0.5], [0.1, 0.4, 0.5], [0.1, 0.4, 0.5]])
        positive = (examples.inputs * examples.targets[..., None]).sum(1) / examples.inputs.sum(1)
        assert_frequency(positive, [[0.5, 0.75, v] for v in (0.1, 0.1, 0.2)], N // 10)

    def test_the_last_cell_s_chance_is_another_in_tests(self):
        examples = dataset("rex_discrete").test_sample(N, 0)
        positive = (examples.inputs * examples.targets[..., None]).sum(1) / examples.inputs.sum(1)
        assert_frequency(positive, [[0.5, 0.75, 0.9]] * 2, N // 10)

    def test_least_risk_has_the_mean_chance(self, exact):
        np.testing.assert_allclose(converged([exact], "erm")[0].sigmoid(), (0.5, 0.75, 0.4 / 3), atol=1e-9)

    def test_a_large_sample_has_the_same_least_risk(self):
        examples = dataset("rex_discrete").sample(N, 0)
        found = logistic_regression(examples.inputs, examples.targets).sigmoid()
        np.testing.assert_allclose(found, (0.5, 0.75, 0.4 / 3), atol=5 * math.sqrt(0.25 / (0.6 * N)))

    def test_irmv1_ends_at_the_truth(self, exact):
        data = dataset("rex_discrete")
        found = converged([exact], "irmv1", penalty_weight=1e7)[0]
        np.testing.assert_allclose(found, data.truth(0).coefficients, atol=1e-2)
        np.testing.assert_allclose(found.sigmoid(), (0.5, 0.75, 0.5), atol=2e-3)

    def test_the_truth_has_no_dummy_gradient_and_no_logit_where_the_chance_changes(self, exact):
        truth = dataset("rex_discrete").truth(0)
        assert seen(exact, *truth.coefficients).scale_gradient.abs().max() < 1e-12
        assert truth.causal.tolist() == [True, True, False]
        assert truth.coefficients.tolist() == pytest.approx([0, math.log(3), 0])

    def test_equal_risks_say_nothing_of_any_cell_or_too_much_of_the_second(self, exact):
        for chances in ((0.5, 0.5, 0.5), (0.5, 0.9196434, 0.5)):
            logits = torch.logit(torch.tensor(chances, dtype=torch.float64))
            np.testing.assert_allclose(seen(exact, *logits).risk, math.log(2), atol=1e-6)
        found = converged([exact], "vrex", penalty_weight=1e5)[0].sigmoid()
        np.testing.assert_allclose(found[[0, 2]], 0.5, atol=1e-3)
        assert min(abs(found[1] - 0.5), abs(found[1] - 0.9196434)) < 1e-3


class TestSpirals:
    def test_the_radius_tells_the_angle_and_the_angle_the_label(self):
        data = dataset("spirals", environments=2, revolutions=3)
        for examples in (data.sample(50_000, 0), data.test_sample(50_000, 0)):
            for inputs, targets in zip(examples.inputs, examples.targets, strict=True):
                spiral = inputs[:, :2]
                np.testing.assert_allclose(spiral.std(0, correction=0), 1)
                x, y = (spiral * self.scales()).T
                radius, angle = torch.hypot(x, y), torch.atan2(y, x)
                off = torch.remainder(6 * math.pi * radius + math.pi * targets - angle + math.pi, 2 * math.pi) - math.pi
                assert off.abs().max() < 6 * math.pi * 0.025  # .02 is the radius's noise, the rest the scales' error
                assert 0.055 < radius.min() < 0.065
                assert 1.005 < radius.max() < 1.025

    def scales(self):
        """Return the standard deviations of x and y of spirals of three turns before they are scaled."""
        r = np.linspace(0.08, 1, 100_001)
        square = [np.mean(f(6 * math.pi * r) ** 2 * (r**2 + 0.02**2 / 3)) for f in (np.cos, np.sin)]
        return torch.from_numpy(np.sqrt(square))

    def test_signatures_tell_the_label_in_training_and_nothing_in_the_test(self):
        data = dataset("spirals", environments=3)
        examples = data.sample(100, 0)
        for e, env in enumerate(data.training(0)):
            expected = (2 * examples.targets[e] - 1)[:, None] * torch.tensor(env.signature, dtype=torch.float64)
            assert torch.equal(examples.inputs[e, :, 2:], expected)
        test = data.test_sample(N, 0)
        sign = 2 * test.targets[0] - 1
        assert (sign[:, None] * test.inputs[0, :, 2:]).mean(0).abs().max() < 5 / math.sqrt(N)
        assert_frequency(test.targets.mean(), 0.5)

    def test_signatures_differ_between_environments(self):
        signatures = torch.tensor([env.signature for env in dataset("spirals").training(0)])
        assert signatures.shape == (16, 8)
        assert torch.linalg.matrix_rank(signatures) == 8

    def test_there_are_no_coefficients_to_compare(self):
        data = dataset("spirals")
        truth = data.truth(0)
        assert [len(t) for t in (truth.coefficients, truth.causal, truth.unscramble)] == [0, 0, 0]
        assert data.assumption_class == "not linear"
        assert data.irreducible_risk == 0

    def test_the_network_tells_the_spirals_apart_without_signatures(self):
        data = dataset("spirals", environments=2, n=300)
        examples = data.sample(300, 0)
        alone = examples.with_tensors(examples.inputs[..., :2], examples.targets)
        alone = dataclasses.replace(alone, network=Network(2, data.network.hidden))
        nothing = Truth(torch.zeros(0), torch.zeros(0, dtype=torch.bool), torch.zeros(0, 0))
        solver = Solver(steps=800, learning_rate=1e-2)
        phi = solve(Batch([method("erm")], stack([alone]), [nothing], [solver], [0])).coefficients[0, 0]
        held_out = data.test_sample(2000, 0)
        held_out = dataclasses.replace(held_out, inputs=held_out.inputs[..., :2], network=alone.network)
        assert zero_one_risk(held_out, phi).item() < 0.02


@pytest.mark.parametrize(("name", "params"), [("spirals", {"environments": 2}), ("cmnist_synth", {"shape": "hard"})])
def test_scrambling_rotates_a_network_s_inputs(name, params):
    plain, rotated = (dataset(name, scrambled=scrambled, **params) for scrambled in (False, True))
    x, turned = plain.sample(50, 1).inputs, rotated.sample(50, 1).inputs
    assert not torch.allclose(x, turned)
    torch.testing.assert_close(turned @ turned.mT, x @ x.mT)
    assert len(rotated.truth(1).unscramble) == 0


@pytest.mark.parametrize("name", ["rex_discrete"])
def test_scrambled_cells_are_rotated_by_the_truth_s_matrix(name):
    plain, rotated = dataset(name), dataset(name, scrambled=True)
    torch.testing.assert_close(rotated.sample(30, 2).inputs, plain.sample(30, 2).inputs @ rotated.truth(2).unscramble)


@pytest.mark.parametrize(("name", "flag"), [("piif_linear", True), ("fiif_linear", True), ("two_bit", False)])
def test_settings_say_whether_means_of_inputs_shift(name, flag):
    data = dataset(name)
    means = data.population(0).input_mean
    assert data.setting.mean_shift == flag == bool((means - means[0]).abs().max() > 1e-9)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("two_bit_logistic", False),
        ("cmnist_synth", False),
        ("piif_classification", True),
        ("fiif_classification", True),
        ("rosenfeld", False),
        ("rex_discrete", True),
        ("spirals", False),
    ],
)
def test_settings_of_classification_say_whether_means_of_inputs_shift(name, flag):
    data = dataset(name)
    moments = compress(data.sample(20_000, 0))
    means, square = moments.input_mean, torch.diagonal(moments.gram, dim1=-2, dim2=-1)
    spread = (means - means.mean(0)) / square.mean(0).sqrt()
    assert data.setting.mean_shift == flag == bool(spread.abs().max() > 0.05)
