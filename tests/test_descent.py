"""The official optimisers against PyTorch's, and what they record."""

import pytest
import torch
from support import batch, dataset, method
from torch.testing import assert_close

from irmbench.contract.first_steps import first_steps
from irmbench.engine import descent
from irmbench.engine.risks import environments
from irmbench.engine.solve import solve
from irmbench.interface import Solver


def by_torch(optimizer, solver, m, data):
    """Return the path of coefficients, [steps, P], that a torch.optim optimiser takes on one trial."""
    phi = torch.full((data.dimension,), solver.start, dtype=torch.float64, requires_grad=True)
    stepper = optimizer([phi], lr=solver.learning_rate, weight_decay=solver.weight_decay)
    path = []
    for _ in range(solver.steps):
        stepper.zero_grad()
        m.objective(environments(data, m, phi)).backward()
        stepper.step()
        path.append(phi.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(("name", "optimizer"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_optimisers_take_the_steps_of_pytorch_s(name, optimizer, weight_decay):
    solver = Solver(optimizer=name, learning_rate=0.01, weight_decay=weight_decay, steps=30, start=0.5)
    data, m = dataset("irm_appendix_d", n=100), method("vrex", penalty_weight=0.5)
    whole = batch(data, m, solver)
    one = whole.data.with_tensors(*(tensor[0] for tensor in whole.data.tensors))
    recorded = torch.stack([at[0, 0] for _, at in solve(whole, record_every=1).trajectory])
    assert_close(recorded, by_torch(optimizer, solver, m, one), rtol=1e-10, atol=1e-12)


def test_adam_that_is_reset_is_a_new_adam_from_there():
    data, m = dataset("irm_appendix_d", n=50), method("vrex", penalty_weight=0.5)
    whole = batch(data, m, Solver(learning_rate=0.01, steps=20, reset_at=8))
    one = whole.data.with_tensors(*(tensor[0] for tensor in whole.data.tensors))
    phi = torch.ones(one.dimension, dtype=torch.float64, requires_grad=True)
    for step in range(20):
        if step in (0, 8):
            adam = torch.optim.Adam([phi], lr=0.01)
        adam.zero_grad()
        m.objective(environments(one, m, phi)).backward()
        adam.step()
    assert_close(solve(whole).coefficients[0, 0], phi.detach(), rtol=1e-10, atol=1e-12)


ADAM = Solver(learning_rate=0.01, steps=7)


@pytest.mark.parametrize(
    ("name", "params", "solver"),
    [("group_dro", {}, ADAM), ("irmv1", {"variant": "split"}, ADAM), ("erm", {}, Solver(optimizer="closed_form"))],
    ids=["state", "splits", "closed form"],
)
def test_first_steps_are_those_of_the_solver(name, params, solver):
    whole = batch(dataset("irm_appendix_d", n=50), method(name, **params), solver, seeds=2)
    assert_close(first_steps(whole, ADAM.steps), solve(whole).coefficients, rtol=1e-12, atol=1e-14)


def test_a_method_can_bound_its_parameters():
    class Bounded(type(method("erm"))):
        def project(self, parameters):
            return parameters.clamp(max=0.5)

    fit = solve(batch(dataset("irm_appendix_d", n=50), Bounded(), Solver(optimizer="sgd", learning_rate=0.1, steps=50)))
    assert fit.coefficients.max() == 0.5


def test_trajectories_hold_every_kth_step_and_the_last():
    solver = Solver(optimizer="sgd", steps=25)
    fit = solve(batch(dataset("irm_appendix_d", n=50), method("iga"), solver), record_every=10)
    assert [step for step, _ in fit.trajectory] == [0, 10, 20, 24]
    assert_close(fit.trajectory[-1][1], fit.coefficients)


def test_nothing_is_recorded_unless_asked_for():
    fit = solve(batch(dataset("irm_appendix_d", n=50), method("iga"), Solver(optimizer="sgd", steps=5)))
    assert fit.trajectory == []


def test_the_gradient_norm_is_that_of_the_objective_at_the_end():
    m, data = method("vrex", penalty_weight=0.5), dataset("irm_appendix_d", n=50)
    whole = batch(data, m, Solver(optimizer="sgd", steps=5))
    fit = solve(whole)
    one = whole.data.with_tensors(*(tensor[0] for tensor in whole.data.tensors))
    gradient = torch.func.grad(lambda at: m.objective(environments(one, m, at)))(fit.coefficients[0, 0])
    assert_close(fit.gradient_norm[0, 0], gradient.norm())


@pytest.mark.slow
def test_compiled_steps_are_the_steps(monkeypatch):
    solver = Solver(optimizer="adam", learning_rate=1e-3, steps=23)
    whole = batch(dataset("irm_appendix_d", n=100), method("irmv1", penalty_weight=1.0), solver, seeds=3)
    monkeypatch.setattr(descent, "on_arrays", lambda step: None)
    plain = solve(whole, record_every=7)
    monkeypatch.setattr(descent, "COMPILE_FROM", 10)
    monkeypatch.setattr(descent, "CHAIN", 2)  # compiles in less time
    compiled = solve(whole, record_every=7)
    for (step, expected), (k, got) in zip(plain.trajectory, compiled.trajectory, strict=True):
        assert step == k
        assert_close(got, expected, rtol=1e-12, atol=1e-14)


def test_where_nothing_can_be_compiled_steps_are_taken_one_at_a_time(monkeypatch):
    def no_compiler(*_, **__):
        def fail(*_):
            raise RuntimeError("no C++ compiler")

        return fail

    whole = batch(dataset("irm_appendix_d", n=50), method("iga"), Solver(optimizer="sgd", steps=12))
    monkeypatch.setattr(descent, "on_arrays", lambda step: None)
    expected = solve(whole).coefficients
    monkeypatch.setattr(descent, "COMPILE_FROM", 10)
    monkeypatch.setattr(torch, "compile", no_compiler)
    assert_close(solve(whole).coefficients, expected)
