"""amoCRM's protocol: credentials, what each answer means, pages, and lists that move while read."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from ingest.config import Home, SourceRef, read_secret
from ingest.errors import (
    AuthenticationError,
    ConfigurationError,
    RateLimitError,
    SourceContractError,
    UnreachableError,
)
from ingest.http import ApiClient, RateLimiter, RetryPolicy, Verdict, is_html
from ingest.records import Record
from ingest.sources.amocrm.settings import AmocrmSettings
from ingest.tokens import StoredToken, TokenPair, json_object

_READS_OF_A_MOVING_LIST = 4
_REFRESH_ATTEMPTS = 3
_IP_NOT_ALLOWED = 113


def classifier(account: str) -> Callable[[httpx.Response], Verdict]:
    """Return what amoCRM's answers mean.

    Args:
        account: Source and label for messages.
    """

    def classify(response: httpx.Response) -> Verdict:
        status = response.status_code
        if response.is_success:
            return Verdict("ok")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return Verdict("slow_down")
        if status == httpx.codes.FORBIDDEN:
            return _classify_forbidden(response, account)
        if status == httpx.codes.UNAUTHORIZED:
            return Verdict("unauthorized", error=token_refused(account))
        if status == httpx.codes.PAYMENT_REQUIRED:
            return Verdict(
                "fatal",
                error=AuthenticationError(
                    "the amoCRM subscription has ended", account=account, action="Prolong it"
                ),
            )
        if status == httpx.codes.REQUEST_TIMEOUT or response.is_server_error:
            return Verdict("retry")
        if response.is_redirect:
            return Verdict(
                "fatal",
                error=SourceContractError(
                    "the address redirects elsewhere",
                    account=account,
                    action="Put the account's present address into the setting url",
                ),
            )
        return Verdict(
            "fatal",
            error=SourceContractError(
                f"GET {response.request.url.path} answered {status}{_detail(response)}",
                account=account,
            ),
        )

    return classify


def _classify_forbidden(response: httpx.Response, account: str) -> Verdict:
    # The web server in front answers 403 in HTML to an account that was too fast for too long.
    # The token is as good as before.
    if is_html(response) or "json" not in response.headers.get("content-type", ""):
        return Verdict("slow_down")
    body = json_object(response)
    if body.get("code") == _IP_NOT_ALLOWED or "113" in str(body.get("detail", "")):
        return Verdict(
            "fatal",
            error=AuthenticationError(
                "amoCRM's list of allowed IP addresses lacks this machine",
                account=account,
                action="Add its address in the account's security settings",
            ),
        )
    return Verdict(
        "fatal",
        error=AuthenticationError(
            f"the token's owner may not read {response.request.url.path}",
            account=account,
            action="Make the token as an administrator of the account",
        ),
    )


def token_refused(account: str) -> AuthenticationError:
    """Return the error of a token that is expired, revoked or wrong.

    Args:
        account: Source and label for messages.
    """
    return AuthenticationError(
        "amoCRM does not accept the token (expired, revoked, or of another account)",
        account=account,
        action="Make a new long-lived token in the integration's settings and store it",
    )


def _detail(response: httpx.Response) -> str:
    body = json_object(response)
    parts = [str(body[key]) for key in ("title", "detail", "hint") if body.get(key)]
    for problem in body.get("validation-errors") or ():
        parts += [f"{one.get('path')}: {one.get('detail')}" for one in problem.get("errors", ())]
    return f" ({'; '.join(parts)[:300]})" if parts else ""


class LongLivedToken:
    """A token of a private integration: nothing to renew."""

    def __init__(self, token: str, account: str) -> None:
        self._token = token
        self._account = account

    def headers(self) -> Mapping[str, str]:
        """Return the header that carries the token."""
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> None:
        """Refuse: only a person can make a new one.

        Raises:
            AuthenticationError: Always.
        """
        raise token_refused(self._account)


class RotatingToken(StoredToken):
    """OAuth with a refresh token that works once.

    Two processes that trade the same one in, or a crash after the answer, would lose the chain,
    and a person would have to give consent again.
    """

    def __init__(
        self,
        base_url: str,
        store: Path,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        redirect_uri: str,
        account: str,
        on_request: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Look at the store; nothing is sent yet.

        Args:
            base_url: The account's address.
            store: The file that keeps the newest pair.
            client_id: Of the integration.
            client_secret: Of the integration.
            refresh_token: From the last consent.
            redirect_uri: As in the integration's settings.
            account: Source and label for messages.
            on_request: Called before each request for a token.
            clock: Replaced in tests.
            sleep: Replaced in tests.
        """
        super().__init__(
            store,
            consent=refresh_token,
            account=account,
            if_lost="give consent again and store the new refresh_token: the old pair is used up",
            on_request=on_request,
            clock=clock,
        )
        self._url = f"{base_url}/oauth2/access_token"
        self._client_id = client_id
        self._client_secret = client_secret
        self._first_refresh_token = refresh_token
        self._redirect_uri = redirect_uri
        self._sleep = sleep

    def _obtained(self, stored: TokenPair | None) -> TokenPair:
        token = stored.refresh_token if stored is not None else self._first_refresh_token
        pause = RetryPolicy().first_pause_seconds
        for attempt in range(1, _REFRESH_ATTEMPTS + 1):
            # No answer may mean that the new pair is lost; asking again with the old token finds it
            # out and harms nothing.
            try:
                response = self._asked(token)
            except (UnreachableError, RateLimitError):
                if attempt == _REFRESH_ATTEMPTS:
                    raise
            else:
                if not is_html(response):
                    break
            self._sleep(pause * 2 ** (attempt - 1))
        if not response.is_success:
            lost = ", or the answer that brought the next one was lost" if attempt > 1 else ""
            raise AuthenticationError(
                f"the refresh token was used before, revoked or is too old{lost}"
                f" (answer {response.status_code})",
                account=self._account,
                action="Give consent again in amoCRM and store the new refresh_token",
            )
        try:
            return self._pair_of(json_object(response))
        except (KeyError, TypeError, ValueError):
            raise SourceContractError(
                "the token refresh answered no token pair", account=self._account
            ) from None

    def _asked(self, token: str) -> httpx.Response:
        return self._ask(
            self._url,
            json={
                "client_id": self._client_id,
                "client_secret": self._client_secret,
                "grant_type": "refresh_token",
                "refresh_token": token,
                "redirect_uri": self._redirect_uri,
            },
        )


def token_for(
    ref: SourceRef,
    home: Home,
    options: AmocrmSettings,
    *,
    on_request: Callable[[], None] | None = None,
) -> LongLivedToken | RotatingToken:
    """Return the credentials that the secrets allow; a long-lived token wins.

    Args:
        ref: Source and account label.
        home: The home folder.
        options: The account's options.
        on_request: Called before each request for a token.

    Raises:
        ConfigurationError: Neither a token nor the three secrets of OAuth are given.
    """
    token = read_secret(home, ref, "token")
    if token:
        return LongLivedToken(token, str(ref))
    names = ("client_id", "client_secret", "refresh_token")
    secrets = {name: read_secret(home, ref, name) for name in names}
    if not any(secrets.values()):
        prefix = "SOURCES__AMOCRM" if str(ref) == ref.name else f"SOURCES__AMOCRM__{ref.label}"
        raise ConfigurationError(
            "no amoCRM token is given",
            account=str(ref),
            action=f"Set {prefix.upper()}__TOKEN to the integration's long-lived token",
        )
    missing = [name for name, value in secrets.items() if not value]
    if missing:
        raise ConfigurationError(
            f"OAuth needs also {', '.join(missing)}", account=str(ref), action="Set all three"
        )
    return RotatingToken(
        options.url,
        home.secrets_dir / f"{ref.name}_{ref.label}.json",
        client_id=secrets["client_id"] or "",
        client_secret=secrets["client_secret"] or "",
        refresh_token=secrets["refresh_token"] or "",
        redirect_uri=options.redirect_uri,
        account=str(ref),
        on_request=on_request,
    )


class AmocrmClient:
    """Pages of amoCRM's lists."""

    def __init__(
        self,
        ref: SourceRef,
        home: Home,
        options: AmocrmSettings,
        *,
        policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Read the secrets; nothing is sent yet.

        Args:
            ref: Source and account label.
            home: The home folder.
            options: The account's options.
            policy: How long to stay patient.
            sleep: Replaced in tests.

        Raises:
            ConfigurationError: The address or the secrets are missing.
        """
        self.account = str(ref)
        if not options.url:
            raise ConfigurationError(
                "the account's address is not set",
                account=self.account,
                action=f"Set url under [source.amocrm.{ref.label}], or VORONKA_AMOCRM_URL",
            )
        limiter = RateLimiter(options.requests_per_second, sleep=sleep)
        token = token_for(ref, home, options, on_request=limiter.count_in)
        self.api = ApiClient(
            f"{options.url}/api/v4",
            account=self.account,
            limiter=limiter,
            classify=classifier(self.account),
            credentials=token.headers,
            renew_credentials=token.renew,
            policy=policy,
            read_timeout_seconds=options.read_timeout_seconds,
            sleep=sleep,
        )

    def close(self) -> None:
        """Close the connections."""
        self.api.close()

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        check: Callable[[dict[str, Any] | None], None] | None = None,
    ) -> dict[str, Any] | None:
        """Return one answer as an object, or None where there is nothing (204).

        Args:
            path: Below /api/v4, or a link from an answer.
            params: Query parameters.
            check: Raises SourceContractError on an answer that cannot be; it is asked for again.
        """

        def is_object(body: Any) -> None:
            if body is not None and not isinstance(body, dict):
                raise SourceContractError(
                    f"GET {path} answered no JSON object", account=self.account
                )
            if check is not None:
                check(body)

        body: dict[str, Any] | None = self.api.get_json(path, params, check=is_object)
        return body

    def page(
        self,
        path: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        check: Callable[[list[Record]], None] | None = None,
    ) -> tuple[list[Record], str | None]:
        """Return the rows of one page and the link to the next one, if the server gives one.

        The end is the missing link or a 204, never a short page: a clamped limit makes every page
        short.

        Args:
            path: Below /api/v4, or a link from an answer.
            name: The list's name inside `_embedded`.
            params: Query parameters.
            check: Raises SourceContractError on rows that cannot be; they are asked for again.
        """
        asked = _page_number(path, params)

        def is_page(body: dict[str, Any] | None) -> None:
            if body is None:
                return
            found = whole_number(body.get("_page"))
            if found is not None and found != asked:
                raise SourceContractError(
                    f"page {found} of {name} came where page {asked} was asked for",
                    account=self.account,
                    action="Run again; if it stays, tell the vendor",
                )
            rows = self._rows(body, name)
            if check is not None:
                check(rows)

        body = self.get(path, params, check=is_page)
        if body is None:
            return [], None
        links = body.get("_links")
        link = links.get("next") if isinstance(links, dict) else None
        href = link.get("href") if isinstance(link, dict) else link
        return self._rows(body, name), href or None

    def following_page(
        self,
        path: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        check: Callable[[list[Record]], None] | None = None,
    ) -> tuple[list[Record], str | None]:
        """Return a page that the one before announced; an empty one is asked for again.

        A 204 ends a list, and now and then comes where rows must follow. Believed, it would make
        the window complete, and its rows would never be asked for again.

        Args:
            path: Below /api/v4, or a link from an answer.
            name: The list's name inside `_embedded`.
            params: Query parameters.
            check: Raises SourceContractError on rows that cannot be; they are asked for again.
        """
        for _ in range(_READS_OF_A_MOVING_LIST):
            rows, link = self.page(path, name, params, check=check)
            if rows:
                break
        return rows, link

    def _rows(self, body: Mapping[str, Any], name: str) -> list[Record]:
        embedded = body.get("_embedded")
        # PHP writes a map without entries as a list.
        rows: Any = [] if embedded == [] else None
        if isinstance(embedded, dict):
            rows = embedded.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SourceContractError(
                f"an answer to GET {name} has no list {name}", account=self.account
            )
        return rows

    def pages(
        self,
        path: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        check: Callable[[list[Record]], None] | None = None,
    ) -> Iterator[list[Record]]:
        """Yield the pages of a list to its end; an empty one only where a link led to it.

        Args:
            path: Below /api/v4.
            name: The list's name inside `_embedded`.
            params: Query parameters of the first page; links repeat them.
            check: Raises SourceContractError on rows that cannot be; they are asked for again.

        Raises:
            SourceContractError: The links run in a circle.
        """
        before: list[str] = []

        def is_another_page(rows: list[Record]) -> None:
            if check is not None:
                check(rows)
            if rows and _ids(rows) == before:
                raise SourceContractError(
                    f"two pages of {name} hold the same rows", account=self.account
                )

        rows, link = self.page(path, name, params, check=is_another_page)
        seen_links: set[str] = set()
        while True:
            if rows or seen_links:
                yield rows
            if link is None:
                return
            if link in seen_links:
                raise SourceContractError(
                    f"the page links of {name} run in a circle", account=self.account
                )
            seen_links.add(link)
            before[:] = _ids(rows)
            rows, link = self.page(link, name, check=is_another_page)

    def settled_pages(
        self,
        path: str,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        id_of: Callable[[Record], str],
        may_shrink: bool = True,
        check: Callable[[list[Record]], None] | None = None,
    ) -> Iterator[list[Record]]:
        """Yield every row of a list that may move between pages, each id once.

        A row that leaves the list shifts the rest to the left, and the first row of the next page
        is skipped. So a list of several pages is read again until a whole read brings nothing new.
        A list that can only grow is read again only where a link led to nothing.

        Args:
            path: Below /api/v4.
            name: The list's name inside `_embedded`.
            params: Query parameters.
            id_of: The row's id.
            may_shrink: Whether rows can leave the list while it is read.
            check: Raises SourceContractError on rows that cannot be; they are asked for again.
        """
        seen: set[str] = set()
        for _ in range(_READS_OF_A_MOVING_LIST):
            page_count = new_count = 0
            has_gap = False
            shown: set[str] = set()
            for rows in self.pages(path, name, params, check=check):
                page_count += 1
                # A page of rows that this read has shown before stands where another one belongs.
                has_gap = has_gap or {id_of(row) for row in rows} <= shown
                shown.update(id_of(row) for row in rows)
                fresh = []
                for row in rows:
                    key = id_of(row)
                    if key not in seen:
                        seen.add(key)
                        fresh.append(row)
                new_count += len(fresh)
                if fresh:
                    yield fresh
            is_doubtful = has_gap or (may_shrink and page_count > 1)
            if not is_doubtful or new_count == 0:
                return

    def changed_rows(
        self,
        path: str,
        name: str,
        *,
        field: str,
        since: int,
        until: int,
        params: Mapping[str, Any],
        id_of: Callable[[Record], str],
    ) -> Iterator[list[Record]]:
        """Yield rows whose `field` lies in [since, until], oldest first, none skipped.

        The next request starts at the last second seen, not at the next page: a row edited
        meanwhile leaves the window for a later second and would shift a page. Pages are used only
        inside one second, and such a second is read until it brings nothing new.

        Args:
            path: Below /api/v4.
            name: The list's name inside `_embedded`.
            field: `updated_at`.
            since: First second.
            until: Last second.
            params: Other query parameters.
            id_of: The row's id.

        Raises:
            SourceContractError: The server ignores the filter or the order.
        """
        start = since
        at_start: set[str] = set()
        while True:
            window = self._range(field, start, until, params)
            obeys = self._obeys(field, start, until, name)
            ask = self.page if start == since else self.following_page
            rows, link = ask(path, name, window, check=obeys)
            moments = [int(row[field]) for row in rows]
            fresh = [row for row in rows if id_of(row) not in at_start]
            if fresh:
                yield fresh
            if link is None:
                return
            last = moments[-1] if moments else start
            if last > start:
                start = last
                at_start = {
                    id_of(row) for row, moment in zip(rows, moments, strict=True) if moment == last
                }
                continue
            one_second = self._range(field, start, start, params)
            at_start.update(id_of(row) for row in rows)
            obeys = self._obeys(field, start, start, name)
            for more in self.settled_pages(path, name, one_second, id_of=id_of, check=obeys):
                fresh = [row for row in more if id_of(row) not in at_start]
                if fresh:
                    yield fresh
            start += 1
            at_start = set()
            if start > until:
                return

    def _range(
        self, field: str, since: int, until: int, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            f"filter[{field}][from]": since,
            f"filter[{field}][to]": until,
            f"order[{field}]": "asc",
            **params,
        }

    def _obeys(
        self, field: str, since: int, until: int, name: str
    ) -> Callable[[list[Record]], None]:
        """Return a check that rows lie in the window and come in the order that was asked for."""

        def check(rows: list[Record]) -> None:
            before = since
            for row in rows:
                moment = whole_number(row.get(field))
                if moment is None or not before <= moment <= until:
                    raise SourceContractError(
                        f"{name} came outside the window or the order that was asked for",
                        account=self.account,
                        action='The filter package may be off: set filters = "off" here',
                    )
                before = moment

        return check

    def lies_in(
        self, field: str, since: int, until: int, name: str
    ) -> Callable[[list[Record]], None]:
        """Return a check that rows lie in the window that was asked for, in whatever order.

        Args:
            field: The row's time.
            since: First second.
            until: Last second.
            name: The list's name.
        """

        def check(rows: list[Record]) -> None:
            for row in rows:
                moment = whole_number(row.get(field))
                if moment is None or not since <= moment <= until:
                    raise SourceContractError(
                        f"{name} came outside the window that was asked for",
                        account=self.account,
                        action="Tell the maintainers: the API changed",
                    )

        return check


def whole_number(value: object) -> int | None:
    """Return a whole number that came as a number or as text, else None.

    Args:
        value: Of a field that is documented as a number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    return None


def _ids(rows: list[Record]) -> list[str]:
    return [str(row.get("id", row.get("uid"))) for row in rows]


def _page_number(path: str, params: Mapping[str, Any] | None) -> int:
    asked = (params or {}).get("page")
    if asked is None:
        asked = (parse_qs(urlsplit(path).query).get("page") or ["1"])[0]
    return whole_number(asked) or 1
