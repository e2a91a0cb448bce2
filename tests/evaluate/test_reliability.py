"""The reliability diagram: well-formed, alone, and true to its numbers."""

import re
from xml.etree import ElementTree

from seq2seq.decode.confidence import reliability
from seq2seq.evaluate.reliability import reliability_svg


def test_the_diagram_shows_what_came_true() -> None:
    bins = reliability([0.04, 0.08, 0.55, 0.95], [0.1, 0.2, 0.5, 1.0])
    text = reliability_svg(bins, "Confidence of <b> & co")
    svg = ElementTree.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{name}rect")) == len(svg.findall(f"{name}circle")) == 3
    assert "0.06: 0.15 (2); 0.55: 0.50 (1); 0.95: 1.00 (1)" in svg.attrib["aria-label"]
    assert "Confidence of <b> & co" in svg.attrib["aria-label"]
    last = svg.findall(f"{name}circle")[-1]
    assert (float(last.attrib["cx"]), float(last.attrib["cy"])) == (60 + 340 * 0.95, 30)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|<script", text)
