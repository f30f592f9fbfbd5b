"""What a mail says, as text and as HTML: what users wrote is always text in it, never markup and never a header."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Section:
    """Lines under a heading; an empty heading for none."""

    heading: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Mail:
    """A mail to one address. `key` names what it is about: the same key is the same mail, sent again.

    `unsubscribe_url` takes a POST that ends mails of this kind (RFC 8058); empty for none.
    """

    key: str
    to: str
    subject: str
    text: str
    html: str
    unsubscribe_url: str = field(default="")


def mail_of(
    *, key: str, to: str, subject: str, sections: Sequence[Section], footer: str = "", unsubscribe_url: str = ""
) -> Mail:
    """The same content in both forms."""
    text, markup = [], []
    for section in sections:
        lines = [one_line(line) for line in section.lines]
        if section.heading:
            text.append(section.heading)
            markup.append(f"<h2>{html.escape(section.heading)}</h2>")
            markup.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>")
            text += [f"- {line}" for line in lines]
        else:
            markup += [f"<p>{html.escape(line)}</p>" for line in lines]
            text += lines
        text.append("")
    link = f'<a href="{html.escape(unsubscribe_url)}">Unsubscribe</a>' if unsubscribe_url else ""
    if footer or link:
        markup.append(f"<hr><p><small>{html.escape(footer)} {link}</small></p>")
        text += ["-- ", footer, f"Unsubscribe: {unsubscribe_url}" if unsubscribe_url else ""]
    document = '<!doctype html><html><head><meta charset="utf-8"></head><body>' + "".join(markup) + "</body></html>"
    return Mail(key, to, one_line(subject)[:200], "\n".join(text).strip() + "\n", document, unsubscribe_url)


def one_line(text: str) -> str:
    """Text without line breaks and control characters, which could end a header or a line. What joins letters and
    emoji (category Cf) stays."""
    return " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") else c for c in text).split())
