"""Turns a decoder's complaint into one line: the key, what was wrong, what is allowed."""

from __future__ import annotations

import difflib
import re

import msgspec
from msgspec import inspect

_UNKNOWN = re.compile(r"unknown field `(?P<key>.*)`", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<key>.*)`", re.DOTALL)
_BAD_VALUE = re.compile(r"^Invalid (?:enum )?value (?P<value>.*)$", re.DOTALL)
_PATTERN = re.compile(r"matching regex (?P<regex>'.*'|\".*\")", re.DOTALL)

_RULES = {
    "^[A-Za-z0-9_-]{1,64}": "letters, digits, '-' and '_', at most 64 of them",
    "^([A-Za-z0-9_-]": "a host name or an address",
    "^pseudo-": "a pseudonym: 'pseudo-' and then letters, digits, '-' or '_'",
}
_LONGEST = 80  # characters of a user's value that are repeated back


def one_line(text: str) -> str:
    """`text` without line breaks or control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shown(value: object) -> str:
    """A value as the user wrote it, short enough for one line."""
    try:
        text = one_line(repr(value))
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def explain(why: msgspec.ValidationError, raw: object, root: type, *, repeat: bool = True) -> str:
    """One line for a ValidationError raised while `raw` was converted to the struct `root`.

    repeat: whether it may repeat values and unknown keys; not where they may be about a person.
    """
    message, _, path = str(why).partition(" - at `$")
    steps = _steps(path.rstrip("`"))
    where = _dotted(steps) or "top level"
    if found := _UNKNOWN.search(message):
        allowed = _allowed(root, steps, raw)
        key = found["key"]
        told = f"{_join(_dotted(steps), key)}: unknown key" if repeat else f"{where}: has an unknown key"
        return f"{told}{_mean(key, allowed)}; allowed are {', '.join(allowed) or 'none'}"
    if found := _MISSING.search(message):
        return f"{_join(_dotted(steps), found['key'])}: is missing"
    value = _value(raw, steps)
    if _BAD_VALUE.match(message):
        allowed = _allowed(root, steps, raw)
        hint = _mean(value, allowed) if isinstance(value, str) else ""
        return f"{where}: {shown(value) if repeat else 'the value'} is not one of {', '.join(allowed)}{hint}"
    if not message.startswith("Expected"):  # a struct's own check, which says all there is to say
        return f"{where}: {one_line(message)}"
    rule = message[0].lower() + message[1:]
    if found := _PATTERN.search(message):
        for start, words in _RULES.items():
            if start in found["regex"]:
                rule = f"expected {words}"
    return f"{where}: {one_line(rule.replace('`', ''))}" + (f": got {shown(value)}" if repeat else "")


def _steps(path: str) -> list[str | int]:
    """`.stream[0].source.kind` as ["stream", 0, "source", "kind"]."""
    return [int(index) if index else key for key, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path)]


def _dotted(steps: list[str | int]) -> str:
    text = ""
    for step in steps:
        text = f"{text}[{step}]" if isinstance(step, int) else _join(text, step)
    return text


def _join(where: str, key: str) -> str:
    key = shown(key)[1:-1]
    return f"{where}.{key}" if where else key


def _mean(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def _value(raw: object, steps: list[str | int]) -> object:
    for step in steps:
        if isinstance(raw, dict):
            raw = raw.get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        else:
            return raw
    return raw


def _allowed(root: type, steps: list[str | int], raw: object) -> list[str]:
    """The keys of the struct at `steps`, or the values allowed there."""
    kind: inspect.Type = inspect.type_info(root)
    for depth, step in enumerate(steps):
        kind = _bare(kind, _value(raw, steps[:depth]))
        if isinstance(kind, inspect.ListType | inspect.VarTupleType):
            kind = kind.item_type
        elif isinstance(kind, inspect.StructType):
            if step == kind.tag_field:
                return [str(kind.tag)]
            fields = {field.encode_name: field.type for field in kind.fields}
            if step not in fields:
                return sorted(fields)
            kind = fields[str(step)]
        elif isinstance(kind, inspect.UnionType):  # the tag itself is wrong or missing
            return _tags(kind)
    kind = _bare(kind, _value(raw, steps))
    if isinstance(kind, inspect.StructType):
        tag = [kind.tag_field] if kind.tag_field else []
        return sorted([*tag, *(field.encode_name for field in kind.fields)])
    if isinstance(kind, inspect.LiteralType):
        return [str(value) for value in kind.values]
    return _tags(kind) if isinstance(kind, inspect.UnionType) else []


def _tags(kind: inspect.UnionType) -> list[str]:
    return [str(member.tag) for member in kind.types if isinstance(member, inspect.StructType)]


def _bare(kind: inspect.Type, value: object) -> inspect.Type:
    """Without metadata; of a union the member that `value` says it is."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        structs = [member for member in kind.types if isinstance(member, inspect.StructType)]
        for member in structs:
            if isinstance(value, dict) and member.tag_field and value.get(member.tag_field) == member.tag:
                return member
        rest = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        if len(rest) == 1:
            return _bare(rest[0], value)
    return kind
