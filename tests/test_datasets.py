"""Each dataset against its structural equations: samples, exact moments and truth agree with one another."""

import itertools
import math

import numpy as np
import pytest
import torch
from support import dataset

from irmbench.moments import compress
from irmbench.runs.scores import zero_one_risk

LINEAR = [
    ("irm_appendix_d", {}),
    ("irm_appendix_d", {"scrambled": True, "d": 3}),
    *[
        ("irm_chain", {"hidden": h, "y_noise": noise, "scrambled": s})
        for h, noise, s in itertools.product((False, True), ("unit", "environment"), (False, True))
    ],
    ("irm_chain", {"hidden": True, "child": False}),
    ("unit_test_1", {}),
    ("unit_test_1", {"scrambled": True, "environments": 5, "effects": 2}),
    ("anchor_iv", {}),
    ("anchor_iv", {"anchors": "plus_minus"}),
    ("anchor_h", {}),
    ("anchor_lin_b18", {}),
    ("gaussian_iv", {}),
    ("gaussian_iv", {"scrambled": True, "inputs": 3, "instruments": 4, "environments": 5}),
    ("drig_toy", {}),
    ("drig_sem", {}),
    ("drig_sem", {"scrambled": True, "graph": "five"}),
    ("causal_dantzig_example", {}),
    ("eqrm_lognormal", {}),
    *[("random_sem", {"kind": kind, "scrambled": kind == "do"}) for kind in ("shift", "noise", "do")],
    ("iid_null", {}),
    ("y_intervention", {"scrambled": True}),
    ("symmetric_shift", {}),
    ("shift_family", {"shift": "covariate+concept"}),
    ("shift_family", {"shift": "label_noise", "d": 2}),
    ("high_dim", {"d": 10, "scrambled": True}),
    ("many_envs", {"environments": 4}),
    ("imbalanced_envs", {}),
    ("two_bit", {}),
    ("two_bit", {"scrambled": True, "alpha": 0.25}),
    ("piif_linear", {}),
    ("piif_linear", {"scrambled": True, "sigma": 0.5}),
    ("fiif_linear", {}),
]
ALL = [
    *LINEAR,
    ("unit_test_2", {}),
    ("unit_test_3", {}),
    ("unit_test_2", {"scrambled": True, "environments": 5}),
    ("eills_scm", {}),
    ("eills_random", {"scrambled": True}),
    ("hrm_selection", {}),
    ("no_invariance", {}),
    ("two_bit_logistic", {}),
    ("cmnist_synth", {}),
    ("piif_classification", {}),
    ("fiif_classification", {}),
    ("rosenfeld", {}),
]
N = 100_000


def identifier(value):
    return "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value


parametrize_linear = pytest.mark.parametrize(("name", "params"), LINEAR, ids=identifier)
# The contract compares the moments of every dataset as it is by default.
parametrize_variants = pytest.mark.parametrize(("name", "params"), [x for x in LINEAR if x[1]], ids=identifier)
parametrize_all = pytest.mark.parametrize(("name", "params"), ALL, ids=identifier)


def assert_moments_agree(exact, sampled):
    """Compare second moments in units of their standard error, at most sqrt(3 M_ii M_jj / n) for Gaussians."""
    square = torch.diagonal(exact.second, dim1=-2, dim2=-1)
    error = torch.sqrt(3 * square[..., :, None] * square[..., None, :] / N)
    assert ((exact.second - sampled.second).abs() <= 5 * error).all()


@parametrize_variants
def test_population_moments_are_those_of_a_large_sample(name, params):
    data = dataset(name, **params)
    assert_moments_agree(data.population(3), compress(data.sample(N, 3)))


@parametrize_variants
def test_test_population_moments_are_those_of_a_large_sample(name, params):
    data = dataset(name, **params)
    assert_moments_agree(data.test_population(3), compress(data.test_sample(N, 3)))


@parametrize_all
def test_a_seed_gives_the_same_data_again_and_another_seed_gives_others(name, params):
    data = dataset(name, **params)
    assert torch.equal(data.sample(20, 1).inputs, data.sample(20, 1).inputs)
    assert not torch.equal(data.sample(20, 1).inputs, data.sample(20, 2).inputs)


@parametrize_all
def test_training_and_test_examples_are_not_the_same(name, params):
    data = dataset(name, **params)
    assert not torch.equal(data.sample(20, 1).inputs[0], data.test_sample(20, 1).inputs[0])


@parametrize_all
def test_unscrambling_is_orthogonal_and_the_identity_where_nothing_is_scrambled(name, params):
    data = dataset(name, **params)
    S = data.truth(4).unscramble
    torch.testing.assert_close(S @ S.T, torch.eye(len(S)).double())
    assert torch.equal(S, torch.eye(len(S)).double()) != data.scrambled


@parametrize_all
def test_the_causal_mask_marks_the_coefficients_that_are_not_zero(name, params):
    truth = dataset(name, **params).truth(0)
    assert torch.equal(truth.causal, truth.coefficients != 0)


@parametrize_all
def test_scrambling_rotates_the_same_examples(name, params):
    plain = dataset(name, **{**params, "scrambled": False})
    rotated = dataset(name, **{**params, "scrambled": True})
    S = rotated.truth(2).unscramble
    torch.testing.assert_close(rotated.sample(30, 2).inputs, plain.sample(30, 2).inputs @ S)
    assert torch.equal(rotated.sample(30, 2).targets, plain.sample(30, 2).targets)


def test_appendix_d_has_its_closed_form_moments():
    moments = dataset("irm_appendix_d").population(0)
    for index, e in enumerate((0.1, 1.0)):
        one = torch.eye(2).double() * e**2
        gram = torch.cat([torch.cat([one, one], 1), torch.cat([one, 2 * one + torch.eye(2)], 1)])
        torch.testing.assert_close(moments.gram[index], gram)
        torch.testing.assert_close(moments.cross[index], torch.tensor([1, 1, 2, 2]).double() * e**2)
        assert moments.target_square[index].item() == pytest.approx(4 * e**2)


def test_chain_noise_is_the_target_s_or_the_effects():
    # At the causal coefficients the risk is the target's noise: 5 units, or 5 e^2.
    for noise, expected in (("unit", [5, 5, 5]), ("environment", [0.2, 20, 125])):
        data = dataset("irm_chain", y_noise=noise)
        moments, beta = data.population(0), data.truth(0).coefficients
        risk = torch.stack([beta @ A @ beta for A in moments.gram]) - 2 * moments.cross @ beta + moments.target_square
        torch.testing.assert_close(risk, torch.tensor(expected).double())


def test_confounded_chain_s_invariant_coefficients_are_not_the_causal_ones():
    # E[y | x] has coefficients 1 + rowsum((Whx'Whx + I)^-1 Whx'Why); the mean squared excess is 2.1e-3.
    data, excess = dataset("irm_chain", hidden=True), []
    for seed in range(300):
        W = data.seeded_weights(seed)
        excess.append((np.linalg.solve(W["hx"].T @ W["hx"] + np.eye(5), W["hx"].T @ W["hy"]).sum(1) ** 2).mean())
    assert np.mean(excess) == pytest.approx(2.1e-3, rel=0.15)
    moments = data.population(0)
    W = data.seeded_weights(0)
    delta = np.linalg.solve(W["hx"].T @ W["hx"] + np.eye(5), W["hx"].T @ W["hy"]).sum(1)
    for e in range(3):
        regression = torch.linalg.solve(moments.gram[e, :5, :5], moments.cross[e, :5])
        np.testing.assert_allclose(regression.numpy(), 1 + delta, rtol=1e-9)


def test_first_unit_test_has_its_published_oracle_risk():
    # The causal predictor's risk is 5 e^2: .05, 11.25, 20, whatever the weights.
    data = dataset("unit_test_1")
    moments, beta = data.test_population(7), data.truth(7).coefficients
    phi = torch.cat([beta, torch.zeros(1).double()])
    risk = torch.stack([phi @ A @ phi for A in moments.gram]) - 2 * moments.cross @ phi + moments.target_square
    torch.testing.assert_close(risk, torch.tensor([0.05, 11.25, 20.0]).double())


def test_constants_in_the_equations_are_in_the_population_s_means():
    class Shifted(type(dataset("irm_appendix_d"))):
        def equations(self, noise, env, weights):
            x, z, y = super().equations(noise, env, weights)
            return x + 2.0, z - 1.0, y + 3.0

    data = Shifted()
    for exact, sampled in (
        (data.population(0), compress(data.sample(N, 0))),
        (data.test_population(0), compress(data.test_sample(N, 0))),
    ):
        scale = torch.diagonal(exact.second, dim1=-2, dim2=-1).sqrt()
        error = (exact.second - sampled.second) / (scale[..., :, None] * scale[..., None, :])
        assert error.abs().max() < 5 * math.sqrt(3 / N)
        torch.testing.assert_close(exact.input_mean[0], torch.tensor([2.0, 2.0, -1.0, -1.0]).double())


def test_the_chain_can_train_without_its_last_environment():
    all_three, two = dataset("irm_chain"), dataset("irm_chain", holdout_last=True)
    assert torch.equal(two.sample(20, 1).inputs, all_three.sample(20, 1).inputs[:2])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_target_without_effects_leaves_the_other_inputs_to_noise_and_the_confounder(hidden):
    data = dataset("irm_chain", child=False, hidden=hidden)
    between = data.population(0).gram[:, : data.d, data.d :]
    assert bool(between.abs().max() > 1e-3) == hidden
    assert not data.setting.anti_causal
    assert data.label == f"irm_chain {'FP'[hidden]}OU child=False"


def test_labels_name_every_parameter_that_is_not_the_default():
    assert dataset("irm_chain", hidden=True).label == "irm_chain POU"
    assert dataset("irm_chain", n=50, y_noise="environment").label == "irm_chain FEU n=50"


def test_second_unit_test_can_be_classified_without_error():
    data = dataset("unit_test_2")
    beta = data.truth(0).coefficients
    for examples in (data.sample(1000, 0), data.test_sample(1000, 0)):
        assert zero_one_risk(examples, torch.cat([beta, torch.zeros(1).double()])).max() == 0


def test_second_unit_test_has_its_published_frequencies():
    examples = dataset("unit_test_2").sample(N, 0)
    animal = examples.inputs[..., :5].sum(-1) > 0
    usual = (examples.inputs[..., 5:].sum(-1) > 0) == animal
    for e, (p, s) in enumerate([(0.95, 0.3), (0.97, 0.5), (0.99, 0.7)]):
        assert animal[e].double().mean().item() == pytest.approx(s, abs=5 * math.sqrt(s * (1 - s) / N))
        assert usual[e].double().mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / N))


def test_third_unit_test_has_its_published_oracle_error():
    data = dataset("unit_test_3")
    beta = torch.cat([data.truth(0).coefficients, torch.zeros(1).double()])
    error = zero_one_risk(data.test_sample(N, 0), beta).mean().item()
    expected = 0.5 * math.erfc(math.sqrt(5) / math.sqrt(2))  # Phi(-sqrt 5) = .0127
    assert error == pytest.approx(expected, abs=5 * math.sqrt(expected / (3 * N)))


def test_third_unit_test_s_shortcut_changes_with_the_environment():
    data = dataset("unit_test_3")
    examples = data.sample(N, 0)
    means = [
        (examples.inputs[e, : N // 2, 5:].mean(0) - torch.tensor(env.mean)) for e, env in enumerate(data.training(0))
    ]
    assert torch.stack(means).abs().max() < 5 * 0.1 / math.sqrt(N // 2)


@pytest.mark.parametrize("name", ["unit_test_1", "unit_test_2", "unit_test_3"])
def test_unit_tests_break_the_tie_between_shortcut_and_target_in_tests(name):
    data = dataset(name)
    examples = data.test_sample(N, 0)
    others = examples.inputs[..., 5:] - examples.inputs[..., 5:].mean(1, keepdim=True)
    target = examples.targets - examples.targets.mean(1, keepdim=True)
    correlation = torch.einsum("enj,en->ej", others, target) / (others.norm(dim=1) * target.norm(dim=1)[:, None])
    assert correlation.abs().max() < 5 / math.sqrt(N)


@pytest.mark.parametrize("name", ["unit_test_1", "unit_test_2", "unit_test_3"])
def test_more_environments_keep_the_first_ones(name):
    few, many = (dataset(name, environments=k).training(3) for k in (3, 6))
    assert many[:3] == few
    assert len(many) == 6


@parametrize_linear
def test_settings_say_whether_the_target_s_noise_varies(name, params):
    data = dataset(name, **{key: value for key, value in params.items() if key != "hidden"})
    moments, truth = data.population(0), data.truth(0)
    phi = truth.observed(truth.coefficients, moments.dimension)
    risk = torch.stack([phi @ A @ phi for A in moments.gram]) - 2 * moments.cross @ phi + moments.target_square
    assert ((risk.max() / risk.min()).item() > 1.5) == data.setting.y_noise_varies
