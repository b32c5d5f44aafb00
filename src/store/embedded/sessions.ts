/**
 * Sessions of directory buckets (CreateSession): temporary keys for one bucket and one mode. A session is all in its token, signed with
 * the server's secret key, so that none is kept and a restart ends none.
 */
import { randomBytes } from 'node:crypto';
import { S3Error } from './errors.js';
import { hmac, sameSignature } from './sigv4.js';

/** "Temporary security credentials are scoped to the bucket and expire after 5 minutes" (API reference, CreateSession). */
export const SESSION_MS = 5 * 60 * 1000;

export type SessionMode = 'ReadWrite' | 'ReadOnly';

export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly bucket: string;
  readonly mode: SessionMode;
  readonly expiresMs: number;
}

interface Claims {
  readonly bucket: string;
  readonly mode: SessionMode;
  readonly expiresMs: number;
  readonly nonce: string;
}

function sessionOf(serverSecret: string, payload: string, claims: Claims): Session {
  return {
    accessKeyId: `ASIA${hmac(serverSecret, `session id ${payload}`).toString('hex').slice(0, 16).toUpperCase()}`,
    secretAccessKey: hmac(serverSecret, `session key ${payload}`).toString('base64'),
    token: `${payload}.${hmac(serverSecret, `session token ${payload}`).toString('base64url')}`,
    bucket: claims.bucket,
    mode: claims.mode,
    expiresMs: claims.expiresMs,
  };
}

export function createSession(
  serverSecret: string,
  bucket: string,
  mode: SessionMode,
  nowMs: number,
): Session {
  const claims = { bucket, mode, expiresMs: nowMs + SESSION_MS, nonce: randomBytes(9).toString('base64url') };
  return sessionOf(serverSecret, Buffer.from(JSON.stringify(claims)).toString('base64url'), claims);
}

/** The session of a token. Fails with InvalidToken, or ExpiredToken, or AccessDenied where it is another bucket's. */
export function openSession(serverSecret: string, token: string, bucket: string, nowMs: number): Session {
  const payload = token.split('.')[0] ?? '';
  const signature = `${payload}.${hmac(serverSecret, `session token ${payload}`).toString('base64url')}`;
  if (!sameSignature(signature, token)) throw new S3Error('InvalidToken');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Claims;
  if (claims.bucket !== bucket) throw new S3Error('AccessDenied');
  if (nowMs >= claims.expiresMs) throw new S3Error('ExpiredToken');
  return sessionOf(serverSecret, payload, claims);
}
