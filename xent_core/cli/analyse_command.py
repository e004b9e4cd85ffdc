"""python -m xent_core analyse: which rows, classes and pairs of a file of logits carry the gradient.

It shows a progress bar; Ctrl-C and SIGTERM end it with the result of what has been done, and exit code 130 or 143.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO, cast

from xent_core.cli.column_options import add_columns
from xent_core.cli.streams import STDIN, from_standard_input, json_for
from xent_core.cli.terminal import complain, table
from xent_core.columns import choices_of, few
from xent_core.dump.analysis import Progress, analyse
from xent_core.dump.calibration_words import calibration_verdict, value_of, why_calibration_errors_differ
from xent_core.dump.epochs import are_a_series, unclear
from xent_core.dump.examples import shown_text
from xent_core.dump.formats import InvalidDump
from xent_core.dump.input_files import input_files
from xent_core.dump.leading import TOP, leading_classes, leading_examples, leading_pairs
from xent_core.dump.ranking import RANKINGS
from xent_core.dump.report import (
    SHOWN_SUSPECTS,
    end_of_search,
    epoch_lines,
    report_html,
    wrong_labels_words,
)
from xent_core.dump.scores_table import UnwrittenScores
from xent_core.dump.summary import QUANTILES, DumpSummary
from xent_core.language import _
from xent_core.loss_options import LossKeywords
from xent_core.outputs import checked_output, partial_name, written_whole
from xent_core.problem import REDUCTIONS

BAR_WIDTH = 24
SECONDS_BETWEEN = 0.2
SHOWN_MISTAKES = 3
MAX_NAME = 32
INPUTS = (
    *("features", "sample_weight", "ids", "class_names"),
    *("classes", "target_column", "text", "image"),
)
REPORT_SUFFIXES = (".html", ".htm")

Handler = Callable[[int, FrameType | None], object] | int | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `analyse`."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help=_(
            "a file, a folder, an address, a pattern such as 'logits-*.npy', or - for standard input, and the labels, "
            "if they lie in another file; or, with --epochs or --shards, any number of files"
        ),
    )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--epochs",
        action="store_true",
        help=_("several files are epochs of one run, with the same rows: say how each row was learnt"),
    )
    several.add_argument("--shards", action="store_true", help=_("several files are parts of one dump"))
    parser.add_argument("--scores", metavar="FILE", help=_("write the scores of every row: .parquet or .csv"))
    parser.add_argument("--report", metavar="FILE.html", help=_("write a report that needs nothing but a browser"))
    parser.add_argument(
        "--force", action="store_true", help=_("let --scores and --report replace a file that is none of ours")
    )
    parser.add_argument(
        "--rank-by",
        choices=RANKINGS,
        help=_(
            "what the order of the suspects is; by default suspicion, and margin for more than 4 million logits, "
            "which suspicion reads once more; aum needs --epochs"
        ),
    )
    parser.add_argument(
        "--top",
        type=_count,
        default=TOP,
        metavar="N",
        help=_("so many examples, classes and pairs are named; 10 unless said"),
    )
    parser.add_argument("--json", action="store_true", help=_("print one JSON object"))
    parser.add_argument("--weight", metavar="W0,W1,…", type=_numbers, help=_("one factor for each class"))
    parser.add_argument("--ignore-index", "--ignore_index", type=int, metavar="LABEL")
    parser.add_argument("--reduction", choices=REDUCTIONS)
    parser.add_argument("--label-smoothing", "--label_smoothing", type=float, metavar="E")
    parser.add_argument("--temperature", type=float, metavar="T")
    parser.add_argument("--features", metavar="FILE", help=_("what the last layer saw, for its gradient's norm"))
    parser.add_argument("--sample-weight", metavar="FILE", help=_("one factor for each row"))
    add_columns(parser)
    which = "FILE|COLUMN"
    parser.add_argument("--ids", metavar=which, help=_("the names of the examples"))
    parser.add_argument("--text", metavar=which, help=_("their texts; the lines of a .txt file, too"))
    parser.add_argument("--image", metavar=which, help=_("their pictures, or the paths of PNG and JPEG files"))
    parser.add_argument("--show", metavar="COLUMNS", help=_("other columns for the report, several between commas"))
    parser.add_argument("--class-names", metavar="FILE", help=_("the names of the classes, one a line in a .txt file"))
    parser.add_argument("--no-temperature", action="store_true", help=_("do not look for the best temperature"))
    parser.add_argument("--batch-rows", type=int, metavar="N")
    parser.add_argument("--device", help=_("where PyTorch computes: cpu, cuda, …; an accelerator if there is one"))
    parser.add_argument("--cluster", metavar="ADDRESS", help=_("count on the workers of a Dask scheduler"))


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """The summary as text or JSON; writes the scores and the report. Raises: InvalidDump, InvalidOutput.

    The exit code is 0; 2 if a file could not be written; 130 after Ctrl-C and 143 after SIGTERM, whose result is
    that of what had been done.
    """
    first = arguments.files[0]
    with from_standard_input(*arguments.files) as files:
        given = argparse.Namespace(**{**vars(arguments), "files": files})
        return _run(given, title=_("standard input") if first == STDIN else Path(first).name)


def _run(arguments: argparse.Namespace, *, title: str) -> tuple[str, int]:
    report = _report_path(arguments)
    failures: list[OSError] = []
    with _ProgressAndInterrupt(sys.stderr) as progress:
        try:
            summary = _analysed(arguments, arguments.top if report is None else SHOWN_SUSPECTS, progress)
        except UnwrittenScores as error:
            summary = error.summary
            failures.append(error)
        if summary.stopped is not None:
            complain(_stopped_words(summary))
        if report is not None:
            failures += _write_report(summary, report, title=title)
    for failure in failures:
        complain(_unwritten_words(failure))
    text = (
        json_for(sys.stdout, summary.as_json(arguments.top)) if arguments.json else summary_text(summary, arguments.top)
    )
    return text, progress.exit_code or (2 if failures else 0)


def _analysed(arguments: argparse.Namespace, shown_suspects: int, progress: Callable[[Progress], bool]) -> DumpSummary:
    logits, target = _logits_and_target(arguments)
    with _in_words_of_the_command_line():
        return analyse(
            logits,
            target,
            epochs=_said_of_several(arguments),
            **_loss_keywords(arguments),
            features=arguments.features,
            sample_weight=arguments.sample_weight,
            ids=arguments.ids,
            class_names=arguments.class_names,
            logits_are=arguments.logits_are,
            classes=arguments.classes,
            target_column=arguments.target_column,
            text=arguments.text,
            image=arguments.image,
            show=arguments.show,
            no_header=arguments.no_header,
            labels_are=arguments.labels_are,
            scores=arguments.scores,
            overwrite=arguments.force,
            rank_by=arguments.rank_by,
            shown_suspects=shown_suspects,
            fit_temperature=not arguments.no_temperature,
            batch_rows=arguments.batch_rows,
            device=arguments.device,
            cluster=arguments.cluster,
            progress=progress,
        )


@contextlib.contextmanager
def _in_words_of_the_command_line() -> Iterator[None]:
    """A label that may mean rows to leave out is answered by an option, not by an argument of Python."""
    try:
        yield
    except InvalidDump as error:
        found = re.search(r"ignore_index=(-?\d+)", error.fix)
        if error.code != "target-out-of-range" or found is None:
            raise
        answer = {"ignore_index": found[1]}
        fix = _("If {value} marks rows to leave out, say so: {choice}.").format(
            value=found[1], choice=choices_of([answer])
        )
        raise InvalidDump(error.code, error.came, error.expected, fix, [answer]) from error


def _loss_keywords(arguments: argparse.Namespace) -> LossKeywords:
    """The options of the loss that were given."""
    given = {name: getattr(arguments, name) for name in LossKeywords.__annotations__}
    return cast(LossKeywords, {name: value for name, value in given.items() if value is not None})


def _said_of_several(arguments: argparse.Namespace) -> bool | None:
    """True for epochs, False for shards, None if nothing is said."""
    return True if arguments.epochs else False if arguments.shards else None


def _logits_and_target(arguments: argparse.Namespace) -> tuple[str | list[str], str | None]:
    """Which of the files hold logits and which labels. Raises: InvalidDump where that is not clear."""
    files: list[str] = arguments.files
    is_series = are_a_series(files)
    if len(files) == 1:
        return files[0], None
    if is_series and _said_of_several(arguments) is None:
        fix = None
        if len(files) == 2:
            fix = _("Say which: --epochs or --shards; or --target {file}, if that holds the labels.").format(
                file=shlex.quote(files[1])
            )
        raise unclear(_("{count} files came whose names differ in numbers alone").format(count=len(files)), fix)
    if len(files) == 2 and not is_series:
        return files[0], files[1]
    if _said_of_several(arguments) is None:
        raise InvalidDump(
            "files",
            _("{count} files came: {names}").format(count=len(files), names=few(files)),
            _("one of logits, and at most one of labels"),
            _("Put a pattern between quotation marks, 'logits-*.npy', or say --epochs or --shards."),
        )
    return files, None


def _report_path(arguments: argparse.Namespace) -> Path | None:
    """Where the report goes. Raises: InvalidOutput."""
    if arguments.report is None:
        return None
    inputs = input_files([*arguments.files, *(getattr(arguments, name) for name in INPUTS), sys.stdin])
    return checked_output(arguments.report, "--report", REPORT_SUFFIXES, inputs=inputs, force=arguments.force)


def _write_report(summary: DumpSummary, path: Path, *, title: str) -> list[OSError]:
    """The report; of a run that was stopped under another name. Gives the error if the disk is full."""
    try:
        with written_whole(path if summary.stopped is None else partial_name(path)) as file:
            file.write_text(report_html(summary, title=title), encoding="utf-8")
    except OSError as error:
        return [error]
    return []


def partial_words(summary: DumpSummary) -> list[str]:
    """What is missing of a result that somebody stopped."""
    if summary.stopped is None:
        return []
    if summary.stopped == "temperature":
        return [_("without the best temperature")]
    return [_("the first {rows} of {total} rows").format(rows=summary.rows, total=summary.total_rows)]


def _unwritten_words(error: OSError) -> str:
    return _("{path} could not be written: {reason}").format(path=error.filename, reason=error.strerror)


def _stopped_words(summary: DumpSummary) -> str:
    if summary.stopped == "temperature":
        return _("Stopped while the best temperature was looked for: it is missing, all else is of every row.")
    return _("Stopped: the result is of the first {rows} of {total} rows.").format(
        rows=summary.rows, total=summary.total_rows
    )


def summary_text(summary: DumpSummary, top: int = 0) -> str:
    """The numbers of the whole, one a line, and tables of so many examples, classes and pairs."""
    lines = [
        *((_("partial"), words) for words in partial_words(summary)),
        (_("read"), summary.reading.sentence()),
        (_("rows"), f"{summary.rows}"),
        (_("kept"), f"{summary.kept}"),
        (_("classes"), f"{summary.classes}"),
        (_("loss"), f"{summary.loss:.6g}"),
        (_("accuracy"), f"{summary.accuracy:.4f}"),
    ]
    calibration = summary.calibration
    shown = {
        "equal_width": _("expected calibration error"),
        "equal_mass": _("the same, bins of as many rows each"),
        "top_label": _("the same, by predicted class"),
        "class_wise": _("the same, class by class"),
    }
    for error in calibration.errors:
        if error.name in shown and not math.isnan(error.value):
            words = _("{value}, 9 times in 10 within {low:.4f} … {high:.4f}").format(
                value=value_of(error), low=error.low, high=error.high
            )
            lines.append((shown[error.name], words))
    if calibration.brier is not None:
        lines.append((_("Brier score"), f"{calibration.brier.score:.4f}"))
    wrong = summary.wrong_labels
    if wrong is not None:
        count = _("about {expected:.0f}, between {low:.0f} and {high:.0f}").format(
            expected=wrong.expected, low=wrong.low, high=wrong.high
        )
        lines.append((_("wrong labels, estimated"), count))
    for one, other, share in summary.commonest_mistakes(SHOWN_MISTAKES):
        words = _("{label}, in {share:.1%} of its rows").format(label=summary.name_of(other), share=share)
        lines.append((_("{name} seems to be labelled").format(name=summary.name_of(one)), words))
    if summary.epochs is not None:
        lines += epoch_lines(summary.epochs)
    if summary.best is not None:
        gain = _("{temperature:.4g}, loss lower by {gain:.4g}").format(
            temperature=summary.best_temperature, gain=summary.temperature_gain
        )
        lines.append((_("best temperature"), gain + end_of_search(summary)))
    for share in (0.01, 0.1):
        lines.append(
            (
                _("gradient carried by the largest {share:.0%}").format(share=share),
                f"{summary.lorenz.carried_by(share):.1%}",
            )
        )
    for quantile in QUANTILES:
        lines.append(
            (
                _("loss below which {share:.1%} of the rows lie").format(share=quantile),
                f"{summary.loss_histogram.quantile(quantile):.4g}",
            )
        )
    if summary.nonfinite:
        lines.append((_("rows whose gradient is not finite"), f"{summary.nonfinite}"))
    width = max(len(name) for name, _value in lines)
    sentences = [calibration_verdict(summary), why_calibration_errors_differ(summary), wrong_labels_words(summary)]
    text = "\n".join([*(f"{name:<{width}}  {value}" for name, value in lines), *filter(None, sentences)])
    return "\n\n".join([text, *leading_tables(summary, top)] if top else [text])


def leading_tables(summary: DumpSummary, top: int) -> list[str]:
    """The first examples, classes and pairs, and the rows without numbers."""
    examples, classes, pairs = (leading(summary, top) for leading in (leading_examples, leading_classes, leading_pairs))
    yes_or_no = {True: _("yes"), False: _("no"), None: "–"}
    cells = [
        [
            shown_text(one["id"] or str(one["row"]), MAX_NAME),
            *(shown_text(one[name], MAX_NAME) for name in ("label", "suggested")),
            *(f"{one[name]:.4g}" for name in ("loss", "grad_norm")),
            "–" if one["p_wrong"] is None else f"{one['p_wrong']:.2g}",
            yes_or_no[one["suspect"]],
        ]
        for one in examples
    ]
    columns = [_("example"), _("label"), _("suggested"), _("loss"), _("gradient norm"), _("p wrong"), _("suspect")]
    title = _("first examples by {ranking}; suspects are as many as labels are estimated to be wrong")
    tables = [
        table(title.format(ranking=summary.rank_by), columns, [f"row {one['row']}" for one in examples], cells),
        table(
            _("classes with most gradient"),
            [_("rows"), _("accuracy"), _("mean loss"), _("share")],
            [shown_text(one["class"], MAX_NAME) for one in classes],
            [
                [f"{one['rows']}", f"{one['accuracy']:.4f}", f"{one['mean_loss']:.4g}", f"{one['gradient_share']:.2%}"]
                for one in classes
            ],
        ),
        table(
            _("pairs with most gradient: label → prediction"),
            [_("rows"), _("share")],
            [f"{shown_text(one['label'], MAX_NAME)} → {shown_text(one['prediction'], MAX_NAME)}" for one in pairs],
            [[f"{one['rows']}", f"{one['gradient_share']:.2%}"] for one in pairs],
        ),
    ]
    odd = summary.odd_rows
    if odd:
        rows = ", ".join(map(str, odd[:top])) + (" …" if len(odd) > top else "")
        tables.append(_("rows with NaN or infinity: {rows}").format(rows=rows))
    return tables


class _ProgressAndInterrupt:
    """Writes a progress bar to a stream; the first Ctrl-C or SIGTERM stops after this batch, the second one at once.

    Before the first batch there is nothing to keep, and the first one stops at once.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self._shown_at, self._began = stream, 0.0, False
        self._before: dict[int, Handler] = {}
        self._is_terminal = stream is not None and stream.isatty()
        self.exit_code = 0

    def __enter__(self) -> _ProgressAndInterrupt:
        with contextlib.suppress(ValueError):  # not the main thread: whoever runs it stops it in a way of its own
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._shown_at and self._is_terminal and self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.exit_code or not self._began:
            raise SystemExit(128 + number)
        self.exit_code = 128 + number

    def __call__(self, progress: Progress) -> bool:
        self._began = True
        if self._stream is not None:
            self._show(progress, self._stream)
        return self.exit_code != 0

    def _show(self, progress: Progress, stream: TextIO) -> None:
        now = time.monotonic()
        # a log gets a line every ten seconds, a terminal a bar that moves
        if now - self._shown_at >= (SECONDS_BETWEEN if self._is_terminal else 50 * SECONDS_BETWEEN):
            self._shown_at = now
            text = bar(progress)
            if self._is_terminal:
                # a line that wraps could not be wiped
                text = f"\r{text[: max(shutil.get_terminal_size().columns - 1, 1)]}\x1b[K"
            with contextlib.suppress(OSError):  # whoever has closed it does not want to know
                stream.write(text if self._is_terminal else f"{text}\n")
                stream.flush()


def bar(progress: Progress) -> str:
    """The progress as a line of text: rows [#####.....] 50 %  12000 rows/s  3 s left."""
    share = progress.rows / progress.total_rows if progress.total_rows else 1.0
    filled = int(share * BAR_WIDTH)
    return _("{stage} [{bar}] {share:.0%}  {rate:.0f} rows/s  {left:.0f} s left").format(
        stage=progress.stage,
        bar="#" * filled + "." * (BAR_WIDTH - filled),
        share=share,
        rate=progress.rate,
        left=progress.seconds_left,
    )


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(_("{count} is no number of entries: say 0 or more").format(count=count))
    return count


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]
