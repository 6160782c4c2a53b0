// The public model: SSD MobileNet finds the faces, 68 landmarks straighten them,
// and a ResNet-34 turns each into 128 numbers. It runs in tfjs' WebAssembly
// backend, on the processor alone.
'use strict';

const path = require('path');
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');

const MODEL = 'face-api-resnet34@1.7.15';
const DIMENSIONS = 128;
const MAX_FACES = 256; // of a picture, as takedown.MaxFaces

// load makes the model ready.
async function load() {
  wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'));
  await tf.setBackend('wasm');
  await tf.ready();
  const weights = path.join(path.dirname(require.resolve('@vladmandic/face-api/package.json')), 'model');
  await faceapi.nets.ssdMobilenetv1.loadFromDisk(weights);
  await faceapi.nets.faceLandmark68Net.loadFromDisk(weights);
  await faceapi.nets.faceRecognitionNet.loadFromDisk(weights);
}

// facesOf returns the faces of a picture, a tensor of height x width x 3 from 0
// to 255, the biggest first: for each a box [left, top, right, bottom] in pixels,
// a vector, and the confidence of the detector.
async function facesOf(picture) {
  const options = new faceapi.SsdMobilenetv1Options({ minConfidence: 0.3, maxResults: MAX_FACES });
  const faces = await faceapi.detectAllFaces(picture, options).withFaceLandmarks().withFaceDescriptors();
  faces.sort((a, b) => b.detection.box.area - a.detection.box.area);
  return faces.map((f) => {
    const { left, top, right, bottom } = f.detection.box;
    return { box: [left, top, right, bottom].map(Math.round), vector: Array.from(f.descriptor), quality: f.detection.score };
  });
}

module.exports = { MODEL, DIMENSIONS, tf, load, facesOf };
