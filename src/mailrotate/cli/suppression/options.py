"""What several suppression commands take."""

from typing import Annotated

import typer

Value = Annotated[str, typer.Argument(metavar="ADDRESS|DOMAIN", help="An address, or everybody at a domain.")]
Reason = Annotated[str, typer.Option(help="Why, in a word.")]
