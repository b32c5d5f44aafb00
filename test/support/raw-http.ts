/** One HTTP exchange over a socket of its own, byte by byte: for answers that no HTTP client would hand on. */
import { connect } from 'node:net';

export interface RawExchange {
  /** All bytes that came. */
  readonly bytes: Buffer;
  /** Undefined when not even a whole head came. */
  readonly status: number | undefined;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** What followed the head, chunk framing and all. */
  readonly body: Buffer;
  /** How the connection ended: by the server's FIN, by an error such as ECONNRESET, or by this side when the answer was whole. */
  readonly end: string;
}

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Sends a request; resolves when the answer is whole by its Content-Length, or the connection is over. */
export async function rawExchange(port: number, request: RawRequest): Promise<RawExchange> {
  const headers: Record<string, string> = { host: `127.0.0.1:${port}`, ...request.headers };
  if (request.body !== undefined) headers['content-length'] ??= String(request.body.length);
  const head = [
    `${request.method} ${request.path} HTTP/1.1`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n');
  const socket = connect({ host: '127.0.0.1', port });
  const chunks: Buffer[] = [];
  const end = await new Promise<string>((resolve) => {
    let error: string | undefined;
    socket.on('error', (reason: NodeJS.ErrnoException) => (error = reason.code ?? reason.message));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (isWhole(Buffer.concat(chunks), request.method)) resolve('whole');
    });
    socket.on('end', () => resolve('fin'));
    socket.on('close', () => resolve(error ?? 'closed'));
    socket.write(head);
    if (request.body !== undefined) socket.write(request.body);
  });
  socket.destroy();
  return { ...parseAnswer(Buffer.concat(chunks)), end };
}

function parseAnswer(bytes: Buffer): Omit<RawExchange, 'end'> {
  const at = bytes.indexOf('\r\n\r\n');
  if (at < 0) return { bytes, status: undefined, headers: new Map(), body: Buffer.alloc(0) };
  const [statusLine = '', ...lines] = bytes.subarray(0, at).toString('latin1').split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return { bytes, status: Number(statusLine.split(' ')[1]), headers, body: bytes.subarray(at + 4) };
}

function isWhole(bytes: Buffer, method: string): boolean {
  const { status, headers, body } = parseAnswer(bytes);
  if (status === undefined) return false;
  if (method === 'HEAD' || status === 204) return true;
  if (headers.get('transfer-encoding') === 'chunked') return body.toString('latin1').endsWith('0\r\n\r\n');
  return body.length >= Number(headers.get('content-length') ?? Infinity);
}
