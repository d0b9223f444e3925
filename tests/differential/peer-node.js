// SPDX-License-Identifier: Apache-2.0
// How llhttp, in Node's own binding and strictness, reads streams of requests.
// In: u32 count, then u32 size and bytes each; out: a line each (reading.h).
'use strict';
const fs = require('fs');
const { internalBinding } = require('internal/test/binding'); // --expose-internals
const { HTTPParser, methods, allMethods } = internalBinding('http_parser');
const names = allMethods || methods;

const table = new Uint32Array(256).map((_, i) => {
  for (let k = 0; k < 8; k++) i = i & 1 ? 0xEDB88320 ^ (i >>> 1) : i >>> 1;
  return i;
});
function crc(c, bytes) {
  c = ~c;
  for (let i = 0; i < bytes.length; i++) c = table[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}
const crcText = (s) => crc(0, Buffer.from(s, 'latin1'));

const isResponse = process.argv[2] === 'response';
let messages, begun, open, early, isHead, isFinal;
const parser = new HTTPParser();
parser[HTTPParser.kOnMessageBegin | 0] = () => { begun = true; early = []; };
parser[HTTPParser.kOnHeaders | 0] = (headers, url) => { early.push(...headers); early.url = (early.url || '') + url; };
parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, headers, method, url, status) => {
  if (isResponse) {
    messages.push({ method: status, target: 0, host: 0, n: 0, body: 0 });
    open = true;
    isFinal = status >= 200;
    return isHead ? 1 : 0;
  }
  const list = headers ? early.concat(headers) : early;
  let host = '';
  for (let i = 0; i < list.length; i += 2) if (list[i].toLowerCase() === 'host') host = list[i + 1];
  if (url === undefined) url = early.url || '';
  messages.push({ method: crcText(names[method]), target: crcText(url), host: crcText(host), n: 0, body: 0 });
  open = true;
  return 0;
};
parser[HTTPParser.kOnBody | 0] = (b, at, n) => {
  if (n !== undefined) b = b.subarray(at, at + n); // before Node 20
  const m = messages[messages.length - 1];
  m.n += b.length;
  m.body = crc(m.body, b);
};
parser[HTTPParser.kOnMessageComplete | 0] = () => {
  begun = open = false;
  // What is behind a final response nobody asked for.
  if (isFinal) throw DONE;
};

const DONE = new Error('done');
function readResponse(bytes) {
  let end = '';
  let reason = '-';
  messages = [];
  begun = open = isFinal = false;
  isHead = bytes[0] === 0x48;
  early = [];
  try {
    parser.initialize(HTTPParser.RESPONSE, {}, 16384);
    let r = parser.execute(bytes.subarray(1));
    if (typeof r === 'number') r = parser.finish();
    if (r instanceof Error && r.code !== 'HPE_INVALID_EOF_STATE') {
      reason = r.code || 'error';
      end = open ? 'F' : 'E';
    }
  } catch (e) {
    if (e !== DONE) throw e;
    end = 'C';
  }
  return line(end, reason);
}

function line(end, reason) {
  end = end || (open ? 'B' : begun ? 'H' : '.');
  const hex = (v) => v.toString(16);
  return [end, reason, ...messages.map((m) =>
    `${hex(m.method)},${hex(m.target)},${hex(m.host)},${m.n},${hex(m.body)}`)].join(' ') + '\n';
}

function read(bytes) {
  let end = '';
  let reason = '-';
  messages = [];
  begun = open = false;
  early = [];
  // An upgrade stops the parser; like a server that grants none, go on.
  for (let at = 0; at < bytes.length;) {
    parser.initialize(HTTPParser.REQUEST, {}, 16384);
    const rest = bytes.subarray(at);
    const r = parser.execute(rest);
    if (typeof r !== 'number') {
      reason = r.code || 'error';
      end = reason === 'HPE_CLOSED_CONNECTION' ? 'C' : open ? 'F' : 'E';
      break;
    }
    at += r;
    if (r === 0) break;
  }
  return line(end, reason);
}

function fill(n) {
  const b = Buffer.alloc(n);
  for (let at = 0; at < n;) {
    const k = fs.readSync(0, b, at, n - at, null);
    if (k === 0) process.exit(0);
    at += k;
  }
  return b;
}
for (;;) {
  const size = fill(4).readUInt32LE(0);
  const batch = fill(size);
  const out = [];
  for (let at = 0; at < size;) {
    const n = batch.readUInt32LE(at);
    out.push((isResponse ? readResponse : read)(batch.subarray(at + 4, at + 4 + n)));
    at += 4 + n;
  }
  const text = Buffer.from(out.join(''));
  for (let at = 0; at < text.length;) at += fs.writeSync(1, text, at);
}
