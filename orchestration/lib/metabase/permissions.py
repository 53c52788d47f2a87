"""Who may do what: owners read, nobody but administrators edits, nobody else sends SQL.

The free edition cannot hide data, but it can keep people from asking their own questions
(`create-queries: no`) and from changing what stands in a collection. A new collection inherits the
rights of where it lies, which for the root is "everybody may edit".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestration.lib.metabase.client import MetabaseClient
from orchestration.lib.metabase.errors import MetabaseConflictError

if TYPE_CHECKING:
    from orchestration.lib.metabase.instance import Instance

Right = Literal["create-queries", "collection"]
_ALL_USERS = 1
_ADMINISTRATORS = 2
_ATTEMPTS = 3


@dataclass(frozen=True)
class PermissionChange:
    """One right of one group that is not as it shall be.

    Attributes:
        group_id: The group.
        right: "create-queries" on our database or "collection" on ours.
        before: As it is.
        after: As it shall be.
    """

    group_id: int
    right: Right
    before: Any
    after: str


def permission_changes(instance: Instance) -> tuple[PermissionChange, ...]:
    """Return the rights to change; rights that an administrator gave to other groups stay.

    A group with the right to edit our collection loses that and keeps reading, because what it
    edits the next apply would overwrite. "All Users" loses the inherited right to edit with the
    right to see: an owner is a member of the owners' group.
    """
    if instance.database is None or instance.collection is None or instance.group is None:
        return ()
    owners = int(instance.group["id"])
    changes = []
    for group_id in (_ALL_USERS, owners):
        before = _create_queries(instance.data_graph, group_id, instance.database["id"])
        if before not in {"no", None}:
            changes.append(PermissionChange(group_id, "create-queries", before, "no"))
    place = str(instance.collection["id"])
    rights = instance.collection_graph.get("groups") or {}
    for group_id in instance.groups:
        if group_id == _ADMINISTRATORS:
            continue
        before = (rights.get(str(group_id)) or {}).get(place, "none")
        after = before
        if group_id == owners:
            after = "read"
        elif before == "write":
            after = "none" if group_id == _ALL_USERS else "read"
        if before != after:
            changes.append(PermissionChange(group_id, "collection", before, after))
    return tuple(changes)


def _create_queries(graph: Mapping[str, Any], group_id: int, database_id: int) -> str | None:
    rights = (graph.get("groups") or {}).get(str(group_id)) or {}
    found = (rights.get(str(database_id)) or {}).get("create-queries")
    # Either one word or, where schemas differ, a map.
    return found if found is None or isinstance(found, str) else "by schema"


def apply_permissions(
    client: MetabaseClient, instance: Instance, changes: tuple[PermissionChange, ...]
) -> None:
    """Change the rights; only what is sent is overwritten.

    Raises:
        MetabaseConflictError: Somebody else keeps changing rights at the same time.
    """
    assert instance.database is not None
    assert instance.collection is not None
    queries = {
        str(one.group_id): {
            str(instance.database["id"]): {
                "view-data": "unrestricted",
                "create-queries": one.after,
            }
        }
        for one in changes
        if one.right == "create-queries"
    }
    places = {
        str(one.group_id): {str(instance.collection["id"]): one.after}
        for one in changes
        if one.right == "collection"
    }
    if queries:
        _put_graph(client, "/api/permissions/graph", queries)
    if places:
        _put_graph(client, "/api/collection/graph", places)


def _put_graph(client: MetabaseClient, path: str, groups: Mapping[str, Any]) -> None:
    for attempt in range(_ATTEMPTS):
        revision = client.get(path)["revision"]
        try:
            client.put(path, {"revision": revision, "groups": dict(groups)})
        except MetabaseConflictError:
            # Somebody saved rights between our two requests.
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return
