"""What is wrong with a page: every parse error of the HTML standard, and the rules of its elements that our pages use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from justhtml import JustHTML
from justhtml.dom import Element

MACHINE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?")
LABELLED = {"input", "select", "textarea", "meter", "output", "progress", "button"}
REFERENCES = ("aria-describedby", "aria-labelledby", "aria-controls", "aria-owns", "headers")
INLINE = {
    "a",
    "abbr",
    "b",
    "code",
    "em",
    "label",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "time",
    "kbd",
    "legend",
    "summary",
}
BLOCK = {
    "address",
    "article",
    "aside",
    "blockquote",
    "div",
    "dl",
    "fieldset",
    "form",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "ul",
}
INTERACTIVE = {"a", "button", "input", "select", "textarea", "details", "label"}
OBSOLETE = {"center", "font", "big", "tt", "marquee", "acronym", "strike"}


def errors(html: str) -> list[str]:
    """Everything wrong with a page, in words; empty for a valid one."""
    page = JustHTML(html, sanitize=False, collect_errors=True)
    wrong = [f"line {e.line}, column {e.column}: {e.code}" for e in page.errors]
    elements = list(_elements(page.root))
    ids = Counter(e.attrs["id"] for e in elements if "id" in e.attrs)
    wrong += [f"id {name!r} stands {count} times" for name, count in ids.items() if count > 1]
    wrong += [f"id {name!r} is empty or has a space" for name in ids if not name or re.search(r"\s", name)]
    kinds = {e.attrs["id"]: e.name for e in elements if "id" in e.attrs}
    for element in elements:
        wrong += _wrong(element, kinds)
    titles = [e for e in elements if e.name == "title" and e.namespace == "html"]
    wrong += [] if len(titles) == 1 and titles[0].to_text().strip() else ["the page has not one title"]
    return wrong


def _elements(node: object) -> Iterator[Element]:
    for child in getattr(node, "children", None) or []:
        if isinstance(child, Element):
            yield child
            yield from _elements(child)


def _wrong(e: Element, kinds: dict[str, str]) -> Iterator[str]:
    attrs = e.attrs
    if "for" in attrs and kinds.get(attrs["for"]) not in LABELLED:
        yield f"<{e.name} for={attrs['for']!r}> names no control"
    for name in REFERENCES:
        for target in (attrs.get(name) or "").split():
            if target not in kinds:
                yield f"{name}={target!r} names nothing"
    href = attrs.get("href") or ""
    if href.startswith("#") and href[1:] and href[1:] not in kinds:
        yield f"href={href!r} leads nowhere"
    if e.name == "time" and not MACHINE_TIME.fullmatch(attrs.get("datetime") or ""):
        yield f"<time> with datetime={attrs.get('datetime')!r}"
    for name in ("colspan", "rowspan"):
        if name in attrs and not re.fullmatch(r"[1-9]\d{0,2}", attrs[name] or ""):
            yield f"{name}={attrs[name]!r}"
    if e.name in OBSOLETE:
        yield f"<{e.name}> is obsolete"
    yield from _placed(e)


def _placed(e: Element) -> Iterator[str]:
    """Elements where they may not stand, and tables without cells."""
    parent = e.parent
    above = parent.name if isinstance(parent, Element) else ""
    if above in INLINE - {"a"} and e.name in BLOCK:
        yield f"<{e.name}> inside <{above}>"
    if e.name == "li" and above not in {"ul", "ol", "menu"}:
        yield f"<li> inside <{above}>"
    if above in {"ul", "ol"} and e.name != "li":
        yield f"<{e.name}> inside <{above}>"
    if above == "dl" and e.name not in {"dt", "dd", "div"}:
        yield f"<{e.name}> inside <dl>"
    if e.name == "tr" and not [c for c in e.children if isinstance(c, Element)]:
        yield "<tr> without cells"
    if e.name in INTERACTIVE - {"label"}:
        while isinstance(parent, Element):
            if parent.name in {"a", "button"}:
                yield f"<{e.name}> inside <{parent.name}>"
            parent = parent.parent
