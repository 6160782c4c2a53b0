"""Reads a snapshot from docs/format and docs/hashes.md alone and prints what it says as JSON.

    python3 read_snapshot.py FILE [IMAGE-ADDRESS...]

Only tests use it: it shows that the documents are complete. It checks every
checksum, the directory and the filter, and digests the canonical addresses.
"""
import json, os, re, struct, sys

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

def siphash128(key, data):
    m64 = (1 << 64) - 1
    rotl = lambda x, n: (x << n | x >> 64 - n) & m64
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & m64; v[1] = rotl(v[1], 13) ^ v[0]; v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & m64; v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & m64; v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & m64; v[1] = rotl(v[1], 17) ^ v[2]; v[2] = rotl(v[2], 32)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (m,) in struct.iter_unpack("<Q", padded):
        v[3] ^= m; rounds(2); v[0] ^= m
    out = b""
    for x, at in ((0xEE, 2), (0xDD, 1)):
        v[at] ^= x; rounds(4); out += struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])
    return out

def roaring(b):
    (cookie,) = struct.unpack_from("<I", b)
    n, at, runs = cookie >> 16, 4, b""
    if cookie & 0xFFFF == 12347:
        n += 1
        runs = b[4:4 + (n + 7) // 8]; at += len(runs)
    else:
        assert cookie == 12346
        (n,) = struct.unpack_from("<I", b, 4); at = 8
    keys = list(struct.iter_unpack("<HH", b[at:at + 4 * n])); at += 4 * n
    if not runs or n >= 4:
        at += 4 * n  # offsets
    out = []
    for i, (high, card) in enumerate(keys):
        if runs and runs[i // 8] >> i % 8 & 1:
            (r,) = struct.unpack_from("<H", b, at)
            low = [x for s, l in struct.iter_unpack("<HH", b[at + 2:at + 2 + 4 * r]) for x in range(s, s + l + 1)]
            at += 2 + 4 * r
        elif card + 1 > 4096:
            low = [x for x in range(65536) if b[at + x // 8] >> x % 8 & 1]; at += 8192
        else:
            low = [x for (x,) in struct.iter_unpack("<H", b[at:at + 2 * card + 2])]; at += 2 * card + 2
        out += [high << 16 | x for x in low]
    assert at == len(b)
    return out

# number: prefix of the text form, bytes
HASHES = open(os.path.join(os.path.dirname(__file__), "../../docs/hashes.md"), encoding="utf-8").read()
ALGORITHMS = {int(n): (prefix, int(bits) // 8) for n, bits, prefix in re.findall(r"^\| (\d+) \| [^|]+ \| (64|256) \| `(\w+):`", HASHES, re.M)}

def segment(b):  # docs/format/segment.md: entries as (id, text of the hash)
    magic, version, alg, n, distinct = struct.unpack_from("<8sHBxxxxxQQ", b)
    assert magic == b"sdSEGMT\n" and version == 1
    pad = lambda x: (x + 7) // 8 * 8
    ids, at = struct.unpack_from("<%dI" % n, b, 64), 64 + pad(4 * n)
    first = range(distinct + 1)
    if distinct != n:
        first = struct.unpack_from("<%dI" % (distinct + 1), b, at); at += pad(4 * (distinct + 1))
    for k in range(distinct):
        if ALGORITHMS[alg][1] == 32:
            low = at + 16 * distinct
            text = ALGORITHMS[alg][0] + ":%016x%016x%016x%016x" % (struct.unpack_from("<QQ", b, at + 16 * k) + struct.unpack_from("<QQ", b, low + 16 * k))
        else:
            text = ALGORITHMS[alg][0] + ":%016x" % struct.unpack_from("<Q", b, at + 8 * k)
        for i in range(first[k], first[k + 1]):
            yield ids[i], text

def read(f):
    assert f[:8] == b"\x89SDLIST\n"
    version, features, count, size, seq, created = struct.unpack_from("<HHIQQq", f, 8)
    tenant, rules, epoch = struct.unpack_from("<III", f, 88)
    digest, (contents,) = f[104:136], struct.unpack_from("<I", f, 136)
    assert (version, features, size) == (1, 0, len(f)) and crc32c(f[:188]) == struct.unpack_from("<I", f, 188)[0]
    end = 192 + 32 * count
    assert crc32c(f[:188] + f[192:end]) == struct.unpack_from("<I", f, end)[0]
    s = {}
    for i in range(count):
        kind, crc, at, length = struct.unpack_from("<IIQQ", f, 192 + 32 * i)
        s[kind] = f[at:at + length]
        assert crc32c(f[:188] + struct.pack("<I", kind) + s[kind]) == crc
    col = lambda kind, code: [x[0] for x in struct.iter_unpack("<" + code, s.get(kind, b""))]
    seqs, attrs, G = col(1, "Q"), col(2, "I"), len(s.get(1, b"")) // 8
    grants = [{"event": seqs[g], "rule": seqs[g], "kind": attrs[g] & 255, "scope": attrs[g] >> 8 & 15, "effect": attrs[g] >> 12 & 15,
               "purposes": attrs[g] >> 16 & 15, "learned": bool(attrs[g] >> 24 & 1), "worldwide": bool(attrs[g] >> 25 & 1),
               "case": s[3][16 * g:16 * g + 16].hex(), "start": 0, "end": 0, "territories": [], "keys": [], "hashes": []} for g in range(G)]
    history = col(16, "Q")
    assert not history or struct.pack("<Q", history[-1]) == digest[:8]
    for g, _, rule in struct.iter_unpack("<IIQ", s.get(4, b"")):
        grants[g]["rule"] = rule
    for g, _, start, stop in struct.iter_unpack("<IIqq", s.get(5, b"")):
        grants[g]["start"], grants[g]["end"] = start, stop
    at, sets = 0, s.get(6, b"")
    while at < len(sets):
        what, x, y, _, n = struct.unpack_from("<BBBBI", sets, at)
        for g in roaring(sets[at + 8:at + 8 + n]):
            if what == 2:
                grants[g]["territories"].append(chr(x) + chr(y))
            assert {1: attrs[g] >> 26 & 1, 2: not grants[g]["worldwide"]}[what]
        at += 8 + n
    views = {}
    for g, number, reading, frame, x0, y0, x1, y1 in struct.iter_unpack("<IBBxxIIIII4x", s.get(17, b"")):
        views[g, number] = "%d:%s:(%d,%d)-(%d,%d)" % (frame, ("white", "black", "colours")[reading], x0, y0, x1, y1)
    view = lambda g, number: views[g, number] if number else "-"
    lo, mid, high, top, owner, directory, words = col(8, "Q"), col(9, "I"), col(10, "H"), col(11, "H"), col(12, "I"), col(7, "I"), col(13, "Q")
    K = len(lo)
    b = min(max(K.bit_length() - 2, 0), 30)
    blocks = -(-16 * K // 512)
    assert len(directory) == 2 ** b + 1 and len(words) == 8 * blocks
    for i in range(2 ** b):
        for row in range(directory[i], directory[i + 1]):
            t = i >> b - 16 if b >= 16 else top[row]
            hi = t << 48 | high[row] << 32 | mid[row]
            assert hi >> 64 - b == i if b else True
            for j in range(7):
                bit = lo[row] >> 9 * j & 511
                assert words[(hi * blocks >> 64) * 8 + bit // 64] >> bit % 64 & 1
            grants[owner[row]]["keys"].append(struct.pack("<QQ", lo[row], hi).hex())
    for base in (32 + 8 * alg for alg in ALGORITHMS):
        of, variants = col(base + 1, "I"), s.get(base + 2, b"")
        reach, seen = s.get(base + 3, bytes(len(of))), s.get(base + 4, bytes(len(of)))
        for i, text in segment(s[base]) if base in s else ():
            grants[of[i]]["hashes"].append("%s/%d/%d/%s" % (text, variants[i], reach[i], view(of[i], seen[i])))
    of = col(19, "I")
    for g, number in zip(of, s.get(20, bytes(len(of)))):
        grants[g].setdefault("features", []).append(view(g, number))
    exceptions = []
    for rule, event, until, alg, data in struct.iter_unpack("<QQqB7x40s", s.get(14, b"")):
        what = data[:16].hex() if alg == 0 else ALGORITHMS[alg][0] + ":" + data[ALGORITHMS[alg][1] - 1::-1].hex()
        exceptions.append({"rule": rule, "event": event, "until": until, "what": what})
    at, faces = 0, s.get(21, b"")
    while at < len(faces):
        n, _, d, _, rows = struct.unpack_from("<BBHIQ", faces, at)
        model = faces[at + 16:at + 16 + n].decode("ascii")
        at += (16 + n + 7) // 8 * 8
        for _ in range(rows):
            g, _, event, block, review, sealed = struct.unpack_from("<II16sddB", faces, at)
            assert sealed == 1 and block >= review
            grants[g].setdefault("faces", []).append("%s/%d %s %.6f %.6f" % (model, d, event.hex(), block, review))
            at += 73 + n + d
    assert at == len(faces)
    assert all(len(g.get("faces", [])) <= attrs[i] >> 27 for i, g in enumerate(grants))
    for g in grants:
        g.get("faces", []).sort()
        g.get("features", []).sort()
        g["keys"].sort(); g["hashes"].sort(); g["territories"].sort()
    return {"seq": seq, "created": created, "tenant": tenant, "rules": rules, "epoch": epoch, "digest": digest.hex(), "history": len(history),
            "contents": contents, "grants": grants, "exceptions": exceptions}, f[56:88]

with open(sys.argv[1], "rb") as file:
    out, secret = read(file.read())
image_key = siphash128(secret[:16], b"\x01" + secret[16:])
out["digests"] = [siphash128(image_key, a.removeprefix("https://").encode()).hex() for a in sys.argv[2:]]
json.dump(out, sys.stdout, indent=1)
