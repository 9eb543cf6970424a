"""The page in headless Chromium: no error, no request, tables that sort, curves that toggle, phone, dark, keyboard."""

import pytest

TABLE_1 = "#table-1 table.sortable"


def labels(tab):
    return tab.locator(f"{TABLE_1} tbody th").all_inner_texts()


def cells(tab, column, kind):
    found = tab.locator(f"{TABLE_1} tbody tr td:nth-of-type({column})")
    return [float(found.nth(i).get_attribute(f"data-{kind}")) for i in range(found.count())]


def test_it_opens_whole(look):
    tab = look()
    assert tab.title() == "harness: what was found"
    assert tab.locator(".curves svg polyline.thick").count() == 7
    assert tab.evaluate("document.readyState") == "complete"


@pytest.mark.parametrize("width", [1400, 380])
def test_the_first_screen_tells_what_was_found_and_the_page_is_short(look, width):
    tab = look(width=width, height=900)
    below = tab.evaluate("document.querySelector('.answers').getBoundingClientRect().bottom")
    assert below < 900
    assert tab.locator(".answers li").count() <= 5
    assert tab.evaluate("document.documentElement.scrollHeight") < 12_000


def test_what_is_laid_out_before_the_page_is_seen_is_bounded(look):
    """What opening takes goes with it: what is folded costs nothing until it is opened."""
    count = "(all) => [all.filter((each) => each.checkVisibility()).length, all.length]"
    shown, there = look().evaluate(f"({count})([...document.body.querySelectorAll('*')])")
    assert 1_000 < shown < there / 4


def shown(tab):
    return tab.locator("table.claims tbody tr:not([hidden])")


def test_findings_are_filtered_sorted_and_opened_by_keyboard(look):
    tab = look()
    section = tab.locator("#findings")
    assert shown(tab).count() == 40
    section.get_by_role("button", name="contradicted").press("Enter")
    assert "contradicted" not in shown(tab).locator(".verdict").all_inner_texts()
    for verdict in ("supported", "undecided"):
        section.get_by_role("button", name=verdict).press("Space")
    section.get_by_role("button", name="contradicted").press("Enter")
    assert set(shown(tab).locator(".verdict").all_inner_texts()) == {"contradicted"}
    section.locator("input").fill("more stable")
    assert shown(tab).count() == 1
    summary = shown(tab).locator("summary")
    assert not shown(tab).locator("details li").first.is_visible()
    summary.press("Enter")
    assert "p for the claim" in shown(tab).locator("details li").first.inner_text()
    section.locator("input").fill("")
    section.locator("thead button").nth(2).press("Enter")
    effects = [float(row.get_attribute("data-ours")) for row in shown(tab).locator("td.n").all()]
    assert len(effects) > 5
    assert effects == sorted(effects)


def test_the_rest_of_the_findings_is_one_button_away(look):
    tab = look()
    tab.locator("#findings .rest").press("Enter")
    assert shown(tab).count() > 90
    assert tab.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_link_to_a_claim_that_is_not_shown_shows_it(look):
    tab = look(place="#claim-adversarial-denoising-helps")
    row = tab.locator("#claim-adversarial-denoising-helps")
    assert row.locator("details li").first.is_visible()


def test_rows_that_were_not_run_unfold(look):
    tab = look()
    table = tab.locator("details.table[open]", has=tab.locator(".fold")).first
    fold, rows = table.locator(".fold"), table.locator("table.sortable tbody tr:visible")
    few, whole = rows.count(), table.locator("table.sortable tbody tr").count()
    assert 0 < few < whole
    fold.press("Enter")
    assert (rows.count(), fold.get_attribute("aria-expanded")) == (whole, "true")
    fold.press("Enter")
    assert rows.count() == few


def test_a_count_says_the_exact_number(look):
    tab = look()
    cell = tab.locator("#table-1 td .ours[title]").first
    assert (cell.inner_text(), cell.get_attribute("title")) == ("12.260M", "12,855,498")


def test_a_table_sorts_up_down_and_back(look):
    tab = look()
    own = labels(tab)
    head = tab.locator(f"{TABLE_1} thead th").nth(1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert cells(tab, 1, "ours") == sorted(cells(tab, 1, "ours"))
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert cells(tab, 1, "ours") == sorted(cells(tab, 1, "ours"), reverse=True)
    tab.locator("#table-1 .by select").select_option("paper")
    assert cells(tab, 1, "paper") == sorted(cells(tab, 1, "paper"), reverse=True)
    tab.locator("#table-1 .by select").select_option("gap")
    assert cells(tab, 1, "gap") == sorted(cells(tab, 1, "gap"), reverse=True)
    head.locator("button").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert labels(tab) == own


def test_what_is_not_run_is_sorted_last(look):
    tab = look()
    tab.locator("#table-2 thead button").nth(1).click()
    rows = tab.locator("#table-2 table.sortable tbody th").all_inner_texts()
    assert len(rows) == 10  # all empty: the table's own order
    assert rows[0].startswith("Baseline")


def test_curves_toggle_by_click_and_keyboard(look):
    tab = look()
    figure = tab.locator(".curves")
    figure.locator("[data-of=study]").select_option("mnist")
    groups, buttons = figure.locator("svg g[data-trial]"), figure.locator(".legend button")
    assert (groups.count(), buttons.count()) == (7, 7)
    buttons.nth(1).click()
    assert buttons.nth(1).get_attribute("aria-pressed") == "false"
    assert groups.count() == 6
    buttons.nth(1).press("Enter")
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    assert groups.count() == 7
    figure.get_by_role("button", name="None").click()
    assert groups.count() == 0
    figure.get_by_role("button", name="All").press("Space")
    assert groups.count() == 7
    before = figure.locator("polyline.thick").first.get_attribute("points")
    figure.get_by_role("button", name="Enlarge the end").click()
    assert figure.locator("polyline.thick").first.get_attribute("points") != before
    figure.locator("[data-of=metric]").select_option("test[:1000] hidden_mean")
    assert groups.count() == 7
    assert figure.locator("polygon.band").count() == 7
    assert not figure.locator("polyline.thin").first.is_visible()
    buttons.first.focus()
    assert figure.locator("polyline.thin").first.is_visible()
    figure.locator("[data-of=study]").select_option("cifar-small")
    assert buttons.count() == 11
    assert groups.count() == 8


def test_a_step_is_read_by_keys_and_by_pointing(look):
    tab = look()
    figure = tab.locator(".curves")
    plot = figure.get_by_role("slider")
    plot.focus()
    plot.press("End")
    assert plot.get_attribute("aria-valuenow") == "3000"
    assert "Baseline 0.9" in plot.get_attribute("aria-valuetext")
    plot.press("ArrowLeft")
    assert plot.get_attribute("aria-valuenow") == "2900"
    assert figure.locator(".legend .value").first.inner_text().startswith("0.9")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    tab.mouse.move(box["x"] + 70, box["y"] + 100)
    assert int(plot.get_attribute("aria-valuenow")) < 500


def test_a_point_leads_to_its_trial_by_keyboard(look):
    tab = look()
    figure = tab.locator(".costs")
    figure.locator("[data-of=study]").select_option("cifar-small")
    points = figure.locator("svg a")
    assert points.count() == 11
    first = points.first
    before = first.locator("circle").last.get_attribute("cx")
    figure.get_by_role("button", name="MACs of one image").click()
    assert figure.locator("polyline.front").count() == 1
    first = figure.locator("svg a").first
    assert first.locator("circle").last.get_attribute("cx") is not None
    assert before is not None
    first.focus()
    assert "parameters" in figure.locator(".readout").inner_text()
    tab.mouse.move(0, 0)
    figure.locator(".legend a").nth(6).focus()
    assert figure.locator(".readout").inner_text().startswith("top-k, 2FP, stride 2: accuracy 0.7")
    assert figure.locator("svg a.faded").count() == 10
    first.focus()
    target = first.get_attribute("href")
    first.press("Enter")
    tab.wait_for_function("target => document.querySelector(target).open", arg=target)
    assert tab.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_a_link_into_a_closed_section_opens_it(look, page):
    run = page.split('class="run" id="', 1)[1].split('"', 1)[0]
    tab = look(place=f"#{run}")
    assert tab.locator(f"#{run} .repeat code").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(look, scheme):
    tab = look(width=375, height=800, scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") == 375
    tab.set_viewport_size({"width": 320, "height": 640})
    tab.wait_for_function("document.querySelector('.plot svg').getBoundingClientRect().width <= 300")
    assert tab.evaluate("document.documentElement.scrollWidth") == 320


def test_colours_follow_the_system_until_they_are_chosen(look):
    def background(tab):
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = look(scheme="light"), look(scheme="dark")
    assert background(light) != background(dark)
    button = dark.locator("#theme")
    button.press("Enter")
    assert button.get_attribute("aria-label") == "Colours: light"
    assert background(dark) == background(light)
    button.click()
    light.locator("#theme").click()
    light.locator("#theme").click()
    assert background(light) == background(dark)
    assert light.locator("#theme").get_attribute("aria-label") == "Colours: dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(look, scheme):
    """Contrast of at least 4.5 : 1 between the page and its text, links, and the words of sources."""
    tab = look(scheme=scheme)
    ratios = tab.evaluate(
        """() => {
          const light = (rgb) => rgb.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const back = light(getComputedStyle(document.body).backgroundColor);
          const ratio = (e) => {
            const front = light(getComputedStyle(e).color);
            return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
          };
          return Object.fromEntries(["body", ".lead", "#table-1 tbody a", ".paper", ".s-stated", ".s-inferred",
            ".s-assumed", ".s-set", ".v-supported", ".v-contradicted",
            ".v-undecided", "td.outside", ".answers b"].map((name) => [name, ratio(document.querySelector(name))]));
        }"""
    )
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
