/** A request's headers as signatures have them. */
import type { IncomingMessage } from 'node:http';

/** Names in lower case, values of repeated ones joined by commas. */
export function headersOf(request: Pick<IncomingMessage, 'rawHeaders'>): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const name = (request.rawHeaders[at] ?? '').toLowerCase();
    const value = request.rawHeaders[at + 1] ?? '';
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}
