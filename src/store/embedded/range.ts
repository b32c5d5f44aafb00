/** The Range header of GET: one range of bytes, as S3 takes it (RFC 9110 14.1.2). Pure. */
import { S3Error } from './errors.js';

export interface Range {
  /** Of the first byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * The bytes that `bytes=a-b`, `bytes=a-` or `bytes=-n` means in an object of `size` bytes; undefined for the whole, which a header
 * that can't be read or names several ranges also gets. InvalidRange when it begins past the end.
 */
export function parseRange(header: string | undefined, size: number): Range | undefined {
  const parts = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (parts === null || header === undefined) return undefined;
  const [, first = '', last = ''] = parts;
  if (first === '' && last === '') return undefined;
  const unsatisfiable = (): S3Error =>
    new S3Error('InvalidRange', undefined, { RangeRequested: header, ActualObjectSize: String(size) });
  if (first === '') {
    const length = Math.min(Number(last), size);
    if (length === 0) throw unsatisfiable();
    return { start: size - length, length };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return undefined;
  if (start >= size) throw unsatisfiable();
  return { start, length: end - start + 1 };
}
