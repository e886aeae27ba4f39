"""Certificates for the tests' servers, from an authority of our own that the test process trusts."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme


class TlsAuthority:
    """Issues certificates; `ca_file` is what a client names in SSL_CERT_FILE to trust them."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """For a server that is rightly called by one of these names; localhost and 127.0.0.1 by default."""
        return self._context(self._authority.issue_cert(*(hosts or ("localhost", "127.0.0.1", "::1"))))

    def expired_context(self) -> ssl.SSLContext:
        """The right name, but the certificate ended years ago."""
        begin, end = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
        return self._context(self._authority.issue_cert("localhost", not_before=begin, not_after=end))

    def certificate_files(self) -> tuple[Path, Path]:
        """Chain and key for the name localhost alone, for a server that is another process."""
        certificate = self._authority.issue_cert("localhost")
        chain, key = self._folder / "localhost.pem", self._folder / "localhost.key"
        for position, part in enumerate(certificate.cert_chain_pems):
            part.write_to_path(str(chain), append=position > 0)
        certificate.private_key_pem.write_to_path(str(key))
        return chain, key

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
