"""`python -m mailrotate` is `mailrotate`."""

from mailrotate.cli.main import main

main()
