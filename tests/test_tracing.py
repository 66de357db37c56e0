import weakref

import pytest
import torch

from irmbench.engine.tracing import trace


def test_a_trace_gives_what_the_function_gives_at_other_values():
    data = torch.randn(5, 3, dtype=torch.float64)

    def function(x, y):
        return torch.func.grad(lambda at: ((data @ at) ** 2).sum() + (at * y).sum())(x), y + 1

    x, y = torch.randn(2, 3, dtype=torch.float64)
    traced = trace(function, x, y)
    for got, expected in zip(traced(x + 1, y - 2), function(x + 1, y - 2), strict=True):
        torch.testing.assert_close(got, expected)


def test_what_depends_on_constants_alone_is_computed_once():
    data = torch.randn(4, 4)
    traced = trace(lambda x: x @ (data.T @ data).exp(), torch.ones(2, 4))
    targets = [str(node.target) for node in traced.__self__.graph.nodes if node.op == "call_function"]
    assert targets == ["aten.mm.default"]


def test_constants_are_not_changed_by_running_a_trace():
    data = torch.arange(3.0)

    def function(x):
        copy = data.clone()
        copy.mul_(x)
        return copy

    traced = trace(function, torch.ones(3))
    for factor in (2.0, 3.0):
        torch.testing.assert_close(traced(torch.full((3,), factor)), torch.arange(3.0) * factor)


def test_a_function_on_the_meta_device_is_left_as_it_is():
    function = torch.sin
    assert trace(function, torch.empty(2, device="meta")) is function


def test_one_of_several_results_is_traced():
    traced = trace(lambda x: torch.sort(x)[0] + torch.var_mean(x)[1], torch.tensor([3.0, 1.0, 2.0]))
    torch.testing.assert_close(traced(torch.tensor([0.0, 9.0, 6.0])), torch.tensor([5.0, 11.0, 14.0]))


def test_a_value_cannot_be_asked_for():
    with pytest.raises(RuntimeError, match=r"asks a tensor for its value, as \.item\(\) and `if` do"):
        trace(lambda x: x * x.sum().item(), torch.ones(2))


def test_no_result_on_the_way_is_kept():
    seen = []

    def function(x):
        y = x + 1
        seen.append(weakref.ref(y))
        return 2 * y

    traced = trace(function, torch.ones(2))
    assert seen[0]() is None
    assert traced(torch.zeros(2)).tolist() == [2, 2]


@pytest.mark.parametrize(
    "lifted", [lambda f: f, lambda f: torch.func.vmap(torch.func.grad(f), (0,))], ids=["plain", "lifted"]
)
def test_what_a_function_makes_of_numbers_is_new_at_every_call(lifted):
    def function(x):
        weights = torch.tensor([1.0, 2.0])
        weights *= 2
        return (weights * x).sum()

    x = torch.ones(2, 2)
    traced = trace(lifted(function), x)
    for _ in range(3):
        torch.testing.assert_close(traced(x), lifted(function)(x))


def test_results_that_are_none_are_no_tensors():
    data, weight = torch.randn(2, 3), torch.randn(3)

    def function(x):
        return torch.func.grad(lambda at: torch.nn.functional.layer_norm(at, (3,), weight).square().sum())(x)

    torch.testing.assert_close(trace(function, data)(data + 1), function(data + 1))


def test_a_generator_of_one_s_own_is_refused():
    chance = torch.Generator()
    with pytest.raises(RuntimeError, match="draws from a generator"):
        trace(lambda x: x + torch.rand(2, generator=chance), torch.ones(2))
