/** How bodies are handed to the SDK. */
import { Readable } from 'node:stream';
import type { Body } from '../object-store.js';

/** One Buffer as it is; several slices as a stream, made anew for each attempt. */
export function requestBody(body: Body): Buffer | Readable {
  const [only] = body;
  if (only === undefined) return Buffer.alloc(0);
  if (body.length > 1) return Readable.from(body.map(asBuffer), { objectMode: false });
  return asBuffer(only);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
