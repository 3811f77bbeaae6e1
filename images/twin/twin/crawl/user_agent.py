"""How a crawl names itself to those whose sites it asks, so that they can reach who runs it.

RFC 9110, 10.1.2 and 10.1.5: a robot says who is responsible for it.
"""

from functools import cache

import structlog

from twin.job import Job

PRODUCT = "llm-twin/0.1"

log = structlog.get_logger("twin.crawl")


@cache
def _warn() -> None:
    log.warning("sites are not told how to reach you: set TWIN_CONTACT or crawl.user_agent")


def user_agent(job: Job) -> str:
    """The recipe's, or this program's name with the operator's contact.

    A crawl of which nobody could complain is told so in the log: sites block those first.
    """
    if job.recipe.crawl.user_agent:
        return job.recipe.crawl.user_agent
    if job.settings.contact:
        return f"{PRODUCT} (+{job.settings.contact})"
    _warn()
    return f"{PRODUCT} (no contact given)"
