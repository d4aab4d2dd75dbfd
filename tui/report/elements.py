"""HTML as a tree of elements, so that whatever comes from outside is escaped by how it is made. Pure."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from tui.core.safe_text import safe_text

Child = Element | str | None


def element(tag: str, *children: Child, **attributes: str | bool | None) -> Element:
    """Return an element; None is left out, `class_` is "class", `data_x` is "data-x", True an attribute's own name."""
    found = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip("_").replace("_", "-")
            found.set(key, key if value is True else value)
    for child in children:
        _append(found, child)
    return found


def _append(parent: Element, child: Child) -> None:
    if isinstance(child, str):
        text = safe_text(child)
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text
    elif child is not None:
        parent.append(child)


def document(root: Element) -> str:
    """Return a whole HTML document."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
