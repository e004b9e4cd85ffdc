"""Decide in Chromium: decisions by mouse or by keys alone, kept over a reload, saved, applied by the snippet."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from harness.browser import IDLE_MS, Journal, open_page, wait_drawn
from xent_core.dump import analyse
from xent_core.dump.decisions import Decision, Decisions, to_csv
from xent_ui.your_logits.desk import fingerprint
from xent_ui.your_logits.flipped_digits import DIGITS


def open_gallery(page: Page, app_url: str) -> Locator:
    open_page(page, f"{app_url}/your-logits")
    gallery = page.locator(".xent-gallery")
    expect(gallery.locator(".card")).to_have_count(12, timeout=IDLE_MS)
    wait_drawn(page)
    return gallery


def done(gallery: Locator) -> Locator:
    return gallery.get_by_role("status")


def saved(page: Page, count: int) -> list[dict[str, str]]:
    """The decisions of the CSV file, once the server knows so many."""
    button = page.get_by_role("button", name=f"Save as CSV ({count})")
    expect(button).to_be_enabled(timeout=IDLE_MS)
    with page.expect_download() as download:
        button.click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.long
def test_ten_decisions_by_mouse_are_saved_and_applied_by_the_snippet(
    page: Page, app_url: str, journal: Journal, tmp_path: Path
) -> None:
    gallery = open_gallery(page, app_url)
    suspects = analyse(DIGITS).suspects
    cards = gallery.locator(".card")
    expect(cards.first.locator("img")).to_be_visible()
    assert f"row {suspects.row[0]}, 1 of 1000" in str(cards.first.get_attribute("aria-label"))
    choices = ["Relabel", "Keep", "Drop", "Unsure", "Relabel", "Drop", "Keep", "Relabel", "Drop"]
    for place, choice in enumerate(choices):
        cards.nth(place).get_by_role("button", name=choice).click()
    other = (int(suspects.target[9]) + 1) % 10
    classes = cards.nth(9).get_by_role("combobox")
    classes.focus()  # which fills it
    assert classes.locator("option").nth(1).get_attribute("value") == str(suspects.suggested[9])
    classes.select_option(str(other))
    expect(done(gallery)).to_have_text("10 of 1000 decided")
    entries = saved(page, 10)

    assert [int(one["row"]) for one in entries] == suspects.row[:10].tolist()
    assert [one["decision"] for one in entries] == [*(choice.lower() for choice in choices), "relabel"]
    page.get_by_text("Apply them in Python").click()
    code = page.locator(".st-key-decide [data-testid=stCode] code").inner_text()
    shutil.copy(DIGITS, tmp_path)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV (10)").click()
    download.value.save_as(tmp_path / "decisions.csv")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        exec(compile(code, "snippet", "exec"), names)
    with np.load(DIGITS) as held:
        target = held["target"].copy()
    for place in (0, 4, 7):
        target[suspects.row[place]] = suspects.suggested[place]
    target[suspects.row[9]] = other
    expected = np.delete(target, suspects.row[[2, 5, 8]])
    assert names["target"].tolist() == expected.tolist()
    journal.assert_quiet()


def test_the_same_by_keys_alone_and_a_reload_keeps_them(page: Page, app_url: str, journal: Journal) -> None:
    gallery = open_gallery(page, app_url)
    rows = analyse(DIGITS).suspects.row.tolist()
    gallery.locator(".card").first.focus()
    for key in "rkdurkdurz":  # the last takes one back
        page.keyboard.press(key)
    expect(done(gallery)).to_have_text("8 of 1000 decided")
    for key in "rdkk":  # over the end of the page of cards
        page.keyboard.press(key)
    expect(done(gallery)).to_have_text("12 of 1000 decided")
    expect(gallery.locator(".page")).to_have_text("page 2 of 84")
    expect(gallery.locator(".card:focus")).to_have_attribute("data-row", str(rows[12]))
    expect(gallery.locator(".card").first.locator("img")).to_be_visible(timeout=IDLE_MS)
    page.keyboard.press("j")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(gallery.locator(".card:focus")).to_have_attribute("data-row", str(rows[11]))
    page.keyboard.press("n")
    expect(gallery.locator(".card:focus")).to_have_attribute("data-row", str(rows[12]))
    expect(page.get_by_role("button", name="Save as CSV (12)")).to_be_enabled(timeout=IDLE_MS)

    page.reload()
    gallery = page.locator(".xent-gallery")
    expect(done(gallery)).to_have_text("12 of 1000 decided", timeout=IDLE_MS)
    expect(gallery.locator(".page")).to_have_text("page 2 of 84")
    expect(gallery.locator(".card.current")).to_have_attribute("data-row", str(rows[12]))
    expect(gallery.locator(".card").first.locator("img")).to_be_visible(timeout=IDLE_MS)
    decisions = [one["decision"] for one in saved(page, 12)]
    assert decisions == [*["relabel", "keep", "drop", "unsure"] * 2, "relabel", "drop", "keep", "keep"]
    gallery.get_by_role("button", name="Undecided", exact=True).click()
    expect(gallery.locator(".card").first).to_have_attribute("data-row", str(rows[12]))
    gallery.get_by_role("button", name="Decided", exact=True).click()
    expect(gallery.locator(".card").nth(11)).to_have_attribute("data-row", str(rows[11]))
    gallery.locator(".card").nth(3).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-why")).to_contain_text(f"Why is row {rows[3]} here?", timeout=IDLE_MS)
    journal.assert_quiet()


@pytest.mark.long
def test_what_differs_between_files_survives_a_reload(page: Page, app_url: str, journal: Journal) -> None:
    gallery = open_gallery(page, app_url)
    first, second = analyse(DIGITS).suspects.row[:2].tolist()
    with np.load(DIGITS) as held:
        labels = held["target"].tolist()
    gallery.locator(".card").first.focus()
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="Save as CSV (1)")).to_be_enabled(timeout=IDLE_MS)
    time = "2026-01-02T03:04:05Z"
    for name, kind in (("bob.csv", "drop"), ("carol.csv", "unsure")):
        entries = Decisions(tuple(Decision(one, "", labels[one], None, kind, time) for one in (first, second)))
        page.get_by_role("button", name="Open or merge decisions").click()
        page.locator("[data-testid=stPopoverBody] input[type=file]").set_input_files(
            {"name": name, "mimeType": "text/csv", "buffer": to_csv(entries).encode()}
        )
        expect(page.get_by_text(f"{name}:").first).to_be_visible(timeout=IDLE_MS)
        page.keyboard.press("Escape")
    disputes = page.locator(".st-key-decide_disputes")
    expect(disputes).to_contain_text("The decisions about 2 rows differ.", timeout=IDLE_MS)

    page.reload()
    expect(disputes).to_contain_text("The decisions about 2 rows differ.", timeout=IDLE_MS)
    disputes.get_by_role("button", name="carol.csv: unsure").first.click()
    expect(disputes).to_contain_text("The decisions about 1 row differ.", timeout=IDLE_MS)
    wait_drawn(page)

    page.reload()
    expect(disputes).to_contain_text("The decisions about 1 row differ.", timeout=IDLE_MS)
    assert {one["row"]: one["decision"] for one in saved(page, 2)} == {
        str(first): "unsure" if first < second else "keep",  # they stand by row
        str(second): "unsure" if second < first else "drop",  # as the first file said
    }

    gallery.get_by_role("button", name="Undo").click()  # the resolution, which was before the reload
    expect(disputes).to_contain_text("The decisions about 2 rows differ.", timeout=IDLE_MS)
    disputes.get_by_role("button", name="mine:").first.click()
    expect(disputes).to_contain_text("The decisions about 1 row differ.", timeout=IDLE_MS)
    page.get_by_role("button", name="Ask again about 1 resolved row").click()
    expect(disputes).to_contain_text("The decisions about 2 rows differ.", timeout=IDLE_MS)
    journal.assert_quiet()


@pytest.mark.long
def test_a_closed_tab_leaves_its_decisions_to_the_next_and_undo_outlives_a_reload(
    page: Page, app_url: str, journal: Journal
) -> None:
    gallery = open_gallery(page, app_url)
    expect(gallery.locator(".where")).to_contain_text("kept in this browser; save them as CSV")
    gallery.locator(".card").first.focus()
    for key in "kdr":
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Save as CSV (3)")).to_be_enabled(timeout=IDLE_MS)
    first = saved(page, 3)
    page.reload()
    gallery = page.locator(".xent-gallery")
    expect(done(gallery)).to_have_text("3 of 1000 decided", timeout=IDLE_MS)
    gallery.get_by_role("button", name="Undo").click()
    expect(done(gallery)).to_have_text("2 of 1000 decided")
    expect(gallery.locator(".card:focus")).to_have_attribute("data-row", first[2]["row"])

    other = page.context.new_page()
    page.close()
    journal.watch(other)
    gallery = open_gallery(other, app_url)
    expect(done(gallery)).to_have_text("2 of 1000 decided")
    expect(gallery.locator(".where")).to_contain_text("Decisions of an earlier visit, kept in this browser: 2.")
    assert saved(other, 2) == first[:2]
    gallery.get_by_role("button", name="Begin anew").click()
    expect(done(gallery)).to_have_text("0 of 1000 decided")
    gallery.get_by_role("button", name="Undo").click()
    expect(done(gallery)).to_have_text("2 of 1000 decided")
    assert saved(other, 2) == first[:2]
    journal.assert_quiet()


KEPT = "dump => JSON.parse(localStorage.getItem(`cross-entropy-explorer-decisions ${dump}`))"
KEEP = "([dump, kept]) => localStorage.setItem(`cross-entropy-explorer-decisions ${dump}`, JSON.stringify(kept))"
COUNT_KEPT = "Object.keys(localStorage).filter(key => key.startsWith('cross-entropy-explorer-decisions ')).length"


@pytest.mark.long
def test_two_tabs_end_in_both_their_decisions_and_of_many_dumps_the_oldest_goes(
    page: Page, app_url: str, journal: Journal
) -> None:
    gallery = open_gallery(page, app_url)
    second = page.context.new_page()
    other = open_gallery(second, app_url)
    rows = analyse(DIGITS).suspects.row[:3].tolist()
    for number in range(25):
        page.evaluate(KEEP, [f"dump{number}", {"at": number, "entries": []}])
    gallery.locator(".card").nth(0).get_by_role("button", name="Keep").click()
    other.locator(".card").nth(1).get_by_role("button", name="Drop").click()
    gallery.locator(".card").nth(2).get_by_role("button", name="Unsure").click()
    gallery.locator(".card").nth(2).get_by_role("button", name="Keep").click()
    kept = page.evaluate(KEPT, fingerprint(analyse(DIGITS)))

    assert {one[0]: one[1] for one in kept["entries"]} == dict(zip(rows, ("keep", "drop", "keep"), strict=True))
    assert page.evaluate(COUNT_KEPT) == 20
    assert page.evaluate(KEPT, "dump5") is None
    assert page.evaluate(KEPT, "dump6") is not None
    second.close()
    third = page.context.new_page()
    expect(done(open_gallery(third, app_url))).to_have_text("3 of 1000 decided")
    journal.assert_quiet()


@pytest.mark.long
def test_what_stands_in_the_browsers_storage_is_checked(page: Page, app_url: str, journal: Journal) -> None:
    suspects = analyse(DIGITS).suspects
    row, label, time = int(suspects.row[0]), int(suspects.target[0]), "2026-01-02T03:04:05Z"
    page.goto(f"{app_url}/_stcore/health")
    odd = [None, 3, [], [row], [row, "destroy", None, time, label], [row, "keep", None, time, label + 1]]
    odd += [[row, "relabel", 10, time, label], [row, "relabel", "3", time, label], ["1", "keep", None, time, label]]
    odd += [[int(suspects.row[1]), "drop", None, time, int(suspects.target[1])]]
    page.evaluate(KEEP, [fingerprint(analyse(DIGITS)), {"at": "never", "entries": odd}])

    gallery = open_gallery(page, app_url)
    expect(done(gallery)).to_have_text("1 of 1000 decided")
    assert [(one["row"], one["decision"]) for one in saved(page, 1)] == [(str(suspects.row[1]), "drop")]
    journal.assert_quiet()


@pytest.mark.long
def test_a_full_storage_is_said_and_stops_nothing(page: Page, app_url: str, journal: Journal) -> None:
    gallery = open_gallery(page, app_url)
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError') } }")
    gallery.locator(".card").first.get_by_role("button", name="Keep").click()
    expect(done(gallery)).to_have_text("1 of 1000 decided")
    expect(gallery.locator(".where")).to_contain_text("keeps no decision after the tab is closed")
    assert [one["decision"] for one in saved(page, 1)] == ["keep"]
    journal.assert_quiet()


@pytest.mark.long
def test_keys_stand_on_their_buttons_and_in_a_line(page: Page, app_url: str, journal: Journal) -> None:
    # a wide screen with touch says that nothing hovers, and may have keys all the same
    page.context.new_cdp_session(page).send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    gallery = open_gallery(page, app_url)
    card = gallery.locator(".card").first
    for name, key in (("Keep", "K"), ("Relabel", "R"), ("Drop", "D"), ("Unsure", "U")):
        expect(card.get_by_role("button", name=name).locator("kbd")).to_be_visible()
        expect(card.get_by_role("button", name=name).locator("kbd")).to_have_text(key)
    expect(card.locator(".other kbd")).to_have_text("O")
    expect(gallery.locator(".keys")).to_be_visible()
    expect(gallery.locator(".bar kbd")).to_have_text(["Z", "N"])
    gallery.get_by_role("button", name="Undecided", exact=True).click()
    card.get_by_role("button", name="Keep").click()
    expect(card.locator(".name")).to_contain_text("decided · row")
    expect(gallery.locator(".card.left")).to_have_count(1)
    card.get_by_role("button", name="The whole story").click()
    page.get_by_role("link", name="Back to the card").click()
    expect(card).to_be_focused()
    expect(card).to_be_in_viewport()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(gallery.locator(".keys")).to_be_hidden()
    journal.assert_quiet()


def choosing(gallery: Locator, place: int) -> Locator:
    return gallery.locator(".card").nth(place).get_by_role("combobox")


@pytest.mark.long
def test_another_class_is_looked_at_by_keys_and_decided_by_enter_alone(
    page: Page, app_url: str, journal: Journal
) -> None:
    gallery = open_gallery(page, app_url)
    suspects = analyse(DIGITS).suspects
    card = gallery.locator(".card").first
    card.focus()
    page.keyboard.press("o")
    expect(choosing(gallery, 0)).to_be_focused()
    expect(card.get_by_text("Enter takes it, Esc goes back")).to_be_visible()
    for key in ("d", "ArrowDown", "r"):
        page.keyboard.press(key)
    expect(choosing(gallery, 0)).not_to_have_value("")
    expect(done(gallery)).to_have_text("0 of 1000 decided")

    page.keyboard.press("Escape")
    expect(card).to_be_focused()
    expect(choosing(gallery, 0)).to_have_value("")
    for key in ("o", "ArrowDown", "ArrowDown"):  # the suggested class is the first of the list
        page.keyboard.press(key)
    chosen = int(choosing(gallery, 0).input_value())
    assert chosen not in (suspects.target[0], suspects.suggested[0])
    page.keyboard.press("Enter")
    expect(done(gallery)).to_have_text("1 of 1000 decided")
    expect(card.locator(".change")).to_have_text(f"digit {suspects.target[0]}→ digit {chosen}")
    expect(gallery.locator(".card").nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(done(gallery)).to_have_text("2 of 1000 decided")
    assert [(one["decision"], one["new"]) for one in saved(page, 2)] == [("relabel", str(chosen)), ("keep", "")]

    choosing(gallery, 2).focus()  # which fills it
    page.keyboard.press("ArrowDown")
    choosing(gallery, 2).dispatch_event("pointerdown")  # the list opens: what was looked at can be chosen there
    expect(choosing(gallery, 2)).to_have_value("")
    choosing(gallery, 2).select_option(str(suspects.suggested[2]))  # by mouse: what is clicked is meant
    expect(done(gallery)).to_have_text("3 of 1000 decided")
    expect(gallery.locator(".card").nth(2)).to_be_focused()
    journal.assert_quiet()


@pytest.mark.long
def test_relabel_of_a_card_without_a_suggestion_opens_the_list(page: Page, app_url: str, journal: Journal) -> None:
    gallery = open_gallery(page, app_url)
    suspects = analyse(DIGITS).suspects
    place = int(np.flatnonzero(suspects.suggested == suspects.target)[0])
    for _page in range(place // 12):
        gallery.get_by_role("button", name="Next page").click()
    card, at = gallery.locator(".card").nth(place % 12), place % 12
    expect(card).to_have_attribute("data-row", str(suspects.row[place]))
    expect(card.locator(".to")).to_be_hidden()
    page.evaluate("() => { HTMLSelectElement.prototype.showPicker = function () { this.dataset.opened = 'yes' } }")
    card.get_by_role("button", name="Relabel").click()
    expect(choosing(gallery, at)).to_be_focused()
    expect(choosing(gallery, at)).to_have_attribute("data-opened", "yes")
    expect(done(gallery)).to_have_text("0 of 1000 decided")

    page.keyboard.press("Escape")
    for key in ("r", "ArrowDown"):
        page.keyboard.press(key)
    chosen = choosing(gallery, at).input_value()
    page.keyboard.press("Enter")
    expect(done(gallery)).to_have_text("1 of 1000 decided")
    expect(card.locator(".change")).to_have_text(f"digit {suspects.target[place]}→ digit {chosen}")
    journal.assert_quiet()


@pytest.mark.long
def test_from_the_top_of_the_page_a_few_tabs_lead_to_the_cards(page: Page, app_url: str, journal: Journal) -> None:
    gallery = open_gallery(page, app_url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Streamlit's own: skip to the main content
    page.keyboard.press("Tab")  # what explains the words of the title
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the cards of the suspects")).to_be_focused()
    page.keyboard.press("Enter")
    expect(gallery.locator(".card").first).to_be_focused()
    page.keyboard.press("d")
    expect(done(gallery)).to_have_text("1 of 1000 decided")
    journal.assert_quiet()
