"""The pages of the link that ends mails."""

from __future__ import annotations

import html
from typing import Annotated, Literal

from pydantic import StringConstraints

from functions.tasks.models import Input, Page


class Unsubscribe(Input):
    """`action` follows from the verb (GET ask, POST unsubscribe) unless given: mail scanners open every link, so
    only a POST acts (RFC 8058 section 3.1)."""

    action: Literal["ask", "unsubscribe"] = "unsubscribe"
    token: Annotated[str, StringConstraints(max_length=2000)]


def asking_page(what: str) -> Page:
    """Asks for a click; the form posts to the page's own address, which has the token."""
    form = '<form method="post"><button>Unsubscribe</button></form>'
    return _page(f"<p>No longer send {html.escape(what)}?</p>{form}")


def done_page(what: str) -> Page:
    return _page(f"<p>Done: you no longer get {html.escape(what)}.</p>")


def _page(content: str) -> Page:
    return Page(
        html='<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tickler</title>'
        '<meta name="viewport" content="width=device-width"></head>'
        '<body style="font-family: sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem">'
        f"{content}</body></html>"
    )
