"""Read who sends for a campaign, and how its senders rotate, from its file (D2, E2)."""

from collections.abc import Mapping, Sequence

from mailrotate.core.rules.rotation import HIGHEST_WEIGHT, is_weight
from mailrotate.core.rules.toml_table import Table, kind_of
from mailrotate.core.values.states import Rotation

_WEIGHTS = 'weights = { "anna@example.org" = 3, "ben@example.org" = 1 }'


def read_senders(table: Table) -> tuple[str, ...]:
    alone = table.values.get("from")
    written = [alone] if isinstance(alone, str) else table.texts("from", "anna@example.org")
    known = [table.address("from", address) for address in written]
    addresses = [address for address in known if address is not None]
    for address in sorted({address for address in addresses if addresses.count(address) > 1}):
        table.add("from", f"{address} is named more than once")
    return tuple(dict.fromkeys(addresses))


def read_rotation(table: Table) -> Rotation | None:
    if "rotate" not in table.values:
        return None
    # An unknown word counts as weighted, so that weights are no second mistake.
    return Rotation(table.choice("rotate", [str(kind) for kind in Rotation], Rotation.WEIGHTED))


def read_weights(table: Table, senders: Sequence[str], rotate: Rotation | None) -> Mapping[str, int]:
    written = table.values.get("weights", {})
    if not isinstance(written, dict):
        table.add("weights", f"must be a table, not {kind_of(written)}; write {_WEIGHTS}")
        return {}
    if written and rotate not in (None, Rotation.WEIGHTED):
        table.add("weights", f'belong to rotate = "{Rotation.WEIGHTED}", not to "{rotate}"')
    weights: dict[str, int] = {}
    for name, weight in written.items():
        address = table.address("weights", name)
        if not is_weight(weight):
            table.add("weights", f"{name}: {weight!r} is not a whole number from 1 to {HIGHEST_WEIGHT}")
        elif address is not None and senders and address not in senders:
            table.add("weights", f"{address} has a weight but is not in 'from'")
        elif address is not None:
            weights[address] = weight
    return weights
