"""Reports as HTML pages that need nothing else: templates and the style that they share."""

from typing import Any


def render_page(template: str, **values: Any) -> str:
    """Returns one HTML page; all text of users is escaped.

    Args:
        template: name of a file beside this one.
        values: what it may use.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = PackageLoader("seq2seq.evaluate", package_path="")
    page = Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return page.get_template(template).render(values)
