"""Random models, negative controls and sizes: each against its equations, recomputed, and the facts it is there for."""

import dataclasses
import itertools
import math

import msgspec
import numpy as np
import pytest
import torch
from support import dataset

from irmbench.errors import UserError
from irmbench.moments import compress
from irmbench.parameters import instances
from irmbench.runs.sources import Source, sample_moments

N = 50_000
SHIFTS = [
    "+".join(kinds) for k in (1, 2, 3) for kinds in itertools.combinations(("covariate", "concept", "label_noise"), k)
]


def rows(examples):
    """Return (inputs, 1, y) of every example, [E, n, d + 2]."""
    return torch.cat([examples.inputs, torch.ones_like(examples.targets)[..., None], examples.targets[..., None]], -1)


def assert_moments_agree(exact, examples):
    """Compare second moments in units of their standard errors, which fourth moments of the sample give."""
    v = rows(examples)
    n = v.shape[1]
    second = v.mT @ v / n
    error = (((v**2).mT @ v**2 / n - second**2).clamp(min=0) / n).sqrt()
    assert ((exact.second - second).abs() <= 5.5 * error + 1e-9).all()


def assert_standard_normal(variables):
    """Variables [n, k] are uncorrelated, of mean 0 and variance 1."""
    n = len(variables)
    assert np.abs(variables.mean(0)).max() < 5 / math.sqrt(n)
    covariance = np.cov(variables, rowvar=False)
    assert np.abs(covariance - np.eye(variables.shape[1])).max() < 5 * math.sqrt(2 / n)


def risk(moments, beta):
    """Return E_e[(x'beta - y)^2], [E]."""
    return torch.stack([beta @ A @ beta for A in moments.gram]) - 2 * moments.cross @ beta + moments.target_square


def regression(moments, inputs):
    """Return the least-squares coefficients on some of the inputs in every environment, [E, k]."""
    return torch.linalg.solve(moments.gram[:, inputs][:, :, inputs], moments.cross[:, inputs])


class TestEILLSSCM:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return dataset("eills_scm")

    @pytest.fixture(scope="class")
    @classmethod
    def environments(cls, data):
        examples = data.sample(N, 0)
        return [
            (dict(enumerate(inputs.T.numpy(), start=1)), y.numpy())
            for inputs, y in zip(examples.inputs, examples.targets, strict=True)
        ]

    def test_the_causes_are_the_first_three_inputs(self, data):
        truth = data.truth(0)
        assert truth.coefficients.tolist() == [3, 2, -0.5, *[0] * 9]
        assert float(truth.coefficients @ truth.coefficients) == 13.25

    @pytest.mark.parametrize("e", [0, 1])
    def test_the_equations_leave_independent_standard_normal_noise(self, environments, e):
        X, y = environments[e]
        X7 = (0.5 * X[3] + y, 4 * X[3] + np.tanh(y))[e]
        noise = [y - (3 * X[1] + 2 * X[2] - 0.5 * X[3]), X[1], X[2] - np.sin(X[4]), X[3] - np.cos(X[4]), X[12]]
        noise += [X[6] / (0.8 * y), X[7] - X7, X[8] - (0.5 * X[7] - y + X[10]), X[10] - 2.5 * X[1] - 1.5 * X[2]]
        noise += [X[9] - np.tanh(X[7]) - 0.1 * np.cos(X[8]), X[11] / (0.4 * (X[7] + X[8]))]
        assert_standard_normal(np.stack(noise, 1))

    def test_the_fourth_input_is_normal_or_a_centred_square(self, environments):
        normal, square = (X[4] for X, _ in environments)
        assert_standard_normal(normal[:, None])
        assert square.min() >= -1
        assert square.mean() == pytest.approx(0, abs=5 * math.sqrt(2 / N))
        assert (square < 0).mean() == pytest.approx(math.erf(1 / math.sqrt(2)), abs=5 * 0.5 / math.sqrt(N))

    def test_the_fifth_input_is_a_sine_of_the_third_and_noise(self, environments):
        # E[sin(a + U)] = exp(-1/2) sin a.
        for X, _ in environments:
            error = X[5] - math.exp(-0.5) * np.sin(X[3])
            assert abs((error * np.sin(X[3])).mean()) < 5 / math.sqrt(N)
            assert abs(error.mean()) < 5 / math.sqrt(N)

    def test_inputs_have_means_and_those_differ(self, data, environments):
        # E cos U = exp(-1/2) = .607, and E cos(U^2 - 1) = Re(exp(-i) / sqrt(1 - 2i)) = .603; X7 has more of X3, though.
        expected = [math.exp(-0.5), (np.exp(-1j) / np.sqrt(1 - 2j)).real]
        for (X, y), mean in zip(environments, expected, strict=True):
            assert X[3].mean() == pytest.approx(mean, abs=5 * math.sqrt(1.5 / N))
            assert y.mean() == pytest.approx(2 * np.sin(X[4]).mean() - mean / 2, abs=5 * math.sqrt(20 / N))
        assert abs(environments[0][0][7].mean() - environments[1][0][7].mean()) > 2
        assert data.setting.mean_shift

    def test_the_paper_s_objective_finds_the_causes_and_none_of_the_harmful_inputs(self, data):
        # Weight 20 on the penalty, over all 4096 subsets. Pure noise may be among the best; X7, X8 and X9 may not.
        moments = compress(data.sample(N, 0))
        A, b, weight = moments.gram.numpy(), moments.cross.numpy(), 20
        best = (0.0, (), ())
        for k in range(1, 13):
            for subset in itertools.combinations(range(12), k):
                At, bt = A[:, subset][:, :, subset], b[:, subset]
                M = At.mean(0) + weight * (At @ At).mean(0)
                v = bt.mean(0) + weight * np.einsum("eij,ej->ei", At, bt).mean(0)
                coefficients = np.linalg.solve(M, v)
                best = min(best, (weight * (bt**2).sum(1).mean() - v @ coefficients, subset, tuple(coefficients)))
        assert best[1][:3] == (0, 1, 2)
        assert not {6, 7, 8} & set(best[1])
        assert best[2][:3] == pytest.approx((3, 2, -0.5), abs=0.03)

    def test_tests_turn_an_effect_around(self, data):
        examples = data.test_sample(N, 0)
        slopes = [
            np.polyfit(inputs[:, 6] - env.cause * inputs[:, 2], y if not env.saturated else np.tanh(y), 1)[0]
            for inputs, y, env in zip(examples.inputs.numpy(), examples.targets.numpy(), data.testing(0), strict=True)
        ]
        assert max(slopes[2:]) < 0


class TestEILLSRandom:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return dataset("eills_random", inputs=14, environments=3)

    @pytest.mark.parametrize("seed", range(3))
    def test_the_equations_leave_independent_standard_normal_noise(self, data, seed):
        W, y = data.seeded_weights(seed), 7
        causes = [j for j in range(15) if W["graph"][y, j]]
        order = [*causes, *(j for j in range(15) if j not in (*causes, y))]
        functions = [lambda v: v, np.sin, lambda v: 1 / (1 + np.exp(-v)), np.cos, lambda v: np.sin(np.pi * v)]
        examples = data.sample(20_000, seed)
        for e in range(3):
            v = dict(zip([*order, y], rows(examples)[e][:, [*range(14), 15]].T.numpy(), strict=True))
            noise = np.stack(
                [
                    v[i]
                    - sum(
                        W["c"][e, i, j] * functions[int(W["f"][e, i, j])](v[j]) for j in range(15) if W["graph"][i, j]
                    )
                    for i in range(15)
                ],
                1,
            )
            assert_standard_normal(noise / W["s"][e])

    def test_only_the_target_keeps_its_equation(self, data):
        W = data.seeded_weights(0)
        same = (W["c"] == W["c"][0]).all(0) & (W["f"] == W["f"][0]).all(0)
        edges = W["graph"] > 0
        assert same[7].all()
        assert not same[edges & (np.arange(15)[:, None] != 7)].any()
        assert len(np.unique(W["s"][:, 7])) == 5
        assert data.setting.y_noise_varies

    @pytest.mark.parametrize("seed", range(5))
    def test_the_target_has_its_parents_and_children_and_others_have_up_to_four_causes(self, data, seed):
        W = data.seeded_weights(seed)
        graph = W["graph"]
        assert graph[7].sum() == graph[:, 7].sum() == 5
        assert (np.tril(graph, -1) == graph).all()
        assert np.delete(np.delete(graph, 7, 1), 7, 0).sum(1).max() <= 4
        assert (np.abs(W["c"][:, 7, graph[7] > 0]) >= 1).all()
        effects = np.abs(W["c"][:, graph[:, 7] > 0, 7])
        assert (effects >= 0.5).all()
        assert (effects <= 1.5).all()

    @pytest.mark.parametrize("seed", range(5))
    def test_pooled_least_squares_is_far_from_the_causes(self, data, seed):
        moments = compress(data.sample(20_000, seed))
        pooled = torch.linalg.solve(moments.gram.mean(0), moments.cross.mean(0))
        assert (pooled - data.truth(seed).coefficients).square().sum() > 0.4

    def test_the_published_size_is_one_of_its_parameters(self):
        published = dataset("eills_random", inputs=70)
        assert published.sample(5, 0).inputs.shape == (2, 5, 70)
        assert published.truth(0).causal.sum() == 5

    def test_more_neighbours_than_there_are_variables_are_refused(self):
        with pytest.raises(UserError, match="of 8 inputs at most 4 are parents and 4 children"):
            instances("datasets", {"id": "eills_random", "inputs": 8})


class TestHRMSelection:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        return dataset("hrm_selection")

    @pytest.mark.parametrize("params", [{}, {"scrambled": True}, {"causes": 3, "others": 2}])
    def test_population_moments_are_those_of_a_large_sample(self, params):
        data = dataset("hrm_selection", **params)
        assert_moments_agree(data.population(1), data.sample(N, 1))
        assert_moments_agree(data.test_population(1), data.test_sample(N, 1))

    def test_published_coefficients(self, data):
        assert data.truth(0).coefficients.tolist() == pytest.approx([1 / 3, -2 / 3, 1, -1 / 3, 2 / 3, *[0] * 5])

    def test_inputs_follow_the_noiseless_target_with_the_published_variance(self, data):
        examples = data.sample(N, 0)
        S, V = examples.inputs[..., :5], examples.inputs[..., 5:]
        f = S @ data.truth(0).coefficients[:5] + S[..., 0] * S[..., 1] * S[..., 2]
        noise = (examples.targets - f).std(1)
        torch.testing.assert_close(noise, torch.full((3,), 0.3).double(), rtol=5 / math.sqrt(2 * N), atol=0)
        for e, (r, variance) in enumerate([(1.9, 1.0391), (-1.1, 2.6967), (-1.1, 2.6967)]):
            around = V[e] - math.copysign(1, r) * f[e, :, None]
            assert around.mean().item() == pytest.approx(0, abs=0.02)
            assert around.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / (5 * N)))

    def test_least_squares_on_causes_is_invariant_and_not_causal(self, data):
        # Stein's identity: E[S h] = cov(S) E[dh/dS], and E[S_2 S_3] = E[S_1 S_2] = .16, E[S_1 S_3] = 0.
        excess = regression(data.population(0), list(range(5))) - data.truth(0).coefficients[:5]
        torch.testing.assert_close(excess, torch.tensor([0.16, 0, 0.16, 0, 0]).double().expand(3, 5))
        assert not data.setting.identifiable

    def test_selected_inputs_predict_in_opposite_directions(self, data):
        coefficients = regression(data.population(0), list(range(10)))[:, 5:]
        assert (coefficients[0] > 0.01).all()
        assert (coefficients[1:] < -0.01).all()

    @pytest.mark.parametrize(("n", "sizes"), [(1900, [1900, 100, 100]), (190, [190, 10, 10])])
    def test_environments_are_as_unequal_as_published(self, n, sizes):
        source = Source("hrm_selection", msgspec.json.encode({"n": n}), 0)
        assert sample_moments(source).count.tolist() == sizes
        assert dataset("hrm_selection", n=n).population(0).count.tolist() == sizes


class TestRandomSEM:
    @pytest.mark.parametrize("kind", ["shift", "noise", "do"])
    def test_population_follows_from_the_weights_by_linear_algebra(self, kind):
        data = dataset("random_sem", kind=kind)
        W, s = data.seeded_weights(1)["W"], data.seeded_weights(1)["s"]
        causes = np.flatnonzero(W[:, 5])
        order = [*causes, *(j for j in range(11) if j != 5 and j not in causes), 5]
        for env, second in zip(data.training(1), data.population(1).second.numpy(), strict=True):
            weights, mean, variance = W.copy(), np.zeros(11), s.copy()
            for target, m, v in zip(env.targets, env.means, env.variances, strict=True):
                mean[target], variance[target] = m, v + (variance[target] if kind == "shift" else 0)
                weights[:, target] *= kind != "do"
            total = np.linalg.inv(np.eye(11) - weights.T)
            expected = total @ (np.diag(variance) + np.outer(mean, mean)) @ total.T
            observed = [*range(10), 11]
            np.testing.assert_allclose(second[np.ix_(observed, observed)], expected[np.ix_(order, order)], atol=1e-9)
            np.testing.assert_allclose(second[10, observed], (total @ mean)[order], atol=1e-9)

    @pytest.mark.parametrize("kind", ["shift", "noise", "do"])
    @pytest.mark.parametrize("seed", range(5))
    def test_least_squares_on_the_parents_is_the_truth_in_every_environment(self, kind, seed):
        data = dataset("random_sem", kind=kind, environments=4)
        truth, moments = data.truth(seed), data.population(seed)
        expected = truth.coefficients[truth.causal].expand(4, -1)
        torch.testing.assert_close(regression(moments, truth.causal.nonzero()[:, 0].tolist()), expected)
        assert (truth.coefficients[truth.causal].abs() >= 0.5).all()

    @pytest.mark.parametrize("kind", ["shift", "noise"])
    @pytest.mark.parametrize("environments", [2, 3, 6])
    def test_differences_of_moments_single_out_the_truth_unless_edges_are_cut(self, kind, environments):
        data = dataset("random_sem", kind=kind, environments=environments)
        for seed in range(3):
            moments = data.population(seed)
            A = (moments.gram[1:] - moments.gram[0]).flatten(0, 1)
            b = (moments.cross[1:] - moments.cross[0]).flatten()
            torch.testing.assert_close(torch.linalg.lstsq(A, b, driver="gelsd").solution, data.truth(seed).coefficients)

    def test_every_input_is_intervened_on_in_one_environment_and_the_target_in_none(self):
        for environments in (2, 3, 6):
            targets = [env.targets for env in dataset("random_sem", environments=environments).training(0)]
            assert targets[0] == ()
            assert sorted(itertools.chain(*targets)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]

    def test_the_target_has_a_cause_and_an_effect_however_few_edges_there_are(self):
        for seed in range(5):
            W = dataset("random_sem", degree=0.0).seeded_weights(seed)["W"]
            assert np.argwhere(W).tolist() == [[4, 5], [5, 6]]

    def test_variables_have_the_expected_number_of_edges(self):
        # All but the two that are always there are drawn with probability 3 / 10, of 55 - 2 pairs.
        data = dataset("random_sem")
        counts = [np.count_nonzero(data.seeded_weights(seed)["W"]) for seed in range(200)]
        assert np.mean(counts) == pytest.approx(2 + 53 * 0.3, abs=5 * math.sqrt(53 * 0.21 / 200))


class TestNegativeControls:
    def test_environments_without_a_difference_have_equal_moments(self):
        data = dataset("iid_null", environments=4)
        second = data.population(0).second
        assert torch.equal(second, second[:1].expand_as(second))
        assert not torch.equal(data.sample(20, 0).inputs[0], data.sample(20, 0).inputs[1])

    def test_no_subset_of_inputs_has_the_same_regression_everywhere(self):
        data = dataset("no_invariance")
        moments = data.population(0)
        for k in range(1, 11):
            for subset in itertools.combinations(range(10), k):
                coefficients = regression(moments, list(subset))
                assert (coefficients.amax(0) - coefficients.amin(0)).max() > 0.05, subset
        assert moments.target_square.max() / moments.target_square.min() > 1.05  # nor is the empty one invariant

    def test_causal_coefficients_deviate_by_tau_around_the_truth(self):
        data = dataset("no_invariance")
        causal = torch.cat([regression(data.population(seed), list(range(5))) for seed in range(200)])
        assert causal.mean().item() == pytest.approx(1, abs=5 * 0.5 / math.sqrt(3000))
        assert causal.std().item() == pytest.approx(0.5, rel=5 / math.sqrt(6000))
        assert data.truth(0).coefficients.tolist() == [1.0] * 5 + [0.0] * 5

    def test_moments_without_invariance_are_those_of_a_large_sample(self):
        data = dataset("no_invariance", scrambled=True)
        assert_moments_agree(data.population(2), data.sample(N, 2))
        assert_moments_agree(data.test_population(2), data.test_sample(N, 2))

    def test_interventions_on_the_target_change_its_noise_s_mean_and_variance(self):
        data = dataset("y_intervention")
        moments, beta = data.population(0), data.truth(0).coefficients
        mean = moments.target_mean - moments.input_mean @ beta
        torch.testing.assert_close(mean, torch.tensor([-5.0, 0.0, 5.0]).double())
        torch.testing.assert_close(risk(moments, beta) - mean**2, torch.tensor([1.25, 5.0, 20.0]).double())

    def test_symmetric_shifts_differ_in_means_and_in_no_second_moment(self):
        moments = dataset("symmetric_shift", a=2.0).population(0)
        first, second = (moments.second[e][[*range(10), 11]][:, [*range(10), 11]] for e in (0, 1))
        torch.testing.assert_close(first, second)
        torch.testing.assert_close(moments.input_mean[0], torch.full((10,), 2.0).double())
        torch.testing.assert_close(moments.input_mean[1], -moments.input_mean[0])
        torch.testing.assert_close(moments.target_mean, torch.tensor([10.0, -10.0]).double())


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_a_family_says_shifts_is_what_shifts(shift):
    data = dataset("shift_family", shift=shift)
    moments, beta = data.population(0), data.truth(0).coefficients
    scales = torch.tensor([0.2, 2.0, 5.0]).double() if "covariate" in shift else torch.ones(3).double()
    torch.testing.assert_close(moments.gram[:, 0, 0], 2 * scales**2)
    noise = torch.tensor([0.2, 2.0, 5.0]).double() if "label_noise" in shift else torch.ones(3).double()
    torch.testing.assert_close(risk(moments, beta), 5 * noise**2)
    effect = torch.tensor([0.5, 1.0, 2.0]).double() if "concept" in shift else torch.ones(3).double()
    torch.testing.assert_close(5 * moments.cross[:, 5] / moments.target_square, effect)  # E[z_j y] = a E[y^2] / 5
    assert data.setting.y_noise_varies == ("label_noise" in shift)
    assert data.setting.shift == shift


@pytest.mark.parametrize("shift", SHIFTS)
def test_least_squares_varies_unless_covariates_alone_shift(shift):
    data = dataset("shift_family", shift=shift)
    coefficients = regression(data.population(0), list(range(10)))
    varies = (coefficients.amax(0) - coefficients.amin(0)).max().item() > 0.1
    assert varies == data.setting.identifiable
    if not varies:
        torch.testing.assert_close(coefficients, torch.full((3, 10), 0.5).double())


@pytest.mark.parametrize("name", ["high_dim", "imbalanced_envs"])
def test_chains_of_other_sizes_have_the_published_moments(name):
    params = {"d": 10} if name == "high_dim" else {}
    chain = dataset("irm_chain").population(0)
    torch.testing.assert_close(dataset(name, **params).population(0).second, chain.second)
    torch.testing.assert_close(
        dataset(name, **params).test_population(0).second, dataset("irm_chain").test_population(0).second
    )


class TestSizes:
    @pytest.mark.parametrize("ratio", [0.5, 2.0, 20.0])
    def test_many_inputs_have_as_many_examples_each_as_asked_for(self, ratio):
        data = dataset("high_dim", d=200, ratio=ratio)
        assert data.n == 200 * ratio
        assert data.sample(data.n, 0).inputs.shape == (3, 200 * ratio, 200)
        assert data.population(0).gram.shape == (3, 200, 200)
        assert data.truth(0).causal.sum() == 100

    def test_many_environments_share_a_fixed_number_of_examples(self):
        sizes = {e: dataset("many_envs", environments=e).n for e in (2, 3, 10, 30, 1000)}
        assert sizes == {2: 5000, 3: 3333, 10: 1000, 30: 333, 1000: 10}
        assert dataset("many_envs", environments=1000).sample(10, 0).inputs.shape == (1000, 10, 10)

    def test_scales_of_many_environments_are_log_uniform_and_the_first_ones_stay(self):
        scales = [env.e for env in dataset("many_envs", environments=1000).training(3)]
        assert [env.e for env in dataset("many_envs", environments=5).training(3)] == scales[:5]
        logarithms = np.log10(scales)
        assert (logarithms.min(), logarithms.max()) == pytest.approx((-2, 1), abs=0.03)
        assert logarithms.mean() == pytest.approx(-0.5, abs=5 * 3 / math.sqrt(12 * 1000))

    @pytest.mark.parametrize("name", ["high_dim", "many_envs"])
    def test_a_number_of_examples_that_follows_from_the_rest_survives_a_record(self, name):
        (data,) = instances("datasets", name)
        assert type(data)(**dataclasses.asdict(data)) == data
        assert data.label == name

    @pytest.mark.parametrize("name", ["high_dim", "many_envs"])
    def test_a_number_of_examples_that_contradicts_the_rest_is_refused(self, name):
        with pytest.raises(UserError, match="by the other parameters; leave it out"):
            instances("datasets", {"id": name, "n": 123})

    def test_an_odd_number_of_inputs_is_refused(self):
        with pytest.raises(UserError, match="d must be even"):
            instances("datasets", {"id": "high_dim", "d": 11})

    def test_imbalanced_environments_have_a_hundred_examples_to_one(self):
        moments = sample_moments(Source("imbalanced_envs", b"{}", 0))
        assert moments.count.tolist() == [10_000, 100, 100]
        assert dataset("imbalanced_envs").population(0).count.tolist() == [10_000, 100, 100]
        examples = dataset("imbalanced_envs").sample(10_000, 0)
        small = compress(examples.with_tensors(examples.inputs[1:, :100], examples.targets[1:, :100]))
        torch.testing.assert_close(moments.second[1:], small.second)
