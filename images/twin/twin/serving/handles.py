"""Handles of Serve applications."""

from typing import TYPE_CHECKING

from ray import serve  # noqa: TID253 - only Serve imports this module

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle


def local_handle(application: str) -> "DeploymentHandle":
    """The handle of an application, which prefers its replicas on this node: that saves a hop.

    Raises:
        ray.serve.exceptions.RayServeException: no such application.
    """
    handle = serve.get_app_handle(application)
    if not handle.is_initialized:
        handle._init(_prefer_local_routing=True)
    return handle
