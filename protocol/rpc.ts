/**
 * ONC RPC version 2 messages (RFC 5531 sections 9, 8.1 and appendix A) under the RFC's names. A message is `rpc_msg`; the
 * arguments follow a call and the results follow an accepted reply with SUCCESS, both outside these codecs.
 */
import { type XdrReader, type XdrWriter } from './xdr-cursors.js';
import { arm, array, opaque, struct, u32, union, xenum, type Infer } from './xdr.js';

/** The only version of the protocol (RFC 5531 section 9). */
export const RPC_VERSION = 2;

export const msg_type = xenum({ CALL: 0, REPLY: 1 });
const reply_stat = xenum({ MSG_ACCEPTED: 0, MSG_DENIED: 1 });

const accept_stat = xenum({
  SUCCESS: 0,
  PROG_UNAVAIL: 1,
  PROG_MISMATCH: 2,
  PROC_UNAVAIL: 3,
  GARBAGE_ARGS: 4,
  SYSTEM_ERR: 5,
});

const reject_stat = xenum({ RPC_MISMATCH: 0, AUTH_ERROR: 1 });

export const auth_stat = xenum({
  AUTH_OK: 0,
  AUTH_BADCRED: 1,
  AUTH_REJECTEDCRED: 2,
  AUTH_BADVERF: 3,
  AUTH_REJECTEDVERF: 4,
  AUTH_TOOWEAK: 5,
  AUTH_INVALIDRESP: 6,
  AUTH_FAILED: 7,
  AUTH_KERB_GENERIC: 8,
  AUTH_TIMEEXPIRE: 9,
  AUTH_TKT_FILE: 10,
  AUTH_DECODE: 11,
  AUTH_NET_ADDR: 12,
  RPCSEC_GSS_CREDPROBLEM: 13,
  RPCSEC_GSS_CTXPROBLEM: 14,
});
export type auth_stat = Infer<typeof auth_stat>;

/** auth_flavor (RFC 5531 section 8.2). Plain numbers on the wire: a server must be able to read one it doesn't know. */
export const AUTH_NONE = 0;
export const AUTH_SYS = 1;

/** Bytes of a credential or verifier (RFC 5531 section 8.2). */
export const OPAQUE_AUTH_BYTES_MAX = 400;

export const opaque_auth = struct({ flavor: u32, body: opaque(OPAQUE_AUTH_BYTES_MAX) });
export type opaque_auth = Infer<typeof opaque_auth>;

/** The credential, or the verifier, that says nothing. */
export const NULL_AUTH: opaque_auth = { flavor: AUTH_NONE, body: Buffer.alloc(0) };

/** Body of an AUTH_SYS credential (RFC 5531 appendix A). */
export const authsys_parms = struct({
  stamp: u32,
  machinename: opaque(255),
  uid: u32,
  gid: u32,
  gids: array(u32, 16),
});
export type authsys_parms = Infer<typeof authsys_parms>;

export const call_body = struct({
  rpcvers: u32,
  prog: u32,
  vers: u32,
  proc: u32,
  cred: opaque_auth,
  verf: opaque_auth,
});
export type call_body = Infer<typeof call_body>;

export const mismatch_info = struct({ low: u32, high: u32 });

const reply_data = union('stat', accept_stat, {
  SUCCESS: arm(),
  PROG_UNAVAIL: arm(),
  PROG_MISMATCH: arm('mismatch_info', mismatch_info),
  PROC_UNAVAIL: arm(),
  GARBAGE_ARGS: arm(),
  SYSTEM_ERR: arm(),
});
export type reply_data = Infer<typeof reply_data>;

const accepted_reply = struct({ verf: opaque_auth, reply_data });

const rejected_reply = union('stat', reject_stat, {
  RPC_MISMATCH: arm('mismatch_info', mismatch_info),
  AUTH_ERROR: arm('auth_stat', auth_stat),
});
export type rejected_reply = Infer<typeof rejected_reply>;

export const reply_body = union('reply_stat', reply_stat, {
  MSG_ACCEPTED: arm('areply', accepted_reply),
  MSG_DENIED: arm('rreply', rejected_reply),
});
export type reply_body = Infer<typeof reply_body>;

export const rpc_msg = struct({
  xid: u32,
  body: union('mtype', msg_type, { CALL: arm('cbody', call_body), REPLY: arm('rbody', reply_body) }),
});
export type rpc_msg = Infer<typeof rpc_msg>;

/** `rpc_msg` of a reply that accepts the call. */
export function acceptedReply(xid: number, data: reply_data): rpc_msg {
  const areply = { verf: NULL_AUTH, reply_data: data };
  return { xid, body: { mtype: 'REPLY', rbody: { reply_stat: 'MSG_ACCEPTED', areply } } };
}

/** `rpc_msg` of a reply that denies the call. */
export function deniedReply(xid: number, rreply: rejected_reply): rpc_msg {
  return { xid, body: { mtype: 'REPLY', rbody: { reply_stat: 'MSG_DENIED', rreply } } };
}

/** The bytes of `acceptedReply(xid, { stat: 'SUCCESS' })`, without its objects: every good call passes here. */
export function encodeSuccess(writer: XdrWriter, xid: number): void {
  writer.u32(xid);
  writer.u32(1); // REPLY
  writer.u32(0); // MSG_ACCEPTED
  writer.u32(AUTH_NONE);
  writer.u32(0); // verifier of no bytes
  writer.u32(0); // SUCCESS
}

/** Reads a message up to where its kind is known. Undefined for what is too short to be a message. */
export function decodeMessageStart(
  reader: XdrReader,
): { readonly xid: number; readonly call: boolean } | undefined {
  if (reader.remaining < 8) return undefined;
  const xid = reader.u32();
  return { xid, call: reader.u32() === 0 };
}
