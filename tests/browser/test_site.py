"""The site in a browser: every control, light and dark, phone and desk, from a server and from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from evalkit.leaderboard.site.build import build
from tests.unit.scored_runs import values, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Page

    from evalkit.leaderboard.site.build import Built

BOARD = "boards/dreambench_pp-extended-sandbox"
WIDTHS = {"phone": 390, "desk": 1440}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Watched:
    """A page with whatever it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, url: str, ready: str | None = None) -> Page:
        """Opens an address and waits until `ready` is there to be seen."""
        self.page.goto(url)
        if ready is not None:
            self.page.wait_for_selector(ready, state="visible")
        return self.page


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield Watched(context.new_page())
    context.close()


def pages(made: Built) -> list[str]:
    """Every page of the site."""
    return sorted(str(path.relative_to(made.path)) for path in made.path.rglob("*.html"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_breaks_a_rule_of_accessibility(
    made: Built, address: str, chromium: Browser, scheme: Literal["light", "dark"], width: str
) -> None:
    context = chromium.new_context(
        viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    found = {}
    for name in pages(made):
        watched = Watched(context.new_page())
        page = watched.go(f"{address}/{name}")
        page.wait_for_load_state("networkidle")
        results = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
        wrong = [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in results.response["violations"]]
        if wrong or watched.complaints or any(not url.startswith((address, "data:")) for url in watched.asked):
            found[name] = (wrong, watched.complaints, watched.asked)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width], (
            f"{name} is wider than the screen"
        )
        page.close()
    context.close()
    assert found == {}


def test_every_page_works_from_disk(made: Built, watched: Watched) -> None:
    for name in pages(made):
        watched.go((made.path / name).as_uri())
    ready = {f"{BOARD}/index.html": "#controls", f"{BOARD}/cases.html": ".case", f"{BOARD}/tradeoffs.html": "#plot svg"}
    for name, selector in ready.items():
        watched.go((made.path / name).as_uri(), selector)
    assert watched.complaints == []
    root = made.path.as_uri()
    assert [url for url in watched.asked if not url.startswith((root, "data:"))] == []


def names(page: Page) -> list[str]:
    """The runs that the table shows, in order."""
    return page.eval_on_selector_all("#measured tr:not([hidden])", "rows => rows.map(row => row.dataset.slug)")  # type: ignore[no-any-return]


def test_the_table_sorts_both_ways_and_the_address_keeps_it(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    page.get_by_role("button", name="Sort by clip_t").click()
    down = names(page)
    assert (down[0], down[-1]) == ("alpha", "noise")
    page.get_by_role("button", name="Sort by clip_t").click()
    assert names(page) == down[::-1]
    assert page.locator("th[aria-sort=ascending]").count() == 1
    again = watched.page.context.new_page()
    again.goto(page.url)
    again.wait_for_selector("#controls", state="visible")
    assert names(again) == down[::-1]
    page.get_by_role("button", name="Sort by lpips").click()
    assert names(page)[0] == "noise"  # lower is better: its first click shows the lowest first


def test_rows_are_found_by_name_kind_and_subjects(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    page.get_by_label("Find").fill("alp")
    page.wait_for_function("() => document.querySelectorAll('#measured tr:not([hidden])').length === 1")
    assert names(page) == ["alpha"]
    page.get_by_label("Find").fill("")
    page.wait_for_function("() => document.querySelectorAll('#measured tr:not([hidden])').length === 4")
    page.get_by_label("folders").uncheck()
    page.wait_for_function("() => document.querySelectorAll('#measured tr:not([hidden])').length === 1")
    assert names(page) == ["noise"]
    page.get_by_label("folders").check()
    page.get_by_label("At least").fill("25")
    page.wait_for_function("() => document.querySelectorAll('#measured tr:not([hidden])').length === 0")
    assert "least=25" in page.url
    page.get_by_label("At least").fill("24")
    page.wait_for_function("() => document.querySelectorAll('#measured tr:not([hidden])').length === 4")


def test_a_category_shows_its_own_numbers_and_all_brings_back_the_first(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    cell = page.locator("#measured tr[data-slug=alpha] td").nth(1)
    whole = cell.inner_text()
    page.get_by_label("Category").select_option("animal")
    page.wait_for_function(
        "text => document.querySelectorAll('#measured tr[data-slug=alpha] td')[1].innerText !== text", arg=whole
    )
    page.get_by_label("Category").select_option("")
    page.wait_for_function(
        "text => document.querySelectorAll('#measured tr[data-slug=alpha] td')[1].innerText === text", arg=whole
    )


def test_reported_rows_show_only_when_asked_for(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    row = page.locator("#printed tr").first
    assert not row.is_visible()
    page.get_by_label("reported rows").check()
    row.wait_for(state="visible")
    assert "reported" in row.inner_text()


def test_what_is_behind_a_number_opens_by_mouse_and_by_keys(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    page.locator("#measured tr[data-slug=alpha] td").nth(2).click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for(state="visible")
    told = dialog.inner_text()
    assert "In-domain" in told
    assert "metric:dino_i | variant:dreambench_pp" in told
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    page.locator("#measured tr td[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    dialog.wait_for(state="visible")
    assert ", clip_t" in dialog.inner_text()


def test_the_plot_follows_its_axes(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/tradeoffs.html", "#plot svg")
    assert page.locator("#points tbody tr").count() == 4
    page.get_by_label("Across").select_option("lpips")
    page.wait_for_function("() => document.querySelector('#points thead').innerText.includes('lpips')")
    page.get_by_label("controls").uncheck()
    page.wait_for_function("() => document.querySelectorAll('#points tbody tr').length === 3")
    assert "x=lpips" in page.url
    assert page.locator("[data-title*='cloud' i], [data-title*='Chart Studio' i]").count() == 0


def test_a_name_is_no_link_on_the_plot(tmp_path: Path, watched: Watched) -> None:
    name = '<a href="//a.org">b</a>'
    runs = [
        write_run(tmp_path / f"{k}", {m: values(k, seed=k + s) for s, m in enumerate(("clip_t", "lpips"))}, method=told)
        for k, told in enumerate((name, "b"))
    ]
    site = build(runs, tmp_path / "site", resamples=199).path
    page = watched.go((site / BOARD / "tradeoffs.html").as_uri(), "#plot svg")
    assert name in page.locator("#plot svg .textpoint text").all_text_contents()
    assert page.locator("#plot svg .textpoint a").count() == 0


def test_cases_stand_side_by_side_in_the_order_asked_for(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/cases.html", ".case")
    assert page.locator(".case").first.locator("figure:not(.reference)").count() == 2
    page.get_by_label("beta").check()
    page.wait_for_function(
        "() => document.querySelector('.case').querySelectorAll('figure:not(.reference)').length === 3"
    )
    page.get_by_label("Order").select_option("worst")
    page.wait_for_function("() => location.hash.includes('order=worst')")
    shown = page.locator(".case").first.locator("dd.on").first.inner_text()
    page.get_by_label("Order").select_option("best")
    page.wait_for_function("text => document.querySelector('.case dd.on').innerText !== text", arg=shown)
    assert float(page.locator(".case dd.on").first.inner_text()) > float(shown)
    page.get_by_label("Find").fill("s03")
    page.wait_for_function("() => document.querySelectorAll('.case').length === 3")
    assert page.locator(".case img").first.evaluate("image => image.complete && image.naturalWidth > 0")


def test_pages_of_cases_turn(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/{BOARD}/cases.html", "#pager")
    first = page.locator(".case h2 + p").first.inner_text()
    page.get_by_role("button", name="Next").click()
    page.wait_for_function("text => document.querySelector('.case h2 + p').innerText !== text", arg=first)
    assert page.locator("#place").inner_text() == "2 of 6"
    page.get_by_role("button", name="Before").click()
    page.wait_for_function("text => document.querySelector('.case h2 + p').innerText === text", arg=first)


def test_the_reader_s_choice_of_colours_stays(address: str, watched: Watched) -> None:
    page = watched.go(f"{address}/index.html", "#theme")
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.goto(f"{address}/audit.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_table_is_there_without_scripts(address: str, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{BOARD}/index.html")
    assert page.locator("#measured tr").count() == 4
    assert page.locator("#printed tr").first.is_visible()
    assert not page.locator("#controls").is_visible()
    context.close()


def test_names_do_nothing_but_show(address: str, watched: Watched) -> None:
    said: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    watched.page.on("dialog", dismiss)
    page = watched.go(f"{address}/{BOARD}/index.html", "#controls")
    assert "<script>alert('x')</script>" in page.locator("#measured").inner_text()
    page.locator("#measured tr", has_text="alert").get_by_role("link").first.click()
    page.wait_for_load_state()
    assert "alert('x')" in page.title()
    watched.go(f"{address}/{BOARD}/tradeoffs.html", "#plot svg")
    watched.go(f"{address}/{BOARD}/cases.html", ".case")
    assert said == []
    assert watched.complaints == []


def test_a_long_table_shows_its_first_fifty_and_all_when_asked(tmp_path: Path, watched: Watched) -> None:
    runs = [
        write_run(tmp_path / f"run{k}", {"clip_t": values(k % 17, seed=k)}, method=f"method {k:02d}", pixels=f"{k}")
        for k in range(60)
    ]
    site = build(runs, tmp_path / "site", resamples=199).path
    page = watched.go((site / BOARD / "index.html").as_uri(), "#controls")
    settled = "n => document.querySelectorAll('#measured tr').length === n"
    page.wait_for_function(settled, arg=50)
    assert page.locator("#rest").inner_text().startswith("The first 50 of 60 runs.")
    page.get_by_role("button", name="Sort by Run").click()
    page.wait_for_function(settled, arg=50)
    first = page.locator("#measured th.name a").all_inner_texts()
    assert [first[0], first[-1]] == ["method 00", "method 49"]
    page.get_by_label("Find").fill("method 5")
    page.wait_for_function(settled, arg=10)  # the last ten are found although they were not shown
    assert not page.locator("#rest").is_visible()
    assert page.locator("#measured td[tabindex='0']").count() == 1  # the keyboard still has a way in
    page.get_by_label("Find").fill("")
    page.wait_for_function(settled, arg=50)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#measured tr").count() == 60
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function(settled, arg=60)
    assert not page.locator("#rest").is_visible()
