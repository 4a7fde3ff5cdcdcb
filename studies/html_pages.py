"""Pieces of a self-contained HTML page: text and tables from Markdown, files as data URIs."""

import base64
import gzip
import re
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

__all__ = ["data_uri", "download", "from_markdown", "inline", "picture", "scrolling", "size_text", "table"]

_TYPES = {".png": "image/png", ".csv": "text/csv", ".json": "application/json", ".gz": "application/gzip"}
_DENSITY = 2  # pixels of a picture to one of a page: studies draw at 200 dpi, a screen has about 96
_PLAIN = 50_000  # bytes; what is larger is gzipped, which takes rows and summaries to a tenth
_INTERVAL = re.compile(r"[+-]?\d[\d.,e+]*( \w+)? \[[^\]<]*\]")
_MARKS = (
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![*\w])\*(?=\S)([^*]+?)(?<=\S)\*(?![*\w])"), r"<em>\1</em>"),
    (re.compile(r"&lt;br ?/?&gt;"), "<br>"),
    (_INTERVAL, r'<span class="interval">\g<0></span>'),
)
_RULE = re.compile(r"[\s|:-]+")


# ---------------------------------------------------------------- text


def inline(text: str) -> str:
    """Text with Markdown's bold, emphasis and code, and ``<br>``; all else that HTML would interpret is escaped.

    Estimates with their intervals become spans of class "interval", so that a page can keep them together.

    Args:
        text: one paragraph or cell.

    Returns:
        HTML.

    Example:
        >>> inline("**+1.2** <br> `a < b`, *matched*, <script>")
        '<strong>+1.2</strong> <br> <code>a &lt; b</code>, <em>matched</em>, &lt;script&gt;'
        >>> inline("+1.2 [0.1, 2.3]")
        '<span class="interval">+1.2 [0.1, 2.3]</span>'
    """
    pieces = escape(text).split("`")
    if len(pieces) % 2 == 0:  # a lone backtick is a backtick
        pieces[-2:] = ["`".join(pieces[-2:])]
    return "".join(f"<code>{piece}</code>" if n % 2 else _marked(piece) for n, piece in enumerate(pieces))


def _marked(text: str) -> str:
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    return text


def from_markdown(text: str, top: int = 3) -> str:
    r"""Headings, lists, tables and paragraphs; a study's report has nothing else.

    Args:
        text: Markdown.
        top: level in the page of the highest heading in the text.

    Returns:
        HTML; wide tables scroll by themselves.

    Example:
        >>> from_markdown("## digits\n\n- one\n- *two*")
        '<h3>digits</h3>\n<ul><li>one</li><li><em>two</em></li></ul>'
    """
    levels = [len(line) - len(line.lstrip("#")) for line in text.splitlines() if _kind(line) == "heading"]
    down = top - min(levels, default=top)
    blocks: list[str] = []
    title = "Table"
    for kind, group in groupby(text.splitlines(), _kind):
        lines = [line.strip() for line in group]
        if kind == "heading":
            for line in lines:
                title = line.lstrip("#").strip()
                level = min(6, len(line) - len(line.lstrip("#")) + down)
                blocks.append(f"<h{level}>{inline(title)}</h{level}>")
        elif kind == "list":
            items = "\n".join(lines).removeprefix("- ").split("\n- ")
            listed = [f"<li>{inline(' '.join(item.splitlines()))}</li>" for item in items]
            blocks.append(f"<ul>{''.join(listed)}</ul>")
        elif kind == "table":
            header, *rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
            blocks.append(scrolling(table(header, rows), title))
        elif kind == "text":
            blocks.append(f"<p>{inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _kind(line: str) -> str:
    """What block a line belongs to; a list's item goes on in indented lines."""
    if not line.strip():
        return "blank"
    starts = {"|": "table", "- ": "list", "  ": "list", "#": "heading"}
    return next((kind for start, kind in starts.items() if line.startswith(start)), "text")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; the first cell of a row is its heading.

    Args:
        header: column titles, with Markdown's inline marks.
        rows: cells, likewise.

    Returns:
        HTML.
    """
    head = "".join(f'<th scope="col">{inline(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{inline(row[0])}</th>{"".join(f"<td>{inline(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def scrolling(content: str, label: str) -> str:
    """Content that is wider than a phone: it scrolls sideways, by keys too.

    Args:
        content: HTML.
        label: what it is, for those who hear the page.

    Returns:
        HTML.
    """
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{content}</div>'


# ---------------------------------------------------------------- files


def data_uri(content: bytes, name: str) -> str:
    """A file inside the page.

    Args:
        content: its bytes.
        name: its name; the ending says what it is.

    Returns:
        URI.

    Example:
        >>> data_uri(b"a,b", "rows.csv")
        'data:text/csv;base64,YSxi'
    """
    return f"data:{_TYPES[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"


def download(path: Path) -> str:
    """A link that saves a file; large ones are gzipped.

    Args:
        path: .csv or .json.

    Returns:
        HTML.
    """
    content, name = path.read_bytes(), path.name
    if len(content) > _PLAIN:
        content, name = gzip.compress(content, mtime=0), f"{name}.gz"
    uri = data_uri(content, name)
    return f'<a href="{uri}" download="{escape(name)}">{escape(name)}</a> ({size_text(len(content))})'


def picture(path: Path, alt: str) -> str:
    """A PNG file inside the page, with its size, so that nothing moves while it is decoded.

    Args:
        path: .png.
        alt: what it shows, in words.

    Returns:
        HTML.

    Raises:
        ValueError: not a PNG file.
    """
    content = path.read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR":
        raise ValueError(f"{path}: not a PNG picture; run its study again")
    width, height = (int.from_bytes(content[at : at + 4], "big") // _DENSITY for at in (16, 20))
    uri = data_uri(content, path.name)
    return f'<img src="{uri}" alt="{escape(alt)}" width="{width}" height="{height}">'


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
