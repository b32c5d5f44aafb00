/**
 * What a message must be answered with, worked out from the RFCs apart from the server: the steps of RFC 5531 section 9 in their
 * order, and the program's own codecs for arguments and results.
 */
import type { Procedure, Program } from '../../protocol/program.js';
import {
  AUTH_NONE,
  AUTH_SYS,
  authsys_parms,
  decodeMessageStart,
  opaque_auth,
  rpc_msg,
  RPC_VERSION,
} from '../../protocol/rpc.js';
import { XdrError, XdrReader } from '../../protocol/xdr-cursors.js';
import { decode } from '../../protocol/xdr.js';

/** The reply's status, accepted or denied; for SUCCESS, what the results are decoded by. 'cut': no call, so no reply. */
export interface Expected {
  readonly stat: string;
  /** `NFS3.READ`, or what is wrong with the header. */
  readonly about: string;
  readonly procedure?: Procedure;
  /** Of a call whose arguments decode. */
  readonly args?: unknown;
}

/** By UDP these are passed over in silence (RFC 1833 2.2.1). */
export const SILENT_BY_UDP: ReadonlySet<string> = new Set([
  'PORTMAP2.CALLIT',
  'RPCBIND3.CALLIT',
  'RPCBIND4.BCAST',
]);
const INDIRECT = new Set([...SILENT_BY_UDP, 'RPCBIND4.INDIRECT']);

const refused = (about: string, stat: string): Expected => ({ about, stat });

/** `programs`: those served where the message goes. */
export function expectedOf(message: Buffer, programs: readonly Program[]): Expected {
  const reader = new XdrReader(message);
  const start = decodeMessageStart(reader);
  if (start?.call !== true) return refused('no call', 'cut');
  try {
    if (reader.u32() !== RPC_VERSION) return refused('other RPC version', 'RPC_MISMATCH');
    const [prog, vers, proc] = [reader.u32(), reader.u32(), reader.u32()];
    const auth = credentialFault(reader);
    if (auth !== undefined) return refused('credential', auth);
    const versions = programs.filter(({ number }) => number === prog);
    if (versions.length === 0) return refused('other program', 'PROG_UNAVAIL');
    const program = versions.find(({ version }) => version === vers);
    if (program === undefined) return refused('other version', 'PROG_MISMATCH');
    const named = Object.entries(program.procedures).find(([, { number }]) => number === proc);
    if (named === undefined) return refused('other procedure', 'PROC_UNAVAIL');
    const [name, procedure] = named;
    return expectedResult(`${program.name}.${name}`, procedure, reader);
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return refused('short header', 'GARBAGE_ARGS');
  }
}

function expectedResult(about: string, procedure: Procedure, reader: XdrReader): Expected {
  let args: unknown;
  try {
    args = procedure.args.decode(reader);
    reader.end();
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return { about, stat: 'GARBAGE_ARGS', procedure };
  }
  // Indirect calls are refused: they would be made in the caller's name from the server's address.
  if (INDIRECT.has(about)) return { about, stat: 'PROC_UNAVAIL', procedure };
  return { about, stat: 'SUCCESS', procedure, args };
}

function credentialFault(reader: XdrReader): string | undefined {
  try {
    const { flavor, body } = opaque_auth.decode(reader);
    opaque_auth.decode(reader);
    if (flavor === AUTH_NONE) return undefined;
    if (flavor !== AUTH_SYS) return 'AUTH_REJECTEDCRED';
    decode(authsys_parms, body);
    return undefined;
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return 'AUTH_BADCRED';
  }
}

/** A reply as it was judged. */
export interface Verdict {
  /** RPC status, or the procedure's own. */
  readonly status: string;
  readonly result?: unknown;
  /** What is wrong with the reply. */
  readonly fault?: string;
}

/** Holds a reply against what was expected. Results must decode to their last byte, and tell of no defect. */
export function judge(reply: Buffer, expected: Expected): Verdict {
  try {
    const reader = new XdrReader(reply);
    const stat = replyStat(reader);
    if (stat !== expected.stat) return { status: stat, fault: `expected ${expected.stat}, got ${stat}` };
    if (stat !== 'SUCCESS' || expected.procedure === undefined) return { status: stat };
    const result: unknown = expected.procedure.result.decode(reader);
    reader.end();
    const status = statusIn(result);
    const defect = status.endsWith('SERVERFAULT');
    return { status, result, ...(defect && { fault: `answered with ${status}` }) };
  } catch (error) {
    if (!(error instanceof XdrError)) throw error;
    return { status: 'undecodable', fault: `the reply does not decode: ${error.message}` };
  }
}

function replyStat(reader: XdrReader): string {
  const { body } = rpc_msg.decode(reader);
  if (body.mtype !== 'REPLY') return 'a call';
  const { rbody } = body;
  if (rbody.reply_stat === 'MSG_ACCEPTED') return rbody.areply.reply_data.stat;
  return rbody.rreply.stat === 'AUTH_ERROR' ? rbody.rreply.auth_stat : rbody.rreply.stat;
}

function statusIn(result: unknown): string {
  if (typeof result !== 'object' || result === null) return 'SUCCESS';
  const { status, fhs_status } = result as { status?: string; fhs_status?: string };
  return status ?? fhs_status ?? 'SUCCESS';
}
