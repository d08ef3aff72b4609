"""The cookie of a login, and what protects it.

Its value is the secret of a session of the node's accounts: 256 random bits, made at each login anew, so that nobody
can give another a session to log in to. It is HttpOnly and SameSite=Lax, and Secure where the page came by HTTPS. Each
form that changes something carries a word that follows from the cookie (`Accounts.csrf`), and a request that says that
it comes from another site is refused before that is looked at.
"""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from comity.node.accounts.accounts import DAY
from comity.node.rest.call import Api
from comity.values.errors import Forbidden


def cookie_name(api: Api) -> str:
    """Of this node alone: a browser gives a cookie to all ports of a host, and `comity up` has several nodes on one."""
    return f"comity-{sha256(api.node.identity.public.signing.encode()).hexdigest()[:12]}"


def set_cookie(response: Response, request: Request, *, name: str, value: str, seconds: int = DAY // 1000) -> None:
    """Have the browser keep a cookie that no script can read and no other site can use."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def check_origin(request: Request) -> None:
    """Raise Forbidden for a request that a browser makes for another site."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    if site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc != request.headers.get("host", "")):
        raise Forbidden("this form came from another site; load the page here and send it again")


def within(target: str, otherwise: str = "/") -> str:
    """The address if it is one of this node's own, else the other one: nobody is sent elsewhere by a link to a login.

    >>> within("/tasks?status=STATUS_DONE"), within("//evil.example"), within("/\\\\evil.example"), within("https:/x")
    ('/tasks?status=STATUS_DONE', '/', '/', '/')
    """
    parts = urlsplit(target) if target.isprintable() and "\\" not in target and target.isascii() else None
    own = parts is not None and not parts.scheme and not parts.netloc and target.startswith("/")
    return target if own and not target.startswith("//") else otherwise
