"""Options of several suppression commands."""

from typing import Annotated

import typer

Value = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS|DOMAIN",
        help="An address in any spelling, or a domain for all addresses at it and below it.",
    ),
]
Reason = Annotated[str, typer.Option(help="Why, in a word.")]
