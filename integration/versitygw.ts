/** versitygw, an S3 server that nobody here wrote, as a process on the loopback (built by integration/real-store.sh). */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { BUCKET, KEYS } from './daemon.js';

const BINARY = 'dist/real-store/versitygw';

/** Why it can't be started here; undefined where it can. */
export function whyNoVersitygw(): string | undefined {
  return existsSync(BINARY)
    ? undefined
    : 'versitygw is not built: integration/real-store.sh does it where there is a Go toolchain';
}

/** A port nobody listens on. Somebody may take it before it is used; then the server ends at once, and says so. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return connected;
}

export class Versitygw {
  readonly endpoint: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, ended: Promise<unknown>, endpoint: string) {
    this.#child = child;
    this.#ended = ended;
    this.endpoint = endpoint;
  }

  /** Serves `directory`, with one empty bucket. */
  static async start(directory: string): Promise<Versitygw> {
    const port = await freePort();
    const child = spawn(BINARY, ['--quiet', '--port', `127.0.0.1:${String(port)}`, 'posix', directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        ROOT_ACCESS_KEY: KEYS.accessKeyId,
        ROOT_SECRET_KEY: KEYS.secretAccessKey,
      },
    });
    const complaints: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
    const ended = once(child, 'close');
    while (!(await accepts(port)))
      if (child.exitCode !== null) throw new Error(`versitygw ended: ${complaints.join('')}`);
    const server = new Versitygw(child, ended, `http://127.0.0.1:${String(port)}`);
    await server.#createBucket();
    return server;
  }

  async #createBucket(): Promise<void> {
    const client = new S3Client({
      endpoint: this.endpoint,
      credentials: KEYS,
      region: 'us-east-1',
      forcePathStyle: true,
    });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    client.destroy();
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
