"""Photograph every page of the menu: light and dark, as wide as a desktop and as narrow as a phone.

    python -m scripts.screenshots [FOLDER]

Also renews docs/batch.png, the picture in the README.
"""

import argparse
import shutil
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from harness.browser import DESKTOP, ROOT, Journal, launch, open_page, serve, wait_drawn

PHONE = (390, 844)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
README_PICTURE = ROOT / "docs" / "batch.png"
SETTLE_MS = 800  # pictures fade in, and nothing says when they have


def main() -> None:
    parser = argparse.ArgumentParser(description="Photograph every page, light and dark, wide and narrow.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "screenshots")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    with serve() as server, sync_playwright() as playwright:
        browser = launch(playwright)
        pages = menu(browser, server.url)
        for size in (DESKTOP, PHONE):
            for scheme in SCHEMES:
                photograph(browser, pages, size, scheme, folder)
        browser.close()

    first = next(iter(pages))
    README_PICTURE.parent.mkdir(exist_ok=True)
    shutil.copyfile(folder / file_name(first, DESKTOP, "light"), README_PICTURE)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}, and {README_PICTURE.relative_to(ROOT)}")


def menu(browser: Browser, url: str) -> dict[str, str]:
    """Title and address of every page, in the order of the menu; the first one is Batch."""
    page = open_at(browser, DESKTOP, "light")
    open_page(page, url)
    found = {
        link.locator("[label]").first.inner_text(): str(link.evaluate("link => link.href"))
        for link in page.get_by_test_id("stSidebarNavLink").all()
    }
    page.context.close()
    return found or {"Batch": url}  # of a single page Streamlit makes no menu


def photograph(
    browser: Browser, pages: dict[str, str], size: tuple[int, int], scheme: Literal["light", "dark"], folder: Path
) -> None:
    """Every page in one size and one scheme; what the console complains of is printed."""
    page = open_at(browser, size, scheme)
    journal = Journal()
    journal.watch(page)
    for title, url in pages.items():
        open_page(page, url)
        wait_drawn(page)
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=folder / file_name(title, size, scheme))
        for complaint in journal.errors + journal.outside:
            print(f"{title}, {scheme}: {complaint}")
        journal.errors.clear()
        journal.outside.clear()
    page.context.close()


def open_at(browser: Browser, size: tuple[int, int], scheme: Literal["light", "dark"]) -> Page:
    """An empty page of that size, in a context of its own."""
    width, height = size
    return browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()


def file_name(title: str, size: tuple[int, int], scheme: str) -> str:
    """step-by-step-390x844-dark.png"""
    return f"{title.lower().replace(' ', '-')}-{size[0]}x{size[1]}-{scheme}.png"


if __name__ == "__main__":
    main()
