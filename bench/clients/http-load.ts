/** The raw HTTP client (native/http-load.c): the floor that reads and writes are measured against. */
import { program, runJson } from '../native.js';

/** One request; `length` 0 asks for all there is. PUTs send so many bytes. */
export interface PlannedRequest {
  readonly method: 'GET' | 'PUT';
  /** Path and query. */
  readonly target: string;
  readonly offset?: number;
  readonly length?: number;
}

export interface HttpLoad {
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly seconds: number;
  /** Of the client. */
  readonly cpuSeconds: number;
  /** From a request to the first byte of its answer. */
  readonly firstByteMedianMs: number;
  readonly firstByteP99Ms: number;
}

export interface HttpLoadOptions {
  readonly connections: number;
  /** How often the plan is gone through. */
  readonly repeat?: number;
  /** PEM file to trust: TLS. */
  readonly certificateFile?: string;
}

export async function httpLoad(
  url: string,
  plan: readonly PlannedRequest[],
  options: HttpLoadOptions,
): Promise<HttpLoad> {
  const { connections, repeat = 1, certificateFile } = options;
  const path = await program(certificateFile === undefined ? 'http-load' : 'http-load-tls');
  const lines = plan.map(
    ({ method, target, offset = 0, length = 0 }) => `${method} ${target} ${offset} ${length}\n`,
  );
  const { port } = new URL(url);
  const args = [port, String(connections), String(repeat)];
  if (certificateFile !== undefined) args.push(certificateFile);
  return (await runJson(path, args, lines.join(''))) as HttpLoad;
}

/** GETs of `bytes` from the start on, in ranges of `partBytes`. */
export function rangedGets(target: string, bytes: number, partBytes: number): PlannedRequest[] {
  return Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => ({
    method: 'GET',
    target,
    offset: index * partBytes,
    length: Math.min(partBytes, bytes - index * partBytes),
  }));
}
