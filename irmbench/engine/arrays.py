"""Traces of few numbers, run on NumPy: there an operator on ten numbers takes a tenth of what PyTorch's dispatch does.

One trial's step is some thirty operators on a handful of numbers each. Nothing is compiled: the trace's graph is the
same, with NumPy's functions in place of PyTorch's operators, each view made once, and constants computed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten
add: Any = np.add
maximum: Any = np.maximum
Function = Callable[..., Any]

SMALL = 512  # numbers in the largest tensor of a trace: beyond, PyTorch's kernels make up for its dispatch


def _double(x: Any) -> Any:
    return np.asarray(x, np.float64)


def _sum(x: Any, axes: list[int] | None = None, keep: bool = False) -> Any:
    return add.reduce(x, axis=_axes(axes), keepdims=keep)


def _mean(x: Any, axes: list[int] | None = None, keep: bool = False) -> Any:
    total = _sum(x, axes, keep)
    return total / (x.size // total.size)


def _amax(x: Any, axes: list[int], keep: bool = False) -> Any:
    return maximum.reduce(x, axis=_axes(axes), keepdims=keep)


def _axes(axes: list[int] | None) -> Any:
    return None if not axes else axes[0] if len(axes) == 1 else tuple(axes)


def _var(x: Any, axes: list[int] | None = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    return np.var(x, axis=tuple(axes) if axes else None, ddof=correction, keepdims=keepdim)


def _softmax(x: Any, axis: int, half_to_float: bool) -> Any:
    grown = np.exp(x - maximum.reduce(x, axis=axis, keepdims=True))
    return grown / add.reduce(grown, axis=axis, keepdims=True)


def _power(x: Any, exponent: float) -> Any:
    return np.square(x) if exponent == 2 else x if exponent == 1 else np.power(x, exponent)


ELEMENTWISE: dict[Any, Function] = {
    aten.add.Tensor: np.add,
    aten.sub.Tensor: np.subtract,
    aten.rsub.Scalar: lambda x, other: other - x,
    aten.mul.Tensor: np.multiply,
    aten.mul.Scalar: np.multiply,
    aten.div.Tensor: np.true_divide,
    aten.div.Scalar: np.true_divide,
    aten.pow.Tensor_Scalar: _power,
    aten.pow.Scalar: np.power,
    aten.neg.default: np.negative,
    aten.abs.default: np.abs,
    aten.sign.default: np.sign,
    aten.sqrt.default: np.sqrt,
    aten.exp.default: np.exp,
    aten.log.default: np.log,
    aten.tanh.default: np.tanh,
    aten.ceil.default: np.ceil,
    aten.eq.Tensor: np.equal,
    aten.ge.Tensor: np.greater_equal,
    aten.gt.Tensor: np.greater,
    aten.where.self: np.where,
    aten.maximum.default: np.maximum,
}
FUNCTIONS: dict[Any, Function] = ELEMENTWISE | {
    aten.bmm.default: np.matmul,
    aten.mm.default: np.matmul,
    aten.sum.dim_IntList: _sum,
    aten.mean.dim: _mean,
    aten.amax.default: _amax,
    aten.var.correction: _var,
    aten._softmax.default: _softmax,
}
RESHAPES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.unsqueeze.default,
    aten.squeeze.dims,
    aten.squeeze.dim,
    aten.squeeze_.dims,
}
FILLED = {aten.ones_like.default: np.ones, aten.zeros_like.default: np.zeros}


def on_arrays(traced: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return a trace of tensors as a function of arrays, or None where it is large or NumPy does not do all of it."""
    module = getattr(traced, "__self__", None)
    if not isinstance(module, GraphModule) or not all(map(_is_small, module.graph.nodes)):
        return None
    try:
        return _Translation(module).function()
    except _NoCounterpartError:
        return None


class _NoCounterpartError(Exception):
    """NumPy does not do what an operator does."""


def _is_small(node: Node) -> bool:
    value = node.meta.get("val")
    return not isinstance(value, Tensor) or (value.numel() <= SMALL and value.device.type == "cpu")


class _Translation:
    """A graph of tensors rewritten for arrays; `self._new` holds each node's counterpart, or its value if constant."""

    def __init__(self, module: GraphModule) -> None:
        self._module, self._root, self._graph = module, torch.nn.Module(), Graph()
        self._new: dict[Node, Any] = {}
        self._views: dict[tuple[Node, tuple[int, ...]], Node] = {}
        self._constants = 0

    def function(self) -> Callable[..., Any]:
        """Return the function; _NoCounterpartError for an operator that has none."""
        for node in self._module.graph.nodes:
            if node.op == "get_attr":
                self._new[node] = getattr(self._module, node.target).numpy()
            elif node.op == "call_function":
                self._new[node] = self._translate(node)
            else:
                self._new[node] = self._graph.node_copy(node, lambda old: self._as_node(self._new[old]))
        self._graph.eliminate_dead_code()
        function: Callable[..., Any] = GraphModule(self._root, self._graph).forward
        return function

    def _translate(self, node: Node) -> Any:
        shape = tuple(node.meta["val"].shape)
        if node.target in FILLED:
            return FILLED[node.target](shape)
        if not node.all_input_nodes:
            return self._made(node)
        source = node.all_input_nodes[0]
        if node.target in RESHAPES:
            if node.target is aten.squeeze_.dims and len(source.users) > 1:
                raise _NoCounterpartError  # the source itself changes
            return self._view(self._new[source], shape)
        if node.target is aten.expand.default:
            needless = self._least(source) == shape or self._broadcasts(node)
            return self._new[source] if needless else self._call(np.broadcast_to, (source, shape), {})
        if node.target is aten._to_copy.default and node.kwargs == {"dtype": torch.float64}:
            return self._call(_double, (source,), {})
        if node.target not in FUNCTIONS:
            raise _NoCounterpartError
        return self._call(FUNCTIONS[node.target], node.args, node.kwargs)

    def _made(self, node: Node) -> Any:
        """Return a tensor that is made of nothing, as an array."""
        if torch.Tag.nondeterministic_seeded in node.target.tags:  # type: ignore[union-attr]
            raise _NoCounterpartError
        return node.target(*node.args, **node.kwargs).numpy()  # type: ignore[operator]

    def _call(self, function: Function, args: Any, kwargs: Any) -> Any:
        """Return a call's value if all it depends on is constant, and otherwise its node."""
        values = [self._new[arg] if isinstance(arg, Node) else arg for arg in args]
        if not any(isinstance(value, Node) for value in values):
            return function(*values, **kwargs)
        return self._graph.call_function(function, tuple(map(self._as_node, values)), dict(kwargs))

    def _view(self, source: Any, shape: tuple[int, ...]) -> Any:
        """Return the source in another shape, by one view of what is no view itself."""
        if not isinstance(source, Node):
            return np.reshape(source, shape)
        while source.target is np.reshape:
            source = source.args[0]
        if (source, shape) not in self._views:
            self._views[source, shape] = self._graph.call_function(np.reshape, (source, shape))
        return self._views[source, shape]

    def _as_node(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        name = f"constant{self._constants}"
        self._constants += 1
        setattr(self._root, name, value)
        return self._graph.create_node("get_attr", name)

    def _broadcasts(self, node: Node) -> bool:
        """Whether NumPy, for every user, expands the source of an expanded tensor to the same shape itself."""
        return all(
            user.target in ELEMENTWISE
            and np.broadcast_shapes(*map(self._least, user.all_input_nodes)) == tuple(user.meta["val"].shape)
            for user in node.users
        )

    def _least(self, node: Node) -> tuple[int, ...]:
        """Return a node's shape before it is expanded."""
        if node.target is aten.expand.default:
            node = node.all_input_nodes[0]
        value = getattr(self._module, str(node.target)) if node.op == "get_attr" else node.meta["val"]
        return tuple(value.shape)
