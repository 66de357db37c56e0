"""Methods that match distributions of predictions, against pairwise sums written out over examples."""

import itertools
import math

import pytest
import torch
from scipy.integrate import quad
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench.engine.batch import Splitter
from irmbench.engine.risks import environments
from irmbench.engine.solve import resolve_solver, solve, why_not
from irmbench.interface import Solver
from irmbench.kernels import SCALES, expected_kernel, kernel
from irmbench.moments import Examples, Moments, compress
from irmbench.runs import planning
from irmbench.runs.planning import plan
from irmbench.suite import parse, trials

E, N, D = 3, 20, 4
NEWTON = Solver(optimizer="newton")
POPULATION = Solver(optimizer="newton", data="population")


@pytest.fixture(params=["plain", "intercept", "logistic"])
def data(request):
    return make(intercept=request.param != "plain", logistic=request.param == "logistic")


def make(intercept=False, logistic=False):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(E, N, D, generator=generator, dtype=torch.float64) + torch.arange(E)[:, None, None]
    targets = inputs.sum(-1) + torch.randn(E, N, generator=generator, dtype=torch.float64)
    return Examples(inputs, (targets > 3).double() if logistic else targets, intercept, logistic)


def view(data, m, **context):
    phi = torch.arange(1.0, data.dimension + 1, dtype=torch.float64) / 5
    return environments(data, m, m.parameters(phi, E), **context)


def pairs_mean(distance, features):
    """Return the mean of a distance over pairs of environments."""
    each = [distance(features[e], features[f]) for e, f in itertools.combinations(range(E), 2)]
    return sum(each) / len(each)


def coral_distance(x, y):
    """CORAL's D of features [n, k] and [m, k]."""
    difference = torch.cov(x.T, correction=1) - torch.cov(y.T, correction=1)
    return ((x.mean(0) - y.mean(0)) ** 2).mean() + (difference**2).mean()


def mmd_distance(x, y):
    """MMD's D of predictions [n] and [m], over all pairs."""

    def mean(a, b):
        terms = [math.exp(-c * (i - j) ** 2) for c in SCALES for i in a.tolist() for j in b.tolist()]
        return sum(terms) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


class TestKernel:
    def test_it_has_the_published_widths(self):
        assert SCALES == (1e-3, 1e-2, 1e-1, 1, 10, 100, 1000)
        assert_close(kernel(torch.tensor(4.0)), torch.tensor(sum(math.exp(-4 * c) for c in SCALES)))

    def test_its_mean_over_normal_differences_is_the_integral(self):
        mean, variance = 0.3, 0.7

        def density(d):
            return math.exp(-((d - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)

        integrals = [quad(lambda d, c=c: math.exp(-c * d * d) * density(d), -8, 8, points=[0])[0] for c in SCALES]
        got = expected_kernel(torch.tensor(mean**2).double(), torch.tensor(variance).double())
        assert got.item() == pytest.approx(sum(integrals), rel=1e-8)


class TestCORAL:
    def test_predictions_are_matched_in_mean_and_variance(self, data):
        m = method("coral", penalty_weight=3.0)
        env = view(data, m)
        features = env.predictions[..., None]
        assert_close(m.objective(env), env.risk.mean() + 3 * pairs_mean(coral_distance, features))

    def test_features_are_matched_in_mean_and_covariance(self, data):
        m = method("coral", penalty_weight=3.0, features=2)
        env = view(data, m)
        ones = torch.ones(E, N, int(data.intercept), dtype=torch.float64)
        features = torch.cat([data.inputs, ones], -1) @ env.parameters
        assert_close(env.predictions, features.sum(-1))
        assert_close(m.objective(env), env.risk.mean() + 3 * pairs_mean(coral_distance, features))

    @pytest.mark.parametrize("features", [1, 3])
    def test_moments_of_a_sample_say_the_same_as_its_examples(self, features):
        data, m = make(intercept=True), method("coral", features=features)
        assert_close(m.objective(view(compress(data), m)), m.objective(view(data, m)))

    def test_a_population_has_no_count_to_correct_for(self):
        m = method("coral")
        moments = compress(make())
        population = Moments(moments.second, moments.count, population=True)
        env = view(population, m)
        variance = env.prediction_square - env.prediction_mean**2
        pairs = list(itertools.combinations(range(E), 2))
        distance = [(env.prediction_mean[e] - env.prediction_mean[f]) ** 2 for e, f in pairs]
        distance = [d + (variance[e] - variance[f]) ** 2 for d, (e, f) in zip(distance, pairs, strict=True)]
        assert_close(m.objective(env), env.risk.mean() + sum(distance) / len(pairs))

    def test_every_input_starts_in_one_feature_and_their_sum_is_the_start(self):
        m, start = method("coral", features=2), torch.tensor([1.0, 2.0, 3.0])
        assert m.parameters(start, E).tolist() == [[1, 0], [0, 2], [3, 0]]
        assert_close(m.coefficients(m.parameters(start, E)), start)

    def test_at_the_optimum_more_features_weigh_the_penalty_less(self):
        # Equal features have the least distances for their sum, f / k each: with means of zero, D is k^-4 of that of f.
        data, two = dataset("irm_chain", d=1), method("coral", features=2, penalty_weight=16.0)
        one = solve(batch(data, method("coral", features=1, penalty_weight=1.0), "population"))

        def objective(parameters):
            return two.objective(environments(data.population(0), two, parameters))

        equal = (one.coefficients[0, 0, :, None] / 2).repeat(1, 2)
        assert_close(objective(equal), one.objective[0, 0])
        assert torch.func.grad(objective)(equal).abs().max() < 1e-8
        generator = torch.Generator().manual_seed(0)
        for scale in (1e-3, 0.1, 1.0, 10.0):
            others = equal + scale * torch.randn(300, 2, 2, generator=generator, dtype=torch.float64)
            assert (torch.func.vmap(objective)(others) >= one.objective[0, 0] - 1e-12).all()

    def test_its_limit_is_a_prediction_of_the_same_variance_everywhere(self):
        # Only zero has that where every input's scale changes.
        data = dataset("irm_appendix_d")
        fit = solve(batch(data, method("coral", penalty_weight=1e8), "population"))
        assert fit.coefficients.abs().max() < 0.01

    def test_features_of_a_network_are_refused(self):
        data = dataset("spirals")
        assert "linear" in why_not(method("coral", features=2), data, Solver(), 16, has_population=False)
        assert why_not(method("coral"), data, Solver(), 16, has_population=False) is None


class TestMMD:
    def test_the_kernel_s_means_are_over_all_pairs_of_the_first_examples(self, data):
        m = method("mmd", penalty_weight=3.0, examples=7)
        env = view(data, m)
        expected = pairs_mean(mmd_distance, env.predictions[:, :7])
        assert_close(m.objective(env), env.risk.mean() + 3 * expected)

    def test_a_normal_population_is_what_large_samples_come_near(self):
        data, m = dataset("irm_chain", holdout_last=True), method("mmd", examples=2000)
        phi = torch.full((10,), 0.1, dtype=torch.float64)
        exact = environments(data.population(0), m, phi)
        sampled = environments(data.sample(2000, 0), m, phi)
        distances = [m.objective(env) - env.risk.mean() for env in (exact, sampled)]
        assert distances[0] > 0.5
        assert_close(*distances, rtol=0, atol=0.1)

    def test_a_normal_population_has_its_closed_form(self):
        data, m = dataset("unit_test_1"), method("mmd", penalty_weight=1.0)
        env = view(data.population(0), m)
        mean, variance = env.prediction_mean, env.prediction_square - env.prediction_mean**2

        def k(e, f):
            s, d = variance[e] + variance[f], (mean[e] - mean[f]) ** 2
            return sum((1 + 2 * c * s) ** -0.5 * torch.exp(-c * d / (1 + 2 * c * s)) for c in SCALES)

        pairs = itertools.combinations(range(E), 2)
        expected = sum(k(e, e) + k(f, f) - 2 * k(e, f) for e, f in pairs) / 3
        assert_close(m.objective(env) - env.risk.mean(), expected)

    def test_it_says_where_it_cannot_run(self):
        m, chain, not_normal = method("mmd"), dataset("irm_chain"), dataset("ilc_patchwork")
        assert "normal" in why_not(m, not_normal, POPULATION, 4, has_population=True)
        assert "pairs" in why_not(m, chain, NEWTON, 3, has_population=True)
        for solver in (POPULATION, resolve_solver(m, "official")):
            assert why_not(m, chain, solver, 3, has_population=True) is None

    @pytest.mark.parametrize(("entry", "most"), [('"mmd"', 1), ('"fishr"', 5)], ids=["pairs", "examples"])
    def test_a_job_holds_as_many_pairs_as_a_batch_may_hold_examples(self, monkeypatch, entry, most):
        suite = f"""
            name = "pairs"
            seeds = 5
            [[experiments]]
            datasets = [{{ id = "irm_appendix_d", n = 1000 }}]
            methods = [{entry}]
            solvers = ["official"]
        """
        monkeypatch.setattr(planning, "MAX_ELEMENTS", 10 * 2 * 1000)
        assert max(len(job.trials) for job in plan(trials(parse(suite)))) == most


class TestCausIRL:
    def half(self, data, *sizes):
        """Return masks of first parts of these sizes, not at the front."""
        half = torch.zeros_like(data.targets)
        for e, size in enumerate(sizes):
            half[e, torch.randperm(N, generator=torch.Generator().manual_seed(e))[:size]] = 1
        return half

    @pytest.mark.parametrize("distance", ["coral", "mmd"])
    def test_all_first_parts_are_compared_with_all_second_parts(self, data, distance):
        m = method("causirl", penalty_weight=3.0, distance=distance, examples=10)
        half = self.half(data, 0, 11, 15)
        env = view(data, m, half=half)
        predictions = env.predictions if distance == "coral" else env.predictions[:, :10]
        first = half[:, : predictions.shape[1]].bool()
        if distance == "coral":
            expected = coral_distance(predictions[first][:, None], predictions[~first][:, None])
        else:
            expected = mmd_distance(predictions[first], predictions[~first])
        assert_close(m.objective(env), env.risk.mean() + 3 * expected)

    @pytest.mark.parametrize("distance", ["coral", "mmd"])
    @pytest.mark.parametrize("size", [0, 1])
    def test_less_than_two_examples_are_compared_with_nothing(self, data, distance, size):
        m = method("causirl", distance=distance, examples=N)
        env = view(data, m, half=self.half(data, 0, size, 0))
        assert_close(m.objective(env), env.risk.mean())
        assert_close(m.direction(env), env.gradient.mean(0))

    def test_every_environment_is_cut_anew_at_every_step(self):
        m, data = method("causirl"), make()
        splitter = Splitter(data.with_tensors(data.inputs[None], data.targets[None]), [0], m.split_size)
        first, second = splitter()[0], splitter()[0]
        assert not torch.equal(first, second)
        assert first.sum(-1).unique().numel() > 1

    @pytest.mark.parametrize("solver", ["converged", "population"])
    def test_only_official_solvers_run_it(self, solver):
        m, chain = method("causirl"), dataset("irm_chain")
        assert "official" in why_not(m, chain, resolve_solver(m, solver), 3, has_population=True)
        assert why_not(m, chain, resolve_solver(m, "official"), 3, has_population=True) is None
