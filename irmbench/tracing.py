"""Tracing: a lifted function as a flat list of tensor operators, with nothing of vmap or autograd left at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node, map_arg
from torch.fx.experimental.proxy_tensor import make_fx

# Of their argument they need the shape alone, which a trace knows: so nothing need be computed for them.
FILLED: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.ones_like.default: torch.ones,
    torch.ops.aten.zeros_like.default: torch.zeros,
}


def trace(function: Callable[..., Any], *arguments: Tensor) -> Callable[..., Any]:
    """Return ``function`` as traced at ``arguments``, for arguments of the same shapes.

    Data that the function closes over become constants, and what depends on nothing else is computed here, once. On the
    meta device, where there is nothing to gain, the function itself is returned.
    """
    if any(argument.is_meta for argument in arguments):
        return function
    # Without a context of its own, make_fx builds one for every operator: half of the time that tracing takes.
    with torch.no_grad(), tracing(TracingContext(FakeTensorMode())):
        graph = make_fx(function)(*arguments)
        _fold_constants(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph.forward


def compile_trace(traced: Callable[..., Any], *arguments: Tensor) -> Callable[..., Any] | None:
    """Return a function of traced functions, compiled at ``arguments``, or None where the machine cannot compile.

    It takes seconds, and fuses the operators into a few loops. The function is traced first: code of its own keeps the
    compiler from taking one function for another.
    """
    with torch.no_grad():
        graph = make_fx(traced)(*arguments)
        compiled = torch.compile(graph, dynamic=False)
        try:
            compiled(*arguments)
        except RuntimeError:  # no compiler, or one that fails: the trace does the same, if slower
            return None
    return compiled


def _fold_constants(module: GraphModule) -> None:
    """Replace every operator whose inputs are all constants by its result."""
    known: dict[Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(module, node.target)
        elif node.target in FILLED:
            value = node.meta["val"]
            known[node] = FILLED[node.target](value.shape, dtype=value.dtype, device=value.device)
        elif node.op == "call_function" and node.all_input_nodes:
            constant = [argument in known for argument in node.all_input_nodes]
            schema = getattr(node.target, "_schema", None)  # None: taking one of several results
            if any(constant) and schema is not None and schema.is_mutable:
                return  # a change in place, to a copy of a constant perhaps, which must then be made at every call
            if all(constant):
                known[node] = node.target(*map_arg(node.args, known.get), **map_arg(node.kwargs, known.get))
    for index, (node, value) in enumerate(known.items()):
        if node.op != "get_attr" and isinstance(value, Tensor) and any(user not in known for user in node.users):
            name = f"folded{index}"
            module.register_buffer(name, value)
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.get_attr(name))
