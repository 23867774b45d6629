"""The page in a real browser: silent, self-contained, sortable, readable on a phone."""

from __future__ import annotations

import base64
import io
import itertools
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the page in")


@dataclass
class Opened:
    """An open page and what it did that it should not."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def column(self, number: int) -> list[str]:
        """The cells of a leaderboard's column, from top to bottom."""
        cells = self.page.locator("table.leaderboard tbody tr").all()
        return [row.locator("th, td").nth(number).inner_text() for row in cells]

    def paper(self) -> float:
        """Brightness of the page's ground, 0 to 255."""
        colour = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return float(np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]]))

    def pixels(self) -> np.ndarray:
        """The window as grey levels [row column]."""
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("L")).astype(float)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, file: Path, width: int = 1400, scheme: Any = "light") -> Opened:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(30_000)
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(file.as_uri())
    return found


@pytest.fixture
def desktop(browser: Browser, whole: Path, report: dict[str, Any]) -> Iterator[Opened]:
    found = opened(browser, whole / "report" / "index.html")
    yield found
    assert found.complaints == []
    found.page.context.close()


def test_the_page_asks_nobody_for_anything(desktop: Opened) -> None:
    desktop.page.wait_for_timeout(100)
    others = [url for url in desktop.requests if not url.startswith("data:")]
    assert [url.rsplit("/", 1)[1] for url in others] == ["index.html"]


def test_the_browser_is_told_to_refuse_any_request(desktop: Opened) -> None:
    desktop.page.evaluate("new Image().src = 'https://example.org/pixel.png'")
    desktop.page.wait_for_timeout(100)
    assert [text for text in desktop.complaints if "Content Security Policy" in text]
    desktop.complaints.clear()


def test_a_click_on_a_heading_sorts_and_another_turns_round(desktop: Opened, report: dict[str, Any]) -> None:
    titles = [row["title"] for row in report["leaderboard"]]
    first_words = [cell.splitlines()[0] for cell in desktop.column(1)]
    assert [w.startswith(t) for w, t in zip(first_words, titles, strict=True)] == [True] * 9
    parameters = [row["cost"]["parameters"] for row in report["leaderboard"]]
    heading = desktop.page.get_by_role("columnheader", name="Params")
    assert heading.get_attribute("aria-sort") == "none"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    expected = [titles[i] for i in np.argsort(parameters, kind="stable")]
    assert [cell.splitlines()[0].startswith(t) for cell, t in zip(desktop.column(1), expected, strict=True)] == [
        True
    ] * 9
    # By the keyboard too.
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert desktop.column(1)[0].startswith(expected[-1])
    assert desktop.page.locator("table.leaderboard th[aria-sort=ascending]").count() == 0


def test_what_was_not_measured_stays_last_whichever_way(desktop: Opened) -> None:
    heading = desktop.page.locator("table.leaderboard").get_by_role("columnheader", name="FLOPs").get_by_role("button")
    for _ in range(2):
        heading.click()
        assert {cell.splitlines()[0].split("\t")[0].split(" ")[0] for cell in desktop.column(1)[-2:]} == {
            "Logistic", "Most",
        }  # fmt: skip


def test_quality_is_drawn_against_each_cost_with_its_front(desktop: Opened, report: dict[str, Any]) -> None:
    plot, costs = desktop.page.locator('[data-plot="cost"]'), desktop.page.locator('[data-control="cost"]')
    for cost, button in (("train_seconds", "Training time"), ("parameters", "Parameters"), ("flops", "FLOPs")):
        costs.get_by_role("button", name=button).click()
        drawn = {text.split(" (")[0] for text in plot.locator("g.dot > title").all_text_contents()}
        front = {title.split(" (")[0] for title in plot.locator("g.dot:has(.point.on) > title").all_text_contents()}
        note = " ".join(plot.locator("p").all_text_contents())
        for row in report["leaderboard"]:
            if row["cost"][cost]:
                assert row["title"] in drawn or row["title"] in note, (cost, row["title"])
            if row["title"] in drawn and row["title"] != "ViT":
                assert (row["title"] in front) == (cost in row["pareto"]), (cost, row["title"])
        assert plot.locator("path.front").count() == 1


def test_labels_of_the_cost_plot_do_not_cover_each_other(desktop: Opened) -> None:
    boxes = desktop.page.locator('[data-plot="cost"] text.label').evaluate_all(
        "nodes => nodes.map(n => { const b = n.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height] })"
    )
    assert len(boxes) > 4
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            overlap = (min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1]))
            assert min(overlap) <= 2, (a, b)


def test_curves_show_a_line_for_each_seed_and_follow_the_buttons(desktop: Opened) -> None:
    figures = desktop.page.locator('[data-plot="curves"] figure')
    assert figures.count() == 7
    assert figures.first.locator("path.seed-line").count() == 3
    before = figures.first.locator("path.seed-line").first.get_attribute("d")
    for button in ("Validation loss", "Training loss", "Steps", "Seconds"):
        desktop.page.get_by_role("button", name=button, exact=True).click()
        after = figures.first.locator("path.seed-line").first.get_attribute("d")
        assert "NaN" not in str(after)
    assert after != before


def test_the_confusion_matrix_is_that_of_the_chosen_model(desktop: Opened, report: dict[str, Any], whole: Path) -> None:
    plot = desktop.page.locator('[data-plot="confusion"]')
    select = desktop.page.locator('[data-control="confusion"]')
    for row in (report["leaderboard"][0], next(r for r in report["leaderboard"] if r["experiment"] == "digits-rnn")):
        select.select_option(index=row["rank"] - 1)
        cells = [int(text) for text in plot.locator("text.cell-text").all_text_contents()]
        assert sum(cells) == 900
        titles = plot.locator("g > title").all_text_contents()
        right = sum(int(t.split(": ")[1].split(" of")[0]) for t in titles if t[0] == t.split(" taken for ")[1][0])
        assert right / 900 == pytest.approx(row["value"])
    assert desktop.page.locator('[data-plot="mixups"] li').count() == 8


def test_pictures_are_shown_for_each_family(desktop: Opened) -> None:
    images = desktop.page.locator(".only img")
    assert images.count() >= 12
    assert images.evaluate_all("nodes => nodes.every(n => n.complete && n.naturalWidth === 8)")
    assert all("test example digits/" in str(image.get_attribute("alt")) for image in images.all())
    # Never more than a dozen for a family.
    assert max(group.locator("img").count() for group in desktop.page.locator(".only").all()) <= 12


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_it_is_switched(
    browser: Browser, whole: Path, report: dict[str, Any], scheme: str
) -> None:
    found = opened(browser, whole / "report" / "index.html", scheme=scheme)
    shown = found.pixels()
    assert np.median(shown) == pytest.approx(found.paper(), abs=2)
    assert (found.paper() > 200) == (scheme == "light")
    # Not blank: there is ink on the paper.
    assert shown.std() > 10
    found.page.get_by_role("button", name="Switch between light and dark").click()
    assert (found.paper() > 200) == (scheme == "dark")
    found.page.reload()
    assert (found.paper() > 200) == (scheme == "dark")
    assert found.complaints == []
    found.page.context.close()


def test_on_a_phone_the_page_does_not_move_sideways_and_tables_scroll_in_their_box(
    browser: Browser, whole: Path, report: dict[str, Any]
) -> None:
    found = opened(browser, whole / "report" / "index.html", width=375)
    for details in found.page.locator("details.source").all()[:2]:
        details.locator("summary").first.click()
    for wanted in ("document.documentElement.scrollWidth", "document.body.scrollWidth"):
        assert found.page.evaluate(wanted) == 375
    assert found.page.locator("table.leaderboard").evaluate(
        "t => t.parentElement.scrollWidth > t.parentElement.clientWidth"
    )
    for number in (0, 4000):
        found.page.evaluate(f"scrollTo(0, {number})")
        assert found.pixels().std() > 10
    assert found.complaints == []
    found.page.context.close()


def test_text_stands_out_from_its_ground_in_both_themes(
    browser: Browser, whole: Path, report: dict[str, Any], texts: Path, dreams: Path
) -> None:
    # WCAG 2.2, 1.4.3: 4.5 to 1, for every text colour on the ground it stands on.
    script = """() => {
      const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
      const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data };
      const light = (c) => { const [r, g, b] = [...rgba(c)].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
      // Shades lie over the ground below them.
      const ground = (n) => { const c = n ? getComputedStyle(n).backgroundColor : 'white', a = rgba(c)[3] / 255; if (a === 1) return c; const [u, o] = [rgba(ground(n.parentElement)), rgba(c)]; return `rgb(${[0, 1, 2].map(i => a * o[i] + (1 - a) * u[i]).join(' ')})` };
      const found = {};
      const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const n = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || n.closest('svg, script, style, .sr')) continue;
        const [a, b] = [light(getComputedStyle(n).color), light(ground(n))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) found[n.className || n.tagName] = [ratio, getComputedStyle(n).color, ground(n), walk.currentNode.data.trim()];
      }
      return found }"""  # noqa: E501
    for outputs, scheme in itertools.product((whole, texts, dreams), ("light", "dark")):
        found = opened(browser, outputs / "report" / "index.html", scheme=scheme)
        assert found.page.evaluate(script) == {}, (outputs.parent.name, scheme)
        found.page.context.close()


def test_label_efficiency_is_a_line_for_each_network_and_explanations_follow_the_choice(
    browser: Browser, texts: Path, texts_report: dict[str, Any]
) -> None:
    for width in (1300, 375):
        found = opened(browser, texts / "report" / "index.html", width=width)
        page = found.page
        lines, board = page.locator('[data-plot="labels"]'), page.locator(".board").first
        curves = texts_report["label_efficiency"][0]["curves"]
        assert lines.locator("path.seed-line").count() == len(curves) == 3
        assert lines.locator("path.fresh.seed-line").count() == 1
        titles = lines.locator("g.dot > title").all_text_contents()
        assert len(titles) == sum(len(curve["points"]) for curve in curves)
        assert any(t.startswith("BERT, pre-trained, 20 labels (1 %): ") for t in titles)
        select, shown = board.locator('[data-control="explained"]'), board.locator(".explained:visible h4")
        assert shown.all_inner_texts() == [select.locator("option").first.inner_text()]
        select.select_option(label="BERT, from scratch")
        assert shown.all_inner_texts() == ["BERT, from scratch"]
        heat = board.locator("details.heat:visible").last
        heat.locator("summary").click()
        assert heat.locator("svg text").count() == 2 * 11
        looks = [re.search(r"(\d+) %", t) for t in heat.locator("rect > title").all_text_contents()]
        assert sum(int(m[1]) for m in looks if m) == pytest.approx(100 * 11, abs=30)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert found.complaints == []
        page.context.close()


def test_made_images_are_shown_with_their_classes_troubles_and_film(browser: Browser, dreams: Path) -> None:
    for width in (1300, 375):
        found = opened(browser, dreams / "report" / "index.html", width=width)
        page, board = found.page, found.page.locator(".board").first
        cards = board.locator(".maker")
        assert cards.locator("h4").all_inner_texts()[0].startswith("DCGAN")
        assert cards.count() == 3, "the baseline shows its images too"
        card = cards.first
        assert card.locator(".trouble").all_inner_texts() == [
            "seed 1, epoch 7: made images are all alike; at the end 80 %"
        ]
        assert card.locator(".made").inner_text() == "Never made by seed 1: 4"
        assert card.locator(".counts li").count() == 10
        # Samples, film; folded away are neighbours, truncation, worst and the other seed's samples.
        assert [b.inner_text() for b in card.locator(".fold b").all()] == [""] * 4
        card.locator("summary").click()
        titles = ["Truncation", "Closest to a training image", "Worst", "Samples, seed 1"]
        assert [b.inner_text() for b in card.locator(".fold b").all()] == titles
        pictures = page.locator("img.shown")
        assert all(pictures.evaluate_all("all => all.map((one) => Boolean(one.alt))"))
        pictures.evaluate_all("all => Promise.all(all.map((one) => { one.loading = 'eager'; return one.decode() }))")
        # The film starts at its end, runs once and stops.
        film, said = card.locator(".film"), card.locator(".film figcaption span")
        assert said.inner_text() == "epoch 24 of 24"
        box = film.locator(".frame").bounding_box()
        assert box is not None
        assert box["width"] / box["height"] == pytest.approx(422 / 44, rel=0.02)
        film.locator("input").fill("1")
        assert said.inner_text() == "epoch 12 of 24"
        film.locator("button").click()
        expect(said).to_have_text("epoch 24 of 24")
        assert film.locator("button").inner_text() == "Play"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        # Only one family got right: of made images that says nothing.
        assert "What only one family got right" not in page.content()
        assert board.locator("tfoot").inner_text().split("\n")[0].startswith("Training images")
        board.get_by_role("button", name="Diversity").click()
        assert board.locator('[data-plot="curves"] figcaption').first.inner_text().endswith("ends at 0.800")
        assert found.complaints == []
        assert [address for address in found.requests if not address.startswith(("file:", "data:"))] == []
        page.context.close()


def test_repairs_of_the_same_images_stand_below_each_other(browser: Browser, dreams: Path) -> None:
    found = opened(browser, dreams / "report" / "index.html")
    board = found.page.locator(".board").nth(1)
    rows = board.locator("table.repairs tr")
    heads = [row.locator("th").inner_text().split("\n")[0] for row in rows.all()]
    assert heads[0] == "With the hole"
    assert heads[-1] == "As they were"
    assert {"pix2pix", "Mean fill"} == {head.split("GAN")[0].split("Baseline")[0].strip() for head in heads[1:-1]}
    images = [_decoded(row.locator("img").get_attribute("src")) for row in rows.all()]
    assert {image.shape for image in images} == {(44, 422)}
    assert (images[0][4:40, 4:20] == 128).all(), "the hole"
    assert not np.array_equal(images[1], images[2])
    assert board.locator(".fold").count() == 2
    found.page.context.close()


def _decoded(uri: str | None) -> np.ndarray:
    assert uri is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
