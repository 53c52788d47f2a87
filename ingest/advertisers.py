"""Which account id an advertiser's rows are stored under, when its settings were renamed."""

from collections.abc import Callable, Sequence

from ingest.config import Settings, SourceRef
from ingest.errors import ConfigurationError
from ingest.stored_state import StoredState


def stored_account_id(
    ref: SourceRef,
    settings: Settings,
    state: StoredState,
    *,
    table: str,
    record_ids: Sequence[str],
    name_of: Callable[[SourceRef], str],
) -> str:
    """Return the account id of an advertiser: the one its campaigns are stored under, else its own.

    The id comes from the settings, and a login set later is another id of the same advertiser:
    all its days would be stored, and its money counted, a second time. No two advertisers share a
    campaign's number, so the campaigns tell. Another client of the same agency has others.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.
        state: What earlier committed loads stored.
        table: The raw table of campaigns.
        record_ids: The campaigns that the advertiser shows now.
        name_of: Returns the account id that the settings give to an account of this source.

    Raises:
        ConfigurationError: Another enabled account reads this advertiser, or it is stored twice.
    """
    own = name_of(ref)
    holders = state.accounts_with(table, record_ids)
    former = sorted(holders - {own})
    if not former:
        return own
    enabled = [one for one in settings.enabled_sources if one.name == ref.name and one != ref]
    for other in enabled:
        if {other.label, name_of(other)} & set(former):
            raise ConfigurationError(
                f"reads the same advertiser as {other}: its money would count twice",
                account=str(ref),
                action="Give each account its own login and secrets, or take one out of sources",
            )
    if own in holders or len(former) > 1:
        names = ", ".join(sorted(holders))
        raise ConfigurationError(
            f"the same campaigns are stored under several names ({names}): their money would count"
            " more than once",
            account=str(ref),
            action="Load into a new home folder (VORONKA_HOME)",
        )
    return former[0]
