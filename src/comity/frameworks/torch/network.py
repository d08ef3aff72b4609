"""A user's module, built once: its trained parameters and running statistics by name, and its constants."""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from comity.frameworks.torch.tensors import array, tensor
from comity.values import tree
from comity.values.errors import InvalidInput, a
from comity.values.tree import Array, Tree

Net: TypeAlias = Callable[[], nn.Module]
BatchNorm: TypeAlias = Literal["average", "freeze"] | None

IMAGES = (nn.Conv2d, nn.ConvTranspose2d)


@final
@dataclass(frozen=True, slots=True)
class Network:
    """A module and what of it is trained, averaged or constant."""

    module: nn.Module
    trained: Mapping[str, Tensor]
    """By name in the state_dict; a shared parameter under its first name. Those without gradient are constants."""
    statistics: Mapping[str, Tensor]
    """Running means and variances, when they are averaged."""
    constants: tuple[tuple[Tensor, Tensor], ...]
    """Every other buffer, and the value it is set back to before each use."""
    frozen: tuple[nn.Module, ...]
    """Batch norms that never leave evaluation mode."""
    layout: torch.memory_format | None = None
    """How images (n, channels, height, width) lie in memory; None until the first are seen."""

    @property
    def device(self) -> torch.device:
        """Where the module's tensors are."""
        return next(iter(self.trained.values())).device

    @property
    def dtype(self) -> torch.dtype:
        """What features are given in."""
        return next(iter(self.trained.values())).dtype

    def load(self, params: Tree) -> None:
        """Set parameters and statistics to the tree's; raises InvalidInput when they are not this module's."""
        leaves = tree.flatten(params)
        places: dict[str, Tensor] = {**self.trained, **self.statistics}
        check_same(places, leaves)
        with torch.no_grad():
            torch._foreach_copy_(list(places.values()), [tensor(leaves[name]) for name in places])
            for buffer, value in self.constants:
                buffer.copy_(value)

    def leaves(self, params: Tree | None) -> list[Tensor]:
        """A tree's leaves for the trained parameters, in their order; none for None."""
        if params is None:
            return []
        leaves = tree.flatten(params)
        check_same(self.trained, {name: leaf for name, leaf in leaves.items() if name not in self.statistics})
        return [tensor(leaves[name], self.dtype, self.device) for name in self.trained]

    def tree(self) -> Tree:
        """Parameters and statistics as numpy arrays of their own."""
        return {name: array(value) for name, value in {**self.trained, **self.statistics}.items()}

    def to_train(self) -> nn.Module:
        """The module in training mode, but for frozen batch norms."""
        if not self.module.training:  # it takes as long as a small layer
            self.module.train()
            for norm in self.frozen:
                norm.eval()
        return self.module

    def features(self, x: Array) -> Tensor:
        """Features as the module takes them: integers where it embeds them, else floats."""
        if self.layout is torch.channels_last and x.ndim == 4:
            return tensor(x, self.dtype, self.device).contiguous(memory_format=torch.channels_last)
        embeds = any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in self.module.modules())
        return tensor(x, torch.int64 if embeds and x.dtype.kind in "iu" else self.dtype, self.device)

    def seeing(self, x: Array) -> Network:
        """This network in the faster layout for such features: channels last, where the module's code allows it.

        Convolutions and pooling on a CPU run up to a quarter faster so. A `view` of a convolution's
        result fails on it, which is tried out here on one row.
        """
        if x.ndim != 4 or self.layout is not None:
            return self
        if not any(isinstance(part, IMAGES) for part in self.module.modules()):
            return replace(self, layout=torch.contiguous_format)
        there = replace(self, layout=torch.channels_last)
        self.module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        try:
            with torch.random.fork_rng([]):
                outputs = self.module.eval()(there.features(x[:1]))
                torch.autograd.grad(outputs.sum(), list(self.trained.values()), allow_unused=True)
        except RuntimeError:
            self.module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
            return replace(self, layout=torch.contiguous_format)
        return there


def outputs(module: nn.Module, x: Tensor) -> Tensor:
    """What a module makes of features (n, ...); raises InvalidInput for features of a shape that it does not take."""
    try:
        return module(x)
    except RuntimeError as error:
        if "shape" not in (said := str(error)) and "size" not in said:
            raise
        raise InvalidInput(f"net() does not take x of shape {tuple(x.shape)}: {said.splitlines()[0]}") from error


def build(net: Net, batch_norm: BatchNorm, *, seed: int = 0, device: str = "cpu") -> Network:
    """The network of a module built under this seed; raises InvalidInput for what cannot be trained so."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        module: Any = net()
    if not isinstance(module, nn.Module):
        raise InvalidInput(f"net() must return a torch.nn.Module, but it gave {a(module)}")
    if any(is_lazy(each) for each in (*module.parameters(), *module.buffers())):
        raise InvalidInput("net() has lazy layers, whose shapes are unknown before the first row; give their sizes")
    module.to(device).eval()
    trained: dict[str, Tensor] = {name: param for name, param in module.named_parameters() if param.requires_grad}
    for name, param in trained.items():
        if param.dtype not in (torch.float32, torch.float64, torch.float16):
            raise InvalidInput(f"parameter {name!r} is {param.dtype}, which numpy has not; use float32 or float64")
    if not trained:
        raise InvalidInput("net() has no parameters to train")
    norms = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, _NormBase) and part.running_mean is not None
    }
    if norms and batch_norm is None:
        raise InvalidInput(
            f"the net has batch norm ({next(iter(norms))!r}); say batch_norm='average' (its running statistics are "
            "averaged like parameters) or batch_norm='freeze' (they are never updated and used in training too)"
        )
    if batch_norm and not norms:
        raise InvalidInput(f"batch_norm={batch_norm!r} was given, but the net has no batch norm; leave it out")
    buffers = dict(module.named_buffers())
    averaged = norms if batch_norm == "average" else {}
    names = [f"{name}.{kind}".lstrip(".") for name in averaged for kind in ("running_mean", "running_var")]
    return Network(
        module=module,
        trained=trained,
        statistics={name: buffers[name] for name in names},
        constants=tuple((buffer, buffer.clone()) for name, buffer in buffers.items() if name not in names),
        frozen=tuple(norms.values()) if batch_norm == "freeze" else (),
    )


def check_same(places: Mapping[str, Tensor], leaves: Mapping[str, Array]) -> None:
    """Raises InvalidInput, naming the difference, unless names and shapes are the module's."""
    if places.keys() != leaves.keys():
        raise InvalidInput(f"these parameters are not this module's; they differ in {sorted(places.keys() ^ leaves)}")
    for name, place in places.items():
        if tuple(place.shape) != leaves[name].shape:
            raise InvalidInput(f"{name!r} has shape {leaves[name].shape} but the module's is {tuple(place.shape)}")
