#!/usr/bin/env python3
"""make_container.py ENDPOINT NAME CREDENTIALS: creates a container in an Azure storage emulator.

ENDPOINT ends in the account's name; CREDENTIALS is a file with {"account": …, "key": base64}. The
signing is written here a second time, so that it does not come from the code under test.
"""

import base64
import email.utils
import hashlib
import hmac
import json
import sys
import urllib.request


def main():
    endpoint, name, credentials = sys.argv[1:]
    with open(credentials) as file:
        account, key = json.load(file).values()
    path = f"/{account}/{name}"
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    text = "PUT" + "\n" * 12
    text += "".join(f"{header}:{headers[header]}\n" for header in sorted(headers))
    text += f"/{account}{path}\nrestype:container"
    mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(mac).decode()}"
    headers["Content-Length"] = "0"
    request = urllib.request.Request(
        f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)
    # Straight to loopback, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        assert answer.status == 201


main()
