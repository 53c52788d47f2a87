"""First run, sessions, API keys, people, groups and the two permission graphs (api.md 1 and 8)."""

from __future__ import annotations

from typing import Any

from tests.metabase.fake.part import Part
from tests.metabase.fake.state import ADMINISTRATORS, ALL_USERS, Row
from tests.metabase.fake.web import (
    Answer,
    Call,
    RefusedError,
    Routes,
    Visitor,
    forbidden,
    invalid,
    missing,
)

_COMMON_PASSWORDS = {"password1", "metabase1", "qwerty123", "abc123", "123456"}
# Metabase's throttle: ten attempts, then 15 seconds and longer each time. The fake never forgives.
_LOGIN_ATTEMPTS = 10


class Accounts(Part):
    """Who may come in, and what they may do there."""

    def register(self, routes: Routes) -> None:
        """Add the routes of this part."""
        for method, template, handler in (
            ("GET", "/api/health", self.health),
            ("GET", "/api/session/properties", self.properties),
            ("POST", "/api/setup", self.setup),
            ("POST", "/api/session", self.log_in),
            ("DELETE", "/api/session", self.log_out),
            ("GET", "/api/user/current", self.current_user),
            ("GET", "/api/user", self.list_users),
            ("POST", "/api/user", self.create_user),
            ("GET", "/api/api-key", self.list_keys),
            ("POST", "/api/api-key", self.create_key),
            ("DELETE", "/api/api-key/{id}", self.delete_key),
            ("PUT", "/api/api-key/{id}/regenerate", self.regenerate_key),
            ("GET", "/api/setting", self.list_settings),
            ("GET", "/api/setting/{key}", self.get_setting),
            ("PUT", "/api/setting/{key}", self.put_setting),
            ("PUT", "/api/setting", self.put_settings),
        ):
            routes.add(method, template, handler)

    # Everybody may ask these; all else needs somebody (api.md 1).
    OPEN = frozenset(
        {"/api/health", "/api/session/properties", "/api/setup", "/api/session", "/api/notify"}
    )

    def visitor(self, call: Call) -> Visitor:
        """Return who asks.

        Raises:
            RefusedError: 401 as text: nobody, an ended session, an unknown key.
        """
        state = self._state
        secret = call.headers.get("x-api-key")
        if secret is not None:
            for key in state.api_keys.values():
                if key["secret"] == secret:
                    groups = frozenset({ALL_USERS, key["group_id"]})
                    return Visitor(key["user_id"], groups, ADMINISTRATORS in groups)
            raise RefusedError(401, "Unauthenticated")
        user_id = state.sessions.get(call.headers.get("x-metabase-session", ""))
        if user_id is None:
            raise RefusedError(401, "Unauthenticated")
        groups = frozenset(
            {
                ALL_USERS,
                *(m["group_id"] for m in state.memberships.values() if m["user_id"] == user_id),
            }
        )
        return Visitor(user_id, groups, ADMINISTRATORS in groups)

    def may_read(self, visitor: Visitor | None, collection_id: int | None) -> bool:
        """Return whether a collection's content is shown to a visitor."""
        return self._right(visitor, collection_id) in {"read", "write", "admin"}

    def may_write(self, visitor: Visitor | None, collection_id: int | None) -> bool:
        """Return whether a visitor changes a collection's content."""
        return self._right(visitor, collection_id) in {"write", "admin"}

    def _right(self, visitor: Visitor | None, collection_id: int | None) -> str:
        assert visitor is not None
        if visitor.is_admin:
            return "admin"
        collection = self._state.collections.get(collection_id or 0)
        if collection is not None and collection["personal_owner_id"] is not None:
            return "write" if collection["personal_owner_id"] == visitor.user_id else "none"
        key = collection_id if collection_id is not None else "root"
        rights = {self._state.collection_graph.get(g, {}).get(key) for g in visitor.group_ids}
        return "write" if "write" in rights else "read" if "read" in rights else "none"

    def may_query(self, visitor: Visitor | None, database_id: int) -> bool:
        """Return whether a visitor may send SQL of his own."""
        assert visitor is not None
        return visitor.is_admin or any(
            self._state.data_graph.get(group, {}).get(database_id, {}).get("create-queries")
            == "query-builder-and-native"
            for group in visitor.group_ids
        )

    def admin_only(self, call: Call) -> None:
        """Refuse everybody but administrators."""
        if call.visitor is None or not call.visitor.is_admin:
            raise forbidden()

    def health(self, call: Call) -> Any:
        """Say that it runs."""
        return {"status": "ok"}

    def properties(self, call: Call) -> Any:
        """Tell version and whether somebody set it up; open to everybody."""
        state = self._state
        return {
            "version": {"tag": self._fake.tag, "date": "2026-09-10", "hash": "0000000"},
            "setup-token": state.setup_token,
            "has-user-setup": bool(state.users),
            "token-features": {"advanced_permissions": False, "serialization": False},
            "engines": {name: {"driver-name": name} for name in self._fake.engines},
            "site-name": state.settings.get("site-name"),
            "site-locale": state.settings.get("site-locale", "en"),
            "available-locales": [["en", "English"], ["ru", "Russian"]],
            "report-timezone-short": "UTC",
            "anon-tracking-enabled": state.settings.get("anon-tracking-enabled", True),
        }

    def setup(self, call: Call) -> Any:
        """Make the first user; once."""
        state, body = self._state, call.body or {}
        if state.users:
            raise RefusedError(
                403,
                "The /api/setup route can only be used to create the first user, however a user"
                " currently exists.",
            )
        if body.get("token") != state.setup_token:
            raise invalid(token="Token does not match the setup token.")
        user, preferences = body.get("user") or {}, body.get("prefs") or {}
        self._check_password(user.get("password") or "")
        if "@" not in (user.get("email") or ""):
            raise invalid(email="value must be a valid email address.")
        if not preferences.get("site_name"):
            raise invalid(site_name="value must be a non-blank string.")
        user_id = self.add_user(user, ADMINISTRATORS)
        state.setup_token = None
        state.settings["site-name"] = preferences["site_name"]
        state.settings["site-locale"] = preferences.get("site_locale") or "en"
        return {"id": self._new_session(user_id)}

    @staticmethod
    def _check_password(password: str) -> None:
        if len(password) < 6 or not any(letter.isdigit() for letter in password):
            raise invalid(password="password is too common.")
        if password.lower() in _COMMON_PASSWORDS:
            raise invalid(password="password is too common.")

    def add_user(self, user: Row, *group_ids: int) -> int:
        """Make a person with a personal collection, a member of groups."""
        state = self._state
        user_id = state.new_id("user")
        state.users[user_id] = {
            "id": user_id,
            "email": user["email"].lower(),
            "password": user.get("password"),
            "first_name": user.get("first_name"),
            "last_name": user.get("last_name"),
        }
        for group_id in group_ids:
            self.join(user_id, group_id)
        first = user.get("first_name") or user["email"].split("@")[0]
        self._fake.collections.new(f"{first}'s Personal Collection", personal_owner_id=user_id)
        return user_id

    def join(self, user_id: int, group_id: int) -> None:
        """Make a person a member of a group."""
        membership_id = self._state.new_id("membership")
        self._state.memberships[membership_id] = {
            "membership_id": membership_id,
            "group_id": group_id,
            "user_id": user_id,
        }

    def _new_session(self, user_id: int) -> str:
        session = self._state.uuid()
        self._state.sessions[session] = user_id
        return session

    def log_in(self, call: Call) -> Any:
        """Open a session; throttled after ten failures of one name."""
        state, body = self._state, call.body or {}
        name = (body.get("username") or "").lower()
        if not name or not body.get("password"):
            raise invalid(username="value must be a non-blank string.")
        if state.failed_logins.get(name, 0) >= _LOGIN_ATTEMPTS:
            message = "Too many attempts! You must wait 15 seconds before trying again."
            raise RefusedError(400, {"errors": {"username": message}})
        for user in state.users.values():
            if user["email"] == name and user["password"] == body["password"]:
                return {"id": self._new_session(user["id"])}
        state.failed_logins[name] = state.failed_logins.get(name, 0) + 1
        raise RefusedError(401, {"errors": {"password": "did not match stored password"}})

    def log_out(self, call: Call) -> Any:
        """End the session."""
        self._state.sessions.pop(call.headers.get("x-metabase-session", ""), None)
        return Answer(204)

    def current_user(self, call: Call) -> Any:
        """Tell who asks."""
        assert call.visitor is not None
        user = self._state.users.get(call.visitor.user_id)
        return {
            "id": call.visitor.user_id,
            "email": user["email"] if user else f"api-key-user-{call.visitor.user_id}@api-key",
            "first_name": user["first_name"] if user else None,
            "last_name": user["last_name"] if user else None,
            "is_superuser": call.visitor.is_admin,
            "group_ids": sorted(call.visitor.group_ids),
            "common_name": user["email"] if user else "API key",
        }

    def _shown_user(self, user: Row) -> Row:
        state = self._state
        groups = [m["group_id"] for m in state.memberships.values() if m["user_id"] == user["id"]]
        shown = {name: value for name, value in user.items() if name != "password"}
        return {
            **shown,
            "is_superuser": ADMINISTRATORS in groups,
            "is_active": True,
            "user_group_memberships": [{"id": group} for group in (ALL_USERS, *groups)],
        }

    def list_users(self, call: Call) -> Any:
        """List people."""
        self.admin_only(call)
        rows = [self._shown_user(user) for user in self._state.users.values()]
        return {"data": rows, "total": len(rows), "limit": None, "offset": None}

    def create_user(self, call: Call) -> Any:
        """Make a person; a used address is refused."""
        self.admin_only(call)
        body = call.body or {}
        email = (body.get("email") or "").lower()
        if any(user["email"] == email for user in self._state.users.values()):
            raise invalid(email="Email address already in use.")
        groups = [m["id"] for m in body.get("user_group_memberships") or [] if m["id"] != ALL_USERS]
        user_id = self.add_user(body, *groups)
        return self._shown_user(self._state.users[user_id])

    def _shown_key(self, key: Row) -> Row:
        group = self._state.groups[key["group_id"]]
        return {
            "id": key["id"],
            "name": key["name"],
            "group": {"id": group["id"], "name": group["name"]},
            "masked_key": key["secret"][:7] + "*" * 10,
            "created_at": key["created_at"],
            "updated_at": key["created_at"],
        }

    def list_keys(self, call: Call) -> Any:
        """List keys, masked for ever."""
        self.admin_only(call)
        return [self._shown_key(key) for key in self._state.api_keys.values()]

    def create_key(self, call: Call) -> Any:
        """Mint a key; the only answer that holds it."""
        self.admin_only(call)
        state, body = self._state, call.body or {}
        if not body.get("name"):
            raise invalid(name="value must be a non-blank string.")
        if body.get("group_id") not in state.groups:
            raise invalid(group_id="value must be an integer greater than zero.")
        key_id = state.new_id("api_key")
        key = {
            "id": key_id,
            "name": body["name"],
            "group_id": body["group_id"],
            "user_id": 10_000 + key_id,
            "secret": f"mb_{state.entity_id()}{state.entity_id()}=",
            "created_at": state.moment(),
        }
        state.api_keys[key_id] = key
        return {**self._shown_key(key), "unmasked_key": key["secret"]}

    def delete_key(self, call: Call) -> Any:
        """Forget a key."""
        self.admin_only(call)
        if self._state.api_keys.pop(int(call.numbers[0]), None) is None:
            raise missing()
        return Answer(204)

    def regenerate_key(self, call: Call) -> Any:
        """Give a key a new secret."""
        self.admin_only(call)
        key = self._state.api_keys.get(int(call.numbers[0]))
        if key is None:
            raise missing()
        key["secret"] = f"mb_{self._state.entity_id()}{self._state.entity_id()}="
        return {**self._shown_key(key), "unmasked_key": key["secret"]}

    def list_settings(self, call: Call) -> Any:
        """List settings."""
        self.admin_only(call)
        return [{"key": key, "value": value} for key, value in self._state.settings.items()]

    def get_setting(self, call: Call) -> Any:
        """Return one setting; 204 when it has none."""
        self.admin_only(call)
        value = self._state.settings.get(call.numbers[0])
        return Answer(204) if value is None else Answer(200, value)

    def put_setting(self, call: Call) -> Any:
        """Set one."""
        self.admin_only(call)
        self._state.settings[call.numbers[0]] = (call.body or {}).get("value")
        return Answer(204)

    def put_settings(self, call: Call) -> Any:
        """Set several."""
        self.admin_only(call)
        self._state.settings.update(call.body or {})
        return Answer(204)
