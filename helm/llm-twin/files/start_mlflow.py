"""Makes the users of MLflow that the platform's parts come as, then becomes the server.

MLFLOW_AUTH_USERS names them with their passwords, as a JSON object; a changed password holds from
the next start on. Users that people have made are left alone. MLFLOW_AUTH_DATABASE_URI says where
users and permissions are kept, MLFLOW_AUTH_DEFAULT_PERMISSION what a user may do to what another
one made.

The arguments are the server's command.
"""

import configparser
import json
import os
import sys
from pathlib import Path


def write_configuration(path: Path, database: str, permission: str) -> None:
    """Write the file that MLflow reads; a per cent sign in a password is none of its own."""
    made = configparser.ConfigParser()
    made["mlflow"] = {
        "default_permission": permission,
        "database_uri": database.replace("%", "%%"),
        "admin_username": "admin",
    }
    with path.open("w", encoding="utf-8") as file:
        made.write(file)


def make_users(database: str, users: dict[str, str]) -> None:
    """Make those that are not there, and give the others the password that holds now."""
    # Reads the configuration when it is imported, so not before that is written.
    from mlflow.exceptions import MlflowException
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(database)
    for name, password in users.items():
        if not store.has_user(name):
            try:
                store.create_user(name, password)
            except MlflowException:
                if not store.has_user(name):  # not made by another server either, at the same time
                    raise
        if not store.authenticate_user(name, password):
            store.update_user(name, password=password)


def main() -> None:
    """Write the configuration, make the users, and go on as the server."""
    database = os.environ["MLFLOW_AUTH_DATABASE_URI"]
    path = Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"])
    write_configuration(path, database, os.environ["MLFLOW_AUTH_DEFAULT_PERMISSION"])
    make_users(database, json.loads(os.environ["MLFLOW_AUTH_USERS"]))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the pod's own arguments


if __name__ == "__main__":
    main()
