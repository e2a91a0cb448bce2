"""Reports as HTML pages that need nothing else: templates and the style that they share."""

from datetime import UTC, datetime
from typing import Any

from seq2seq import __version__


def render_page(template: str, **values: Any) -> str:
    """Returns one HTML page; all text of users is escaped.

    Args:
        template: name of a file beside this one.
        values: what it may use, beside `version` and `created`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = PackageLoader("seq2seq.evaluate", package_path="")
    page = Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return page.get_template(template).render(version=__version__, created=created, **values)
