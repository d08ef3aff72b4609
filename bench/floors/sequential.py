"""The plain loop: one site after the other, torch.optim.SGD, weights carried by state_dict."""

import sys
from importlib import import_module

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def run(work, sites: list[tuple[Tensor, Tensor]], rounds: int) -> dict[str, Tensor]:
    """The weights after this many rounds of federated averaging on `work`, a module as w1."""
    torch.manual_seed(0)
    net = work.net()
    shared = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(rounds):
        chosen = torch.randperm(work.SITES)[: work.PER_ROUND].tolist()
        total = {name: torch.zeros_like(value) for name, value in shared.items()}
        for site in chosen:
            x, y = sites[site]
            net.load_state_dict(shared)
            optimizer = torch.optim.SGD(net.parameters(), lr=work.LR)
            for batch in torch.randperm(len(x)).split(work.BATCH):
                optimizer.zero_grad()
                cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
            for name, value in net.state_dict().items():
                total[name] += value / len(chosen)
        shared = total
    return shared


def accuracy(work, weights: dict[str, Tensor], sites: list[tuple[Tensor, Tensor]]) -> float:
    """The share of all rows classified rightly."""
    net = work.net()
    net.load_state_dict(weights)
    x, y = (torch.cat(parts) for parts in zip(*sites, strict=True))
    with torch.no_grad():
        return float((net(x).argmax(1) == y).double().mean())


if __name__ == "__main__":
    torch.set_num_threads(1)
    work = import_module(sys.argv[1])
    run(work, work.tensors(), int(sys.argv[2]))
