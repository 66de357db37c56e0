"""Methods that are defined by their updates, and the patchwork on which gradient surgery was first shown."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench.engine.risks import environments
from irmbench.engine.solve import solve, why_not
from irmbench.interface import Method, Solver
from irmbench.moments import Examples, Moments, compress

E, N, D = 3, 30, 4
IDENTITY = Method()


def make(intercept=False, logistic=False, count=E):
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, N, D, generator=generator, dtype=torch.float64) + 0.2
    targets = inputs.sum(-1) + torch.randn(count, N, generator=generator, dtype=torch.float64)
    return Examples(inputs, (targets > 0).double() if logistic else targets, intercept, logistic)


def view(m, data=None, **context):
    data = make() if data is None else data
    phi = torch.arange(1.0, data.dimension + 1, dtype=torch.float64) / 3
    return environments(data, m, m.parameters(phi, data.tensors[0].shape[0]), **context)


def with_gradient(gradient):
    env = view(IDENTITY)
    env.gradient = torch.tensor(gradient, dtype=torch.float64)
    return env


class TestGeometricMean:
    def test_it_is_the_geometric_mean_where_signs_agree(self):
        env = with_gradient([[1.0, -4.0, 1.0, 0.0], [8.0, -9.0, -1.0, 1.0]])
        got = method("and_mask", variant="geom_mean").direction(env)
        assert_close(got, torch.tensor([math.sqrt(8), -6.0, 0.0, 0.0]).double(), rtol=1e-7, atol=0)

    def test_it_is_rescaled_as_the_arithmetic_mean_is(self):
        env = with_gradient([[1.0, -4.0, 1.0, 0.0], [8.0, -9.0, -1.0, 1.0]])
        plain, rescaled = (method("and_mask", variant="geom_mean", rescale=r).direction(env) for r in (False, True))
        assert_close(rescaled, 2 * plain, rtol=1e-9, atol=0)


class TestSANDMask:
    """Ten environments whose gradients agree in sign nine times, ten times, five times, and nine times with a zero."""

    @pytest.fixture
    def env(self):
        gradient = torch.ones(10, D).double() * torch.linspace(0.5, 2, 10)[:, None].double()
        gradient[0, 0] *= -1
        gradient[:5, 2] *= -1
        gradient[0, 3] = 0
        return with_gradient(gradient.tolist())

    def test_the_mask_is_the_paper_s(self, env):
        expected = []
        for g in env.gradient.T.tolist():
            mean = sum(g) / 10
            variance = sum((v - mean) ** 2 for v in g) / 9
            agreement = abs(sum(np.sign(g))) / 10
            expected.append((max(0.0, math.tanh(0.7 * (agreement - 0.6) / variance)), mean))
        size = 1e-10 + sum(mask for mask, _ in expected) / D
        got = method("sand_mask", tau=0.6, k=0.7).direction(env)
        assert_close(got, torch.tensor([mask * mean / size for mask, mean in expected]).double())

    @pytest.mark.parametrize(
        ("tau", "kept"),
        [(0.5, [True, True, False, True]), (0.85, [False, True, False, True]), (0.95, [False, True, False, False])],
    )
    def test_coordinates_move_where_agreement_is_above_the_threshold(self, env, tau, kept):
        assert (method("sand_mask", tau=tau).direction(env) != 0).tolist() == kept

    def test_the_published_default_masks_everything(self, env):
        m = method("sand_mask", tau=1.0)
        assert m.direction(env).tolist() == [0.0] * D
        assert "masks every coordinate" in m.problem

    def test_agreement_of_exactly_the_threshold_without_variance_hardly_moves(self):
        env = with_gradient([[2.0, 0.0, 0.0, 0.0]] * 3)
        got = method("sand_mask", tau=1.0).direction(env)
        assert got[0].item() == pytest.approx(2.0 * 1e-17 / (1e-10 + 0.25e-17))
        assert got[1:].tolist() == [0.0] * 3

    def test_it_does_not_run_where_coordinates_are_scrambled(self):
        data = dataset("irm_chain", scrambled=True)
        assert "scrambled" in why_not(method("sand_mask"), data, Solver(), 3, has_population=True)


class TestFish:
    def inner(self, data, phi, rate, order):
        """Return where plain gradient descent on one environment after another leads, by automatic differentiation."""
        for e in order:
            gradient = torch.func.grad(lambda at, e=e: environments(data, IDENTITY, at).risk[e])(phi)
            phi = phi - rate * gradient
        return phi

    @pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
    def test_a_step_follows_the_inner_steps_part_of_the_way(self, logistic):
        data, m = make(intercept=True, logistic=logistic), method("fish", inner_rate=0.05, meta_rate=0.3)
        phi = view(m, data).parameters
        assert m.official.learning_rate == 1
        assert_close(phi - m.direction(view(m, data)), phi + 0.3 * (self.inner(data, phi, 0.05, range(E)) - phi))

    def test_moments_lead_where_examples_do(self):
        data, m = make(intercept=True), method("fish")
        assert_close(m.direction(view(m, compress(data))), m.direction(view(m, data)))

    def test_on_average_over_orders_it_raises_the_inner_products_of_gradients(self):
        # The gradient of sum R - alpha / 2 sum of g . g' over pairs, with an error of order alpha^3 in alpha times it.
        data = make()
        phi = view(IDENTITY, data).parameters

        def surrogate(at, alpha):
            env = environments(data, IDENTITY, at)
            products = [env.gradient[e] @ env.gradient[f] for e, f in itertools.combinations(range(E), 2)]
            return env.risk.sum() - alpha / 2 * sum(products)

        def remainder(alpha):
            ends = [self.inner(data, phi, alpha, order) for order in itertools.permutations(range(E))]
            mean = torch.stack([phi - end for end in ends]).mean(0)
            return (mean - alpha * torch.func.grad(surrogate)(phi, alpha)).norm().item()

        alpha = 1e-3
        assert remainder(alpha) < 1e-3 * alpha * torch.func.grad(surrogate)(phi, 0.0).norm().item()
        assert remainder(alpha) / remainder(alpha / 2) == pytest.approx(8, rel=0.02)

    def test_the_order_of_environments_matters(self):
        data, m = make(), method("fish", inner_rate=0.05)
        flipped = data.with_tensors(*(tensor.flip(0) for tensor in data.tensors))
        assert not torch.allclose(m.direction(view(m, data)), m.direction(view(m, flipped)), rtol=1e-3)
        assert m.ordered


def game(steps, seeds=1, d=1, data="population", **params):
    """Return the players' game on the chain whose target's noise varies, in environments of scale 0.2 and 2."""
    chain = dataset("irm_chain", y_noise="environment", holdout_last=True, d=d)
    solver = Solver(optimizer="sgd", learning_rate=5e-3, steps=steps, data=data)
    return batch(chain, method("irm_games", **params), solver, seeds)


class TestIRMGames:
    @pytest.mark.parametrize("predictor", ["sum", "mean"])
    def test_players_start_alike_and_make_the_start_together(self, predictor):
        m, start = method("irm_games", predictor=predictor), torch.tensor([1.0, 2.0])
        players = m.parameters(start, E)
        assert players.shape == (E, 2)
        assert (players == players[0]).all()
        assert_close(m.coefficients(players), start)

    @pytest.mark.parametrize("logistic", [False, True], ids=["squared", "logistic"])
    @pytest.mark.parametrize("predictor", ["sum", "mean"])
    @pytest.mark.parametrize("step", [0, 4])
    def test_the_player_whose_turn_it_is_descends_its_own_risk(self, predictor, logistic, step):
        data, m = make(logistic=logistic), method("irm_games", predictor=predictor)
        env, player = view(m, data, step=torch.tensor(float(step))), step % E
        gradient = torch.func.grad(lambda players: environments(data, m, players).risk[player])(env.parameters)
        expected = torch.zeros_like(gradient)
        expected[player] = gradient[player]
        assert_close(m.direction(env), expected)

    def test_a_box_bounds_players_that_take_gradient_steps(self):
        players = torch.tensor([[3.0, -0.5], [0.2, -9.0]])
        boxed = torch.tensor([[2.0, -0.5], [0.2, -2.0]])
        assert torch.equal(method("irm_games", bound=2.0).project(players), boxed)
        assert torch.equal(method("irm_games", bound=2.0, response="best").project(players), players)

    @pytest.mark.parametrize("predictor", ["sum", "mean"])
    def test_players_share_the_ensemble_s_intercept(self, predictor):
        data, m = make(intercept=True), method("irm_games", predictor=predictor)
        env = view(m, data, step=torch.tensor(1.0))
        direction = m.direction(env)
        own = torch.func.grad(lambda players: environments(data, m, players).risk[1])(env.parameters)[1]
        combined = direction.sum(0) if predictor == "sum" else direction.mean(0)
        assert_close(combined, own if predictor == "sum" else own / E)
        assert (direction[:, -1] == direction[0, -1]).all()

    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("predictor", ["sum", "mean"])
    def test_a_best_response_is_least_squares_of_the_player_s_environment(self, predictor, intercept):
        data, m = make(intercept=intercept), method("irm_games", predictor=predictor, response="best")
        env = view(m, data, step=torch.tensor(2.0))
        moved = env.parameters - m.direction(env)
        ones = torch.ones(N, int(intercept), dtype=torch.float64)
        X = torch.cat([data.inputs[2], ones], -1)
        assert_close(m.coefficients(moved), torch.linalg.lstsq(X, data.targets[2][:, None]).solution[:, 0])
        others = moved - env.parameters
        assert others[:2, :D].abs().max() == 0

    def test_best_responses_stay_where_all_environments_want_the_same(self):
        data, m = make(), method("irm_games", response="best")
        same = data.with_tensors(data.inputs, data.inputs.sum(-1))
        players = torch.tensor([[0.5, -3.0, 1.0, 0.0], [0.25, 4.0, 0.0, 1.0], [0.25, 0.0, 0.0, 0.0]]).double()
        for step in range(2 * E):
            moves = m.direction(environments(same, m, players, step=torch.tensor(float(step))))
            assert moves.abs().max() < 1e-12

    def test_best_responses_have_no_end_where_environments_disagree(self):
        wanted = [torch.tensor([1 / (1 + e * e), e * e / (1 + e * e)]).double() for e in (0.2, 2.0)]
        for steps in (101, 102):
            base = game(steps, response="best")
            one = Solver(optimizer="sgd", learning_rate=1.0, steps=steps, data="population")
            base.solvers[0] = one
            assert_close(solve(base).coefficients[0, 0], wanted[(steps - 1) % 2])

    def test_in_a_box_the_ensemble_keeps_close_to_the_causes(self):
        # The player of scale 0.2 wants the effect least, and gets its way: 1 / (1 + e^2) and e^2 / (1 + e^2).
        phi = solve(game(4000)).coefficients[0, 0]
        assert_close(phi, torch.tensor([1 / 1.04, 0.04 / 1.04]).double(), rtol=0, atol=1e-4)

    def test_what_the_boxed_game_ends_in_is_an_equilibrium(self):
        base = game(4000)
        moments, m = base.data.with_tensors(*(tensor[0] for tensor in base.data.tensors)), base.method
        players = m.parameters(torch.ones(2, dtype=torch.float64), 2)
        for step in range(4000):
            env = environments(moments, m, players, step=torch.tensor(float(step)))
            players = m.project(players - 5e-3 * m.direction(env))
        assert players.abs().max() == 5
        for e in range(2):
            root = torch.linalg.cholesky(moments.gram[e]).T.numpy()
            wanted = np.linalg.solve(root.T, moments.cross[e].numpy()) - root @ players[1 - e].numpy()
            best = lsq_linear(root, wanted, bounds=(-5, 5), tol=1e-14).x
            np.testing.assert_allclose(players[e].numpy(), best, atol=1e-3)

    def test_without_a_box_players_drift_apart_and_the_ensemble_ends_at_least_squares(self):
        # Published: a squared error of .8920 on one sample (IBM/OoD, CLRG_regression_jmtd.ipynb).
        phi = solve(game(4000, bound=1e9)).coefficients[0, 0]
        assert ((phi - torch.tensor([1.0, 0.0])) ** 2).sum().item() == pytest.approx(0.8920, abs=0.02)
        erm = solve(
            batch(dataset("irm_chain", y_noise="environment", holdout_last=True, d=1), method("erm"), "population")
        )
        assert_close(phi, erm.coefficients[0, 0], rtol=0, atol=0.01)

    def test_samples_have_the_published_errors(self):
        # Published, of ten inputs and one sample: C-LRG .02635. Without a box: least squares, 4.474 in large samples.
        errors = {}
        for bound in (5.0, 1e9):
            phi = solve(game(4000, seeds=10, d=5, data="sample", bound=bound)).coefficients[:, 0]
            truth = torch.tensor([1.0] * 5 + [0.0] * 5).double()
            errors[bound] = ((phi - truth) ** 2).sum(-1)
        assert errors[5.0].min() < 0.02635 < errors[5.0].max()
        assert errors[1e9].mean().item() == pytest.approx(4.474, rel=0.05)

    def test_it_says_where_it_cannot_run(self):
        best = method("irm_games", response="best")
        assert "squared" in why_not(best, dataset("unit_test_2"), Solver(), 3, has_population=False)
        assert "linear" in why_not(method("irm_games"), dataset("spirals"), Solver(), 16, has_population=False)


BETA = torch.tensor([0.0, 0.0, 0.0, 0.0, 10 / 3]).double()


class TestPatchwork:
    def test_an_environment_is_one_example(self):
        data = dataset("ilc_patchwork")
        inputs = torch.cat([3 * torch.eye(4), torch.full((4, 1), 0.3)], 1).double()
        examples = data.sample(7, 0)
        assert_close(examples.inputs, inputs[:, None].expand(4, 7, 5))
        assert (examples.targets == 1).all()
        moments = data.population(0)
        assert_close(moments.gram, inputs[:, :, None] * inputs[:, None])
        assert_close(moments.cross, inputs)
        assert moments.population
        assert not moments.gaussian

    def test_the_invariant_coefficients_fit_every_environment_alone(self):
        data = dataset("ilc_patchwork")
        assert_close(data.truth(0).coefficients, BETA)
        for moments in (data.population(0), data.test_population(0)):
            assert_close(environments(moments, IDENTITY, BETA).risk, torch.zeros(len(moments.second)).double())

    def test_environments_that_are_not_trained_on_are_tests(self):
        data = dataset("ilc_patchwork", environments=2)
        assert data.sample(2, 0).inputs.shape == (2, 2, 5)
        assert data.test_sample(2, 0).inputs[:, 0, :4].argmax(-1)[:2].tolist() == [2, 3]
        assert data.test_sample(2, 0).inputs[-1, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.3])

    def test_the_mean_gradient_learns_the_patchwork_and_the_mask_what_is_invariant(self):
        data = dataset("ilc_patchwork")
        ends = {}
        for name in ("vrex", "and_mask"):
            params = {"penalty_weight": 0.0} if name == "vrex" else {}
            solver = Solver(optimizer="sgd", learning_rate=0.15, steps=4000, start=0.0)
            ends[name] = solve(batch(data, method(name, **params), solver)).coefficients[0, 0]
        assert_close(ends["and_mask"], BETA)
        # The least norm that fits: x_i (9 + .36)^-1 summed over the four.
        assert_close(ends["vrex"], torch.tensor([3.0, 3.0, 3.0, 3.0, 1.2]).double() / 9.36)


def notebook(direction, start, environments_used):
    """Return theta after the notebook's 1,001 updates: rate .3 * .9995^t, then a decay of .01 of the rate."""
    data = dataset("ilc_patchwork", environments=environments_used).population(0)
    theta, rate = start, 0.3
    for _ in range(1001):
        rate *= 0.9995
        theta = theta - rate * direction(environments(data, IDENTITY, theta)) / 2  # its loss has a factor 1/2
        theta = theta - 0.01 * rate * theta
    return theta


class TestNotebook:
    """Prints of linear_regression_ilc.ipynb (gibipara92/learning-explanations-hard-to-vary), from unknown starts.

    What no gradient moves only decays, so its last values tell the first.
    """

    DECAY = math.prod(1 - 0.01 * 0.3 * 0.9995**t for t in range(1, 1002))

    @pytest.mark.parametrize(
        ("used", "published"), [(4, [0.31931] * 4 + [0.12607]), (2, [0.32612, 0.32612, -0.008, -0.019, 0.06488])]
    )
    def test_the_arithmetic_mean(self, used, published):
        data = dataset("ilc_patchwork", environments=used)
        X, end = data.sample(2, 0).inputs[:, 0], torch.tensor(published).double()
        start = (end - torch.linalg.pinv(X) @ X @ end) / self.DECAY
        theta = notebook(lambda env: env.gradient.mean(0), start, used)
        assert_close(theta, end, rtol=0, atol=1e-5)
        loss = environments(data.population(0), IDENTITY, theta).risk.mean() / 2
        if used == 4:
            assert loss.item() == pytest.approx(9e-6, abs=5e-7)

    @pytest.mark.parametrize(
        ("used", "published"),
        [(4, [-0.010, -0.004, 0.003, -0.003, 3.03233]), (2, [0.001, 0.001, 0.005, 0.004, 2.98875])],
    )
    def test_the_and_mask(self, used, published):
        published = torch.tensor(published).double()
        start = torch.cat([published[:4] / self.DECAY, torch.zeros(1).double()])
        theta = notebook(method("and_mask").direction, start, used)
        assert_close(theta[:4], published[:4], rtol=1e-9, atol=0)
        # The four are printed here to three digits, and each of them moves the fifth by 9 / E of that.
        assert theta[4].item() == pytest.approx(published[4].item(), abs=9 * 5e-4)

    @pytest.mark.parametrize(("used", "published"), [(4, 2.84444), (2, 3.04045)])
    def test_the_geometric_mean(self, used, published):
        starts = 0.1 * torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        direction = method("and_mask", variant="geom_mean").direction
        ends = torch.func.vmap(lambda start: notebook(direction, start, used))(starts)[:, 4]
        assert abs(published - ends.mean().item()) < 4 * ends.std().item()
        assert ends.std() < 0.3


def test_identical_environments_leave_a_mask_that_keeps_everything():
    data = make(count=1)
    same = data.with_tensors(*(tensor.expand(E, *tensor.shape[1:]) for tensor in data.tensors))
    env = view(IDENTITY, same)
    for params in ({}, {"variant": "geom_mean"}):
        assert_close(method("and_mask", **params).direction(env), env.gradient[0], rtol=1e-6, atol=1e-9)
    assert_close(method("sand_mask").direction(env), env.gradient[0], rtol=1e-6, atol=0)


def test_moments_need_not_be_of_one_example():
    # Copies leave every moment as it is, whatever their number.
    few, many = (compress(dataset("ilc_patchwork").sample(n, 0)) for n in (2, 11))
    assert isinstance(few, Moments)
    assert_close(few.second, many.second)
