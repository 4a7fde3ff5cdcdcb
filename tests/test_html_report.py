"""The HTML report: complete, well-formed, self-contained, and what a browser makes of it."""

import base64
import gzip
import json
import re
import shutil
import struct
import subprocess
import zlib
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from PIL import Image

from studies import html_report
from studies.lab.finding import Finding
from studies.paper.exhibits import EXHIBITS, FIGURES, TABLES
from studies.paper.gallery import Result, Row
from studies.paper.jobs import JOBS
from studies.paper.pages import from_markdown, inline, picture

VOID = {"br", "img", "input", "link", "meta"}
NASTY = '<script>alert(1)</script> & "quoted" </h3>'
PROVENANCE = {
    "command": "exchange_rate.py --seeds 5",
    "device": "cpu (x86_64, 2 cores)",
    "wall_seconds": 130.0,
    "versions": {"numpy": "2.1"},
    "revision": "0123456789abcdef+",
}
BY_NAME = {job.name: job for job in JOBS}


class Page(HTMLParser):
    """What is in a page; fails on an element that is closed out of turn or never."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag, f"</{tag}> at {self.getpos()} closes another element"

    def handle_data(self, data):
        classes = {name for _, attrs in self.open for name in (attrs.get("class") or "").split()}
        self.texts.append((data, classes, self.open[-1][0] if self.open else ""))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def ids(self):
        return [attrs["id"] for _, attrs in self.elements if "id" in attrs]

    def text(self, style=None):
        return "".join(
            data
            for data, classes, tag in self.texts
            if tag not in {"script", "style"} and (style is None or style in classes)
        )


def png(shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes([shade] * 8)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 4, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 4)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def result(folder, name, findings=None, rows="a,b\n1,2\n", shade=0):
    """A result with small files; by default one finding that all its figures and tables share."""
    job = BY_NAME[name]
    items = [("Figure", n) for n in job.figures] + [("Table", n) for n in job.tables]
    shared = Finding(f"+1.5 [0.5, 2.5] {name}", "1 image = 9 words", "holds", "holds at 1 shot")
    there = tuple(Row(EXHIBITS[kind, n], (findings or {}).get((kind, n), shared)) for kind, n in items)
    (folder / f"{name}.png").write_bytes(png(shade))
    (folder / f"{name}.csv").write_text(rows)
    (folder / f"{name}.json").write_text(json.dumps({"provenance": PROVENANCE}))
    return Result(job, {"provenance": PROVENANCE}, there, (f"{name}.png",), (f"{name}.csv",))


@pytest.fixture
def everything(tmp_path):
    return [result(tmp_path, job.name, shade=n) for n, job in enumerate(JOBS)]


def test_every_figure_and_table_is_there_once_and_linked(tmp_path, everything):
    page = Page(html_report.page(tmp_path, everything))
    anchors = [f"figure-{n}" for n in FIGURES] + [f"table-{n}" for n in TABLES]
    assert Counter(page.ids).most_common(1)[0][1] == 1
    assert set(anchors) <= set(page.ids)
    targets = [attrs["href"].removeprefix("#") for attrs in page.all("a")]
    linked = [target for target in targets if target in anchors]
    assert linked[: len(anchors)] == anchors, "the contents, in order"
    claimed = [name for name, e in zip(anchors, EXHIBITS.values(), strict=True) if e.claim]
    assert sorted(linked[len(anchors) :]) == sorted(claimed), "the first page, once each"
    assert "missing" not in page.ids
    assert all(exhibit.title in page.text() for exhibit in EXHIBITS.values())


def test_all_links_resolve_within_the_page(tmp_path, everything):
    page = Page(html_report.page(tmp_path, everything[3:]))
    for _, attrs in page.elements:
        assert attrs.get("src", "data:").startswith("data:")
        href = attrs.get("href", "data:")
        assert href.startswith("data:") or href.removeprefix("#") in page.ids
    assert not re.search(r"url\(|@import|https?://", html_report.page(tmp_path, everything))


def test_downloads_are_the_very_files(tmp_path):
    long = "x,y\n" + "".join(f"{n},{n * n}\n" for n in range(9000))
    found = [result(tmp_path, "gaussian_recon", rows=long), result(tmp_path, "robustness_glyphs")]
    links = [attrs for attrs in Page(html_report.page(tmp_path, found)).all("a") if "download" in attrs]
    names = {
        "gaussian_recon.csv.gz",
        "gaussian_recon.json",
        "robustness_glyphs.csv",
        "robustness_glyphs.json",
    }
    assert {attrs["download"] for attrs in links} == names
    for attrs in links:
        kind, _, coded = attrs["href"].partition(";base64,")
        content, name = base64.b64decode(coded, validate=True), attrs["download"]
        if name.endswith(".gz"):
            assert kind == "data:application/gzip"
            content, name = gzip.decompress(content), name.removesuffix(".gz")
        assert content == (tmp_path / name).read_bytes()


def test_a_picture_is_there_once_for_all_rows_that_share_it(tmp_path):
    text = html_report.page(tmp_path, [result(tmp_path, "exchange_rate_glyphs")])
    assert text.count(base64.b64encode(png(0)).decode()) == 1
    (image,) = Page(text).all("img")
    assert (image["width"], image["height"]) == ("4", "2")
    assert "Figure 9, words per image, Oxford Pets" in image["alt"]
    assert text.count("to the picture") == 1, "nine equal findings are shown as one"


def test_each_schematic_is_beside_its_own_picture(tmp_path):
    found = result(tmp_path, "schematics")
    names = [f"schematic_figure_{n}.png" for n in (1, 2, 4)]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(png(n))
    page = Page(html_report.page(tmp_path, [Result(found.job, found.summary, found.rows, tuple(names), ())]))
    assert [image["alt"].partition(",")[0] for image in page.all("img")] == [
        f"Our version of Figure {n}" for n in (1, 2, 4)
    ]
    links = [attrs["href"] for attrs in page.all("a") if attrs["href"].startswith("#picture")]
    assert links == [f"#picture-schematic_figure_{n}" for n in (1, 2, 4)]


def test_results_are_text_whatever_they_contain(tmp_path):
    bad = result(
        tmp_path, "language_to_vision_glyphs", {("Figure", 7): Finding(NASTY, NASTY, "fails", NASTY)}
    )
    (tmp_path / "language_to_vision_glyphs.md").write_text(
        f"## {NASTY}\n\n| {NASTY} |\n| --- |\n| {NASTY} |\n\n- {NASTY}\n"
    )
    marked = "<!-- gallery: language_to_vision_glyphs -->\nmade\n<!-- end -->\n"
    (tmp_path / "README.md").write_text(f"## x\n\n{marked}\n{NASTY}\n")
    summary = {"provenance": PROVENANCE | {"command": NASTY, "device": NASTY}}
    bad = Result(replace(bad.job, differs=NASTY), summary, bad.rows, bad.pictures, bad.tables)
    page = Page(html_report.page(tmp_path, [bad]))
    assert len(page.all("script")) == 1
    # finding, and its verdict on the first page; report; command, device, differs; explanation
    assert page.text().count(NASTY) == 3 + 1 + 4 + 3 + 1


def test_published_numbers_stand_apart_from_ours(tmp_path):
    finding = Finding("OURS +1 [0, 2]", "PUBLISHED 3", "in part", "IN PART at 1")
    found = [result(tmp_path, "language_to_vision_glyphs", {("Figure", 7): finding})]
    page = Page(html_report.page(tmp_path, found))
    for style, words in (
        ("ours", finding.ours),
        ("published", finding.published),
        ("control", finding.holds),
    ):
        assert words in page.text(style)
        assert sum(words in page.text(other) for other in ("ours", "published", "control")) == 1
    assert "◐ in part" in page.text("verdict")
    assert "130 s" not in page.text()
    assert "2 min on cpu (x86_64, 2 cores)" in page.text("facts")
    assert "revision 0123456789+" in page.text("facts")


def test_what_is_not_there_is_listed_with_its_command(tmp_path, everything):
    there = [e for e in everything if e.job.name not in {"language_to_vision_glyphs", "streaming_memory"}]
    part = next(e for e in there if e.job.name == "gaussian_recon")
    there[there.index(part)] = Result(part.job, part.summary, part.rows[1:], part.pictures, part.tables)
    lacking = html_report.missing(there)
    assert {job.name: items for job, items in lacking.items()} == {
        "streaming_memory": [],
        "gaussian_recon": [("Figure", 3)],
        "language_to_vision_glyphs": [("Figure", 7)],
    }
    page = Page(html_report.page(tmp_path, there))
    assert {"missing", "figure-3", "figure-7"} <= set(page.ids)
    assert f"python studies/language_to_vision.py --out {tmp_path}" in page.text()
    assert "not there yet: 2" in page.text("tally")


def test_the_first_page_has_one_row_for_each_claim(tmp_path):
    other = Finding("+0.1 [-1, 1]", "-", "undecided", "undecided at 4 shots")
    found = [
        result(tmp_path, "robustness_glyphs", {("Figure", 12): other}),
        result(tmp_path, "schematics"),
    ]
    page = html_report.page(tmp_path, found)
    first = page[page.index('id="claims"') : page.index('id="robustness_glyphs"')]
    rows = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)) for row in first.split("<tr")[2:]]
    assert len(rows) == 2
    assert all(EXHIBITS["Figure", 5].claim in row for row in rows)
    for numbers, words, row in zip(
        ("Figures 5 , 10 , 11 , 13", "Figure 12"), ("✓ holds", "? undecided"), rows, strict=True
    ):
        assert numbers in row
        assert words in row
        assert "at 1 shot" in row or "at 4 shots" in row
    assert first.count('href="#picture-robustness_glyphs"') == 2
    assert "No claim is made by Figures 1, 2, 4" in first


def test_what_the_gallery_explains_is_in_the_section_of_its_run(tmp_path):
    found = result(tmp_path, "gaussian_recon")
    marked = "<!-- gallery: gaussian_recon -->\nmade\n<!-- end -->\n"
    (tmp_path / "README.md").write_text(f"## gaussian\n\n{marked}\n- **Where it holds.** EVERYWHERE\n")
    page = Page(html_report.page(tmp_path, [found]))
    assert "EVERYWHERE" in page.text("explanation")


def test_no_picture_is_said(tmp_path):
    found = result(tmp_path, "gaussian_recon")
    page = Page(html_report.page(tmp_path, [Result(found.job, found.summary, found.rows, (), ())]))
    assert "no picture of this run" in page.text()


def test_the_page_is_the_same_each_time_and_runs_its_own_script_only(tmp_path, everything):
    text = html_report.page(tmp_path, everything)
    assert text == html_report.page(tmp_path, everything)
    (policy,) = (m["content"] for m in Page(text).all("meta") if m.get("http-equiv"))
    for element in ("style", "script"):
        content = re.search(f"<{element}>(.*?)</{element}>", text, re.DOTALL)[1]
        assert f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'" in policy


def test_main_writes_the_file_and_says_what_is_missing(tmp_path, capsys):
    result(tmp_path, "schematics")
    path = html_report.main(["--folder", str(tmp_path)])
    assert path == tmp_path / "report.html"
    printed = capsys.readouterr().out
    assert "not there yet: gaussian_recon (Figures 3, 37); python studies/gaussian_recon.py --out" in printed
    assert re.search(r"report \S+report.html: \d+ kB, 3 of 73 figures and tables, 1 runs", printed)
    assert {"figure-1", "figure-2", "figure-4", "missing"} <= set(Page(path.read_text("utf-8")).ids)
    assert html_report.main(["--folder", str(tmp_path), "--out", str(tmp_path / "a" / "b.html")]).exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, "", "--folder .*: holds no study's results"),
        ("streaming_memory.json", "{", "streaming_memory.json: not the summary"),
        ("streaming_memory.png", "JPEG", "streaming_memory.png: not a PNG picture; run its study again"),
    ],
)
def test_what_cannot_be_reported_is_said(tmp_path, capsys, name, content, message):
    if name:
        result(tmp_path, "streaming_memory")
        (tmp_path / name).write_text(content)
    with pytest.raises(SystemExit, match="2"):
        html_report.main(["--folder", str(tmp_path)])
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "report.html").exists()


def test_a_quick_folder_gets_quick_commands(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(html_report, "FIGURES", tmp_path)
    (tmp_path / "quick").mkdir()
    result(tmp_path / "quick", "schematics")
    html_report.main(["--folder", str(tmp_path / "quick")])
    assert "python studies/exchange_rate.py --quick --dataset concepts --pair\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a](http://example.org) ![b](c.png) &lt;", "[a](http://example.org) ![b](c.png) &amp;lt;"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("*a, b* and **c**", "<em>a, b</em> and <strong>c</strong>"),
        ("`--set a=*b*` `", "<code>--set a=*b*</code> `"),
        ("a<br>b<br/>c <b>", "a<br>b<br>c &lt;b&gt;"),
        (
            "1 image = 714 words [410, 2e+03]",
            '1 image = <span class="interval">714 words [410, 2e+03]</span>',
        ),
    ],
)
def test_inline_markdown(text, html):
    assert inline(text) == html


def test_blocks_of_markdown():
    table = (
        '<div class="scroll" role="region" tabindex="0" aria-label="B"><table><thead><tr><th scope="col">a</th>'
        '<th scope="col">b</th></tr></thead><tbody><tr><th scope="row">1</th><td></td></tr></tbody></table></div>'
    )
    text = "# A\n## B\none\ntwo\n\n- x\n  y\n- z\n\n| a | b |\n| --- | ---: |\n| 1 |  |\n\n###### C"
    blocks = [
        "<h4>A</h4>",
        "<h5>B</h5>",
        "<p>one two</p>",
        "<ul><li>x y</li><li>z</li></ul>",
        table,
        "<h6>C</h6>",
    ]
    made = re.sub(r"(?<=>)\n|\n(?=<)", "", from_markdown(text, top=4)).replace("\n", " ")
    assert made == "".join(blocks)


def test_a_picture_states_its_size_at_twice_the_density_of_a_screen(tmp_path):
    (tmp_path / "p.png").write_bytes(png(9))
    shown = picture(tmp_path / "p.png")
    assert (shown["width"], shown["height"]) == (4, 2)


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def browse(tmp_path):
    """A function that opens a page in headless Chromium without a network."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None or subprocess.run([path, "--version"], check=False, capture_output=True).returncode:
        pytest.skip("Chromium is not installed")

    def opened(page, *options):
        command = [
            *(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'browser'}", *options, page.as_uri()),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)

    return opened


def test_a_browser_shows_it_without_network_and_without_complaint(tmp_path, browse):
    findings = {("Figure", 7): Finding("+4.2 [3, 5] <i>", "PUBLISHED 3", "fails", "fails at the end")}
    found = [result(tmp_path, "language_to_vision_glyphs", findings), result(tmp_path, "gaussian_recon")]
    page = tmp_path / "report.html"
    page.write_text(html_report.page(tmp_path, found), encoding="utf-8")
    finished = browse(page, "--dump-dom", f"--screenshot={tmp_path / 'seen.png'}", "--window-size=600,800")
    assert "CONSOLE" not in finished.stderr
    seen = Page(finished.stdout)
    for words in ("+4.2 [3, 5] <i>", "PUBLISHED 3", "fails at the end", "not there yet: 70"):
        assert words in seen.text()
    (box,) = (attrs for attrs in seen.all("div") if attrs.get("id") == "filter")
    assert "hidden" not in box, "the page's script has not run"
    with Image.open(tmp_path / "seen.png") as image:
        assert image.size == (600, 800)
        assert len(image.convert("L").getcolors()) > 50, "text and lines have many greys, an empty page one"


def test_a_browser_would_complain_of_a_page_that_loads_or_runs_something_else(tmp_path, browse):
    text = html_report.page(tmp_path, [result(tmp_path, "gaussian_recon")])
    page = tmp_path / "bad.html"
    foreign = '<img src="http://example.org/a.png"><script>document.title = 1</script>'
    page.write_text(text.replace("<main", f"{foreign}<main"), encoding="utf-8")
    finished = browse(page, "--dump-dom")
    assert finished.stderr.count("CONSOLE") >= 2
    assert f"<title>{html_report.TITLE}</title>" in finished.stdout
