"""A report's document as one HTML file that opens without a network: style, scripts and plotly.js stand within it.

Whatever comes from a search (names, reasons, paths) is escaped; and a policy in the page's head forbids it to load
anything from anywhere.
"""

from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from search.report.document import Block, Code, Document, Figures, Section, Table, Text

STYLE, SCRIPT = Path(__file__).with_name("page.css"), Path(__file__).with_name("page.js")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
FIGURE_OPTIONS = {"displaylogo": False, "responsive": True, "modeBarButtons": [["toImage", "resetScale2d"]]}
LONG = 24  # characters, of a cell that needs more than its longest word's width
COPY = '<button type="button" class="copy">copy</button>'


def page(document: Document) -> str:
    """The document as HTML."""
    figures = any(isinstance(block, Figures) for section in document.sections for block in section.blocks)
    links = "\n".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in document.sections)
    key_figures = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in document.key_figures.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(document.title)}</title>
<style>
{STYLE.read_text()}</style>
<script>{get_plotlyjs() if figures else ""}</script>
</head>
<body>
<header>
<h1>{escape(document.title)}</h1>
<p>{escape(document.summary)}</p>
<dl>
{key_figures}
</dl>
</header>
<nav aria-label="Contents">
{links}
</nav>
<main>
{"".join(_section(section) for section in document.sections)}</main>
<script>
{SCRIPT.read_text()}</script>
</body>
</html>
"""


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block, f"{section.anchor}-{n}") for n, block in enumerate(section.blocks))
    return f'<section id="{section.anchor}">\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>\n'


def _block(block: Block, name: str) -> str:
    if isinstance(block, Text):
        return ('<p class="note">' if block.is_note else "<p>") + escape(block.text) + "</p>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figures):
        return _figures(block, name)
    code = f'<div class="code"><pre><code>{escape(block.text.rstrip())}</code></pre>{COPY}</div>'
    return f"<details><summary>{escape(block.heading)}</summary>{code}</details>" if block.heading else code


def _table(table: Table) -> str:
    kinds = [_kind(table, column) for column in range(len(table.head))]
    cells = "".join(f"<th{kind}>{escape(cell)}</th>" for kind, cell in zip(kinds, table.head, strict=True))
    head = f"<thead><tr>{cells}</tr></thead>\n" if any(table.head) else ""
    rows = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f'<div class="table"><table>\n{head}<tbody>\n{rows}\n</tbody>\n</table></div>'


def _kind(table: Table, column: int) -> str:
    """Alignment of a column, as an attribute of its cells."""
    if table.is_numeric(column):
        return ' class="number"'
    return ' class="long"' if any(isinstance(c, str) and len(c) > LONG for c in table.column(column)) else ""


def _cell(cell: str | Code) -> str:
    if isinstance(cell, Code):
        return f'<span class="command">{COPY}<code>{escape(cell.text)}</code></span>'
    return escape(cell)


def _figures(block: Figures, name: str) -> str:
    drawn = "\n".join(
        f'<div style="min-width: {block.needs}px">'
        + figure.to_html(
            config=FIGURE_OPTIONS | {"displayModeBar": "hover" if len(block.figures) == 1 else False},
            include_plotlyjs=False,
            full_html=False,
            div_id=f"{name}-{n}",
        )
        + "</div>"
        for n, figure in enumerate(block.figures)
    )
    kind = "figures several" if len(block.figures) > 1 else "figures"
    return f'<div class="{kind}">\n{drawn}\n</div>'
