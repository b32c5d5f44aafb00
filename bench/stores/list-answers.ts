/**
 * ListObjectsV2 over a fixed set of keys, over HTTP. Each answer is also left as a file named after the query: who stands in front needs to ask
 * only once.
 */
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

interface Listed {
  readonly key: string;
  readonly bytes: number;
  readonly modified: Date;
}

/** S3's default, and its greatest. */
const KEYS_MAX = 1000;
/** Queries that may be file names. */
const FILE_NAME = /^[A-Za-z0-9%=&._~-]{1,200}$/;

export class ListAnswers {
  /** Those that were asked here, in order. */
  readonly queries: string[] = [];
  readonly #directory: string;
  readonly #objects: Listed[] = [];
  #sorted = true;
  readonly #server: Server;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#server = createServer((request, response) => {
      const query = (request.url ?? '').split('?')[1] ?? '';
      this.queries.push(query);
      const body = this.#answer(new URLSearchParams(query));
      void this.#leave(query, body).then(() => {
        response.writeHead(200, {
          'Content-Type': 'application/xml',
          'Content-Length': Buffer.byteLength(body),
        });
        response.end(body);
      });
    });
  }

  static async start(directory: string): Promise<ListAnswers> {
    const answers = new ListAnswers(directory);
    answers.#server.listen(0, '127.0.0.1');
    await once(answers.#server, 'listening');
    return answers;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Before the first LIST that would show it. */
  add(key: string, bytes: number, modified: Date): void {
    this.#objects.push({ key, bytes, modified });
    this.#sorted = false;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #leave(query: string, body: string): Promise<void> {
    if (!FILE_NAME.test(query)) return;
    const file = join(this.#directory, `${query}.xml`);
    await writeFile(`${file}.new`, body);
    await rename(`${file}.new`, file);
  }

  /** Keys are ASCII: the order of JavaScript's strings is that of their bytes. */
  #answer(query: URLSearchParams): string {
    if (!this.#sorted) this.#objects.sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#sorted = true;
    if (query.get('list-type') !== '2') return '<ListMultipartUploadsResult/>';
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') ?? '';
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const max = Math.min(KEYS_MAX, Number(query.get('max-keys') ?? KEYS_MAX));
    const entries: string[] = [];
    let last = '';
    let more = false;
    for (const { key, bytes, modified } of this.#objects) {
      if (!key.startsWith(prefix) || key <= after) continue;
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      const shown = cut < 0 ? key : key.slice(0, cut + delimiter.length);
      if (cut >= 0 && (shown === last || after.startsWith(shown))) continue;
      if (entries.length === max) {
        more = true;
        break;
      }
      last = shown;
      entries.push(
        cut < 0
          ? contents(key, bytes, modified)
          : `<CommonPrefixes><Prefix>${encodeURIComponent(shown)}</Prefix></CommonPrefixes>`,
      );
    }
    const token = more ? `<NextContinuationToken>${last}</NextContinuationToken>` : '';
    return (
      `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
      `<EncodingType>url</EncodingType><KeyCount>${entries.length}</KeyCount><IsTruncated>${String(more)}</IsTruncated>` +
      `${token}${entries.join('')}</ListBucketResult>`
    );
  }
}

/** The ETag is the one that nginx makes of a file's time and size. */
function contents(key: string, bytes: number, modified: Date): string {
  const etag = `${(modified.getTime() / 1000).toString(16)}-${bytes.toString(16)}`;
  return (
    `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${modified.toISOString()}</LastModified>` +
    `<ETag>&quot;${etag}&quot;</ETag><Size>${bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  );
}
