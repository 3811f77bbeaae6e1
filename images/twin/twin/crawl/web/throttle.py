"""AutoThrottle that knows that a page which has not changed is an answer like any other."""

from scrapy.core.downloader import Slot  # noqa: TID253 - imported lazily, with the spider
from scrapy.extensions.throttle import AutoThrottle  # noqa: TID253 - as above
from scrapy.http import Response  # noqa: TID253 - as above


class Throttle(AutoThrottle):
    """Scrapy's own never shortens the delay for anything but 200.

    So a crawl that is told 304 all the way would keep its first, careful delay and take longer
    than one that fetches every page.
    """

    def _adjust_delay(self, slot: Slot, latency: float, response: Response) -> None:
        if response.status == 304:
            response = response.replace(status=200)
        super()._adjust_delay(slot, latency, response)
