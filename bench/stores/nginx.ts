/**
 * nginx as the store for reads: files below BUCKET, HEAD and ranged GET as nginx does them by itself (ETag, If-Match, Last-Modified), signatures
 * not looked at. LIST is answered by ListAnswers; each answer becomes a file, so that from the second time on nginx alone answers.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rm, stat, utimes, writeFile, link } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Missing } from '../native.js';
import { fillPattern, MIB } from '../pattern.js';
import { scratchDirectory } from '../scratch.js';
import { cpuSeconds } from '../usage.js';
import { ListAnswers } from './list-answers.js';
import type { Store, StoreUse } from './store.js';

const BUCKET = 'bench';
/** One for each core would share two cores with the daemon and the client all the same. */
const WORKERS = 1;
/** Files kept open: below what a process may have, which is 20,000 on many machines and less on some. One that can't open any more answers 500. */
const OPEN_FILES_MAX = 4096;

export class Nginx implements Store {
  readonly url: string;
  /** `https://localhost:PORT` and the certificate to trust; where TLS was asked for. */
  readonly tls: { readonly url: string; readonly certificateFile: string } | undefined;
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #lists: ListAnswers;
  /** Whole seconds, so that LIST and Last-Modified say the same; long enough ago to prove what HEAD tells. */
  readonly #modified = new Date(Math.floor(Date.now() / 1000 - 3600) * 1000);
  readonly #requests: Record<string, number> = {};
  #bytes = 0;
  #logRead = 0;

  private constructor(options: {
    readonly directory: string;
    readonly process: ChildProcess;
    readonly lists: ListAnswers;
    readonly port: number;
    readonly tlsPort: number | undefined;
  }) {
    this.#directory = options.directory;
    this.#process = options.process;
    this.#lists = options.lists;
    this.url = `http://127.0.0.1:${options.port}`;
    this.tls =
      options.tlsPort === undefined
        ? undefined
        : {
            url: `https://127.0.0.1:${options.tlsPort}`,
            certificateFile: join(options.directory, 'certificate.pem'),
          };
  }

  /** Fails with Missing where there is no nginx, or no openssl for a certificate. */
  static async start({ tls = false } = {}): Promise<Nginx> {
    const directory = await scratchDirectory();
    try {
      return await Nginx.#startIn(directory, tls);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  static async #startIn(directory: string, tls: boolean): Promise<Nginx> {
    await mkdir(join(directory, 'files', BUCKET), { recursive: true });
    await mkdir(join(directory, 'lists'));
    await writeFile(join(directory, 'access.log'), '');
    if (tls) await makeCertificate(directory);
    const lists = await ListAnswers.start(join(directory, 'lists'));
    const [port = 0, tlsPort = 0] = await freePorts(2);
    const file = join(directory, 'nginx.conf');
    await writeFile(file, configuration(directory, port, tls ? tlsPort : undefined, lists.port));
    const child = spawn('nginx', ['-p', directory, '-c', file, '-e', join(directory, 'error.log')], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    try {
      await Promise.race([answers(port), ended(child)]);
    } catch (error) {
      child.kill();
      lists.close();
      throw error;
    }
    return new Nginx({ directory, process: child, lists, port, tlsPort: tls ? tlsPort : undefined });
  }

  /** Target of an object in a request. */
  static target(key: string): string {
    return `/${BUCKET}/${key}`;
  }

  /** An object of `bytes` bytes of file `seed`'s pattern, and of further names with the same bytes. */
  async put(key: string, seed: number, bytes: number, otherKeys: readonly string[] = []): Promise<void> {
    const file = await this.#newFile(key);
    const handle = await open(file, 'w');
    const buffer = Buffer.allocUnsafeSlow(Math.min(bytes, MIB));
    for (let at = 0; at < bytes; at += MIB) {
      const piece = buffer.subarray(0, Math.min(MIB, bytes - at));
      await handle.write(fillPattern(piece, seed, at));
    }
    await handle.close();
    await utimes(file, this.#modified, this.#modified);
    for (const other of otherKeys) await link(file, await this.#newFile(other));
    for (const each of [key, ...otherKeys]) this.list(each, bytes);
  }

  /** A key that is listed, and that is all there is of it. */
  list(key: string, bytes: number): void {
    this.#lists.add(key, bytes, this.#modified);
  }

  /** Queries of the LISTs that were asked for the first time, in order. */
  listQueries(): readonly string[] {
    return this.#lists.queries;
  }

  async use(): Promise<StoreUse> {
    await this.#readLog();
    return { requests: { ...this.#requests }, bytes: this.#bytes, cpuSeconds: await this.#cpuSeconds() };
  }

  async close(): Promise<void> {
    this.#lists.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, 'exit');
      this.#process.kill('SIGTERM');
      await exited;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #newFile(key: string): Promise<string> {
    const file = join(this.#directory, 'files', BUCKET, key);
    await mkdir(join(file, '..'), { recursive: true });
    return file;
  }

  /** What nginx logged since the last time: operation, and bytes of the body. */
  async #readLog(): Promise<void> {
    const log = await open(join(this.#directory, 'access.log'));
    const { size } = await log.stat();
    const text = Buffer.alloc(size - this.#logRead);
    await log.read(text, 0, text.length, this.#logRead);
    await log.close();
    const whole = text.lastIndexOf('\n') + 1;
    this.#logRead += whole;
    for (const line of text.subarray(0, whole).toString().split('\n')) {
      const [operation, bytes] = line.split(' ');
      if (operation === undefined || bytes === undefined) continue;
      this.#requests[operation] = (this.#requests[operation] ?? 0) + 1;
      if (operation === 'GetObject') this.#bytes += Number(bytes);
    }
  }

  async #cpuSeconds(): Promise<number> {
    const master = this.#process.pid ?? 0;
    const children = (await readFile(`/proc/${master}/task/${master}/children`, 'utf8')).trim();
    const workers = children === '' ? [] : children.split(' ').map(Number);
    return [master, ...workers].reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  }
}

function configuration(
  directory: string,
  port: number,
  tlsPort: number | undefined,
  listPort: number,
): string {
  const tls =
    tlsPort === undefined
      ? ''
      : `listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${directory}/certificate.pem;
    ssl_certificate_key ${directory}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:1m;`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join('\n  ');
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes ${WORKERS};
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 1024; }
http {
  ${temporary}
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 600;
  keepalive_requests 100000000;
  open_file_cache max=${OPEN_FILES_MAX} inactive=600s;
  open_file_cache_valid 600s;
  open_file_cache_errors off;
  etag on;
  default_type application/octet-stream;
  map "$request_method $args" $operation {
    default GetObject;
    "~^HEAD " HeadObject;
    "~list-type=2" ListObjectsV2;
    "~^GET uploads" ListMultipartUploads;
  }
  log_format bench '$operation $body_bytes_sent';
  server {
    listen 127.0.0.1:${port} backlog=511;
    ${tls}
    access_log ${directory}/access.log bench;
    error_page 404 /no-such-key.xml;
    location = /ready { access_log off; return 204; }
    location = /no-such-key.xml {
      internal;
      default_type application/xml;
      return 404 '<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>';
    }
    # A LIST is for the bucket itself: a name that no file has.
    location = /${BUCKET} {
      root ${directory}/lists;
      default_type application/xml;
      try_files /$args.xml @list;
    }
    location = /${BUCKET}/ {
      root ${directory}/lists;
      default_type application/xml;
      try_files /$args.xml @list;
    }
    location @list { proxy_pass http://127.0.0.1:${listPort}; }
    location / {
      root ${directory}/files;
      # Keys are files, directories are nothing.
      if (-d $request_filename) { return 404; }
    }
  }
}
`;
}

async function makeCertificate(directory: string): Promise<void> {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'certificate.pem')];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  try {
    await promisify(execFile)('openssl', ['req', ...kind, ...subject, ...files]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Missing('no openssl: install openssl');
    throw error;
  }
  await stat(join(directory, 'certificate.pem'));
}

/** Ports that were free a moment ago: nginx can't tell which one it was given. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}

const READY_MS_MAX = 10_000;
const READY_RETRY_MS = 20;

async function answers(port: number): Promise<void> {
  for (const beganMs = performance.now(); performance.now() - beganMs < READY_MS_MAX;) {
    const status = await fetch(`http://127.0.0.1:${port}/ready`).then(
      (answer) => answer.status,
      () => undefined,
    );
    if (status === 204) return;
    await new Promise((resolve) => setTimeout(resolve, READY_RETRY_MS));
  }
  throw new Error('nginx did not answer');
}

async function ended(child: ChildProcess): Promise<never> {
  try {
    await once(child, 'exit');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Missing('no nginx: install nginx');
    throw error;
  }
  throw new Error(`nginx ended with ${String(child.exitCode)}`);
}
