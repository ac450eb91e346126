"""A page of results that is remade one section at a time."""

import re

from etils import epath


def write_section(path: epath.PathLike, name: str, text: str) -> None:
    """Replaces a section of a Markdown page, or adds it at the end.

    Args:
      path: the page, created if it is not there.
      name: of the section, which comments in the page mark.
      text: Markdown.
    """
    page = epath.Path(path)
    before = page.read_text() if page.exists() else ""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if marked.search(before):
        after = marked.sub(lambda _: section, before)
    else:
        after = f"{before.rstrip()}\n\n{section}\n".lstrip()
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(after)
