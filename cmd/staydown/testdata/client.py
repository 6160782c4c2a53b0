"""A client of staydown serve that is not Go: what services in other languages do.

usage: client.py BASE TOKEN BLOCKED_FILE FREE_FILE BLOCKED_HASH PICTURE_HOST
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

base, token, blocked_file, free_file, blocked_hash, pictures = sys.argv[1:]


def ask(method, path, body=None, content_type=None, auth=True):
    """Returns status and body, decoded if it is JSON."""
    headers = {}
    if auth:
        headers["Authorization"] = "Bearer " + token
    if content_type:
        headers["Content-Type"] = content_type
    req = urllib.request.Request(base + path, data=body, headers=headers, method=method)
    try:
        resp = urllib.request.urlopen(req, timeout=30)
    except urllib.error.HTTPError as e:
        resp = e
    text = resp.read()
    if (resp.headers.get("Content-Type") or "").startswith("application/json"):
        return resp.status, json.loads(text)
    return resp.status, text.decode()


def form(field, data, name="a.jpg"):
    """A multipart form with one file."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode(), "multipart/form-data; boundary=" + boundary


def same(got, want, what):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


blocked = open(blocked_file, "rb").read()
free = open(free_file, "rb").read()
quoted = urllib.parse.quote

# Tokens, health, the description.
same(ask("GET", "/v1/lists", auth=False)[0], 401, "without a token")
same(ask("GET", "/healthz", auth=False), (200, "ok\n"), "health")
same(ask("GET", "/status/live", auth=False), (200, "I-AM-ALIVE\n"), "alive")
same(ask("GET", "/status", auth=False), (200, "I-AM-ALIVE\n"), "status")
status, api = ask("GET", "/openapi.json", auth=False)
same((status, api["openapi"]), (200, "3.1.0"), "openapi")

# hasher-matcher-actioner: hash, then look up, as its callers do.
status, got = ask("POST", "/h/hash", *form("photo", blocked))
same((status, got), (200, {"pdq": blocked_hash}), "hash of a file")
status, got = ask("GET", "/h/hash?content_type=photo&url=" + quoted(pictures + "/copy.jpg", safe=""))
same(status, 200, f"hash of an address {got}")
status, found = ask("GET", f"/m/lookup?signal={got['pdq']}&signal_type=pdq")
same((status, list(found), found["MAIN"][0]["bank_content_id"]), (200, ["MAIN"], 1), "lookup")
if not isinstance(found["MAIN"][0]["distance"], str):
    sys.exit("distance is not a string")
same(ask("GET", f"/m/lookup?signal={'0f' * 32}&signal_type=pdq"), (200, {}), "no match")
same(ask("GET", f"/m/lookup?signal={blocked_hash}&signal_type=pdq&banks=OTHER"), (200, {}), "another bank")
same(ask("GET", "/m/lookup?signal=zz&signal_type=pdq")[0], 400, "a bad signal")
same(ask("GET", f"/m/lookup?signal={blocked_hash}&signal_type=other")[0], 400, "a bad type")
status, found = ask("POST", "/m/lookup", *form("photo", blocked))
same((status, found["pdq"]["MAIN"][0]), (200, {"bank_content_id": 1, "distance": "0"}), "lookup of a file")
same(ask("POST", "/m/lookup", *form("photo", free)), (200, {"pdq": {}}), "lookup of another file")
same(ask("POST", "/m/lookup", *form("video", free))[0], 400, "a video")
status, found = ask("GET", "/m/lookup?url=" + quoted(pictures + "/copy.jpg", safe=""))
same((status, found["pdq"]["MAIN"][0]["bank_content_id"]), (200, 1), "lookup of an address")
status, found = ask("GET", f"/m/raw_lookup?signal={blocked_hash}&signal_type=pdq")
same((status, found), (200, {"matches": [1]}), "raw lookup")
status, found = ask("GET", f"/m/raw_lookup?signal={blocked_hash}&signal_type=pdq&include_distance=true")
same((status, found), (200, {"matches": [{"bank_content_id": 1, "distance": "0"}]}), "raw lookup with distance")
status, got = ask("POST", "/m/compare", json.dumps({"pdq": [blocked_hash, blocked_hash]}).encode(), "application/json")
same((status, got), (200, {"pdq": [True, {"distance": 0}]}), "compare")
same(ask("POST", "/m/compare", b"{", "application/json")[0], 400, "compare nothing")
status, got = ask("GET", "/m/index/status")
same((status, got["pdq"]["present"]), (200, True), "index status")
same(ask("GET", "/c/banks"), (200, [{"name": "MAIN", "matching_enabled_ratio": 1.0}]), "banks")
same(ask("GET", "/c/bank/MAIN"), (200, {"name": "MAIN", "matching_enabled_ratio": 1.0}), "bank")
same(ask("GET", "/c/bank/NONE")[0], 404, "no bank")
status, got = ask("GET", "/c/bank/MAIN/content/1")
same((status, got["id"]), (200, 1), "content")
same(ask("POST", "/c/bank/MAIN/signal", b"{}", "application/json")[0], 403, "a bank is changed")
same(ask("GET", "/c/exchanges"), (200, []), "exchanges")

# url= never reaches what it should not.
for url in ["http://127.0.0.2:1/x", "http://localhost/x", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "http://[::1]/x", "http://user@" + pictures[7:] + "/copy.jpg"]:
    status, got = ask("GET", "/h/hash?url=" + quoted(url, safe=""))
    if status not in (400, 403):
        sys.exit(f"{url}: {status} {got}")
same(ask("GET", "/h/hash?url=" + quoted(pictures + "/away", safe=""))[0] in (400, 403), True, "a redirect to another host")
same(ask("GET", "/h/hash?url=" + quoted(pictures + "/endless", safe=""))[0], 413, "an endless file")
same(ask("GET", "/h/hash?url=" + quoted(pictures + "/text", safe=""))[0], 400, "a text")
same(ask("GET", "/h/hash?url=" + quoted(pictures + "/none", safe=""))[0], 400, "nothing there")

# The calls of our own.
address = quoted("https://example.com/a.jpg", safe="")
status, got = ask("GET", "/v1/check?url=" + address)
same((status, got["decision"]["verdict"], got["decision"]["rule"]), (200, "block", 2), "check an address")
same(ask("GET", "/v1/check?country=DE&url=" + quoted("https://example.com/de.jpg", safe=""))[1]["decision"]["verdict"], "block", "in Germany")
same(ask("GET", "/v1/check?country=FR&url=" + quoted("https://example.com/de.jpg", safe=""))[1]["decision"]["verdict"], "allow", "in France")
same(ask("GET", "/v1/check?country=XX&url=" + address)[0], 400, "no country")
same(ask("GET", "/v1/check")[0], 400, "no question")
same(ask("POST", "/v1/check", blocked, "image/jpeg")[1]["decision"]["verdict"], "block", "check a picture")
same(ask("POST", "/v1/check", free, "image/jpeg")[1]["decision"]["verdict"], "allow", "check another picture")
question = {"items": [{"id": "x", "hashes": [blocked_hash]}, {"id": "y", "url": "https://held.example.org/a.png"}, {"id": "z", "url": "https://example.com/b"}]}
status, got = ask("POST", "/v1/check", json.dumps(question).encode(), "application/json")
same([(i["id"], i["decision"]["verdict"]) for i in got["items"]], [("x", "block"), ("y", "review"), ("z", "allow")], "several")
same(ask("POST", "/v1/check", b'{"urll": "x"}', "application/json")[0], 400, "a wrong field")
same(ask("POST", "/v1/check", json.dumps({"items": [{"url": "https://x.example/"}] * 1001}).encode(), "application/json")[0], 413, "too many")

# Uploads.
same(ask("POST", "/v1/upload", blocked, "image/jpeg")[0], 451, "upload of what is blocked")
same(ask("POST", "/v1/upload", *form("file", blocked))[0], 451, "the same in a form")
status, got = ask("POST", "/v1/upload", free, "image/jpeg")
same((status, got["decision"]["verdict"]), (200, "allow"), "upload")
same(ask("POST", "/v1/upload", free[:100], "image/jpeg")[0], 202, "upload of what cannot be decoded")
same(ask("POST", "/v1/upload", b"x" * ((1 << 20) + 900_000), "image/jpeg")[0], 413, "too long")

status, got = ask("GET", "/v1/lists")
same((status, got["lists"][0]["name"], got["lists"][0]["counts"]["Rules"]), (200, "main", 4), "lists")
status, got = ask("GET", "/metrics")
for name in ["staydown_request_seconds_count", 'staydown_verdicts_total{verdict="block"}', "staydown_list_age_seconds"]:
    if name not in got:
        sys.exit(f"{name} is not in the metrics")
same(ask("GET", "/nothing")[0], 404, "another path")
print("all as expected")
