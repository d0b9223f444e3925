// SPDX-License-Identifier: Apache-2.0
// Node's fetch, its WebSocket where there is one and the package ws, against the
// URL in argument 1 and the WebSocket URL in argument 2; a line of TAP without its
// number each.
import { createRequire } from 'node:module';

const [url, ws] = process.argv.slice(2);
const pattern = (n) => 'abcdefghijklmnopqrstuvwxyz'.repeat(n / 26 + 1).slice(0, n);
const check = (text, isTrue) => console.log(`${isTrue ? 'ok' : 'not ok'} - fetch: ${text}`);
const text = async (path, init) => (await fetch(url + path, init)).text();

let right = 0;
for (let i = 0; i < 200; i++) right += await text('/bytes/1000') === pattern(1000);
check('200 requests, one after the other', right === 200);
const many = await Promise.all(Array.from({ length: 100 }, () => text('/bytes/5000')));
check('100 requests at once', many.every((t) => t === pattern(5000)));
const said = (n, chunked) => `"body_bytes":${n},"body_is_chunked":${chunked},"body_is_pattern":true`;
check('a body with a length', (await text('/', { method: 'POST', body: pattern(70000) })).includes(said(70000, false)));
const stream = new ReadableStream({
  async pull(c) {
    this.n = (this.n || 0) + 1;
    if (this.n > 10) c.close();
    else c.enqueue(new TextEncoder().encode(pattern(7020)));
  },
});
check('a body in chunks', (await text('/', { method: 'POST', body: stream, duplex: 'half' })).includes(said(70200, true)));
check('chunks back', await text('/bytes/3000000/chunked') === pattern(3000000));
check('until the end of the connection', await text('/bytes/100000/eof') === pattern(100000));
const head = await fetch(`${url}/bytes/1000`, { method: 'HEAD' });
check('HEAD', head.headers.get('content-length') === '1000' && await head.text() === '');
check('204', (await fetch(`${url}/status/204`)).status === 204);
const broken = await text('/bytes/100000/truncate').catch(() => 'failed');
check('a response cut short is an error', broken === 'failed');

async function talk(text, Socket) {
  const socket = new Socket(ws);
  const said = ['one', pattern(100000), 'three'];
  const heard = [];
  await new Promise((resolve) => {
    socket.onopen = () => said.forEach((s) => socket.send(s));
    socket.onmessage = (e) => { heard.push(e.data); if (heard.length === said.length) socket.close(1000); };
    socket.onclose = resolve;
    socket.onerror = resolve;
  });
  check(text, said.join() === heard.join());
}
if (typeof WebSocket === 'function') await talk('WebSocket', WebSocket);
else console.log(`ok - Node's WebSocket # SKIP node ${process.version} has none`);
// Debian's node-ws; only Debian's own Node looks there by itself.
const need = createRequire(import.meta.url);
let Ws;
for (const where of ['ws', '/usr/share/nodejs/ws']) {
  try { Ws ||= need(where); } catch { /* the next one */ }
}
if (Ws) await talk('WebSocket of the package ws', Ws);
else console.log('ok - ws # SKIP the package ws is not installed (Debian: node-ws)');
