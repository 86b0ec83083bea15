"""The published networks in PyTorch, compact, with their published keys: what parity is measured against."""

import numpy as np
import torch


def randomize(network, seed=0):
    """Give every weight and every batch-norm statistic a random value, and no two networks the same."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, low, high):
        tensor.uniform_(low, high, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                draw(module.weight, 0.5, 1.5)
                draw(module.bias, -0.3, 0.3)
                draw(module.running_mean, -0.3, 0.3)
                draw(module.running_var, 0.5, 1.5)
            elif isinstance(module, torch.nn.LayerNorm):
                draw(module.weight, 0.5, 1.5)
                draw(module.bias, -0.3, 0.3)
            elif isinstance(module, torch.nn.Conv3d | torch.nn.Linear):
                bound = (6.0 / module.weight[0].numel()) ** 0.5  # keeps the scale behind a ReLU
                draw(module.weight, -bound, bound)
                if module.bias is not None:
                    draw(module.bias, -0.1, 0.1)
            for name, parameter in module.named_parameters(recurse=False):
                if name in ("q_bias", "v_bias"):
                    draw(parameter, -0.3, 0.3)
    return network


def frame_features(network, clips, mean, std, training=False):
    """Frame features (B, T', C) of clips (B, T, H, W, 3) in [0, 1], standardized as the network was trained.

    A network gives the maps before its pooling, (B, C, T', H', W').
    """
    network.train(training)
    clips = (np.asarray(clips, "float32") - np.float32(mean)) / np.float32(std)
    with torch.no_grad():
        dtype = next(network.parameters()).dtype
        maps = network(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3)).to(dtype))
    return maps.mean((3, 4)).numpy().transpose(0, 2, 1)
