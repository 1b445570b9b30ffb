"""EEGNet (Lawhern et al., 2018, J. Neural Eng. 15:056013): the small convolutional network of the field."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from training.evaluation.measures import Float64
from training.evaluation.part import Part

# EEGNet-8,2 of the paper: temporal filters, spatial filters for each, pointwise filters.
_F1, _D, _F2 = 8, 2, 16
# Half a second at 125 Hz, the paper's rule for the first kernel; the second one is its 16.
_KERNEL, _SECOND = 64, 16
_DROPOUT = 0.25  # the paper's where people are held out
# Samples at 125 Hz: crops of 4 s are as long as the paper's longest trials by half, and windows give many.
_CROP = 500
_BATCH, _RATE = 32, 1e-3
# The paper's bounds on the norms of the spatial filters and of the last layer.
_SPATIAL_NORM, _DENSE_NORM = 1.0, 0.25


def eegnet(channels: int, labels: int, samples: int) -> nn.Sequential:
    """(n, 1, n_channels, n_samples) in spreads of rest to logits (n, n_labels)."""
    return nn.Sequential(
        _same(_KERNEL),
        nn.Conv2d(1, _F1, (1, _KERNEL), bias=False),
        nn.BatchNorm2d(_F1),
        nn.Conv2d(_F1, _F1 * _D, (channels, 1), groups=_F1, bias=False),
        nn.BatchNorm2d(_F1 * _D),
        nn.ELU(),
        nn.AvgPool2d((1, 4)),
        nn.Dropout(_DROPOUT),
        _same(_SECOND),
        nn.Conv2d(_F1 * _D, _F1 * _D, (1, _SECOND), groups=_F1 * _D, bias=False),
        nn.Conv2d(_F1 * _D, _F2, 1, bias=False),
        nn.BatchNorm2d(_F2),
        nn.ELU(),
        nn.AvgPool2d((1, 8)),
        nn.Dropout(_DROPOUT),
        nn.Flatten(),
        nn.Linear(_F2 * (samples // 4 // 8), labels),
    )


def _same(kernel: int) -> nn.ZeroPad2d:
    """As many samples behind a convolution of even length as before it."""
    return nn.ZeroPad2d((kernel // 2 - 1, kernel // 2, 0, 0))


class EEGNetReader:
    """Trained on random crops of the windows; a window's logits are the mean over crops that cover it."""

    def __init__(self, train: Part, n_labels: int, steps: int, seed: int) -> None:
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        signals = train.waves()
        self._length = min(_CROP, signals.waves.shape[2])
        self._net = eegnet(signals.waves.shape[1], n_labels, self._length)
        weights = {
            kind: [m.weight for m in self._net if isinstance(m, kind)] for kind in (nn.Conv2d, nn.Linear)
        }
        self._bounded = ((weights[nn.Conv2d][1], _SPATIAL_NORM), (weights[nn.Linear][0], _DENSE_NORM))
        optimiser = torch.optim.Adam(self._net.parameters(), lr=_RATE)
        count = np.bincount(train.labels, minlength=n_labels)
        chance = 1 / count[train.labels]
        chance /= chance.sum()
        self._net.train()
        for _ in range(steps):
            rows = rng.choice(len(train), min(_BATCH, len(train)), p=chance)
            at = int(rng.integers(0, signals.waves.shape[2] - self._length + 1))
            loss = cross_entropy(self._net(_input(train, rows, at, self._length)), _targets(train, rows))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            self._bound()
        self._net.eval()

    @torch.inference_mode()
    def logits(self, part: Part) -> Float64:
        """(n, n_labels)."""
        samples = part.waves().waves.shape[2]
        starts = np.linspace(0, samples - self._length, -(-samples // self._length)).astype(int)
        out = []
        for lo in range(0, len(part), _BATCH):
            rows = np.arange(lo, min(lo + _BATCH, len(part)))
            told = [self._net(_input(part, rows, int(at), self._length)) for at in starts]
            out.append(torch.stack(told).mean(dim=0))
        return np.asarray(torch.cat(out).double().numpy())

    def _bound(self) -> None:
        with torch.no_grad():
            for weight, most in self._bounded:
                weight.copy_(torch.renorm(weight, 2, 0, most))


def _input(part: Part, rows: np.ndarray, at: int, length: int) -> torch.Tensor:
    signals = part.waves()
    crop = signals.waves[rows][:, :, at : at + length].astype(np.float32)
    return torch.from_numpy(crop / signals.scale[rows, :, None].astype(np.float32))[:, None]


def _targets(part: Part, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(part.labels[rows])
