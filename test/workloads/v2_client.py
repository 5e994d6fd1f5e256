#!/usr/bin/env python3
"""A client that knows the /v2 file interface and nothing else, written from its description alone
(python3's standard library; no Range, no retry, chunked uploads of unknown length).

  v2_client.py user | list FOLDER | put PATH <FILE | get PATH >FILE
  v2_client.py put --cut-after BYTES PATH <FILE     breaks the connection there

CEDANA_URL, CEDANA_AUTH_TOKEN and, for a private authority, CEDANA_CONNECTION_CA_FILE."""

import argparse
import http.client
import json
import os
import shutil
import ssl
import sys
import urllib.parse

PIECE = 1 << 20


def connect(url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("CEDANA_CONNECTION_CA_FILE"))
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
    return connection, urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))


def call(method, target, accept):
    """An API call, answered with its body."""
    connection, path = connect(os.environ["CEDANA_URL"].rstrip("/") + target)
    connection.request(method, path, headers={
        "Authorization": "Bearer " + os.environ["CEDANA_AUTH_TOKEN"], "Accept": accept})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"{method} {target}: {answer.status} {json.loads(body)['message']}")
    return body.decode()


def file_url(method, path):
    return call(method, "/v2/files/" + urllib.parse.quote(path, safe=""), "text/plain;q=0.9")


class Cut(Exception):
    pass


def pieces(source, cut_after):
    """What is sent, chunk by chunk; raises in the middle when the connection is to break."""
    sent = 0
    while piece := source.read(PIECE):
        if cut_after is not None and sent + len(piece) > cut_after:
            yield piece[:cut_after - sent]
            raise Cut
        sent += len(piece)
        yield piece


def put(path, cut_after):
    connection, target = connect(file_url("PUT", path))
    try:
        connection.request("PUT", target, body=pieces(sys.stdin.buffer, cut_after),
                           headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
    except Cut:
        connection.close()
        return
    answer = connection.getresponse()
    answer.read()
    if not 200 <= answer.status < 300:
        sys.exit(f"upload of {path}: {answer.status}")


def get(path):
    connection, target = connect(file_url("GET", path))
    connection.request("GET", target)
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f"download of {path}: {answer.status}")
    shutil.copyfileobj(answer, sys.stdout.buffer, PIECE)
    # The library takes a body that is cut short of its length for an end.
    if answer.length:
        sys.exit(f"download of {path}: {answer.length} bytes missing")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["user", "list", "put", "get"])
    parser.add_argument("path", nargs="?", default="")
    parser.add_argument("--cut-after", type=int)
    options = parser.parse_args()
    if options.what == "user":
        print(call("GET", "/v2/user", "text/plain"))
    elif options.what == "list":
        target = "/v2/files/dir/" + urllib.parse.quote(options.path, safe="")
        print("\n".join(json.loads(call("GET", target, "application/json"))))
    elif options.what == "put":
        put(options.path, options.cut_after)
    else:
        get(options.path)


if __name__ == "__main__":
    main()
