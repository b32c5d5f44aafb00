/** Calls of a program's procedures through an RpcPeer. */
import type { ArgsOf, Procedure, ProcedureName, Program, ResultOf } from '../../protocol/program.js';
import { NULL_AUTH, RPC_VERSION, rpc_msg, type opaque_auth } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { encode, xvoid } from '../../protocol/xdr.js';
import type { RpcPeer } from './rpc-peer.js';

/** The peer answered, but not with SUCCESS: an accept_stat or reject_stat. */
export class RpcAnswerError extends Error {
  override readonly name = 'RpcAnswerError';
  readonly stat: string;

  constructor(stat: string) {
    super(`the call was answered with ${stat}`);
    this.stat = stat;
  }
}

/** Rejects with the peer's errors, RpcAnswerError, or XdrError for an answer that can't be read. */
export async function callProcedure<G extends Program, N extends ProcedureName<G>>(
  peer: RpcPeer,
  program: G,
  name: N,
  args: ArgsOf<G, N>,
  credential: opaque_auth = NULL_AUTH,
): Promise<ResultOf<G, N>> {
  const procedure = program.procedures[name] as Procedure | undefined;
  if (procedure === undefined) throw new Error(`${program.name} has no procedure ${name}`);
  const target = { prog: program.number, vers: program.version, proc: procedure.number };
  const bytes = encode(procedure.args, args);
  const reader = await resultsOf(peer, target, bytes, credential);
  return procedure.result.decode(reader) as ResultOf<G, N>;
}

/** Procedure 0 of any program (RFC 5531 section 12). */
export async function callNull(
  peer: RpcPeer,
  target: { readonly prog: number; readonly vers: number },
): Promise<void> {
  await resultsOf(peer, { ...target, proc: 0 }, encode(xvoid, undefined), NULL_AUTH);
}

async function resultsOf(
  peer: RpcPeer,
  target: { readonly prog: number; readonly vers: number; readonly proc: number },
  args: Buffer,
  cred: opaque_auth,
): Promise<XdrReader> {
  const xid = Math.floor(Math.random() * 0x1_0000_0000);
  const cbody = { rpcvers: RPC_VERSION, ...target, cred, verf: NULL_AUTH };
  const header = encode(rpc_msg, { xid, body: { mtype: 'CALL', cbody } });
  const reader = new XdrReader(await peer.exchange(Buffer.concat([header, args])));
  const { body } = rpc_msg.decode(reader);
  if (body.mtype !== 'REPLY') throw new RpcAnswerError('a call');
  const { rbody } = body;
  if (rbody.reply_stat === 'MSG_DENIED') throw new RpcAnswerError(rbody.rreply.stat);
  const { stat } = rbody.areply.reply_data;
  if (stat !== 'SUCCESS') throw new RpcAnswerError(stat);
  return reader;
}
