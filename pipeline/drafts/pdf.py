"""A draft on paper: the status stands at the head of every page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape  # nosec # B406: writes, parses nothing

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

from pipeline.drafts import chart
from pipeline.drafts.record import Draft
from pipeline.drafts.render import cited, stamp, title
from pipeline.errors import PipelineError

_MARGIN = 18 * mm
# Every reader has it, but it knows Western European letters only.
_STANDARD = "Helvetica"


def pdf(draft: Draft, font: Path | None = None) -> bytes:
    """font: a TrueType file for other scripts. Letters that the font lacks become `?`, and that is said.

    Raises PipelineError where the font cannot be used.
    """
    face = _face(font)
    missing = False

    def fit(text: str) -> str:
        nonlocal missing
        if font is not None:
            return escape(text)
        kept = text.encode("cp1252", "replace").decode("cp1252")
        missing |= kept != text
        return escape(kept)

    body = ParagraphStyle("body", fontName=face, fontSize=9.5, leading=13, spaceAfter=3)
    head = ParagraphStyle(
        "head", parent=body, fontSize=11.5, leading=15, spaceBefore=8, textColor=HexColor("#003050")
    )
    top = ParagraphStyle("top", parent=head, fontSize=15, leading=19)
    story: list[Any] = [Paragraph(fit(title(draft)), top)]
    about = f"Draft {draft.id}, version {draft.version}, {draft.status}, made at {draft.created}."
    story += [Paragraph(fit(about), body), Spacer(1, 6), _drawing(draft, face, fit), Spacer(1, 4)]
    for section in draft.sections:
        story.append(Paragraph(fit(section.title), head))
        for one in section.statements:
            story.append(Paragraph(fit(f"{one.text}{cited(one)} ({one.origin})"), body))
        if not section.statements:
            story.append(
                Paragraph(
                    f"<i>{fit(f'Empty: {section.reason}.')}</i>"
                    if font is None
                    else fit(f"Empty: {section.reason}."),
                    body,
                )
            )
    for name, lines in (
        ("Sources", [f"[{one.id}] {one.title}: {one.source}" for one in draft.sources]),
        ("Notes", list(draft.notes)),
    ):
        if lines:
            story.append(Paragraph(name, head))
            story += [Paragraph(fit(line), body) for line in lines]
    if missing:
        story.append(
            Paragraph("Letters shown as ? are not in this file's font; the record itself has them.", body)
        )
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=24 * mm, bottomMargin=16 * mm,
        title=title(draft), author=draft.provenance.program, subject=stamp(draft), invariant=1,
    )  # fmt: skip

    def page(canvas: Any, _document: Any) -> None:
        canvas.saveState()
        canvas.setFont(face, 9)
        canvas.setFillColor(HexColor("#B00020"))
        canvas.drawString(_MARGIN, A4[1] - 14 * mm, stamp(draft))
        canvas.drawRightString(A4[0] - _MARGIN, A4[1] - 14 * mm, f"page {canvas.getPageNumber()}")
        canvas.restoreState()

    document.build(story, onFirstPage=page, onLaterPages=page)
    return file.getvalue()


def _face(font: Path | None) -> str:
    if font is None:
        return _STANDARD
    try:
        pdfmetrics.registerFont(TTFont("record", str(font)))
    except (TTFError, OSError) as why:
        raise PipelineError(
            f"{font}: no TrueType font that can be used: {str(why).splitlines()[0]}"
        ) from None
    return "record"


def _drawing(draft: Draft, face: str, fit: Any) -> Drawing:
    """The chart of `chart.svg`; here positions count upwards."""
    scale = (A4[0] - 2 * _MARGIN - 12) / chart.WIDTH
    drawing = Drawing(chart.WIDTH * scale, chart.HEIGHT * scale)
    drawing.scale(scale, scale)
    x, colour, height = chart.horizontal(draft), chart.colours(draft), chart.HEIGHT
    for label, start, end in draft.curve.stretches:
        drawing.add(
            Rect(x(start), height - chart.TOP - chart.STRIP, max(x(end) - x(start), 0.5), chart.STRIP,
                 fillColor=HexColor(colour[label]), strokeWidth=0)
        )  # fmt: skip
    for p in (0.0, 0.5, 1.0):
        y = height - chart.vertical(p)
        drawing.add(Line(chart.LEFT, y, chart.WIDTH - chart.RIGHT, y, strokeColor=HexColor("#CCCCCC")))
        drawing.add(String(4, y - 4, f"{100 * p:.0f} %", fontName=face, fontSize=11))
    points = [value for at, p in draft.curve.points for value in (x(at), height - chart.vertical(p))]
    if len(points) >= 4:
        drawing.add(PolyLine(points, strokeColor=HexColor(colour[draft.episode.label]), strokeWidth=2))
    at = chart.LEFT
    for label, fill in colour.items():
        drawing.add(Rect(at, 4, 10, 10, fillColor=HexColor(fill), strokeWidth=0))
        drawing.add(String(at + 14, 5, fit(label or "no label"), fontName=face, fontSize=11))
        at += 24 + 7 * len(label or "no label")
    return drawing
