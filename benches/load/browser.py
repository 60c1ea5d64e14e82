"""Just enough of a browser to sign in: keep-alive connections, redirects, forms, and cookies by host and path."""

import http.client
import re
import threading
import time
from urllib.parse import urlencode, urljoin, urlsplit

from machine import HEADERS, say

NAVIGATION = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "none")]


class Browser:
    def __init__(self, user="ada"):
        self.user, self.connections, self.jars = user, {}, {}

    def fetch(self, url, form=None):
        at = urlsplit(url)
        jar = self.jars.setdefault(at.netloc, {})
        sent = "; ".join(f"{name}={value}" for (name, path), value in jar.items() if (at.path or "/").startswith(path))
        headers = dict(HEADERS + NAVIGATION, **({"Cookie": sent} if sent else {}))
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://{at.netloc}", "Sec-Fetch-Site": "same-origin"}
        one = self.connections.get(at.netloc)
        if one is None:
            one = self.connections[at.netloc] = http.client.HTTPConnection(at.netloc, timeout=20)
        target = (at.path or "/") + (f"?{at.query}" if at.query else "")
        one.request("GET" if form is None else "POST", target, None if form is None else urlencode(form), headers)
        answer = one.getresponse()
        body = answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            pair, *attributes = line.split(";")
            name, value = pair.strip().split("=", 1)
            attribute = {k.strip().lower(): v for k, _, v in (a.partition("=") for a in attributes)}
            key = name, attribute.get("path") or "/"
            if value and attribute.get("max-age") not in ("0", "-1"):
                jar[key] = value
            else:
                jar.pop(key, None)
        return answer, body

    def sign_in(self, url):
        """Starts over at the gateway, follows redirects, fills in the provider's form. Whether it ended where it began, with 200."""
        home = urlsplit(url).netloc
        self.jars.pop(home, None)
        answer, body = self.fetch(url)
        for _ in range(25):
            form = None
            if urlsplit(url).netloc != home:
                page = body.decode("utf-8", "replace")
                form = re.search(r'<form[^>]*action="([^"]+)"', page)
            if answer.status in (301, 302, 303, 307, 308):
                url, data = urljoin(url, answer.headers["Location"]), None
            elif form:
                url = urljoin(url, form[1])
                data = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
                data |= {"login": self.user, "password": "none"}
            else:
                break
            answer, body = self.fetch(url, data)
        return answer.status == 200 and urlsplit(url).netloc == home

    def cookies(self, url):
        return "; ".join(f"{name}={value}" for (name, path), value in self.jars[urlsplit(url).netloc].items() if path == "/")


def signed_in(url, user="ada"):
    """The Cookie header of a new session at that gateway."""
    browser = Browser(user)
    for _ in range(3):
        if browser.sign_in(url):
            return browser.cookies(url)
        time.sleep(0.5)
    raise RuntimeError(f"cannot sign in at {url}: {browser.jars}")


def logins(url, workers, seconds):
    """Complete logins, one after the other in each worker. The provider knows each worker after its first one."""
    took, failed, start = [], [], time.perf_counter()

    def work():
        browser = Browser()
        while (began := time.perf_counter()) < start + seconds:
            try:
                (took if browser.sign_in(url) else failed).append(time.perf_counter() - began)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failed.append(repr(error))
                browser.connections.clear()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        say(f"  {len(failed)} logins failed, such as {failed[0]}")
    return {"done": len(took), "failed": len(failed), "per_second": len(took) / (time.perf_counter() - start)}
