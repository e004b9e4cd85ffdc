"""A real Dask cluster counts the same as one process, and a worker killed in the middle changes nothing."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from xent_core.dump import DumpSummary, InvalidDump, analyse, cluster

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

SHARDS = 6
SECONDS_TO_START = 300  # each worker imports PyTorch, on a machine that runs other tests beside it


@pytest.fixture
def dump(tmp_path: Path) -> tuple[str, str]:
    chance = np.random.default_rng(0)
    for i in range(SHARDS):
        target = chance.integers(0, 5, 300 + i)
        logits = chance.normal(size=(len(target), 5)).astype(np.float32) + 2 * np.eye(5, dtype=np.float32)[target]
        np.save(tmp_path / f"logits-{i}.npy", logits)
        np.save(tmp_path / f"target-{i}.npy", target)
    return str(tmp_path / "logits-*.npy"), str(tmp_path / "target-*.npy")


def assert_same(actual: DumpSummary, expected: DumpSummary) -> None:
    assert (actual.rows, actual.kept, actual.accuracy) == (expected.rows, expected.kept, expected.accuracy)
    np.testing.assert_array_equal(actual.confusion, expected.confusion)
    np.testing.assert_array_equal(actual.suspects.row, expected.suspects.row)
    for name in ("loss", "net_push", "mean_gradient", "pair_share", "best_temperature", "expected_calibration_error"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
    values = [[error.value for error in one.calibration.errors] for one in (actual, expected)]
    np.testing.assert_allclose(*values, rtol=1e-9)


@pytest.mark.long
def test_a_cluster_counts_the_same_and_a_killed_worker_changes_nothing(tmp_path: Path, dump: tuple[str, str]) -> None:
    alone = analyse(*dump, scores=tmp_path / "alone.parquet")
    killed = []

    with (
        dask.config.set({"distributed.comm.timeouts.connect": SECONDS_TO_START}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            worker_dashboard_address=None,
            death_timeout=SECONDS_TO_START,
        ) as local,
        distributed.Client(local) as client,
    ):

        def kill_one(progress: object) -> None:
            if not killed:
                killed.extend(client.run(os.getpid).values())
                os.kill(killed[0], signal.SIGKILL)

        together = analyse(*dump, scores=tmp_path / "together.parquet", cluster=client, progress=kill_one)

    assert len(killed) == 2
    assert_same(together, alone)
    assert pq.read_table(tmp_path / "together.parquet").equals(pq.read_table(tmp_path / "alone.parquet"))


def test_threads_of_this_process_may_be_the_workers(dump: tuple[str, str]) -> None:
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        together = analyse(*dump, cluster=client, fit_temperature=False)

        stopped = analyse(*dump, cluster=client, progress=lambda progress: progress.rows >= 601)

    assert_same(together, analyse(*dump, fit_temperature=False))
    assert (stopped.rows, stopped.complete) == (601, False)


def test_a_worker_takes_the_logarithm_of_probabilities(tmp_path: Path) -> None:
    np.save(tmp_path / "probs.npy", np.array([[0.75, 0.25], [0.5, 0.5]]))
    np.save(tmp_path / "target.npy", np.array([0, 1]))
    files = tmp_path / "probs.npy", tmp_path / "target.npy"

    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client:
        summary = analyse(*files, logits_are="probabilities", cluster=client, fit_temperature=False)

    assert summary.loss == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)


def test_a_dump_in_memory_is_not_for_a_cluster(dump: tuple[str, str]) -> None:
    with (
        distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client,
        pytest.raises(InvalidDump) as caught,
    ):
        analyse(np.zeros((3, 2)), np.zeros(3, np.int64), cluster=client)

    assert caught.value.code == "cluster-source"


def test_an_address_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch, dump: tuple[str, str]) -> None:
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 1)

    with pytest.raises(InvalidDump) as caught:
        analyse(*dump, cluster="tcp://127.0.0.1:9")

    assert caught.value.code == "cluster"


@pytest.mark.parametrize(
    ("batch_rows", "parts"),
    [
        (64, [(0, 100), (100, 200), (200, 250), (250, 300)]),
        (120, [(0, 120), (120, 240), (240, 250), (250, 300)]),  # a batch is not cut
    ],
)
def test_a_task_is_a_shard_or_a_large_part_of_one(
    monkeypatch: pytest.MonkeyPatch, batch_rows: int, parts: list[tuple[int, int]]
) -> None:
    """100 rows of 5 classes make a task."""
    monkeypatch.setattr(cluster, "ELEMENTS_IN_A_TASK", 500)
    source = SimpleNamespace(logits="a", target="b", features=None, sample_weight=None, ids=None)
    dump = SimpleNamespace(classes=5, shard_starts=[0, 250, 300])

    assert cluster._ranges(dump, SimpleNamespace(source=source, batch_rows=batch_rows)) == parts


def test_large_shards_are_cut_into_tasks(monkeypatch: pytest.MonkeyPatch, dump: tuple[str, str]) -> None:
    monkeypatch.setattr(cluster, "ELEMENTS_IN_A_TASK", 500)

    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client:
        together = analyse(*dump, cluster=client, batch_rows=64)

    assert_same(together, analyse(*dump))
