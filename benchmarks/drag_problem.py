"""The numbers that the apps of bench_drag.py show: 10×10 logits, their loss, probabilities and gradient."""

import numpy as np
import torch
import torch.nn.functional as F

ROWS, CLASSES = 10, 10
START = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).round(2).tolist()

torch.set_num_threads(1)  # as our app does: neither side is to wait for a thread


def results(rows: list[list[float]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss, probabilities and gradient of the batch, by PyTorch."""
    logits = torch.tensor(rows, dtype=torch.float32, requires_grad=True)
    loss = F.cross_entropy(logits, torch.arange(ROWS) % CLASSES)
    loss.backward()
    return loss.item(), logits.detach().softmax(1).numpy(), logits.grad.numpy()
