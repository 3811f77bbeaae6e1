"""What is still to be asked for: in memory first, on disk where it is a lot."""

from scrapy import Request  # noqa: TID253 - this module is imported lazily, with the spider
from scrapy.core.scheduler import Scheduler  # noqa: TID253 - as above

from twin.crawl.web.crawl_sites import SHUTDOWN

#: Some megabytes.
REQUESTS_IN_MEMORY = 2_000


class SpillingScheduler(Scheduler):
    """Scrapy's own writes each request to disk and reads it again, which takes as long as asking.

    Of use is what it writes only to a crawl that was told to end (see `twin.crawl.workspace`), so
    what is in memory is written then. Beyond that the disk keeps a long queue from growing in
    memory.
    """

    def enqueue_request(self, request: Request) -> bool:
        """Take a request, unless it was taken before."""
        if not self._has_room(request):
            return bool(super().enqueue_request(request))
        if not request.dont_filter and self.df.request_seen(request):
            self.df.log(request, self.spider)
            return False
        self.mqs.push(request)
        return True

    def _has_room(self, request: Request) -> bool:
        """Whether a request goes to memory, past those on disk only if it is to overtake them."""
        overtakes = request.priority > 0 or not self.dqs
        return overtakes and len(self.mqs) < REQUESTS_IN_MEMORY

    def close(self, reason: str) -> object:
        """Write what only a later process can ask for."""
        if reason == SHUTDOWN and self.dqs is not None:
            while (request := self.mqs.pop()) is not None:
                self.dqs.push(request)
        return super().close(reason)
