"""The apostrophe by which a spreadsheet keeps a cell as text instead of reading it as a formula."""

# Characters that start a formula in a spreadsheet (https://owasp.org/www-community/attacks/CSV_Injection).
_BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# A value that begins with an apostrophe gets another one, so that reading takes away what writing added.
_ESCAPED = (*_BEGINS_FORMULA, "'")


def escape(text: str) -> str:
    """Prefix an apostrophe to a cell that a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(_ESCAPED) else text


def unescape(text: str) -> str:
    """Take away the apostrophe that `escape`, or a spreadsheet, has put before a cell."""
    return text[1:] if text.startswith("'") and text.startswith(_ESCAPED, 1) else text
