"""Reads records from docs/format/record.md alone and prints what they say as JSON.

    python3 read_record.py records.json

Only tests use it: it shows that the document is complete. It checks every checksum
and computes the running digest.
"""
import hashlib, json, struct, sys

CRC = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    CRC.append(i)

def crc32c(b):
    c = 0xFFFFFFFF
    for x in b:
        c = c >> 8 ^ CRC[(c ^ x) & 255]
    return c ^ 0xFFFFFFFF

def varint(b, at):
    n = shift = 0
    start = at
    while True:
        n |= (b[at] & 127) << shift
        shift += 7
        at += 1
        if b[at - 1] < 128:
            assert at == start + 1 or b[at - 1] != 0, "a number is too long"
            return n, at

HEADER = {2, 4, 6, 8, 10, 12, 13}
PAYLOAD = {32, 34, 35, 37, 38, 40, 42, 44, 46, 64, 66, 68, 70, 80, 81, 82, 83, 96, 97, 104, 111}

def fields(b, known, extra):
    out, at, last = {}, 0, -1
    while at < len(b):
        tag, at = varint(b, at)
        n, at = varint(b, at)
        assert tag > last and at + n <= len(b)
        last, value, at = tag, b[at:at + n], at + n
        if tag in known:
            out[tag] = value
        else:
            assert tag % 2 == 1, "required field %d is not known" % tag
            extra.append(text(tag, value.hex()))
    return out

def text(*parts):
    return json.dumps(parts, separators=(",", ":"))

def number(b):
    n, at = varint(b, 0) if b else (0, 0)
    assert at == len(b)
    return n

def time(b):
    return struct.unpack("<q", b)[0] if b else 0

def split(b, n):
    assert len(b) % n == 0
    return [b[i:i + n] for i in range(0, len(b), n)]

def hashes(b):
    at = 0
    while at < len(b):
        name, size = {1: ("pdq", 32), 2: ("p", 8), 3: ("d", 8), 4: ("part", 32)}[b[at]]
        yield name + ":" + b[at + 1:at + 1 + size][::-1].hex()
        at += 1 + size

def prefixed(b):
    at = 0
    while at < len(b):
        n, at = varint(b, at)
        yield b[at:at + n]
        at += n

def faces(b):
    at = 0
    while at < len(b):
        n, zero, dims, sealed, block, review = struct.unpack_from("<BBHIdd", b, at)
        at += 24
        yield text(b[at:at + n].decode(), dims, block, review, b[at + n:at + n + sealed].hex())
        at += n + sealed

def views(b):
    at = 0
    while at < len(b):
        frame, at = varint(b, at)
        reading, box = b[at], []
        at += 1
        for _ in range(4):
            x, at = varint(b, at)
            box.append(x)
        yield text(frame, reading, *box)

def read(b):
    assert crc32c(b[:-4]) == struct.unpack("<I", b[-4:])[0]
    form, (n, at) = b[0], varint(b, 1)
    header, body, extra = b[at:at + n], b[at + n:-4], []
    h = fields(header, HEADER, extra)
    out = {"form": form, "seq": number(h.get(2, b"")), "type": h[4][0], "id": h[6].hex(), "time": time(h.get(8)),
           "target": number(h.get(10, b"")), "tenant": number(h.get(12, b"")), "batch": h.get(13, bytes(16)).hex()}
    assert form in (1, 2)
    digest = body if form == 2 else hashlib.sha256(body).digest()
    assert len(digest) == 32
    p = fields(body[16:], PAYLOAD, extra) if form == 1 else {}
    octet = lambda tag: p.get(tag, b"\0")[0]
    out.update(body=digest.hex(), scope=octet(32), effect=octet(34), kind=octet(35), case=p.get(37, bytes(16)).hex(),
               territories=p.get(38, b"").decode(), start=time(p.get(40)), end=time(p.get(42)), until=time(p.get(44)),
               purposes=number(p.get(46, b"")), extra=extra)
    out["addresses"] = [text(a[0], a[1:].hex()) for a in split(p.get(64, b""), 17)]
    out["files"] = [text(name, f.hex()) for tag, size, name in ((66, 32, "sha256"), (68, 20, "sha1"), (70, 16, "md5"))
                    for f in split(p.get(tag, b""), size)]
    column = lambda tag, keys: p.get(tag, bytes(len(keys)))
    keys = list(hashes(p.get(80, b"")))
    out["hashes"] = [text(*row) for row in zip(keys, column(81, keys), column(82, keys), column(83, keys))]
    sets = list(prefixed(p.get(96, b"")))
    out["features"] = [text(len(s), hashlib.sha256(s).hexdigest(), v) for s, v in zip(sets, column(97, sets))]
    out["faces"], out["views"] = list(faces(p.get(104, b""))), list(views(p.get(111, b"")))
    return header, digest, out

with open(sys.argv[1]) as file:
    given = json.load(file)
d = hashlib.sha256(b"staydown list 1\n" + bytes.fromhex(given["list"]) + struct.pack("<II", given["tenant"], given["epoch"])).digest()
result = []
for r in given["records"]:
    header, digest, says = read(bytes.fromhex(r["hex"]))
    d = hashlib.sha256(d + header + digest).digest()
    result.append({"name": "", "hex": "", "digest": d.hex(), "says": says})
json.dump(result, sys.stdout)
