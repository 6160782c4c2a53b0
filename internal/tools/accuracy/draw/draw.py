#!/usr/bin/python3
"""Draws the copies and families that the command accuracy asks for, one a line of standard input.

  draw.py --tools DIR --list     prints set, name, extension and kind of all that can be drawn
  draw.py --tools DIR --pool DIR reads lines, tab-separated, and answers each with "ok" or an error:

    copy    SET  KIND    ORIGINAL  OUT
    member  SET  FAMILY  NUMBER    OUT
    again   SET  KIND    MEMBER    OUT    a true copy of a member

DIR of --tools holds transform.py, copies2.py and families.py, the generators that the project shares
but does not publish; without it only those beside this file are there.  DIR of --pool is where kinds
and families with other people's photos in them take these.
"""
import argparse
import contextlib
import importlib.util
import io
import os
import random
import sys

from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))
TRANSFORM = "transform", "copies2", "families"


def load(path):
    spec = importlib.util.spec_from_file_location("gen_" + os.path.basename(path)[:-3], path)
    m, argv = importlib.util.module_from_spec(spec), sys.argv
    sys.argv = [path, "--list"]  # those that run when they are loaded then do nothing
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            spec.loader.exec_module(m)
    finally:
        sys.argv = argv
    return m


class Sets:
    def __init__(self, tools, pool):
        self.new, self.new_families = (load(os.path.join(here, n + ".py")) for n in ("copies", "families"))
        for f in self.new.FONTS + self.new_families.FONTS:
            if not os.path.exists(f):
                sys.exit(f"no font {f}: scripts/setup corpus installs it")
        self.shared = {n: load(os.path.join(tools, n + ".py")) for n in TRANSFORM} if tools else {}
        self.pool = sorted(os.path.join(pool, f) for f in os.listdir(pool)) if pool else []

    def list(self):
        for n in self.new.KINDS:
            yield "drawn", n, "jpg", "evading" if n in self.new.EVADING else "realistic"
        for n in self.new_families.FAMILIES:
            yield "drawn", n, "jpg", "family"
        for n in self.new_families.COPIES:
            yield "drawn", n, "jpg", "document"
        if self.shared:
            t, c, f = (self.shared[n] for n in TRANSFORM)
            for n in t.T:
                yield "transform", n, t.B[n][0], "known"
            for n, (ext, _, _) in c.KINDS.items():
                yield "copies2", n, ext, "evading" if n in c.ADVERSARIAL else "realistic"
            for n in f.FAMILIES:
                yield "families", n, "jpg", "family"
            for n in f.COPIES:
                yield "families", n, "jpg", "document"

    def copy(self, set, kind, original, out):
        if set == "drawn":
            im, quality = self.new.KINDS[kind](self.new.Original(original, kind))
            im.convert("RGB").save(out, "JPEG", quality=quality)
        elif set == "transform":
            t = self.shared[set]
            c = t.Ctx(original, "1", self.pool)
            c.reseed(kind)
            t.B[kind][1](c, out)
        else:
            o = self.shared[set].Original(original, self.pool)
            o.seed(kind)
            self.shared[set].KINDS[kind][2](o, out)

    def member(self, set, family, number, out):
        if set == "drawn":
            im = self.new_families.FAMILIES[family](self.new_families.Sheet(family, int(number)))
        else:
            f = self.shared[set]
            im = f.FAMILIES[family][1](f.Draw(family, int(number), self.pool))
        im.convert("RGB").save(out, "JPEG", quality=88)

    def again(self, set, kind, member, out):
        m = self.new_families if set == "drawn" else self.shared[set]
        quality, f = m.COPIES[kind]
        seed = "/".join(member.split("/")[-2:]) + "/" + kind
        f(Image.open(member).convert("RGB"), random.Random(seed)).convert("RGB").save(out, "JPEG", quality=quality)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--tools")
    a.add_argument("--pool")
    a.add_argument("--list", action="store_true")
    v = a.parse_args()
    sets = Sets(v.tools, v.pool)
    if v.list:
        for row in sets.list():
            print(*row, sep="\t")
        return
    answer, sys.stdout = sys.stdout, sys.stderr  # generators may print
    for line in sys.stdin:
        what, set, name, of, out = line.rstrip("\n").split("\t")
        try:
            # Renamed when it is complete, so that a run that was ended leaves no half pictures.
            part = os.path.join(os.path.dirname(out), ".part-" + os.path.basename(out))
            getattr(sets, what)(set, name, of, part)
            os.replace(part, out)
            print("ok", file=answer, flush=True)
        except Exception as e:
            print(f"{type(e).__name__}: {e}".replace("\n", " "), file=answer, flush=True)


main()
