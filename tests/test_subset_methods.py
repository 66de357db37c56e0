"""Methods that try every subset of the inputs, against plain loops, published numbers and another package."""

import itertools
import math
import re

import causalicp
import numpy as np
import pytest
import torch
from scipy import stats
from support import batch, dataset, method
from torch.func import hessian, vmap
from torch.testing import assert_close

from irmbench import tails
from irmbench.engine.solve import resolve_solver, solve, why_not
from irmbench.moments import Examples, compress, stack
from irmbench.subsets import LIMIT, all_subsets, least_squares

NAMES = ["icp", "eills", "fair_ll", "stabilised_regression"]


def random_examples(seed, environments=3, n=60, d=3, spread=0.3):
    """Return a linear model whose inputs are shifted and scaled, and whose target is a little, by the environment."""
    rng = np.random.default_rng(seed)
    scale, shift = np.exp(rng.standard_normal((environments, 1, d))), rng.standard_normal((environments, 1, d))
    inputs = scale * rng.standard_normal((environments, n, d)) + shift
    noise = np.exp(spread * rng.standard_normal((environments, 1))) * rng.standard_normal((environments, n))
    return Examples(torch.from_numpy(inputs), torch.from_numpy(inputs @ rng.standard_normal(d) + noise))


def columns(examples, mask, intercept):
    """Return an environment's inputs in a subset, with ones in front if there is an intercept, [E, n, |S| (+ 1)]."""
    chosen = examples.inputs.numpy()[..., np.asarray(mask, dtype=bool)]
    return np.concatenate([np.ones((*chosen.shape[:2], int(intercept))), chosen], -1)


def pooled(X, y):
    """Return least squares on all examples of all environments."""
    return np.linalg.lstsq(X.reshape(y.size, -1), y.ravel(), rcond=None)[0]


def bits(d):
    """Return all subsets in the order of `all_subsets`."""
    return [[k >> j & 1 for j in range(d)] for k in range(2**d)]


class TestTails:
    generator = torch.Generator().manual_seed(0)
    t = 10 ** (10 * torch.rand(500, generator=generator, dtype=torch.float64) - 8)
    ratio = torch.randn(500, generator=generator, dtype=torch.float64).exp()
    first = 1 + 300 * torch.rand(500, generator=generator, dtype=torch.float64)
    second = 1 + 300 * torch.rand(500, generator=generator, dtype=torch.float64)

    def test_student(self):
        expected = 2 * stats.t.sf(self.t.numpy(), self.first.numpy())
        for sign in (1, -1):
            got = tails.student_two_sided(sign * self.t, self.first)
            assert_close(got, torch.from_numpy(expected), rtol=1e-10, atol=1e-300)

    def test_f(self):
        arguments = self.ratio.numpy(), self.first.numpy(), self.second.numpy()
        upper, lower = stats.f.sf(*arguments), stats.f.cdf(*arguments)
        got = tails.f_upper(self.ratio, self.first, self.second)
        assert_close(got, torch.from_numpy(upper), rtol=1e-10, atol=1e-300)
        got = tails.f_two_sided(self.ratio, self.first, self.second)
        assert_close(got, torch.from_numpy(2 * np.minimum(upper, lower)), rtol=1e-10, atol=1e-300)

    def test_are_batched_and_run_without_data(self):
        alone = torch.stack([tails.f_two_sided(r, self.first[0], self.second) for r in self.ratio[:5]])
        rows = vmap(vmap(tails.f_two_sided, in_dims=(None, None, 0)), in_dims=(0, None, None))
        assert torch.equal(rows(self.ratio[:5], self.first[0], self.second), alone)
        assert rows(*(t.to("meta") for t in (self.ratio[:5], self.first[0], self.second))).shape == (5, 500)


class TestSubsets:
    def test_are_all_there_in_binary_order_with_the_intercept_in_each(self):
        moments = compress(random_examples(0))
        assert all_subsets(moments).tolist() == bits(3)
        assert all_subsets(moments.augmented).tolist() == [[*row, 1] for row in bits(3)]

    def test_are_fitted_as_least_squares_on_their_columns(self):
        examples = random_examples(1)
        moments = compress(examples).augmented
        masks = all_subsets(moments)
        coefficients, risk = least_squares(moments, moments.share, masks)
        for k, mask in enumerate(bits(3)):
            X, y = columns(examples, mask, intercept=True), examples.targets.numpy()
            b = pooled(X, y)
            expected = np.zeros(4)
            expected[[*np.flatnonzero(mask), 3]] = [*b[1:], b[0]]
            assert_close(coefficients[k], torch.from_numpy(expected))
            assert risk[k].item() == pytest.approx(((y - X @ b) ** 2).mean())

    @pytest.mark.parametrize("name", NAMES)
    def test_mean_nothing_among_scrambled_inputs(self, name):
        m, data = method(name), dataset("irm_chain", scrambled=True)
        assert "scrambled" in why_not(m, data, resolve_solver(m, "official"), 3, True)

    @pytest.mark.parametrize("name", NAMES)
    def test_of_too_many_inputs_are_refused_and_not_tried(self, name):
        m, data = method(name), dataset("irm_chain", d=8)
        assert data.truth(0).coefficients.shape[0] == LIMIT + 1
        assert "16 inputs" in why_not(m, data, resolve_solver(m, "official"), 3, True)
        assert "16 inputs" in m.undefined(data.population(0))
        with pytest.raises(ValueError, match="16 inputs"):
            m.fit(data.population(0))

    @pytest.mark.parametrize("name", NAMES)
    def test_of_collinear_inputs_have_no_single_solution(self, name):
        examples = random_examples(2)
        twice = torch.cat([examples.inputs, examples.inputs[..., :1]], -1)
        assert method(name).undefined(compress(examples)) is None
        assert "collinear" in method(name).undefined(compress(Examples(twice, examples.targets)))


@pytest.mark.parametrize(
    ("name", "draws"),
    [
        ("icp", [{"alpha": 0.001}, {"alpha": 0.2}]),
        ("eills", [{"gamma": 1.0}, {"gamma": 30.0}]),
        ("fair_ll", [{"gamma": 1.0}, {"gamma": 30.0}]),
        ("stabilised_regression", [{"alpha_stab": 0.001}, {"alpha_pred": 0.5}]),
    ],
)
def test_a_trial_alone_gives_the_numbers_it_gives_in_a_batch(name, draws):
    data, methods = dataset("irm_appendix_d", n=50), [method(name, **params) for params in draws]
    together = solve(batch(data, methods, "official", seeds=4)).coefficients
    for s, h in itertools.product(range(4), range(2)):
        assert_close(together[s, h], methods[h].fit(compress(data.sample(50, s))), rtol=1e-8, atol=1e-10)


def irm_paper_icp(examples, alpha):
    """Return each non-empty subset's p-value and the coefficients, as the synthetic experiments of the IRM paper do."""
    (environments, n, d), y = examples.inputs.shape, examples.targets.numpy()
    subsets = bits(d)[1:]
    fitted = [(X := columns(examples, mask, intercept=False)) @ pooled(X, y) for mask in subsets]
    residuals = y - np.stack(fitted)
    p_values = []
    for e in range(environments):
        own, rest = residuals[:, e], np.delete(residuals, e, 1).reshape(len(subsets), -1)
        t = stats.ttest_ind(own, rest, axis=1, equal_var=False).pvalue
        ratio = own.var(1, ddof=1) / rest.var(1, ddof=1)
        above = 1 - stats.f.cdf(ratio, n - 1, (environments - 1) * n - 1)
        p_values.append(2 * np.minimum(t, 2 * np.minimum(above, 1 - above)))
    p = environments * np.min(p_values, 0)
    accepted = [set(np.flatnonzero(mask)) for mask, p_value in zip(subsets, p, strict=True) if p_value > alpha]
    found = sorted(set.intersection(*accepted)) if accepted else []
    coefficients = np.zeros(d)
    if found:
        coefficients[found] = pooled(examples.inputs.numpy()[..., found], y)
    return p, coefficients


class TestICP:
    @pytest.mark.parametrize("y_noise", ["unit", "environment"])
    def test_irm_paper_equals_a_plain_loop_over_1023_subsets(self, y_noise):
        examples = dataset("irm_chain", y_noise=y_noise).sample(300, 4)
        m = method("icp", variant="irm_paper")
        p, coefficients = irm_paper_icp(examples, 0.05)
        assert_close(m.p_values(compress(examples))[1:], torch.from_numpy(p), rtol=0, atol=1e-8)
        assert (coefficients != 0).any()
        assert_close(m.fit(compress(examples)), torch.from_numpy(coefficients), rtol=0, atol=1e-8)

    @pytest.mark.parametrize("seed", range(8))
    def test_every_variant_intersects_the_sets_that_it_accepts(self, seed):
        examples = random_examples(seed, d=2)
        p, coefficients = irm_paper_icp(examples, 0.05)
        assert_close(method("icp", variant="irm_paper").fit(compress(examples)), torch.from_numpy(coefficients))
        eills = method("icp", variant="eills").p_values(compress(examples))
        assert_close(eills[1:], torch.from_numpy(p - 1), rtol=0, atol=1e-10)

    @pytest.mark.parametrize("seed", range(12))
    def test_causalicp_equals_the_package_on_environments_of_unequal_size(self, seed, capsys):
        examples = random_examples(seed, environments=2 + seed % 3, n=40 + 10 * seed)
        parts = [
            Examples(*(tensor[e, : 40 + 10 * seed - 7 * e] for tensor in examples.tensors)) for e in range(2 + seed % 3)
        ]
        moments, m = stack([compress(part) for part in parts]), method("icp", variant="causalicp")
        rows = [torch.cat([part.inputs, part.targets[:, None]], -1).numpy() for part in parts]
        theirs = causalicp.fit(rows, 3, alpha=0.05, verbose=True, color=False)
        printed = [line.split(" : ") for line in capsys.readouterr().out.splitlines() if " : " in line]
        expected = {frozenset(map(int, re.findall(r"\d+", name))): float(p) for name, p in printed}
        for mask, p in zip(bits(3), m.p_values(moments), strict=True):
            assert p.item() == pytest.approx(expected[frozenset(np.flatnonzero(mask).tolist())], rel=1e-8, abs=1e-12)
        accepted = [set(np.flatnonzero(mask)) for mask, yes in zip(bits(3), m.accepted(moments), strict=True) if yes]
        assert sorted(accepted, key=str) == sorted(theirs.accepted_sets, key=str)
        assert (m.undefined(moments) is not None) == (theirs.estimate is None)
        assert set(m.fit(moments).nonzero()[:, 0].tolist()) == (theirs.estimate or set())

    def test_r_has_the_p_values_of_causalicp_and_another_level(self):
        moments = compress(random_examples(1))
        p = method("icp", variant="causalicp").p_values(moments)
        assert torch.equal(method("icp").p_values(moments), p)
        assert torch.equal(method("icp").accepted(moments), p > 0.01)
        assert torch.equal(method("icp", variant="causalicp").accepted(moments), p > 0.05)
        assert torch.equal(method("icp", alpha=0.3).accepted(moments), p > 0.3)

    def test_an_accepted_empty_set_empties_the_intersection_where_it_is_tested(self):
        rng = np.random.default_rng(0)
        x = torch.from_numpy(rng.standard_normal((2, 500, 1)))
        moments = compress(Examples(x, x[..., 0] + 0.1 * torch.from_numpy(rng.standard_normal((2, 500)))))
        assert method("icp").accepted(moments).all()
        assert method("icp").fit(moments).tolist() == [0.0]
        assert method("icp", variant="irm_paper").p_values(moments)[0] == 0
        assert method("icp", variant="irm_paper").fit(moments).item() == pytest.approx(1, abs=0.02)

    def test_no_accepted_set_gives_zeros_and_for_causalicp_nothing(self):
        moments = compress(dataset("irm_appendix_d").sample(10_000, 0))
        for variant in ("r", "causalicp", "irm_paper"):
            m = method("icp", variant=variant)
            assert not m.accepted(moments).any()
            assert m.fit(moments).tolist() == [0.0] * 4
            assert (m.undefined(moments) is not None) == (variant == "causalicp")

    def test_an_intercept_is_the_regression_s_own_where_predictors_have_one(self):
        examples = random_examples(4, spread=0.0)
        moments = compress(examples)
        m = method("icp", alpha=1e-12)
        without, with_one = m.fit(moments), m.fit(moments.augmented)
        assert_close(with_one[:-1], without)
        found = (without != 0).numpy()
        b = pooled(columns(examples, found, intercept=True), examples.targets.numpy())
        assert_close(with_one[-1].item(), b[0])
        assert method("icp", variant="irm_paper").fit(moments.augmented)[-1] == 0

    def test_levels_are_between_0_and_1(self):
        assert method("icp").problem is None
        assert "[0, 1]" in method("icp", alpha=1.5).problem

    def test_finds_the_causes_where_the_target_s_noise_is_constant(self):
        # Published: 196 of 200 runs (the others empty), IRM repository, synthetic_results.txt.
        found = self.support_on_the_chain("unit")
        assert (found == torch.tensor([True] * 5 + [False] * 5)).all(-1).sum() >= 50

    def test_finds_the_effects_where_the_target_s_noise_varies(self):
        # Published: 172 of 200 runs (the others empty); of 60 that is 51.6, and four standard errors are 12.
        found = self.support_on_the_chain("environment")
        effects = (found == torch.tensor([False] * 5 + [True] * 5)).all(-1).sum().item()
        empty = (~found).all(-1).sum().item()
        assert effects >= 40
        assert effects + empty >= 58

    def support_on_the_chain(self, y_noise):
        data, m = dataset("irm_chain", y_noise=y_noise), method("icp", variant="irm_paper")
        return solve(batch(data, m, "official", seeds=60)).coefficients[:, 0] != 0

    def test_its_answer_is_within_the_causes_as_often_as_it_promises(self):
        # x1 -> y -> x2 with shifts of x1 and x2 between two environments: all that ICP assumes.
        rng, runs, alpha = np.random.default_rng(0), 400, 0.05
        shift = np.array([0.0, 1.0])[:, None]
        x1 = shift + rng.standard_normal((runs, 2, 100))
        y = x1 + rng.standard_normal((runs, 2, 100))
        x2 = y - 3 * shift + rng.standard_normal((runs, 2, 100))
        moments = compress(Examples(torch.from_numpy(np.stack([x1, x2], -1)), torch.from_numpy(y)))
        m = method("icp", alpha=alpha)
        found = vmap(lambda *data: m.fit(moments.with_tensors(*data)))(*moments.tensors) != 0
        # At least 1 - alpha, less three standard errors.
        assert (~found[:, 1]).double().mean() >= 1 - alpha - 3 * math.sqrt(alpha * (1 - alpha) / runs)
        assert (found == torch.tensor([True, False])).all(-1).double().mean() > 0.8

    @pytest.mark.parametrize("variant", ["r", "causalicp", "irm_paper", "eills"])
    def test_tests_on_a_population_are_exact(self, variant):
        m = method("icp", variant=variant)
        same, varies = (dataset("irm_chain", y_noise=noise).population(0) for noise in ("unit", "environment"))
        assert_close(m.fit(same), dataset("irm_chain").truth(0).coefficients, rtol=0, atol=1e-10)
        assert m.accepted(same).sum() == 1
        assert m.fit(varies).tolist() == [0.0] * 10


def eills_loss(examples, b, mask, gamma):
    """Return the objective at b on a support, from examples."""
    residual = examples.targets - examples.inputs @ (b * mask)
    correlation = (examples.inputs * residual[..., None]).mean(1)
    return residual.square().mean() + gamma * (mask * correlation.square().mean(0)).sum()


class TestEILLS:
    def test_equals_a_search_with_newton_s_method_on_the_paper_s_objective(self):
        examples, gamma = random_examples(5), 3.0
        coefficients, objective = method("eills", gamma=gamma).candidates(compress(examples))
        for k, mask in enumerate(torch.tensor(bits(3), dtype=torch.float64)):
            zero = torch.zeros(3, dtype=torch.float64)

            def loss(b, mask=mask):
                return eills_loss(examples, b, mask, gamma)

            curvature = hessian(loss)(zero) + torch.diag(1 - mask)
            expected = -torch.linalg.solve(curvature, torch.func.grad(loss)(zero))
            assert_close(coefficients[k], expected)
            assert_close(objective[k], loss(expected))
        assert_close(method("eills", gamma=gamma).fit(compress(examples)), coefficients[objective.argmin()])

    def test_without_a_penalty_is_least_squares(self):
        moments = compress(random_examples(6))
        assert_close(method("eills", gamma=0.0).fit(moments), method("erm").fit(moments))

    def test_on_appendix_d_a_light_penalty_keeps_all_inputs(self):
        got = method("eills", gamma=1.0).fit(dataset("irm_appendix_d").population(0))
        assert_close(got, torch.tensor([0.7456, 0.7456, 0.3517, 0.3517]).double(), rtol=0, atol=5e-5)

    @pytest.mark.parametrize("gamma", [5.0, 20.0, 1e6])
    def test_on_appendix_d_a_penalty_of_five_singles_out_the_causes(self, gamma):
        moments, m = dataset("irm_appendix_d").population(0), method("eills", gamma=gamma)
        assert_close(m.fit(moments), torch.tensor([1.0, 1.0, 0.0, 0.0]).double(), rtol=0, atol=1e-8)
        published = (m.candidates(moments)[1].min() - moments.target_square.mean()) / 2
        assert published.item() == pytest.approx(-0.505)

    def test_refits_pooled_least_squares_to_the_support(self):
        data = dataset("irm_appendix_d").sample(1000, 0)
        plain, refitted = (method("eills", refit=refit).fit(compress(data)) for refit in (False, True))
        support = (plain != 0).numpy()
        assert support.tolist() == [True, True, False, False]
        expected = np.zeros(4)
        expected[support] = pooled(columns(data, support, intercept=False), data.targets.numpy())
        assert_close(refitted, torch.from_numpy(expected))
        assert (refitted - plain).norm() > 1e-4

    def test_sparsity_costs_every_input_the_same(self):
        moments = compress(random_examples(7))
        plain, sparse = (method("eills", l0=l0).candidates(moments)[1] for l0 in (0, 6))
        size = all_subsets(moments).sum(-1)
        # The published objective is half of this one.
        assert_close((sparse - plain) / 2, 6 * math.log(3) / 180 * 3 * size)

    def test_sparsity_costs_nothing_on_a_population(self):
        moments = dataset("irm_appendix_d").population(0)
        assert torch.equal(*(method("eills", l0=l0).candidates(moments)[1] for l0 in (0, 6)))


class TestFAIR:
    @pytest.mark.parametrize("gamma", [0.5, 20.0])
    def test_equals_brute_force(self, gamma):
        examples = random_examples(8, d=4)
        X, y = examples.inputs.numpy(), examples.targets.numpy()
        best, expected = math.inf, np.zeros(4)
        for size in range(5):
            for S in map(list, itertools.combinations(range(4), size)):
                b = pooled(X[..., S], y)
                alone = [y[e] - X[e][:, S] @ np.linalg.lstsq(X[e][:, S], y[e], rcond=None)[0] for e in range(3)]
                own = np.mean([np.mean(r**2) for r in alone])
                loss = (1 + gamma) * np.mean((y - X[..., S] @ b) ** 2) - gamma * own
                if loss < best:
                    best, expected = loss, np.zeros(4)
                    expected[S] = b
        assert_close(method("fair_ll", gamma=gamma).fit(compress(examples)), torch.from_numpy(expected))

    def test_on_appendix_d_singles_out_the_causes(self):
        got = method("fair_ll").fit(dataset("irm_appendix_d").population(0))
        assert_close(got, torch.tensor([1.0, 1.0, 0.0, 0.0]).double(), rtol=0, atol=1e-8)

    def test_without_an_adversary_is_least_squares(self):
        moments = compress(random_examples(9))
        assert_close(method("fair_ll", gamma=0.0).fit(moments), method("erm").fit(moments))


def chow(examples, mask):
    """Return Chow's statistics [E] and their p-value, as a prediction error in units of its covariance."""
    X, y = columns(examples, mask, intercept=True), examples.targets.numpy()
    ratios, p_values = [], []
    for e in range(len(X)):
        rest, target = np.delete(X, e, 0).reshape(-1, X.shape[-1]), np.delete(y, e, 0).ravel()
        b = np.linalg.lstsq(rest, target, rcond=None)[0]
        freedom = len(rest) - rest.shape[1]
        noise = ((target - rest @ b) ** 2).sum() / freedom
        covariance = np.eye(len(X[e])) + X[e] @ np.linalg.solve(rest.T @ rest, X[e].T)
        error = y[e] - X[e] @ b
        ratios.append(error @ np.linalg.solve(covariance, error) / (len(error) * noise))
        p_values.append(stats.f.sf(ratios[-1], len(error), freedom))
    return ratios, min(1.0, len(X) * min(p_values))


def stabilised(examples, alpha_stab, alpha_pred):
    """Return the coefficients of stabilised regression without an intercept, by loops over examples."""
    d, y = examples.inputs.shape[-1], examples.targets.numpy()
    fits, mse, p = np.zeros((2**d, d)), np.zeros(2**d), np.zeros(2**d)
    for k, mask in enumerate(bits(d)):
        X = columns(examples, mask, intercept=True)
        b = pooled(X, y)
        fits[k, np.flatnonzero(mask)] = b[1:]
        mse[k], p[k] = ((y - X @ b) ** 2).mean(), chow(examples, mask)[1]
    stable = p >= alpha_stab
    if not stable.any():
        stable = p >= np.sort(p)[::-1][math.ceil(0.1 * len(p)) - 1]
    best = np.flatnonzero(stable)[mse[stable].argmin()]
    cutoff = mse[best] * (1 + stats.chi2.ppf(1 - alpha_pred, sum(bits(d)[best]) + 1) / y.size)
    return fits[stable & (mse <= cutoff)].mean(0)


class TestStabilisedRegression:
    @pytest.mark.parametrize("seed", range(3))
    def test_chow_s_statistic_is_that_of_examples(self, seed):
        examples = random_examples(seed, environments=2 + seed)
        ratio, p = method("stabilised_regression").chow(compress(examples))
        for k, mask in enumerate(bits(3)):
            ratios, expected = chow(examples, mask)
            assert_close(ratio[k], torch.tensor(ratios, dtype=torch.float64))
            assert p[k].item() == pytest.approx(expected, rel=1e-8)

    @pytest.mark.parametrize(("alpha_stab", "alpha_pred"), [(0.05, 0.05), (1e-6, 1e-12), (1.0, 1e-12)])
    def test_averages_stable_and_predictive_sets(self, alpha_stab, alpha_pred):
        m = method("stabilised_regression", alpha_stab=alpha_stab, alpha_pred=alpha_pred)
        for seed in range(5):
            examples = random_examples(seed, d=4, spread=0.05)
            expected = stabilised(examples, alpha_stab, alpha_pred)
            assert_close(m.fit(compress(examples)), torch.from_numpy(expected))

    def test_the_predictive_cut_off_is_the_quantile_of_the_bootstrap(self):
        # The excess over the best MSE is compared with chi-squared: both estimates of a 95% quantile are 10% uncertain.
        rng, n, d = np.random.default_rng(0), 900, 4
        X = np.concatenate([np.ones((n, 1)), rng.standard_normal((n, d))], 1)
        y = X.sum(1) + rng.standard_normal(n)
        mse = ((y - X @ pooled(X, y)) ** 2).mean()
        draws = []
        for rows in rng.integers(n, size=(3000, n)):
            draws.append(((y - X @ np.linalg.solve(X[rows].T @ X[rows], X[rows].T @ y[rows])) ** 2).mean())
        excess = np.quantile(draws, 0.95) / mse - 1
        assert excess * n == pytest.approx(stats.chi2.ppf(0.95, d + 1), rel=0.1)

    def test_on_a_population_keeps_the_causes_where_they_alone_are_stable(self):
        data = dataset("irm_chain")
        got = method("stabilised_regression").fit(data.population(0))
        assert_close(got, data.truth(0).coefficients, rtol=0, atol=1e-10)

    def test_random_subsets_are_the_empty_one_and_triangular_sizes(self):
        data = dataset("irm_chain", d=10)
        m = method("stabilised_regression", draws=4000)
        masks = m.subsets(data.population(0))
        assert masks.shape == (4001, 20)
        assert masks[0].sum() == 0
        sizes = masks[1:].sum(-1).long().bincount(minlength=21)[1:] / 4000
        expected = torch.cat([torch.arange(1, 11), torch.arange(10, 0, -1)]) / 110
        assert (sizes - expected).abs().max() < 4 * math.sqrt(0.1 * 0.9 / 4000)
        assert (masks[1:].mean(0) - 0.525).abs().max() < 4 * 0.5 / math.sqrt(4000)

    def test_random_subsets_run_beyond_the_limit_of_all(self):
        data, m = dataset("irm_chain", d=10), method("stabilised_regression", draws=100)
        assert why_not(m, data, resolve_solver(m, "official"), 3, True) is None
        assert torch.isfinite(solve(batch(data, m, "official")).coefficients).all()

    def test_more_draws_than_subsets_are_all_subsets(self):
        moments = compress(random_examples(1))
        assert torch.equal(method("stabilised_regression", draws=8).subsets(moments), all_subsets(moments))


@pytest.mark.parametrize("name", NAMES)
def test_a_singular_trial_leaves_the_others_of_its_batch_alone(name):
    examples, m = random_examples(3), method(name)
    dead = examples.inputs * torch.tensor([1.0, 1.0, 0.0])
    both = stack([compress(examples), compress(Examples(dead, examples.targets))])
    together = vmap(lambda *data: m.fit(both.with_tensors(*data)))(*both.tensors)
    assert_close(together[0], m.fit(compress(examples)))
