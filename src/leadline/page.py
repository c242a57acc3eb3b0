"""One HTML page of pictures, tables and figures that opens anywhere: no script, nothing from the network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.io.atomic import writing
from leadline.io.images import write_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --text: #1d2330; --quiet: #5d6678; --back: #fbfaf7; --card: #ffffff; --line: #e2dfd6;
  --accent: #b4442f; --code: #f1eee6; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e4dd; --quiet: #9aa1ad; --back: #15171b; --card: #1d2026;
  --line: #31353d; --accent: #ff8a66; --code: #262a31; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0 1rem; max-width: 46rem; }
p.lead { font-size: 1.1rem; color: var(--quiet); }
figure { margin: 1rem 0; }
figure img, figure video { max-width: 100%; height: auto; border-radius: 6px; display: block; }
figure.plot { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }
figure.plot img { width: 100%; max-width: 820px; }
figure.plot figcaption { color: #5d6678; }
figcaption { color: var(--quiet); font-size: .9rem; margin-top: .4rem; max-width: 46rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; }
.facts b { display: block; font-size: 1.5rem; color: var(--accent); font-variant-numeric: tabular-nums; }
.facts span { font-size: .85rem; color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; margin: 1rem 0; }
th, td { padding: .4rem .9rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.best td { font-weight: 700; }
pre { background: var(--code); border-radius: 6px; padding: .8rem 1rem; white-space: pre-wrap; font-size: .88rem; }
"""


class Page:
    """A page in the making; everything is added at its end.

    Args:
        folder: where ``index.html`` and its pictures go.
        title: of the page.
        lead: a sentence or two under it.
    """

    def __init__(self, folder: Path, title: str, lead: str) -> None:
        self.folder, self.title = folder, title
        self._parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{html.escape(lead)}</p>']

    def heading(self, text: str) -> None:
        """A section begins."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """A row of figures, each with what it is."""
        cells = (f"<div><b>{html.escape(value)}</b><span>{html.escape(what)}</span></div>" for value, what in facts)
        self._parts.append(f'<div class="facts">{"".join(cells)}</div>')

    def command(self, lines: str) -> None:
        """What to type."""
        self._parts.append(f"<pre><code>{html.escape(lines)}</code></pre>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], best: int | None = None) -> None:
        """Rows of text under a head; row number ``best`` stands out."""
        lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        marked = (f'<tr class="best">{line}</tr>' if number - 1 == best else f"<tr>{line}</tr>"
                  for number, line in enumerate(lines))  # fmt: skip
        self._parts.append(f'<div class="wide"><table>{"".join(marked)}</table></div>')

    def picture(self, name: str, image: np.ndarray, caption: str) -> None:
        """A picture (H, W, 3) uint8, kept as ``pictures/name``."""
        write_image(self.folder / "pictures" / name, image)
        self._figure(f'<img src="pictures/{name}" alt="{html.escape(caption)}" loading="lazy">', caption)

    def video(self, path: Path, caption: str) -> None:
        """A video file that lies in the page's folder, shown in a loop."""
        source = html.escape(path.relative_to(self.folder).as_posix())
        self._figure(f'<video src="{source}" autoplay loop muted playsinline controls></video>', caption)

    def plot(self, name: str, figure: Figure, caption: str) -> None:
        """A matplotlib figure, kept as ``pictures/name`` (.svg)."""
        with writing(self.folder / "pictures" / name) as temporary:
            figure.savefig(temporary, bbox_inches="tight")
        self._figure(f'<img src="pictures/{name}" alt="{html.escape(caption)}">', caption, "plot")

    def _figure(self, inside: str, caption: str, kind: str = "picture") -> None:
        caption = f"<figcaption>{html.escape(caption)}</figcaption>"
        self._parts.append(f'<figure class="{kind}">{inside}{caption}</figure>')

    def write(self) -> Path:
        """The finished page."""
        with writing(self.folder / "index.html") as temporary:
            temporary.write_text(
                '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<title>{html.escape(self.title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
                + "\n".join(self._parts)
                + "\n</main></body></html>\n",
                encoding="utf-8",
            )
        return self.folder / "index.html"
