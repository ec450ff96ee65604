"""The caller's world: what a request needs of the environment that its command was called in.

Proxies, certificates, the ssh agent, git's ssh, Docker's address, and PATH for Pythons. They come with each request and
never from whoever started the daemon. Reading order: ``variables`` (which ones, and which of them may be kept; pure),
``current`` (those of the request that is being worked for), ``network`` (proxy and certificates for connections of the
daemon itself), ``redirects`` (where a server must not redirect them). Imports nothing else of the daemon.

Doors: current, network, redirects, variables.
"""
