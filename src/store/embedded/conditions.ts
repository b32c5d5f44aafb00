/** Preconditions: of reads (RFC 9110 13.2.2, as S3 words it), of writes and deletes, and of the source of a copy. Pure. */
import { S3Error } from './errors.js';

/** What conditions are about. */
export interface Version {
  /** Without quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

function failed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', undefined, { Condition: condition });
}

/** True when a list of ETags, or `*`, names this one. S3 takes them with quotes or without. */
export function matchesEtag(list: string, etag: string): boolean {
  return list.split(',').some((each) => {
    const wanted = each.trim().replace(/^W\//, '').replaceAll('"', '');
    return wanted === '*' || wanted === etag;
  });
}

/** Milliseconds of an HTTP date; undefined when there is none or it can't be read, and then it is no condition. */
function parseDate(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
}

/** HTTP dates are whole seconds. */
function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function unmodifiedSince(version: Version, limit: number): boolean {
  return seconds(version.lastModifiedMs) <= seconds(limit);
}

/**
 * GET and HEAD: If-Match overrides If-Unmodified-Since, If-None-Match overrides If-Modified-Since. `not-modified` asks for 304; a
 * condition that fails is PreconditionFailed.
 */
export function checkRead(headers: ReadonlyMap<string, string>, version: Version): 'go' | 'not-modified' {
  const match = headers.get('if-match');
  const noneMatch = headers.get('if-none-match');
  const unmodified = parseDate(headers.get('if-unmodified-since'));
  const modified = parseDate(headers.get('if-modified-since'));
  if (match !== undefined) {
    if (!matchesEtag(match, version.etag)) throw failed('If-Match');
  } else if (unmodified !== undefined && !unmodifiedSince(version, unmodified)) {
    throw failed('If-Unmodified-Since');
  }
  if (noneMatch !== undefined) return matchesEtag(noneMatch, version.etag) ? 'not-modified' : 'go';
  return modified !== undefined && unmodifiedSince(version, modified) ? 'not-modified' : 'go';
}

/** x-amz-copy-source-if-*: the same four, but what fails is always PreconditionFailed. */
export function checkCopySource(headers: ReadonlyMap<string, string>, version: Version): void {
  const plain = new Map<string, string>();
  for (const name of ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since']) {
    const value = headers.get(`x-amz-copy-source-${name}`);
    if (value !== undefined) plain.set(name, value);
  }
  if (checkRead(plain, version) === 'not-modified') {
    throw failed(
      plain.has('if-none-match') ? 'x-amz-copy-source-If-None-Match' : 'x-amz-copy-source-If-Modified-Since',
    );
  }
}

/**
 * The check of a write: If-None-Match takes `*` alone, If-Match an ETag. A key that isn't there fails If-Match with NoSuchKey;
 * one that was deleted since the write began, as `overtaken` tells, fails If-None-Match with ConditionalRequestConflict.
 * Throws NotImplemented at once for what S3 doesn't have.
 */
export function writeCheck(
  headers: ReadonlyMap<string, string>,
  overtaken: () => boolean = () => false,
): (current: Version | undefined) => void {
  const match = headers.get('if-match');
  const noneMatch = headers.get('if-none-match');
  if (
    (noneMatch !== undefined && noneMatch.trim() !== '*') ||
    (match !== undefined && noneMatch !== undefined)
  ) {
    throw new S3Error('NotImplemented', undefined, { Header: 'If-None-Match' });
  }
  // A write's If-Match "expects the ETag value"; only that of a delete takes the asterisk.
  if (match?.trim() === '*') throw new S3Error('NotImplemented', undefined, { Header: 'If-Match' });
  return (current) => {
    if (noneMatch !== undefined) {
      if (current !== undefined) throw failed('If-None-Match');
      if (overtaken())
        throw new S3Error('ConditionalRequestConflict', undefined, { Condition: 'If-None-Match' });
    }
    checkMatch(match, current);
  };
}

/** If-Match of a write or delete: an ETag, or for deletes `*`. A key that isn't there is NoSuchKey. */
export function checkMatch(match: string | undefined, current: Version | undefined): void {
  if (match === undefined) return;
  if (current === undefined) throw new S3Error('NoSuchKey');
  if (!matchesEtag(match, current.etag)) throw failed('If-Match');
}
