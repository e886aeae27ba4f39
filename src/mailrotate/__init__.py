"""Send multi-step outreach from one mailbox or rotated over many."""

__version__ = "0.1.0"
