"""The gradient descent page, driven through AppTest: the path it plays is torch.optim's, and what it says of it."""

import base64
import json
import math
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness import app_test
from harness.app_test import run
from tests.tolerances import assert_agree
from xent_core import descend, evaluate
from xent_core.descent import path_bytes
from xent_core.presets import PRESETS
from xent_ui.gradient_descent import descent_run, view
from xent_ui.gradient_descent.figures.player import frame_points
from xent_ui.gradient_descent.state import RUN, STEP
from xent_ui.server.limits import PUBLIC_VARIABLE
from xent_ui.server.memory import Room
from xent_ui.state.sheet import Sheet, sheet_of_preset
from xent_ui.text import number
from xent_ui.widgets import job_progress

PAGE = "pages/explore/gradient_descent.py"
WORKED = sheet_of_preset(PRESETS["worked-batch"])


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gets the time it needs."""
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)


def open_page(sheet: Sheet = WORKED) -> AppTest:
    return app_test.open_page(PAGE, sheet=sheet)


def ask(app: AppTest, *, optimizer: str = "SGD", learning_rate: float = 1.0, steps: int = 100) -> AppTest:
    app.button_group(key="descent_optimizer").set_value(optimizer)
    app.number_input(key="descent_learning_rate").set_value(learning_rate)
    app.number_input(key="descent_steps").set_value(steps)
    return run(app)


def spec(app: AppTest) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(app.get("plotly_chart")[0].proto.spec)
    return figure


def array(value: Any) -> np.ndarray:
    if not isinstance(value, dict):
        return np.array(value, dtype=float)
    flat = np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))
    return flat.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else flat


def words(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.info, app.warning, app.error, app.caption) for element in kind)


def metrics(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric]


def by_hand(optimizer: str, learning_rate: float, steps: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Probabilities, gradient and loss of the worked batch after these steps."""
    logits = torch.tensor([[1.0, 2.0, 3.0]] * 3, requires_grad=True)
    target = torch.tensor([2, 1, 0])
    kind = torch.optim.Adam if optimizer == "Adam" else torch.optim.SGD
    options = {"momentum": 0.9} if optimizer == "momentum" else {}
    stepper = kind([logits], lr=learning_rate, **options)
    for step in range(steps + 1):
        stepper.zero_grad()
        loss = F.cross_entropy(logits, target)
        loss.backward()
        if step < steps:
            stepper.step()
    return logits.detach().softmax(1), logits.grad, float(loss.detach())


def on_curve(frame: dict[str, Any], axis: str) -> dict[str, Any]:
    """What marks the present step on the curve of that axis."""
    return next(note for note in frame["layout"]["annotations"] if note.get("yref") == axis)


def test_the_logits_are_shown_at_every_step() -> None:
    """With momentum 0 and rate 1 each step is z − (p − y)/3."""
    frames = spec(ask(open_page(), steps=2))["frames"]
    logits, target = torch.tensor([[1.0, 2.0, 3.0]] * 3), torch.eye(3)[[2, 1, 0]]

    for frame in frames:
        np.testing.assert_allclose(array(frame["data"][2]["z"]), logits, atol=1e-6)
        assert frame["data"][2]["text"][0][0] == number(float(logits[0, 0]))
        logits = logits - (logits.softmax(1) - target) / 3


def test_rows_are_called_otherwise_than_classes() -> None:
    figure = spec(open_page())
    rows, classes = (figure["layout"][axis]["ticktext"] for axis in ("yaxis", "xaxis"))

    assert rows == ["row 0", "row 1", "row 2"]
    assert classes == ["class 0", "class 1", "class 2"]


def test_what_one_points_at_names_itself_without_markup() -> None:
    hovers = [trace["hovertemplate"] for trace in spec(open_page())["data"] if "hovertemplate" in trace]

    assert any(hover.startswith("gradient norm<br>") for hover in hovers)
    assert not any("<b>" in hover or "&lt;" in hover for hover in hovers)


def test_actual_and_predicted_stand_above_their_curve() -> None:
    for frame in spec(open_page())["frames"][:-1]:
        (note,) = [
            note for note in frame["layout"]["annotations"] if "predicted" in note.get("text", "") and "x" in note
        ]
        assert (note["yref"], note["y"], note["yanchor"]) == ("y4 domain", 1, "top")


@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam"])
def test_every_frame_holds_what_torch_optim_gives(optimizer: str) -> None:
    app = ask(open_page(), optimizer=optimizer, learning_rate=0.7, steps=20)
    frames = spec(app)["frames"]

    assert [frame["name"] for frame in frames] == [str(step) for step in range(21)]
    for step in (0, 7, 20):
        probs, grad, loss = by_hand(optimizer, 0.7, step)
        moved = frames[step]["data"]
        assert_agree(torch.tensor(array(moved[0]["z"]).copy()), probs)
        assert_agree(torch.tensor(array(moved[1]["z"]).copy()), grad)
        assert loss == pytest.approx(float(on_curve(frames[step], "y3")["y"]), abs=1e-5)
        assert on_curve(frames[step], "y3")["x"] == step
    assert metrics(app)[0] == "1.4076"
    assert float(metrics(app)[1].replace("−", "-")) == pytest.approx(by_hand(optimizer, 0.7, 20)[2], abs=1e-4)
    assert "Stopped after" not in words(app)


def test_hard_labels_are_said_to_run_off() -> None:
    app = open_page()

    assert "Hard labels never come to rest" in words(app)
    assert metrics(app)[2] == "0.0000"


def test_smoothed_labels_are_said_to_come_to_rest() -> None:
    """ε = 0.1 and three classes: floor 0.2911, gap ln 28 = 3.3322."""
    app = ask(open_page(replace(WORKED, label_smoothing=0.1)), learning_rate=5.0, steps=500)

    assert metrics(app)[1:3] == ["0.2911", "0.2911"]
    assert "comes to rest" in words(app)
    assert "3.3322 above" in words(app)


def test_a_learning_rate_that_is_too_large_is_said() -> None:
    app = ask(open_page(replace(WORKED, label_smoothing=0.3)), learning_rate=60.0, steps=30)

    assert "The learning rate is too large" in words(app)
    assert "too large" not in words(ask(app, learning_rate=1.0))


def test_a_path_that_leaves_the_numbers_is_shown_as_such() -> None:
    sheet = replace(WORKED, logits=(("0", "0", "0"),) * 3, dtype="float16")
    app = ask(open_page(sheet), optimizer="momentum", learning_rate=65000.0, steps=30)

    assert "the loss is NaN" in words(app) or "the loss is inf" in words(app)
    first, *_others, last = spec(app)["frames"]
    assert not any(text for row in first["data"][1]["text"] for text in row)
    assert {text for row in last["data"][1]["text"] for text in row} == {"NaN"}
    assert on_curve(last, "y3")["text"] == "NaN"
    assert on_curve(last, "y3")["y"] == 0  # on the axis of steps


def test_no_frame_moves_a_trace_that_takes_the_heatmaps_off_their_axes() -> None:
    figure = spec(open_page())
    kinds = {figure["data"][place]["type"] for frame in figure["frames"] for place in frame["traces"]}

    assert kinds == {"heatmap", "scatterternary"}


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (None, None, None)},
        {"labels": (0, None, 2), "reduction": "none", "weight": ("0", "1", "2")},
        {"logits": (("-inf", "nan", "inf"),) * 3},
        {"logits": (("-inf", "1", "2"),) * 3},
        {"logits": (("1e308", "0", "0"),) * 3, "dtype": "float64"},
        {"target_kind": "probabilities", "probabilities": (("0.5", "0.5", "0"), ("-1", "2", "0"), ("0", "0", "0"))},
        {"class_names": ("<b>a</b>", "![x](http://127.0.0.1:9/x.png)", "$c$"), "dtype": "bfloat16"},
    ],
    ids=str,
)
def test_odd_batches_are_descended(changes: dict[str, Any]) -> None:
    sheet = replace(WORKED, **changes)

    for odd in (sheet, sheet.resized(1, 1), sheet.resized(5, 2)):
        app = open_page(odd)
        start = evaluate(odd.to_problem())

        assert metrics(app)[0] == number(float(start.row_loss.sum() if odd.reduction == "none" else start.loss), 4)
        shown = array(spec(app)["frames"][0]["data"][0]["z"])
        np.testing.assert_allclose(shown, start.probs.float().numpy(), atol=1e-6)


def test_losses_near_the_largest_number_do_not_break_the_picture() -> None:
    app = open_page(replace(WORKED, logits=(("5e307", "-5e307", "0"),) * 3, dtype="float64"))

    figure = spec(app)
    axes = [axis for name, axis in figure["layout"].items() if name.startswith(("xaxis", "yaxis"))]
    places = [end for axis in axes for end in axis["range"]]
    places += [note["y"] for note in figure["layout"]["annotations"] if note.get("yref", "").startswith("y")]
    assert places
    assert all(abs(place) < 1e301 for place in places)
    assert metrics(app)[0] == "5.0e+307"  # (5e307 + 1e308 + 0) / 3
    assert "went from 1.0e+308 to 1.0e+308" in words(app)


def test_a_gap_lies_between_two_finite_logits_of_one_row() -> None:
    logits = torch.tensor([[0.0, 1.0, -math.inf], [-9.0, -7.0, -8.5]])

    assert view._largest_gap(logits) == 2.0
    assert view._largest_gap(torch.full((2, 3), math.nan)) == -math.inf


def test_a_gap_that_float64_cannot_hold_is_not_said_to_be_infinite() -> None:
    app = open_page(replace(WORKED, logits=(("1.7e308", "-1.7e308", "0"),) * 3, dtype="float64"))

    assert "the logits run off" in words(app)
    assert "gap" not in words(app)


def test_a_large_batch_stays_below_two_megabytes_and_says_what_it_leaves_out() -> None:
    app = ask(open_page(WORKED.resized(64, 64).with_random_logits(2.0, 1)), steps=500)

    assert len(app.get("plotly_chart")[0].proto.spec) < 2_000_000
    frames = [int(frame["name"]) for frame in spec(app)["frames"]]
    assert (frames[0], frames[-1]) == (0, 500)
    assert f"Played: {len(frames)} of 501 points" in words(app)


@pytest.mark.parametrize(("steps", "rows", "classes"), [(1, 1, 1), (500, 64, 64), (10_000, 3, 3), (100, 20, 20)])
@pytest.mark.parametrize("loss", [1.0, math.nan, math.inf])
def test_frames_of_a_loss_that_rests_run_evenly_from_the_start_to_the_end(
    steps: int, rows: int, classes: int, loss: float
) -> None:
    points = frame_points([loss] * (steps + 1), rows, classes)

    assert (points[0], points[-1]) == (0, steps)
    assert len(points) == len(set(points)) <= 51
    assert max(np.diff(points)) - min(np.diff(points)) <= 1


def test_frames_are_close_where_the_loss_moves() -> None:
    """Ten steps each take a tenth of the way, and have a frame each; the other 40 frames share the 90 that rest."""
    loss = [10.0 - min(k, 10) for k in range(101)]

    assert frame_points(loss, 3, 3) == [*range(11), *(10 + math.ceil(90 / 40 * k) for k in range(1, 41))]


def test_frames_lie_equally_far_from_each_other_along_the_loss() -> None:
    """Of 50 gaps, 37.5 share the way from 1 to 0 and 12.5 the 100 000 steps: so the first ends where
    1 − loss = exp(−k/1000) is 1/50, but for the small part that is even."""
    loss = [math.exp(-k / 1000) for k in range(100_001)]

    points = frame_points(loss, 3, 3)

    share = [0.75 * (1 - loss[k]) + 0.25 * k / 100_000 for k in points]
    assert len(points) == 51
    assert max(np.diff(share)) - min(np.diff(share)) < 0.002  # at most what two steps go
    assert points[1] < 40
    assert points[-1] - points[-2] > 5000


@pytest.mark.parametrize(
    "loss", [[1e308, -1e308] * 50 + [0.0], [1.0, math.nan, 3.0, math.inf] * 25, [0.0, 5e-324] * 60]
)
def test_every_loss_has_its_frames(loss: list[float]) -> None:
    points = frame_points(loss, 3, 3)

    assert len(points) == 51
    assert points == sorted(set(points))
    assert (points[0], points[-1]) == (0, len(loss) - 1)


def test_the_frames_of_a_long_path_show_what_it_is_at_their_steps() -> None:
    app = ask(open_page(), learning_rate=1.0, steps=2000)
    frames = {int(frame["name"]): frame for frame in spec(app)["frames"]}
    steps = list(frames)

    assert steps[:6] == [0, 1, 2, 3, 4, 5]  # where all of it moves
    assert len(steps) == 51
    slider = spec(app)["layout"]["sliders"][0]["steps"]
    assert [step["label"] for step in slider] == [str(step) for step in steps]
    for step in (steps[3], steps[20], steps[-1]):
        probs, grad, loss = by_hand("SGD", 1.0, step)
        moved = frames[step]["data"]
        assert_agree(torch.tensor(array(moved[0]["z"]).copy()), probs)
        assert_agree(torch.tensor(array(moved[1]["z"]).copy()), grad)
        assert float(on_curve(frames[step], "y3")["y"]) == pytest.approx(loss, abs=1e-5)
        assert on_curve(frames[step], "y3")["x"] == step


def test_rows_at_one_place_of_the_simplex_have_one_text_that_is_clear_of_the_corners_names() -> None:
    """At first all rows are at one place; in the end row 2, whose label is class 0, is at the upper corner."""
    figure = spec(ask(open_page(), learning_rate=1.0, steps=60))
    first, *_between, last = (frame["data"][-1] for frame in figure["frames"])

    assert first["text"] == ["row 0, row 1, row 2", "", ""]
    assert last["text"] == ["row 0", "row 1", "row 2"]
    assert last["textposition"] == ["top center", "top center", "bottom center"]
    assert [figure["layout"]["ternary"][f"{letter}axis"]["title"]["text"] for letter in "abc"] == [
        f"p<sub>{k}</sub>" for k in range(3)
    ]


def test_a_long_path_in_the_simplex_is_as_curved_as_a_short_one() -> None:
    """It turns most in its first steps; between every 40th of 2000 points alone it would be more than 0.2 away."""
    logits = torch.tensor([[3.0, 0, -3]] * 3, requires_grad=True)
    stepper, target = torch.optim.SGD([logits], lr=3.0), torch.tensor([2, 1, 0])
    path = [logits.detach().softmax(1)[0].numpy()]
    for _ in range(2000):
        stepper.zero_grad()
        F.cross_entropy(logits, target).backward()
        stepper.step()
        path.append(logits.detach().softmax(1)[0].numpy())

    app = ask(open_page(replace(WORKED, logits=(("3", "0", "-3"),) * 3)), learning_rate=3.0, steps=2000)
    trace = next(trace for trace in spec(app)["data"] if trace["type"] == "scatterternary")
    line = np.stack([array(trace[name]) for name in "abc"], axis=1)
    row = line[: np.flatnonzero(np.isnan(line[:, 0]))[0]]

    assert _farthest(np.stack(path), row) < 0.005
    assert _farthest(np.stack(path), np.stack(path)[::40]) > 0.2


def _farthest(points: np.ndarray, line: np.ndarray) -> float:
    """How far the points lie from the line through its corners, at most."""
    starts, sides = line[:-1], np.diff(line, axis=0)
    lengths = np.maximum((sides**2).sum(1), 1e-30)
    along = (((points[:, None] - starts) * sides).sum(2) / lengths).clip(0, 1)
    nearest = starts + along[..., None] * sides
    return float(np.linalg.norm(points[:, None] - nearest, axis=2).min(1).max())


def test_more_steps_than_the_batch_allows_are_cut() -> None:
    app = ask(open_page(), steps=10_000)
    app.session_state["visit"].sheet = WORKED.resized(64, 64)
    run(app)

    assert app.number_input(key="descent_steps").value == 1024


def test_continue_puts_the_exact_logits_of_the_step_on_the_batch_page() -> None:
    app = ask(open_page(), learning_rate=0.3, steps=12)
    app.number_input(key="descent_step").set_value(5)
    run(app)
    app.button(key="descent_continue").click()
    run(app)

    visit = app.session_state["visit"]
    expected = descend(WORKED.to_problem(), learning_rate=0.3, steps=12).logits[5]
    assert torch.equal(visit.sheet.to_problem().logits, expected)
    assert visit.undo[-1].logits == WORKED.logits
    assert "descent_continue" not in [button.key for button in app.button]  # another page


def test_the_path_is_a_table_too() -> None:
    app = ask(open_page(), steps=3)
    app.session_state["descent_tables"] = True
    run(app)
    table = app.dataframe[0].value

    assert list(table["step"]) == [0, 1, 2, 3]
    assert float(table["loss"][3]) == pytest.approx(by_hand("SGD", 1.0, 3)[2], abs=1e-6)
    _probs, grad, _loss = by_hand("SGD", 1.0, 0)
    assert float(table["predicted change"][0]) == pytest.approx(-float((grad**2).sum()), abs=1e-6)
    app.number_input(key=STEP.name).set_value(1)
    assert {tab.label.rpartition(", ")[2] for tab in run(app).tabs[1:]} == {"step 1"}


def test_a_path_that_was_left_on_its_way_is_begun_anew() -> None:
    app = open_page()
    left = app.session_state[RUN.name]
    left.job.was_left = True

    assert run(app).session_state[RUN.name] is not left
    again = app.session_state[RUN.name]
    assert run(app).session_state[RUN.name] is again


def test_a_long_run_shows_how_far_it_is_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descent waits at step 40 until the test has seen the bar; then it is stopped there."""
    waits, go_on = Event(), Event()

    def slow(problem: Any, *, progress: Any, **options: Any) -> Any:
        def held(done: int) -> object:
            if done == 40:
                progress(done)
                waits.set()
                go_on.wait(60)
            return progress(done)

        return descend(problem, progress=held, **options)

    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(descent_run, "descend", slow)
    app = open_page()
    assert waits.wait(60)
    run(app)
    assert not app.get("plotly_chart")
    assert app.button(key="descent_stop").label == "Stop"

    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    app.session_state["descent_run"].job.stop()
    go_on.set()
    run(app)
    assert "Stopped after 40 of 50 steps" in words(app)
    assert len(spec(app)["frames"]) == 41


def test_a_path_for_which_there_is_no_memory_is_refused_and_what_was_asked_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    app = open_page()
    monkeypatch.setattr(view, "LARGE_PATH", path_bytes(WORKED.to_problem(), 100))
    monkeypatch.setattr(view, "ROOM", Room(lambda: 2**20, lambda: 2**20))
    ask(app, steps=99)
    assert "no memory left" not in words(app)
    ask(app, steps=100)

    assert "This server has no memory left for a path of 1 MB. Take fewer steps" in words(app)
    assert app.number_input(key="descent_steps").value == 100
    assert not app.get("plotly_chart")
    monkeypatch.undo()
    run(app)
    assert app.get("plotly_chart")
