"""Who may do what. The server asks here before each deed; the page only hides what would be refused."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "clinician", "administrator"]
Action = Literal["look", "records", "calibrate", "patient", "draft", "sign", "ask", "users", "audit"]

ROLES: tuple[Role, ...] = get_args(Role)

# A viewer's screen hangs in a corridor: it shows states, never records. An administrator runs the monitor
# and is no clinician: nobody holds both the keys to accounts and the right to sign.
MAY: dict[Role, frozenset[Action]] = {
    "viewer": frozenset({"look"}),
    "clinician": frozenset({"look", "records", "calibrate", "patient", "draft", "sign", "ask"}),
    "administrator": frozenset({"look", "calibrate", "users", "audit"}),
}


def may(role: Role, action: Action) -> bool:
    return action in MAY[role]
