"""How much arithmetic a network does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def flops(network: nn.Module, example: Tensor) -> int:
    """Floating-point operations (a multiply-add is two) of one forward pass over the batch `example`.

    torch's counter sees convolutions and matrix products, and GRU and vanilla RNN as the products
    they unroll to. It does not see the fused attention of a CPU, so attention is made to run as
    products; nor torch.nn.LSTM, whose products are added here (four gates, each reading input and
    state; on the meta device LSTM is unrolled like the others, and is counted). Element-wise work is
    left out, as is usual.
    """
    recurrent = 0

    def lstm(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal recurrent
        assert isinstance(module, nn.LSTM)
        steps = args[0].data.numel() // module.input_size  # of all examples, packed or not
        ways = 2 if module.bidirectional else 1
        for layer in range(module.num_layers):
            size = module.input_size if layer == 0 else module.hidden_size * ways
            recurrent += 2 * steps * ways * 4 * module.hidden_size * (size + module.hidden_size)

    fused = [part for part in network.modules() if isinstance(part, nn.LSTM) and example.device.type != "meta"]
    handles = [part.register_forward_hook(lstm) for part in fused]
    training, fast_path = network.training, torch.backends.mha.get_fastpath_enabled()
    # The fast path of torch's own encoder layer is one opaque operation to the counter.
    torch.backends.mha.set_fastpath_enabled(False)
    # The counter follows gradients, even where there are none, and trips over a view of a parameter.
    learnt = [p for p in network.parameters() if p.requires_grad and not nn.parameter.is_lazy(p)]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            network.eval()(example)
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)
        torch.backends.mha.set_fastpath_enabled(fast_path)
        network.train(training)
        for handle in handles:
            handle.remove()
    return int(counter.get_total_flops() + recurrent)
