"""Pieces of a self-contained HTML page: Markdown, files as data URIs, and the templates that hold them together."""

import base64
import gzip
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from markupsafe import Markup, escape

__all__ = ["download", "from_markdown", "inline", "picture", "render", "size_text"]

_TEMPLATES = Path(__file__).with_name("templates")
_TYPES = {".png": "image/png", ".csv": "text/csv", ".json": "application/json", ".gz": "application/gzip"}
_DENSITY = 2  # pixels of a picture to one of a page: studies draw at 200 dpi, a screen has about 96
_PLAIN = 50_000  # bytes; what is larger is gzipped, which takes rows and summaries to a tenth
_INTERVAL = re.compile(r"[+-]?\d[\d.,e+]*( \w+)? \[[^\]<]*\]")
_BREAK = re.compile(r"&lt;br ?/?&gt;")
# What a result contains is text: no tags, no links out of the page, no entities.
_UNWANTED = ["autolink", "entity", "html_block", "html_inline", "image", "link", "reference"]


# ---------------------------------------------------------------- text


def _text(_self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Plain text of Markdown, with ``<br>`` as a line break and every estimate with its interval kept together."""
    text = _BREAK.sub("<br>", escapeHtml(tokens[index].content))
    return _INTERVAL.sub(r'<span class="interval">\g<0></span>', text)


def _table_open(_self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Tables are wider than a phone: they scroll sideways, by keys too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(tokens[index].meta["label"])}"><table>\n'


_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_UNWANTED)
_MARKDOWN.add_render_rule("text", _text)
_MARKDOWN.add_render_rule("table_open", _table_open)
_MARKDOWN.add_render_rule("table_close", lambda *_: "</table></div>\n")


def inline(text: str) -> Markup:
    """Text with Markdown's bold, emphasis and code, and ``<br>``; all else that HTML would interpret is escaped.

    Estimates with their intervals become spans of class "interval", so that a page can keep them together.

    Args:
        text: one paragraph or cell.

    Returns:
        HTML.

    Example:
        >>> print(inline("**+1.2** <br> `a < b`, *matched*, <script>"))
        <strong>+1.2</strong> <br> <code>a &lt; b</code>, <em>matched</em>, &lt;script&gt;
        >>> print(inline("+1.2 [0.1, 2.3]"))
        <span class="interval">+1.2 [0.1, 2.3]</span>
    """
    return Markup(_MARKDOWN.renderInline(text))


def from_markdown(text: str, top: int = 3) -> Markup:
    r"""Headings, lists, tables and paragraphs.

    Args:
        text: Markdown.
        top: level in the page of the highest heading in the text.

    Returns:
        HTML; wide tables scroll by themselves, and the first cell of a row is its heading.

    Example:
        >>> print(from_markdown("## digits\n\n- one\n- *two*"))
        <h3>digits</h3>
        <ul>
        <li>one</li>
        <li><em>two</em></li>
        </ul>
    """
    tokens = _MARKDOWN.parse(text)
    levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    down = top - min(levels, default=top)
    label, cell = "Table", 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind, _, side = token.type.rpartition("_")
        if kind == "heading":
            token.tag = f"h{min(6, int(token.tag[1]) + down)}"
            label = following.content if side == "open" and following else label
        elif kind == "table":
            token.meta = {"label": label}
        elif kind == "tr":
            cell = 0
        elif kind == "th":
            token.attrs = {"scope": "col"} if side == "open" else {}
        elif kind == "td":
            if cell == 0:
                token.tag = "th"
            token.attrs = {"scope": "row"} if cell == 0 and side == "open" else {}
            cell += side == "close"
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


# ---------------------------------------------------------------- files


def _data_uri(content: bytes, name: str) -> str:
    """A file inside the page; the ending of its name says what it is."""
    return f"data:{_TYPES[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"


def download(path: Path) -> dict[str, str]:
    """A file (.csv, .json) that a link saves: its name, size in words and data URI; large ones are gzipped."""
    content, name = path.read_bytes(), path.name
    if len(content) > _PLAIN:
        content, name = gzip.compress(content, mtime=0), f"{name}.gz"
    return {"name": name, "size": size_text(len(content)), "uri": _data_uri(content, name)}


def picture(path: Path) -> dict[str, Any]:
    """A PNG file inside the page: name, width and height (nothing moves while it is decoded), data URI."""
    content = path.read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        raise ValueError(f"{path}: not a PNG picture; run its study again")
    width, height = (int.from_bytes(content[at : at + 4], "big") // _DENSITY for at in (16, 20))
    return {"name": path.name, "width": width, "height": height, "uri": _data_uri(content, path.name)}


def size_text(count: int) -> str:
    """Bytes in words.

    Args:
        count: of bytes.

    Returns:
        Text.

    Example:
        >>> size_text(900), size_text(25_400), size_text(7_040_000)
        ('1 kB', '25 kB', '7.0 MB')
    """
    return f"{max(count / 1e3, 1):.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


# ---------------------------------------------------------------- the page


def _slug(words: str) -> str:
    """Words as the name of a style or the place of a figure or table."""
    return words.lower().replace(" ", "-")


def _hash(content: str) -> str:
    """Of the page's own style and script: the browser then runs no other, whatever a result contains."""
    return f"sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}"


def render(template: str, **values: object) -> str:
    """HTML from a template of ``studies/paper/templates`` and the values that it names; text is escaped."""
    pages = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"inline": inline, "markdown": from_markdown, "slug": _slug, "csp_hash": _hash}
    own = {
        name: Markup((_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js")
    }
    return pages.get_template(template).render(style=own["style.css"], script=own["script.js"], **values)
