// Runs an ONNX file with ONNX Runtime on inputs given as raw little-endian files, and writes its outputs the same way.
// A program of its own, so that the proof of an export shares no code with the exporter.
//   node trainyard-onnx-node.cjs --request FILE
// Request and result: resources/docs/protocol/model.md. Exit status 0 whenever a result was written.
'use strict';

const fs = require('fs');
const path = require('path');

const arrays = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, int64: BigInt64Array, int32: Int32Array,
  bool: Uint8Array, uint8: Uint8Array, int8: Int8Array,
};

function readTensor(ort, folder, spec) {
  const Kind = arrays[spec.type];
  if (!Kind) {
    throw new Error(`unknown element type ${spec.type}`);
  }
  const bytes = fs.readFileSync(path.join(folder, spec.file));
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return new ort.Tensor(spec.type, new Kind(copy), spec.dims);
}

function writeTensor(folder, name, tensor, file) {
  const data = tensor.data;
  fs.writeFileSync(path.join(folder, file), Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return { name, type: tensor.type, dims: Array.from(tensor.dims), file };
}

async function main() {
  const at = process.argv.indexOf('--request');
  if (at < 0 || at + 1 >= process.argv.length) {
    console.error('usage: node trainyard-onnx-node.cjs --request FILE');
    return 2;
  }
  const request = JSON.parse(fs.readFileSync(process.argv[at + 1], 'utf8'));
  if (request.format !== 'trainyard.onnx-request' || request.version !== 1) {
    console.error(`cannot read ${request.format} version ${request.version}; this program knows trainyard.onnx-request version 1`);
    return 2;
  }
  const home = path.join(request.runtime_folder, 'node_modules', 'onnxruntime-node');
  const ort = require(home);
  const result = {
    name: 'ONNX Runtime',
    version: require(path.join(home, 'package.json')).version,
    through: `Node.js ${process.version}`,
    error: '',
    cases: [],
  };
  const finish = () => fs.writeFileSync(path.join(request.folder, request.result), JSON.stringify(result));
  let session;
  try {
    session = await ort.InferenceSession.create(request.model, {
      executionProviders: ['cpu'], intraOpNumThreads: 2, logSeverityLevel: 3,
    });
  } catch (e) {
    result.error = String(e.message || e);
    finish();
    return 0;
  }
  for (const item of request.cases) {
    const answer = { name: item.name, error: '', outputs: [] };
    try {
      const outputs = await session.run({ [item.input.name]: readTensor(ort, request.folder, item.input) }, request.outputs);
      request.outputs.forEach((name, i) => {
        answer.outputs.push(writeTensor(request.folder, name, outputs[name], `${item.output_prefix}${i}.bin`));
      });
    } catch (e) {
      answer.error = String(e.message || e);
      answer.outputs = [];
    }
    result.cases.push(answer);
  }
  finish();
  return 0;
}

main().then((status) => { process.exitCode = status; }, (e) => {
  console.error(String((e && e.message) || e));
  process.exitCode = 1;
});
