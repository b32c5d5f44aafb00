/** Where requests go: odd keys, endpoints of every shape. Both transports write the same request target and host, and sign it. */
import t from 'tap';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import { isIP, type AddressInfo } from 'node:net';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { createLogger } from '../../src/telemetry/log.js';

const KEYS = [
  'plain',
  '/leading',
  '//two//and//more',
  'a/../b',
  '../up',
  '..',
  '.',
  'a/./b/',
  'trailing/',
  '%2e%2e/%',
  '100%',
  'a+b c',
  'ü/日本/🙂',
  "!'()*~-_.",
  '?query#fragment',
  'a&b=c;d,e:f@g$h',
  '[x]{y}|z^`"<>\\',
  'control\x01\x1f\x7f',
  'line\r\nend',
];
const ENDPOINTS: readonly {
  readonly host: string;
  readonly path?: string;
  readonly style: 'path' | 'host';
}[] = [
  { host: '127.0.0.1', style: 'path' },
  { host: '[::1]', style: 'path' },
  { host: '127.0.0.1', path: '/prefix', style: 'path' },
  { host: '127.0.0.1', path: '/pre%20fix/more/', style: 'path' },
  { host: 'localhost', style: 'host' },
  { host: 'localhost', path: '/prefix', style: 'host' },
];

async function seenBy(transport: 'direct' | 'sdk', endpoint: (typeof ENDPOINTS)[number]): Promise<string[]> {
  const seen: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const target = request.url ?? '';
    const query = target.indexOf('?');
    const host = (request.headers.host ?? '').replace(/:\d+$/, ':PORT');
    seen.push(`${host} ${query === -1 ? target : target.slice(0, query)}`);
    response.writeHead(200, { etag: '"a"', 'content-length': '1', connection: 'close' }).end();
  });
  server.listen(0, endpoint.host === '[::1]' ? '::1' : '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl: `http://${endpoint.host}:${port}${endpoint.path ?? ''}`,
    forcePathStyle: endpoint.style === 'path',
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
    retry: { attemptsMax: 1 },
    transport,
  });
  for (const key of KEYS)
    await store.head(key).catch((error: unknown) => seen.push(`${key}: ${String(error)}`));
  await store.close();
  server.close();
  return seen;
}

// Few resolvers know names below localhost: here all names are this machine.
t.capture(dns, 'lookup', (host: string, ...rest: unknown[]) => {
  const done = rest.at(-1) as (...args: unknown[]) => void;
  const found = { address: isIP(host) === 0 ? '127.0.0.1' : host, family: isIP(host) || 4 };
  if ((rest[0] as { all?: boolean }).all === true) done(null, [found]);
  else done(null, found.address, found.family);
});
t.capture(dns.promises, 'lookup', async () => [{ address: '127.0.0.1', family: 4 }]);
syncBuiltinESMExports();
t.teardown(() => syncBuiltinESMExports());

for (const endpoint of ENDPOINTS)
  await t.test(`${endpoint.host}${endpoint.path ?? ''}, ${endpoint.style} style`, async (t) => {
    const sdk = await seenBy('sdk', endpoint);
    t.equal(sdk.length, KEYS.length);
    t.strictSame(await seenBy('direct', endpoint), sdk);
  });
