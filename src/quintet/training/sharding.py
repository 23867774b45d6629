"""Weights shared out over processes (`strategy: fsdp`), and gathered again.

PyTorch's `fully_shard` (FSDP2), which keeps each weight's own shape: which of them are decayed, and the norm that
gradients are clipped to, stay what they are on one process. The older wrapper (Zhao et al. 2023) flattens
them, and Lightning's strategy for it takes neither a CPU nor clipping by norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch.distributed as dist
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


def strategy(processes: int) -> ModelParallelStrategy:
    """Shards over all processes, and one checkpoint file, by which any number of processes can go on."""
    return ModelParallelStrategy(
        data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shares out `network` in place, block by block: the children of lists and sequences, then all that is left."""
    from torch.distributed.fsdp import FSDPModule, fully_shard

    if isinstance(network, FSDPModule):
        return
    for part in network.modules():
        if isinstance(part, nn.ModuleList | nn.Sequential):
            for block in part:
                # A layer of its own is too little to be worth a message; blocks have layers in them.
                if any(block.children()) and not isinstance(block, nn.ModuleList | nn.Sequential):
                    fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def whole_weights(network: nn.Module) -> dict[str, Tensor]:
    """The network's weights on the CPU, in one piece. All processes call it; the first one gets them."""
    if not dist.is_initialized():
        return {name: value.detach().cpu() for name, value in network.state_dict().items()}
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return cast(dict[str, Tensor], get_model_state_dict(network, options=whole))


def local(weights: Tensor) -> Tensor:
    """The share of `weights` that lies on this process."""
    # A DTensor, if it has that: to import the class would take half a second in each training.
    to_local = getattr(weights, "to_local", None)
    return to_local() if to_local else weights
