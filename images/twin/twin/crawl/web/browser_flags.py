"""How Chromium is started for a crawl, by playwright or by itself."""

# Nothing listens at the discard port; a browser that finds no proxy has no network.
NO_NETWORK = (
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
)
# The sandbox needs rights that pods do not have; the pod is the sandbox.
IN_A_POD = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
