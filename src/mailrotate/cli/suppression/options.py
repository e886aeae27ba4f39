"""Options of several suppression commands."""

from typing import Annotated

import typer

Value = Annotated[
    str, typer.Argument(metavar="ADDRESS|DOMAIN", help="An address, or a domain for all its addresses.")
]
Reason = Annotated[str, typer.Option(help="Why, in a word.")]
