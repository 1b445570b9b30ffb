"""A draft for people: Markdown and HTML. Supplied text is escaped; nothing is loaded from anywhere."""

from __future__ import annotations

import re
from html import escape

from pipeline.drafts.chart import svg
from pipeline.drafts.record import Draft, Section, Statement

_STYLE = """
body{font:15px/1.5 sans-serif;max-width:46em;margin:4em auto 3em;padding:0 1em;color:#222}
.mark{position:fixed;top:0;left:0;right:0;background:#b00020;color:#fff;text-align:center;padding:.3em}
.signed{background:#00573f}
h2{font-size:1.05em;border-bottom:1px solid #ccc;margin:1.4em 0 .4em}
.why{color:#777;font-style:italic}.origin{color:#777;font-size:.8em}
table{border-collapse:collapse;font-size:.85em}td,th{padding:.15em .6em;text-align:left;border-bottom:1px
solid #eee} @media print{.mark{position:fixed}}
"""


def title(draft: Draft) -> str:
    return f"Record of {draft.subject}"


def stamp(draft: Draft) -> str:
    """What every page says: nobody may take an unsigned draft for a record."""
    return draft.label


def cited(statement: Statement) -> str:
    """Sources behind a statement, in brackets."""
    return f" [{', '.join(statement.guidance)}]" if statement.guidance else ""


def markdown(draft: Draft) -> str:
    mark = f"> **{plain(stamp(draft))}**"
    lines = [mark, "", f"# {plain(title(draft))}", "", plain(_about(draft)), ""]
    for section in draft.sections:
        lines += [f"## {plain(section.title)}", ""]
        if section.statements:
            lines += [f"- {plain(one.text + cited(one))} *({one.origin})*" for one in section.statements]
        else:
            lines.append(f"*Empty: {plain(section.reason)}.*")
        lines.append("")
    if draft.sources:
        lines += ["## Sources", ""]
        lines += [f"- {plain(f'[{one.id}] {one.title}: {one.source}')}" for one in draft.sources]
        lines.append("")
    if draft.notes:
        lines += ["## Notes", "", *(f"- {plain(note)}" for note in draft.notes), ""]
    return "\n".join([*lines, mark, ""])


def html(draft: Draft) -> str:
    signed = " signed" if draft.signature and draft.signature.decision != "reject" else ""
    mark = f'<div class="mark{signed}">{escape(stamp(draft))}</div>'
    body = [mark, f"<h1>{escape(title(draft))}</h1>", f"<p>{escape(_about(draft))}</p>", svg(draft)]
    body += [_section(section) for section in draft.sections]
    if draft.sources:
        rows = "".join(
            f"<tr><td>{escape(one.id)}</td><td>{escape(one.title)}</td><td>{escape(one.source)}</td></tr>"
            for one in draft.sources
        )
        body.append(f"<h2>Sources</h2><table>{rows}</table>")
    if draft.notes:
        body.append(f"<h2>Notes</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in draft.notes)}</ul>")
    body.append(
        f"<h2>Facts</h2><table><tr><th>fact</th><th>value</th><th>origin</th></tr>{_facts(draft)}</table>"
    )
    body.append(f"<p><strong>{escape(stamp(draft))}</strong></p>")
    head = f'<meta charset="utf-8"><title>{escape(title(draft))}</title><style>{_STYLE}</style>'
    # The policy holds even where an escape was forgotten: nothing runs, nothing is fetched.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head += f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _section(section: Section) -> str:
    if not section.statements:
        return f'<h2>{escape(section.title)}</h2><p class="why">Empty: {escape(section.reason)}.</p>'
    said = "".join(
        f'<p>{escape(one.text + cited(one))} <span class="origin">({one.origin})</span></p>'
        for one in section.statements
    )
    return f"<h2>{escape(section.title)}</h2>{said}"


def _facts(draft: Draft) -> str:
    return "".join(
        f"<tr><td>{escape(fact.name)}</td><td>{escape(fact.text)}</td><td>{fact.origin}</td></tr>"
        for fact in draft.facts
    )


def _about(draft: Draft) -> str:
    made = draft.provenance
    return (
        f"Draft {draft.id}, version {draft.version}, {draft.status}, made at {draft.created} by "
        f"{made.model} with {made.program}. Not a medical device; nothing here is a diagnosis."
    )


def plain(text: str) -> str:
    """Text that Markdown shows as it is, and in which no HTML can hide."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", " ".join(text.split()))
