"""Whether a source lets us in: one cheap call with the real client, no second attempt in vain."""

from typing import TYPE_CHECKING

from ingest.config import COMPANY, FILES, Settings, SourceRef, require_secret
from ingest.errors import ConfigurationError

if TYPE_CHECKING:
    from ingest.http import RetryPolicy


def check_access(ref: SourceRef, settings: Settings) -> str:
    """Return what was found behind a source, in words.

    Args:
        ref: Source and account label.
        settings: The settings of the home folder.

    Raises:
        IngestError: It is not configured, refuses us, does not answer, or its files are wrong.
    """
    if ref.name == "amocrm":
        return _amocrm(ref, settings)
    if ref.name == "yandex_direct":
        return _yandex_direct(ref, settings)
    if ref.name == "vk_ads":
        return _vk_ads(ref, settings)
    if ref.name == "yandex_metrica":
        return _yandex_metrica(ref, settings)
    if ref.name == FILES:
        return _files(ref, settings)
    if ref.name == COMPANY:
        return _company(settings)
    return "cannot be asked without a refresh"


def _amocrm(ref: SourceRef, settings: Settings) -> str:
    from ingest.sources.amocrm.client import AmocrmClient
    from ingest.sources.amocrm.settings import AmocrmSettings

    options = settings.options_of(ref, AmocrmSettings)
    client = AmocrmClient(ref, settings.home, options, policy=_impatient())
    try:
        account = client.get("account") or {}
    finally:
        client.close()
    return f"{options.url} lets us in (account {account.get('id', 'unknown')})"


def _yandex_direct(ref: SourceRef, settings: Settings) -> str:
    from ingest.sources.yandex_direct.client import DirectClient
    from ingest.sources.yandex_direct.settings import YandexDirectSettings

    options = settings.options_of(ref, YandexDirectSettings)
    token = require_secret(settings.home, ref, "token")
    with DirectClient(options, token=token, account=str(ref), policy=_impatient()) as client:
        campaigns = client.campaigns()
    return f"{options.url} lets us in ({len(campaigns)} campaigns)"


def _vk_ads(ref: SourceRef, settings: Settings) -> str:
    from ingest.sources.vk_ads.client import VkAdsClient
    from ingest.sources.vk_ads.settings import VkAdsSettings

    options = settings.options_of(ref, VkAdsSettings)
    with VkAdsClient(ref, settings.home, options, policy=_impatient()) as client:
        return f"{options.url} lets us in ({client.count_plans()} ad plans)"


def _yandex_metrica(ref: SourceRef, settings: Settings) -> str:
    from ingest.sources.yandex_metrica.client import MetricaClient
    from ingest.sources.yandex_metrica.settings import YandexMetricaSettings

    options = settings.options_of(ref, YandexMetricaSettings)
    token = require_secret(settings.home, ref, "token")
    names = []
    for number in options.counter_id:
        with MetricaClient(
            options, number, token=token, account=str(ref), mark=b"", policy=_impatient()
        ) as client:
            names.append(str(client.counter().get("name") or number))
    if not names:
        raise ConfigurationError(
            "counter_id is missing",
            account=str(ref),
            action="Set VORONKA_YANDEX_METRICA_COUNTER_ID to the counter's number",
        )
    return f"{options.url} lets us in ({', '.join(names)})"


def _files(ref: SourceRef, settings: Settings) -> str:
    from ingest.sources.files import check_folders

    remarks = check_folders(ref, settings)
    return "; ".join(["the folders read well", *remarks])


def _company(settings: Settings) -> str:
    from ingest.sources.company import check_tables

    own = check_tables(settings.home.company_dir)
    return f"{len(own)} tables of the company" if own else "no tables of the company, defaults hold"


def _impatient() -> "RetryPolicy":
    from ingest.http import RetryPolicy

    return RetryPolicy(attempts=2, longest_wait_seconds=5.0)
