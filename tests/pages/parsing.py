"""A page as tests look at it."""

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "input", "img", "link", "br"}


class Page(HTMLParser):
    """Elements with their attributes, and the text that is seen; an unbalanced page is refused."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.code = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        if self.get_starttag_text().endswith("/>") and self._open[-1:] != [tag]:
            return  # of an element without content
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] in ("script", "style"):
            self.code += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self) -> list[str]:
        """All that the page loads or points at."""
        names = ("src", "href", "poster", "action", "data", "srcset")
        return [value for _, found in self.elements for n in names if (value := found.get(n))]
