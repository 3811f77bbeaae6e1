"""How people log in to Airflow where its auth manager is FAB (values-oidc.yaml): OpenID Connect.

Read by FAB from the folder AIRFLOW_HOME. The environment says who the provider is:

TWIN_OIDC_ISSUER         its address, as its discovery document names it
TWIN_OIDC_CLIENT_ID      of Airflow at the provider
TWIN_OIDC_CLIENT_SECRET  likewise, from a Secret
TWIN_OIDC_GROUPS         the claim that names a person's groups; "groups" if not given
TWIN_OIDC_ROLES          a JSON object of groups and the roles of Airflow that they have, such as
                         {"twin-admins": ["Admin"], "twin-editors": ["Op"]}

Who is in none of these groups may look at nothing: FAB's role "Public", which has no rights.
"""

import json
import os
from typing import Any

from airflow.providers.fab.auth_manager.security_manager.override import (
    FabAirflowSecurityManagerOverride,
)
from flask_appbuilder.const import AUTH_OAUTH

PROVIDER = "oidc"
ISSUER = os.environ["TWIN_OIDC_ISSUER"].rstrip("/")
GROUPS = os.environ.get("TWIN_OIDC_GROUPS", "groups")


class OidcSecurityManager(FabAirflowSecurityManagerOverride):
    """Takes people and their groups from the provider's claims."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """What FAB keeps of a person, of the claims in a token's answer.

        Args:
            provider: name of the entry of OAUTH_PROVIDERS.
            resp: what the provider's token endpoint answered; authlib has checked the ID token.
        """
        if provider != PROVIDER:
            return super().get_oauth_user_info(provider, resp)
        claims = resp.get("userinfo") or self.oauth_remotes[provider].userinfo(token=resp)
        groups = claims.get(GROUPS) or []
        return {
            # Stable, where a name or an address may pass on to another person.
            "username": f"{PROVIDER}_{claims['sub']}",
            "email": claims.get("email", ""),
            "first_name": claims.get("given_name") or claims.get("name", ""),
            "last_name": claims.get("family_name", ""),
            "role_keys": [groups] if isinstance(groups, str) else list(groups),
        }


SECURITY_MANAGER_CLASS = OidcSecurityManager
AUTH_TYPE = AUTH_OAUTH
AUTH_USER_REGISTRATION = True
AUTH_USER_REGISTRATION_ROLE = "Public"
# Who leaves a group at the provider loses its roles here with the next login.
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_ROLES_MAPPING = json.loads(os.environ["TWIN_OIDC_ROLES"])
OAUTH_PROVIDERS = [
    {
        "name": PROVIDER,
        "icon": "fa-key",
        "token_key": "access_token",
        "remote_app": {
            "client_id": os.environ["TWIN_OIDC_CLIENT_ID"],
            "client_secret": os.environ["TWIN_OIDC_CLIENT_SECRET"],
            "server_metadata_url": f"{ISSUER}/.well-known/openid-configuration",
            "client_kwargs": {"scope": "openid email profile"},
        },
    }
]
