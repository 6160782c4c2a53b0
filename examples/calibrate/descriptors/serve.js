// Answers with the faces of pictures, for a program that runs it as a child:
//
//   → {"width": 480, "height": 320}\n, then 480 · 320 · 3 bytes of red, green, blue
//   ← {"faces": [{"box": [left, top, right, bottom], "vector": [128 numbers], "quality": 0.98}]}\n
//
// or {"error": "…"}. The first line it writes is {"model": …, "dimensions": …};
// it ends with its input. One picture at a time, of at most MAX_PIXELS.
// examples/faces is such a program.
'use strict';

// Libraries say things; the output is for answers.
console.log = console.error;
console.info = console.error;
console.warn = console.error;

const { MODEL, DIMENSIONS, tf, load, facesOf } = require('./model.js');

const MAX_PIXELS = 50e6;
const MAX_LINE = 200;

// Reader reads lines and bytes of a stream.
class Reader {
  constructor(stream) {
    this.chunks = stream[Symbol.asyncIterator]();
    this.rest = Buffer.alloc(0);
  }

  async more() {
    const { value, done } = await this.chunks.next();
    return done ? null : value;
  }

  // line returns the next line, or null at the end.
  async line() {
    for (;;) {
      const end = this.rest.indexOf(10);
      if (end >= 0) {
        const line = this.rest.subarray(0, end).toString();
        this.rest = this.rest.subarray(end + 1);
        return line;
      }
      if (this.rest.length > MAX_LINE) throw new Error('a line is too long');
      const chunk = await this.more();
      if (chunk === null) return null;
      this.rest = Buffer.concat([this.rest, chunk]);
    }
  }

  async bytes(n) {
    const all = new Uint8Array(n);
    let have = 0;
    for (;;) {
      const take = Math.min(n - have, this.rest.length);
      all.set(this.rest.subarray(0, take), have);
      have += take;
      this.rest = this.rest.subarray(take);
      if (have === n) return all;
      const chunk = await this.more();
      if (chunk === null) throw new Error('the picture ends early');
      this.rest = chunk;
    }
  }
}

function write(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

async function main() {
  await load();
  write({ model: MODEL, dimensions: DIMENSIONS });
  const input = new Reader(process.stdin);
  for (;;) {
    const line = await input.line();
    if (line === null) return;
    const { width, height } = JSON.parse(line);
    if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1 || width * height > MAX_PIXELS) {
      throw new Error('no size of a picture');
    }
    const rgb = await input.bytes(width * height * 3);
    const t = tf.tidy(() => tf.tensor3d(rgb, [height, width, 3], 'int32').toFloat());
    try {
      write({ faces: await facesOf(t) });
    } catch (err) {
      write({ error: String(err.message || err) });
    } finally {
      t.dispose();
    }
  }
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
