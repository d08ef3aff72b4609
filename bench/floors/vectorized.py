"""Gradients of all sites of a round at once: torch.func.vmap over grad, on stacked parameters."""

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy


def run(work, sites: list[tuple[Tensor, Tensor]], rounds: int) -> dict[str, Tensor]:
    """The weights after this many rounds of federated averaging on `work`, a module as w1."""
    torch.manual_seed(0)
    net = work.net()
    shared = {name: param.detach() for name, param in net.named_parameters()}

    def loss(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(functional_call(net, params, (x,)), y)

    gradients = vmap(grad(loss))
    for _ in range(rounds):
        chosen = torch.randperm(work.SITES)[: work.PER_ROUND].tolist()
        x, y = (torch.stack([sites[site][part] for site in chosen]) for part in (0, 1))  # (sites, rows, ...)
        order = torch.stack([torch.randperm(work.ROWS) for _ in chosen])
        each = torch.arange(len(chosen))[:, None]
        params = {name: value.expand(len(chosen), *value.shape).clone() for name, value in shared.items()}
        for batch in order.split(work.BATCH, dim=1):
            grads = gradients(params, x[each, batch], y[each, batch])
            torch._foreach_add_(list(params.values()), [grads[name] for name in params], alpha=-work.LR)
        shared = {name: value.mean(0) for name, value in params.items()}
    return shared
