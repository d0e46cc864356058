#!/usr/bin/env python3
"""Runs a WebAssembly program on a broker: client.py http://HOST:PORT MODULE [STDIN]. Written from docs/api.md."""
import hashlib, json, sys, urllib.request

broker, module, stdin = sys.argv[1], sys.argv[2], sys.argv[3:]

def call(method, path, body=None, kind="application/octet-stream"):
    request = urllib.request.Request(broker + path, body, {"Content-Type": kind}, method=method)
    return urllib.request.urlopen(request, timeout=120).read()

def upload(path):
    data = open(path, "rb").read()
    digest = hashlib.sha256(data).hexdigest()
    call("PUT", "/v1/blobs/" + digest, data)
    return digest

spec = {"module": upload(module)} | ({"stdin": upload(stdin[0])} if stdin else {})
job = json.loads(call("POST", "/v1/jobs", json.dumps(spec).encode(), "application/json"))["id"]
end = json.loads(call("GET", "/v1/jobs/" + job + "?wait=1m"))
sys.stdout.buffer.write(call("GET", "/v1/jobs/" + job + "/stdout"))
sys.exit(end["exit_code"] if end["state"] == "succeeded" else end.get("reason") or end["state"])
