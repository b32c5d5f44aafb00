/** The proxy in front of a server that speaks TLS. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { startFaultProxy, type FaultProxy } from '../../../src/store/faults/proxy.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';
import { rawExchange } from '../../support/raw-http.js';
import { clientOf, startServer, temporaryDirectory } from '../embedded/support.js';

const Bucket = 'photos';

interface TlsServer {
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
  /** The names that clients asked for by SNI; false where they asked for none. */
  readonly servernames: Set<string | false>;
}

/** An S3 server behind TLS with a certificate of its own, for `name`. */
async function tlsServer(t: Test, name: string): Promise<TlsServer> {
  const directory = temporaryDirectory(t);
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${name}`];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
    ].concat(['-keyout', key, '-out', certificate]),
    { stdio: 'pipe' },
  );
  const store = await startServer(join(directory, 'store'));
  t.teardown(() => store.close());
  const servernames = new Set<string | false>();
  const server = createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (request, response) => {
      const { method, url, headers } = request;
      const passed = httpRequest(
        { host: '127.0.0.1', port: store.port, method, path: url, headers, agent: false },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      request.pipe(passed);
    },
  );
  server.on('secureConnection', (socket) => servernames.add(socket.servername ?? false));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, certificate: readFileSync(certificate, 'utf8'), servernames };
}

async function proxyTo(t: Test, to: string, certificateAuthorities?: string): Promise<FaultProxy> {
  const plan = parseFaultPlan('rules: ["error code=SlowDown operation=PutObject nth=2"]');
  const proxy = await startFaultProxy({ to, host: '127.0.0.1', port: 0, plan, certificateAuthorities });
  t.teardown(() => proxy.close());
  return proxy;
}

for (const [host, name] of [
  ['127.0.0.1', 'IP:127.0.0.1'],
  ['localhost', 'DNS:localhost'],
] as const) {
  await t.test(`https://${host}: requests go there, faults happen`, async (t) => {
    const { port, certificate, servernames } = await tlsServer(t, name);
    const proxy = await proxyTo(t, `https://${host}:${port}`, certificate);
    const client = clientOf(t, proxy.endpoint);
    await client.send(new CreateBucketCommand({ Bucket }));
    const Body = Buffer.alloc(3 * 1024 * 1024, 'tls');
    const put = async (): Promise<unknown> => client.send(new PutObjectCommand({ Bucket, Key: 'k', Body }));
    await put();
    await t.rejects(put(), { name: 'SlowDown' });
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
    t.ok(Body.equals((await got.Body?.transformToByteArray()) ?? Buffer.alloc(0)));
    // The Host that clients send is the proxy's; TLS is about the server. Addresses aren't named (RFC 6066 3).
    t.same([...servernames], [host === 'localhost' ? 'localhost' : false]);
  });
}

await t.test('a certificate nobody vouches for, or of another name, is a connection reset', async (t) => {
  const { port, certificate } = await tlsServer(t, 'DNS:s3.example.com');
  for (const authorities of [undefined, certificate]) {
    const proxy = await proxyTo(t, `https://localhost:${port}`, authorities);
    const answer = await rawExchange(proxy.port, { method: 'GET', path: '/' });
    t.match(answer, { status: undefined, end: 'ECONNRESET' });
  }
});
