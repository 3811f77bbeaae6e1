"""A Scrapy spider that downloads the pages of a sitemap and does nothing with them.

``python bare_spider.py SITEMAP CONCURRENCY``, with the settings of our own crawls that decide how
fast it may go; prints how many pages it got.
"""

import sys

from scrapy.crawler import CrawlerProcess
from scrapy.spiders import SitemapSpider


class Bare(SitemapSpider):
    name = "bare"
    count = 0

    def parse(self, response):
        self.count += 1

    def closed(self, reason):
        print(self.count)


if __name__ == "__main__":
    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS_PER_DOMAIN": int(sys.argv[2]),
            # As ours: Scrapy starts so many tasks a page for its items, of which neither has any.
            "CONCURRENT_ITEMS": 1,
            "AUTOTHROTTLE_ENABLED": True,
            "AUTOTHROTTLE_START_DELAY": 0,
            "AUTOTHROTTLE_TARGET_CONCURRENCY": int(sys.argv[2]),
            "DOWNLOAD_DELAY": 0,
            "ROBOTSTXT_OBEY": True,
            "COOKIES_ENABLED": False,
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    process.crawl(Bare, sitemap_urls=[sys.argv[1]])
    process.start()
