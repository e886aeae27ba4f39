"""Questions to the DNS."""

import dns.exception
import dns.name
import dns.resolver

# All tries together; a mailbox is being connected meanwhile, and somebody waits.
_SECONDS = 5.0


def mail_exchangers(domain: str, resolver: dns.resolver.Resolver | None = None) -> list[str]:
    """The hosts that take mail for a domain, the preferred first, without the final dot.

    Empty where there are none, also by a null MX (RFC 7505), and where nobody answers in time.
    """
    try:
        asked = resolver or dns.resolver.get_default_resolver()
        answer = asked.resolve(domain, "MX", lifetime=_SECONDS)
    except dns.exception.DNSException:
        return []
    by_preference = sorted((record.preference, record.exchange) for record in answer)
    return [host.to_text(omit_final_dot=True) for _, host in by_preference if host != dns.name.root]
