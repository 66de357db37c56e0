"""Tracing: a lifted function as a flat list of tensor operators, with nothing of vmap or autograd left at run time."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node, map_arg
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakIdKeyDictionary

# Of their argument they need the shape alone, which a trace knows: so nothing need be computed for them.
FILLED: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.ones_like.default: torch.ones,
    torch.ops.aten.zeros_like.default: torch.zeros,
}

# What a function makes of numbers is copied at every call: a change in place must not outlive one.
COPIED = {torch.ops.aten.lift_fresh.default: torch.ops.aten.lift_fresh_copy.default}


def trace(function: Callable[..., Any], *arguments: Tensor) -> Callable[..., Any]:
    """Return ``function`` as traced at ``arguments``, for arguments of the same shapes.

    Data that the function closes over become constants, and what depends on nothing else is computed here, once. On the
    meta device, where there is nothing to gain, the function itself is returned.
    """
    if any(argument.is_meta for argument in arguments):
        return function
    with torch.no_grad():
        module = _recorded(function, arguments)
        _fold_constants(module)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module.forward


def _recorded(function: Callable[..., Any], arguments: tuple[Tensor, ...]) -> GraphModule:
    """Return the operators that a call makes, each node with a tensor of its result's shape as ``meta["val"]``."""
    recorder = _Recorder()
    for place, argument in enumerate(arguments):
        recorder.made(argument, recorder.graph.placeholder(f"argument{place}"))
    with recorder:
        result = function(*arguments)
    recorder.graph.output(tree_map(recorder.node_of, result))
    return GraphModule(recorder.constants, recorder.graph)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator as it runs, below vmap and autograd: in a third of the time that make_fx takes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph, self.constants = Graph(), torch.nn.Module()
        self._nodes = WeakIdKeyDictionary()  # of tensors, none of which a trace keeps

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.data_dependent_output in func.tags:
            raise RuntimeError(f"{func} asks a tensor for its value, as .item() and `if` do")
        if isinstance((kwargs or {}).get("generator"), torch.Generator):
            raise RuntimeError(f"{func} draws from a generator, which a trace would keep as it is now")
        func = COPIED.get(func, func)
        result = func(*args, **(kwargs or {}))
        node = self.graph.call_function(func, *tree_map(self.node_of, (args, kwargs or {})))
        if isinstance(result, Tensor):
            self.made(result, node)
        for place, part in enumerate(result if isinstance(result, tuple | list) else ()):
            if isinstance(part, Tensor):  # and no None, as of gradients that nobody asked for
                self.made(part, self.graph.call_function(operator.getitem, (node, place)))
        return result

    def made(self, tensor: Tensor, node: Node) -> None:
        """Note the node that a tensor is the result of."""
        node.meta["val"] = torch.empty((), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)
        self._nodes[tensor] = node

    def node_of(self, value: Any) -> Any:
        """Return the node of a tensor, a constant's where no operator here made it; anything else as it is."""
        if not isinstance(value, Tensor):
            return value
        if value not in self._nodes:
            name = f"constant{len(self.graph.nodes)}"
            self.constants.register_buffer(name, value)
            self._nodes[value] = self.graph.get_attr(name)
        return self._nodes[value]


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
