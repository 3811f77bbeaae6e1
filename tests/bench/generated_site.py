"""A site of any number of generated pages, fast enough to be no part of what is measured.

``python generated_site.py PORT PAGES WORDS DELAY_MS`` serves ``/sitemap.xml`` and ``/posts/N`` with
ETags, over keep-alive connections, from one process.
"""

import asyncio
import random
import sys

SUBJECTS = ("The crawl", "A reader", "This index", "Every page", "Our queue", "Some author")
VERBS = ("keeps", "finds", "changes", "writes", "answers", "loses", "reads", "promises")
OBJECTS = ("the text of a page", "what nobody asked", "a header, and a digest", "its own words")


def page(number: int, words: int) -> bytes:
    """An article of so many words, the same each time."""
    chance = random.Random(number)
    paragraphs = []
    for _ in range(max(words // 60, 1)):
        sentences = (
            f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)} "
            f"{chance.randrange(1000)} times."
            for _ in range(7)
        )
        paragraphs.append(f"<p>{' '.join(sentences)}</p>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page {number}</title>'
        '<meta name="author" content="Tess Tester"></head><body><nav><a href="/">Home</a></nav>'
        f"<article><h1>Page {number}</h1>{''.join(paragraphs)}</article>"
        "<footer>Subscribe to my newsletter</footer></body></html>"
    ).encode()


def sitemap(port: int, pages: int) -> bytes:
    urls = "".join(
        f"<url><loc>http://127.0.0.1:{port}/posts/{number}</loc></url>" for number in range(pages)
    )
    namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0"?><urlset xmlns="{namespace}">{urls}</urlset>'.encode()


def response(path: str, headers: str, port: int, pages: int, words: int) -> bytes:
    if path == "/sitemap.xml":
        return _answer(200, sitemap(port, pages), "application/xml", "")
    if not path.startswith("/posts/"):
        return _answer(404, b"not here", "text/plain", "")
    etag = f'"{path[7:]}"'
    if f"if-none-match: {etag}" in headers:
        return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode()
    return _answer(200, page(int(path[7:]), words), "text/html; charset=utf-8", f"ETag: {etag}\r\n")


def _answer(status: int, body: bytes, media_type: str, more: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: {media_type}\r\n{more}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def serve(port: int, pages: int, words: int, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, _, headers = head.decode("latin-1").partition("\r\n")
                if delay:
                    await asyncio.sleep(delay)
                path = line.split(" ")[1]
                writer.write(response(path, headers.lower(), port, pages, words))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(
        serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]) / 1000)
    )
