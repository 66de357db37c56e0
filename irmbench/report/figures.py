"""The plots of a run inside its report: SVG that shares a page with others, its title and caption as text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"#([^)]+)")  # to an id, as in url(#id) and in href
LINE = 12.0  # points: room for a line of a title or a caption


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report: its file's name, its title and caption in words, its width in points, and its SVG."""

    name: str
    title: str
    caption: str
    width: float
    svg: str


def figures(folder: Path) -> list[ReportFigure]:
    """Return the figures of a folder's plots, the leaderboard first."""
    files = sorted(folder.glob("*.svg"), key=lambda file: (file.stem != "leaderboard", file.stem))
    return [inlined(file.stem, file.read_text(encoding="utf-8")) for file in files]


def inlined(name: str, svg: str) -> ReportFigure:
    """Return a figure of matplotlib's SVG, its ids made unique by the figure's name.

    The texts of the figure itself, rather than of its axes, are its title and then its caption. They are cut off, to be
    set by the page in letters that can be read aloud, selected and wrapped.
    """
    root = ET.fromstring(svg, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    left, top, width, height = (float(number) for number in root.attrib["viewBox"].split())
    texts = [child for child in root.iterfind(f"{SVG}g/{SVG}g") if child.get("id", "").startswith("text_")][:2]
    words = [_words(text) for text in texts] + ["", ""]
    bottom = height
    if len(texts) == 2:
        top, bottom = max(_baselines(texts[0])) + LINE / 2, min(_baselines(texts[1])) - LINE
    for text in texts:
        text[:] = text.iter(f"{SVG}defs")  # later texts use the letters that are defined here
    _strip(root, name)
    title = words[0] or name
    root.attrib = {"viewBox": f"{left:g} {top:g} {width:g} {bottom - top:g}", "role": "img", "aria-label": title}
    return ReportFigure(name, title, words[1], width, ET.tostring(root, encoding="unicode"))


def _words(text: ET.Element) -> str:
    """Return what a text says: matplotlib draws letters, and notes each line in a comment."""
    lines = "\n".join((line.text or "").strip() for line in text if callable(line.tag))
    joined = re.sub(r"(?<=\w-)\n", "", lines).replace("\n", " ")  # a word that was broken at its hyphen is whole again
    return html.unescape(joined).replace(r"\$", "$")


def _baselines(text: ET.Element) -> Sequence[float]:
    places = (re.match(r"translate\(\S+ (\S+)\)", of.get("transform", "")) for of in text.iterfind(f"{SVG}g"))
    return [float(place[1]) for place in places if place]


def _strip(root: ET.Element, name: str) -> None:
    """Leave out comments, metadata, styles and ids that nothing refers to, and name the others after the figure."""
    used = {found for of in root.iter() for value in of.attrib.values() for found in REFERENCE.findall(value)}
    for element in [*root.iter()]:
        element[:] = [child for child in element if child.tag not in (ET.Comment, f"{SVG}metadata", f"{SVG}style")]
        element.tag = str(element.tag).removeprefix(SVG)
        kept = {"href" if key == LINK else key: value for key, value in element.attrib.items()}
        kept = {key: value for key, value in kept.items() if key != "id" or value in used}
        element.attrib = {key: _renamed(key, value, name) for key, value in kept.items()}


def _renamed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    return REFERENCE.sub(rf"#{name}-\1", value) if key == "href" or value.startswith("url(#") else value
