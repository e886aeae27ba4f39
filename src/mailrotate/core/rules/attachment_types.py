"""The media type of an attachment, by its file name: the same on every machine and every Python."""

import mimetypes

# Registered types (IANA) that `mimetypes` lacks in some Python, or knows by an older name.
_REGISTERED = {
    "7z": "application/x-7z-compressed",
    "avif": "image/avif",
    "csv": "text/csv",
    "doc": "application/msword",
    "docm": "application/vnd.ms-word.document.macroEnabled.12",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "dotx": "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gpx": "application/gpx+xml",
    "gz": "application/gzip",
    "heic": "image/heic",
    "heif": "image/heif",
    "ical": "text/calendar",
    "ics": "text/calendar",
    "ifb": "text/calendar",
    "json": "application/json",
    "key": "application/vnd.apple.keynote",
    "log": "text/plain",
    "m4a": "audio/mp4",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mp4": "video/mp4",
    "numbers": "application/vnd.apple.numbers",
    "odb": "application/vnd.oasis.opendocument.base",
    "odc": "application/vnd.oasis.opendocument.chart",
    "odf": "application/vnd.oasis.opendocument.formula",
    "odg": "application/vnd.oasis.opendocument.graphics",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "ott": "application/vnd.oasis.opendocument.text-template",
    "ots": "application/vnd.oasis.opendocument.spreadsheet-template",
    "otp": "application/vnd.oasis.opendocument.presentation-template",
    "p7s": "application/pkcs7-signature",
    "pages": "application/vnd.apple.pages",
    "pkpass": "application/vnd.apple.pkpass",
    "potx": "application/vnd.openxmlformats-officedocument.presentationml.template",
    "ppsx": "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    "pptm": "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rar": "application/vnd.rar",
    "rtf": "application/rtf",
    "tgz": "application/gzip",
    "vcard": "text/vcard",
    "vcf": "text/vcard",
    "webm": "video/webm",
    "webp": "image/webp",
    "xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xltx": "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
}
# Without this machine's own type files.
_KNOWN = mimetypes.MimeTypes()


def content_type_of(filename: str) -> str:
    """The type of a file of this name; `application/octet-stream` where it says nothing."""
    _, dot, ending = filename.rpartition(".")
    if dot and (registered := _REGISTERED.get(ending.lower())):
        return registered
    kind, packed = _KNOWN.guess_type(filename, strict=False)
    return (not packed and kind) or "application/octet-stream"
