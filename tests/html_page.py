"""A page as a browser takes it apart."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and all text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f" {data}"

    @property
    def words(self) -> str:
        """The text with single blanks."""
        return " ".join(self.text.split())

    def values(self, tag, attribute):
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]
