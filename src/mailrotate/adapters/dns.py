"""Ask the DNS."""

import dns.exception
import dns.name
import dns.resolver

# Seconds for all tries together: a person is waiting for their mailbox to be connected.
_SECONDS = 5.0


def mail_exchangers(domain: str, resolver: dns.resolver.Resolver | None = None) -> list[str]:
    """Return the hosts that accept mail for a domain, most preferred first, without the final dot.

    Empty if there are none (also by a null MX, RFC 7505) or if no name server answers in time.
    """
    try:
        asked = resolver or dns.resolver.get_default_resolver()
        answer = asked.resolve(domain, "MX", lifetime=_SECONDS)
    except dns.exception.DNSException:
        return []
    by_preference = sorted((record.preference, record.exchange) for record in answer)
    return [host.to_text(omit_final_dot=True) for _, host in by_preference if host != dns.name.root]
