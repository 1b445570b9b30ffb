"""Where it is computed: CUDA if it is there, else the CPU."""

from __future__ import annotations

import torch


def pick(threads: int = 0) -> torch.device:
    """threads: of the CPU; 0 leaves torch's choice."""
    if threads:
        torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
