// Writes the face vectors of labelled pictures as JSON lines, one face a line:
//
//   {"person": "…", "file": "…", "copy": "original", "model": "…", "vector": [128 numbers]}
//
//   npm install --ignore-scripts
//   node descriptors.js ../../../../shared/testdata/faces > /tmp/faces.jsonl
//
// The folder holds SOURCES.tsv with the columns file and person, or a folder for
// each person. --first N takes the first N photographs of each person, and --several
// only people with several. The model is
// the one that @vladmandic/face-api ships in its package: SSD MobileNet finds
// the faces, 68 landmarks straighten them, and a ResNet-34 turns each into 128
// numbers. It runs in tfjs' WebAssembly backend, on the processor alone.
//
// With --copies every picture is also described as altered copies of it
// (mirrored, darker, smaller, blurred, cropped). Those show how far one
// photograph moves; a threshold is to be chosen from different photographs.
//
// This is a development tool. Neither the vectors nor the weights belong into
// the repository: they are biometric data, and they are not ours.
'use strict';

const fs = require('fs');
const path = require('path');
const jpeg = require('jpeg-js');
const { MODEL, tf, load, facesOf } = require('./model.js');

// labels reads the columns file and person of a folder's SOURCES.tsv, or takes its
// folders for people.
function labels(folder) {
  const table = path.join(folder, 'SOURCES.tsv');
  if (!fs.existsSync(table)) {
    const people = fs.readdirSync(folder, { withFileTypes: true }).filter((d) => d.isDirectory()).map((d) => d.name).sort();
    return people.flatMap((person) => fs.readdirSync(path.join(folder, person)).filter((f) => /\.jpe?g$/i.test(f)).sort()
      .map((f) => ({ file: path.join(person, f), person })));
  }
  const [head, ...rows] = fs.readFileSync(table, 'utf8').trim().split('\n').map((l) => l.split('\t'));
  const file = head.indexOf('file');
  const person = head.indexOf('person');
  return rows.map((r) => ({ file: r[file], person: r[person] }));
}

// chosen keeps the first photographs of each person, if asked only of people with
// several.
function chosen(all, first, several) {
  const count = {};
  for (const { person } of all) count[person] = (count[person] || 0) + 1;
  const seen = {};
  return all.filter(({ person }) => {
    seen[person] = (seen[person] || 0) + 1;
    return seen[person] <= first && (!several || count[person] > 1);
  });
}

// pixels decodes a JPEG to a tensor of height x width x 3, from 0 to 255.
function pixels(file) {
  const { width, height, data } = jpeg.decode(fs.readFileSync(file), { useTArray: true, formatAsRGBA: false });
  return tf.tensor3d(data, [height, width, 3], 'int32').toFloat();
}

// ALTERATIONS make copies of a picture.
const ALTERATIONS = {
  mirrored: (t) => t.reverse(1),
  darker: (t) => t.mul(0.6),
  smaller: (t) => tf.image.resizeBilinear(t, [Math.round(t.shape[0] * 0.6), Math.round(t.shape[1] * 0.6)]),
  blurred: (t) => tf.avgPool(t, [3, 3], [1, 1], 'same'),
  cropped: (t) => {
    const [h, w] = t.shape;
    const y = Math.floor(h * 0.04);
    const x = Math.floor(w * 0.04);
    return t.slice([y, x, 0], [h - 2 * y, w - 2 * x, 3]);
  },
};

// biggestFace returns the vector of the biggest face in a picture, or null.
async function biggestFace(t) {
  const faces = await facesOf(t);
  return faces.length > 0 ? faces[0].vector : null;
}

async function main() {
  const args = process.argv.slice(2);
  const copies = args.includes('--copies');
  const at = args.indexOf('--first');
  const first = at < 0 ? Infinity : Number(args[at + 1]);
  const folder = args.find((a, i) => !a.startsWith('--') && (at < 0 || i !== at + 1));
  if (!folder || !(first >= 1)) {
    console.error('usage: node descriptors.js [--copies] [--first N] [--several] FOLDER > vectors.jsonl');
    process.exit(2);
  }
  await load();
  for (const { file, person } of chosen(labels(folder), first, args.includes('--several'))) {
    const original = pixels(path.join(folder, file));
    const versions = { original: (t) => t.clone(), ...(copies ? ALTERATIONS : {}) };
    for (const [copy, alter] of Object.entries(versions)) {
      const t = tf.tidy(() => alter(original));
      const vector = await biggestFace(t);
      t.dispose();
      if (vector === null) {
        console.error(`${file} (${copy}): no face found`);
        continue;
      }
      console.log(JSON.stringify({ person, file, copy, model: MODEL, vector }));
    }
    original.dispose();
  }
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
