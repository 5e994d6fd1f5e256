#!/usr/bin/env python3
"""make_container.py ENDPOINT NAME: creates a container in an Azure storage emulator.

ENDPOINT ends in the account's name; AZURE_STORAGE_KEY holds its key in base64. The signing is written
here a second time, from the documentation, so that it does not come from the code under test.
"""

import base64
import email.utils
import hashlib
import hmac
import os
import sys
import urllib.request


def main():
    endpoint, name = sys.argv[1:]
    account = endpoint.rsplit("/", 1)[1]
    path = f"/{account}/{name}"
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    text = "PUT" + "\n" * 12
    text += "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
    text += f"/{account}{path}\nrestype:container"
    key = base64.b64decode(os.environ["AZURE_STORAGE_KEY"])
    mac = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {account}:{mac}"
    headers["Content-Length"] = "0"
    request = urllib.request.Request(
        f"{endpoint}/{name}?restype=container", method="PUT", headers=headers)
    # Straight to loopback, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        print(f"{name}: HTTP {answer.status}")


main()
