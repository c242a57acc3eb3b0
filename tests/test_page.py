from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure

from leadline.page import Page


class Reader(HTMLParser):
    """What is on a page, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


def test_a_page_is_whole_and_holds_what_was_put_there(tmp_path):
    page = Page(tmp_path / "site", "Depth & <more>", "about")
    page.heading("One")
    page.text("a < b")
    page.facts([("0.1", "error")])
    page.command("leadline info 'x'")
    page.table(["", "AbsRel"], [["before", "0.5"], ["after", "0.1"]], best=1)
    page.picture("p.jpg", np.zeros((4, 6, 3), np.uint8), "black")
    figure = Figure((2, 1))
    figure.add_subplot().plot([1, 2])
    page.plot("c.svg", figure, "a line")
    video = tmp_path / "site" / "clip.mp4"
    video.write_bytes(b"")
    page.video(video, "moving")
    written = page.write()
    assert written == tmp_path / "site" / "index.html"
    reader = Reader()
    reader.feed(written.read_text())
    assert not reader.open
    assert {"Depth & <more>", "a < b", "leadline info 'x'", "0.5"} <= set(reader.said)
    assert reader.sources == ["pictures/p.jpg", "pictures/c.svg", "clip.mp4"]
    assert all((tmp_path / "site" / source).is_file() for source in reader.sources)
    assert written.read_text().count('class="best"') == 1
    assert '<tr class="best"><td>after</td>' in written.read_text()
