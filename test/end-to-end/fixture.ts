/**
 * The whole road: an embedded S3 server that records every request, the daemon as it is wired (in this process, or as a child
 * for what ends it), NFS clients by TCP, and another S3 user beside them.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type HeadObjectCommandOutput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import { parseArguments } from '../../config/arguments.js';
import { resolveOptions } from '../../config/resolve.js';
import { SERVE_OPTIONS } from '../../config/schema.js';
import { processFacts, serveConfig } from '../../config/serve-config.js';
import type { opaque_auth } from '../../protocol/rpc.js';
import { startDaemon, type Daemon, type DaemonReport } from '../../src/cli/daemon.js';
import { startEmbeddedStore } from '../../src/store/embedded/server.js';
import { collectLog } from '../support/collected-log.js';
import { NfsClient } from '../support/nfs-client.js';
import { RequestLog, type LoggedRequest } from '../support/request-log.js';
import { S3nfsdProcess } from '../support/s3nfsd-process.js';

// Told once is enough: package.json says what this version wants.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

/** Who ends what was started: a test, or a command. */
export type Ends = Pick<Test, 'teardown'>;

export const BUCKET = 'data';
export const CREDENTIALS = {
  accessKeyId: 'AKIAENDTOENDEXAMPLE0',
  secretAccessKey: 'end-to-end/secret+ThatMustNotShowAnywhere',
};
export const MIB = 1024 * 1024;

/** Bytes that differ from place to place and from seed to seed, the same each time. */
export function patternBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  for (let at = 0; at + 4 <= length; at += 4) {
    // xorshift32: every period of a repeated pattern would hide bytes that went to the wrong place.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, at);
  }
  return bytes;
}

/** A bucket at an embedded server, and its other user. */
export class Bucket {
  readonly name: string;
  readonly directory: string;
  readonly endpoint: string;
  /** For a child daemon that uses this bucket. */
  readonly env: Readonly<Record<string, string>>;
  readonly #client: S3Client;
  /** Every request to it, of all its users. */
  readonly requests: RequestLog;

  private constructor(name: string, directory: string, endpoint: string, requests: RequestLog) {
    this.name = name;
    this.directory = directory;
    this.endpoint = endpoint;
    this.requests = requests;
    this.#client = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: CREDENTIALS,
    });
    this.env = {
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: 'us-east-1',
      S3NFSD_PORTMAP: 'off',
      S3NFSD_PORT: '0',
      S3NFSD_STATE_DIR: join(directory, 'state'),
    };
  }

  /** `files` lie in the bucket's directory from the start, each with its name as its content. */
  static async start(t: Ends, files: readonly string[] = [], name = BUCKET): Promise<Bucket> {
    // Not t.testdir: it is removed before the daemon has let go of what lies there.
    const directory = mkdtempSync(join(tmpdir(), 's3nfsd-end-to-end-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, 'buckets', name), { recursive: true });
    for (const file of files) {
      const path = join(directory, 'buckets', name, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, file);
    }
    const requests = new RequestLog();
    const store = await startEmbeddedStore({
      directory: join(directory, 'buckets'),
      host: '127.0.0.1',
      port: 0,
      ...CREDENTIALS,
      ...requests.hooks,
    });
    const bucket = new Bucket(name, directory, store.endpoint, requests);
    t.teardown(async () => {
      bucket.#client.destroy();
      await store.close();
    });
    return bucket;
  }

  /** Writes a file beside the buckets; its path. */
  write(name: string, content: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  async put(key: string, body: string | Buffer, more: Partial<PutOptions> = {}): Promise<string> {
    const { ETag } = await this.#client.send(
      new PutObjectCommand({ Bucket: this.name, Key: key, Body: Buffer.from(body), ...more }),
    );
    return ETag ?? '';
  }

  async get(key: string): Promise<Buffer> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.name, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async text(key: string): Promise<string> {
    return (await this.get(key)).toString();
  }

  async head(key: string): Promise<HeadObjectCommandOutput> {
    return await this.#client.send(new HeadObjectCommand({ Bucket: this.name, Key: key }));
  }

  async delete(key: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key }));
  }

  /** Every key below `prefix`, in S3's order. */
  async keys(prefix = ''): Promise<string[]> {
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#client.send(
        new ListObjectsV2Command({ Bucket: this.name, Prefix: prefix, ContinuationToken: token }),
      );
      keys.push(...(page.Contents ?? []).map(({ Key = '' }) => Key));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }

  /** Begins a multipart upload, as another tool would, and leaves it; its id. */
  async beginUpload(key: string): Promise<string> {
    const { UploadId } = await this.#client.send(
      new CreateMultipartUploadCommand({ Bucket: this.name, Key: key }),
    );
    return UploadId ?? '';
  }

  /** Ids of the uploads that are neither completed nor aborted. */
  async uploads(): Promise<string[]> {
    const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: this.name }));
    return Uploads.map(({ UploadId = '' }) => UploadId);
  }

  /** The requests of `action`, those of other users included, in the order in which they ended. */
  async requestsOf(action: () => Promise<unknown>): Promise<readonly LoggedRequest[]> {
    return await this.requests.during(action, { key: 'the barrier', send: () => this.#ask('the barrier') });
  }

  async #ask(key: string): Promise<void> {
    await this.#client
      .send(new HeadObjectCommand({ Bucket: this.name, Key: key }))
      .catch((error: unknown) => {
        if ((error as Error).name !== 'NotFound') throw error;
      });
  }
}

type PutOptions = ConstructorParameters<typeof PutObjectCommand>[0];

export interface Serving {
  readonly bucket: Bucket;
  readonly daemon: Daemon;
  readonly log: Record<string, unknown>[];
  readonly notices: string[];
  readonly nfs: NfsClient;
  readonly root: Buffer;
}

/** The bucket, served from this process, and a client at the root of its first export. */
export async function serve(t: Test, args: readonly string[] = [`s3://${BUCKET}`]): Promise<Serving> {
  const bucket = await Bucket.start(t);
  return await serveBucket(t, bucket, args);
}

export async function serveBucket(
  t: Test,
  bucket: Bucket,
  args: readonly string[] = [`s3://${BUCKET}`],
): Promise<Serving> {
  const running = await startIn(t, bucket, args);
  return { bucket, ...running, ...(await mount(t, running.daemon.report)) };
}

/** The daemon in this process, without a client. */
export async function startIn(
  t: Test,
  bucket: Bucket,
  args: readonly string[],
): Promise<Pick<Serving, 'daemon' | 'log' | 'notices'>> {
  const { env } = bucket;
  const resolved = resolveOptions(SERVE_OPTIONS, {
    arguments: parseArguments(args, SERVE_OPTIONS),
    positional: 'exports',
    env,
  });
  const { log, lines } = collectLog();
  const notices: string[] = [];
  const daemon = await startDaemon(serveConfig(resolved, processFacts(env)), {
    log,
    notice: (line) => notices.push(line),
    credentials: CREDENTIALS,
  });
  t.teardown(() => daemon.stop());
  return { daemon, log: lines, notices };
}

/** The daemon as a child; its end is the test's business, but not beyond the test. */
export async function serveChild(
  t: Ends,
  bucket: Bucket,
  args: readonly string[] = [`s3://${BUCKET}`],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly child: S3nfsdProcess; readonly report: DaemonReport }> {
  const child = new S3nfsdProcess(['serve', ...args], { ...bucket.env, ...env });
  t.teardown(() => child.end('SIGKILL'));
  return { child, report: await child.ready<DaemonReport>() };
}

export interface Mounted {
  readonly nfs: NfsClient;
  readonly root: Buffer;
}

/** A client of its own connection, at the root of an export. */
export async function mount(
  t: Ends,
  report: DaemonReport,
  options: { readonly path?: string; readonly credential?: opaque_auth; readonly host?: string } = {},
): Promise<Mounted> {
  const { path = report.exports[0]?.path ?? '/', credential, host = '127.0.0.1' } = options;
  const nfs = await NfsClient.connect({
    host,
    port: report.nfsPort,
    ...(credential !== undefined && { credential }),
  });
  t.teardown(() => nfs.close());
  return { nfs, root: await nfs.mnt(path) };
}

/** Writes a file as Linux does: CREATE, then one FILE_SYNC WRITE where it fits, else UNSTABLE ones and a COMMIT. */
export async function writeFile(
  { nfs, root }: Mounted,
  path: string,
  data: string | Buffer,
): Promise<Buffer> {
  const at = path.lastIndexOf('/');
  const directory = await nfs.lookupPath(root, path.slice(0, Math.max(at, 0)));
  const { handle } = await nfs.create(directory, path.slice(at + 1), { mode: 0o640, size: 0 });
  const bytes = Buffer.from(data);
  if (bytes.length <= MIB) await nfs.write(handle, 0, bytes, 'FILE_SYNC');
  else await nfs.writeFile(handle, bytes);
  return handle;
}

export async function readPath({ nfs, root }: Mounted, path: string): Promise<Buffer> {
  return await nfs.readFile(await nfs.lookupPath(root, path));
}

export async function namesIn(nfs: NfsClient, directory: Buffer): Promise<string[]> {
  const entries = await nfs.readdir(directory);
  return entries.map(({ name }) => name.toString()).filter((name) => name !== '.' && name !== '..');
}
