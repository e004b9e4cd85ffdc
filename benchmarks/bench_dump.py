"""A dump of (50000, 1000) against a hand-written loop and cleanlab; memory over a file of 4 GB; in one run."""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from harness.ratios import Result, in_turn
from harness.sample_dumps import CLASSES, sparse_dump
from xent_core.dump import analyse

ROWS = 50_000
LARGE_ROWS = 1_000_000
RUNS = 5
MEBIBYTE = 2**20


def by_hand(logits: str, target: str, step: int = 1_024) -> tuple[float, torch.Tensor]:
    """Only loss, EL2N, prediction and the pair matrix, as one would write them down."""
    stored, labels = np.load(logits, mmap_mode="r"), torch.from_numpy(np.load(target))
    pairs = torch.zeros(stored.shape[1], stored.shape[1])
    losses, norms, predictions = [], [], []
    for start in range(0, len(stored), step):
        batch, label = torch.from_numpy(np.array(stored[start : start + step])), labels[start : start + step]
        log_probs = F.log_softmax(batch, 1)
        losses.append(-log_probs.gather(1, label.unsqueeze(1)).squeeze(1))
        predictions.append(batch.argmax(1))
        error = log_probs.exp()
        error[torch.arange(len(label)), label] -= 1
        norms.append(error.norm(dim=1))
        pairs.index_add_(0, label, error)
    return float(torch.cat(losses).mean()), pairs


def measure() -> list[Result]:
    """Time beside the loop and cleanlab, what the temperature and the table cost, and memory over a large file."""
    torch.set_num_threads(1)  # both sides and cleanlab on one core: nobody waits for a thread
    with tempfile.TemporaryDirectory() as folder:
        logits, target = _draw(Path(folder))
        loss, pairs = by_hand(logits, target)
        summary = analyse(logits, target, fit_temperature=False)
        assert abs(summary.loss - loss) < 1e-5  # the same work on both sides, or no comparison
        sums = torch.from_numpy(summary.mean_gradient * summary.support[:, None])
        torch.testing.assert_close(sums.nan_to_num(), pairs.double(), rtol=1e-3, atol=1e-3)

        def hand() -> object:
            return by_hand(logits, target)

        kinds = {
            "dump 50000×1000 over a loop by hand": (2, {"fit_temperature": False}),
            "  with the best temperature": (8, {}),
            "  with the table of scores": (4, {"fit_temperature": False, "scores": f"{folder}/s.parquet"}),
        }
        results = []
        for name, (limit, options) in kinds.items():
            run = partial(analyse, logits, target, **options)
            ours, theirs = in_turn(lambda run=run: run, hand, runs=RUNS, warm_up=1)
            results.append(_ratio(name, ours, theirs, limit=limit))
            if len(results) == 1:
                plain = ours
        results.append(_beside_cleanlab(plain, logits, target))
        sparse_dump(Path(folder), LARGE_ROWS)
        return [*results, _memory(Path(folder)), *_waits(Path(folder))]


def _draw(folder: Path) -> tuple[str, str]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(ROWS, CLASSES, generator=generator)
    target = torch.randint(CLASSES, (ROWS,), generator=generator)
    logits[torch.arange(ROWS), target] += 4
    np.save(folder / "logits.npy", logits.numpy())
    np.save(folder / "target.npy", target.numpy())
    return str(folder / "logits.npy"), str(folder / "target.npy")


def _beside_cleanlab(ours: float, logits: str, target: str) -> Result:
    """The softmax that cleanlab needs is not counted."""
    from cleanlab.filter import find_label_issues

    probs = np.concatenate([torch.from_numpy(part).softmax(1) for part in np.array_split(np.load(logits), 10)])
    start = time.perf_counter()
    find_label_issues(np.load(target), probs, n_jobs=1)
    return _ratio("dump 50000×1000 over cleanlab's find_label_issues", ours, time.perf_counter() - start, limit=0.25)


def _ratio(name: str, ours: float, theirs: float, *, limit: float) -> Result:
    return Result(name, ours / theirs, limit, f"{ours:.3f} s against {theirs:.3f} s")


def _memory(folder: Path) -> Result:
    """Peak memory above the idle process over a sparse file of 4 GB, with scores and temperature; on Linux."""
    ran = subprocess.run(
        [sys.executable, "-m", "harness.sample_dumps", str(folder)], capture_output=True, text=True, check=True
    )
    above = json.loads(ran.stdout)
    return Result("its memory over 4 GB, of 300 MB", above / 300e6, 1, f"{above / MEBIBYTE:.0f} MiB above idle")


def _waits(folder: Path) -> list[Result]:
    """The longest wait on the page while that file is analysed behind it: in the browser, and for the server."""
    from playwright.sync_api import sync_playwright

    from harness.browser import WATCH, launch, metric, open_dump_by_path, serve

    with sync_playwright() as playwright, serve() as server:
        browser = launch(playwright)
        page = browser.new_page()
        open_dump_by_path(page, server.url, folder / "large.npy", folder / "labels.npy")
        page.get_by_text("Of the rows so far.").wait_for()
        page.evaluate(WATCH)
        metric(page, "budget").get_by_text(str(LARGE_ROWS)).wait_for(timeout=120_000)
        waits = page.evaluate("() => window.__waits")
        browser.close()
    return [
        Result(f"  the longest wait in the {place}, of 200 ms", waits[place] / 200, 1, f"{waits[place]:.0f} ms")
        for place in ("server", "browser")
    ]
