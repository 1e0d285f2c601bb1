"""Users, roles and tokens, blocking."""

from __future__ import annotations

from ringleader.client import Auth as AsyncAuth
from ringleader.sync._mirror import Mirror, blocking

__all__ = ["Auth"]


class Auth(Mirror[AsyncAuth]):
    """Users, roles, tokens, blocking: each call is that of `ringleader.Auth`."""

    enable = blocking(AsyncAuth.enable)
    disable = blocking(AsyncAuth.disable)
    status = blocking(AsyncAuth.status)

    add_user = blocking(AsyncAuth.add_user)
    delete_user = blocking(AsyncAuth.delete_user)
    set_password = blocking(AsyncAuth.set_password)
    grant_role = blocking(AsyncAuth.grant_role)
    revoke_role = blocking(AsyncAuth.revoke_role)
    users = blocking(AsyncAuth.users)

    add_role = blocking(AsyncAuth.add_role)
    delete_role = blocking(AsyncAuth.delete_role)
    grant = blocking(AsyncAuth.grant)
    revoke = blocking(AsyncAuth.revoke)
    roles = blocking(AsyncAuth.roles)

    create_token = blocking(AsyncAuth.create_token)
    revoke_token = blocking(AsyncAuth.revoke_token)
    tokens = blocking(AsyncAuth.tokens)
