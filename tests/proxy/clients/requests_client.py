# SPDX-License-Identifier: Apache-2.0
"""python3-requests or python3-httpx (argument 1) against the URL in argument 2;
each check prints a line of TAP without its number."""
import sys


def pattern(n):
    return (b"abcdefghijklmnopqrstuvwxyz" * (n // 26 + 1))[:n]


def pieces(n):
    for _ in range(n):
        yield pattern(7020)


def said(n, chunked):
    return '"body_bytes":%d,"body_is_chunked":%s,"body_is_pattern":true' % (n, chunked)


def check(text, is_true):
    print("%s - %s: %s" % ("ok" if is_true else "not ok", sys.argv[1], text), flush=True)


def session():
    if sys.argv[1] == "requests":
        import requests
        return requests.Session(), {"data": pattern(70000)}, {"data": pieces(10)}
    import httpx
    return httpx.Client(timeout=20), {"content": pattern(70000)}, {"content": pieces(10)}


def main():
    url = sys.argv[2]
    s, whole, chunked = session()
    right = sum(s.get(url + "/bytes/1000").content == pattern(1000) for _ in range(200))
    check("200 requests on one session", right == 200)
    check("a body with a length", said(70000, "false") in s.post(url, **whole).text)
    check("a body in chunks", said(70200, "true") in s.post(url, **chunked).text)
    check("chunks back", s.get(url + "/bytes/3000000/chunked").content == pattern(3000000))
    check("until the end of the connection", s.get(url + "/bytes/100000/eof").content == pattern(100000))
    r = s.head(url + "/bytes/1000")
    check("HEAD", r.status_code == 200 and r.headers["content-length"] == "1000" and r.content == b"")
    check("204, and the connection goes on", s.delete(url + "/status/204").status_code == 204
          and s.get(url + "/bytes/26").content == pattern(26))
    if sys.argv[1] == "httpx":  # Python's http.client takes 103 for the answer
        check("interim responses are no answer", s.get(url + "/interim/bytes/26").content == pattern(26))


main()
