/**
 * From the bytes of a call to the bytes of its reply. Each way a call can end short of its handler is one of the RFC's
 * answers, in the order of RFC 5531 section 9:
 *
 *   not a call ─▶ dropped      rpcvers ─▶ RPC_MISMATCH       credential ─▶ AUTH_ERROR
 *   program, version, procedure ─▶ PROG_UNAVAIL, PROG_MISMATCH, PROC_UNAVAIL
 *   arguments ─▶ GARBAGE_ARGS      handler throws ─▶ SYSTEM_ERR, or the refusal it threw, or nothing for RpcSilence
 *
 * This is the only place where a handler's failure becomes an RPC status.
 */
import type { Procedure } from '../../protocol/program.js';
import {
  acceptedReply,
  decodeMessageStart,
  deniedReply,
  encodeSuccess,
  opaque_auth,
  rpc_msg,
  RPC_VERSION,
  type reply_data,
  type rejected_reply,
} from '../../protocol/rpc.js';
import { XdrError, XdrReader } from '../../protocol/xdr-cursors.js';
import type { Logger } from '../telemetry/log.js';
import { ActiveCall, type Caller } from './active-call.js';
import { credentialOf } from './credential.js';
import { ProgramTable, type Target } from './program-table.js';
import { encodeReply, type Reply } from './reply.js';
import { duplicateKey, type Executed, type ReplyCache } from './reply-cache.js';
import { RpcAuthError, RpcRefusal, RpcSilence, type Credential, type Service } from './service.js';

/** What happened to a call whose procedure was found. */
export interface CallEvent {
  readonly program: string;
  readonly procedure: string;
  readonly transport: 'tcp' | 'udp';
  readonly outcome: 'SUCCESS' | 'GARBAGE_ARGS' | 'REFUSED' | 'SYSTEM_ERR';
  /** From the decoded header to the encoded reply. */
  readonly durationMs: number;
}

export interface DispatcherOptions {
  readonly services: readonly Service[];
  readonly replyCache: ReplyCache;
  /** Aborted at the end of a shutdown. */
  readonly shutdown: AbortSignal;
  readonly log: Logger;
  /** Told of each call that was executed, not of retransmissions. */
  readonly onCall?: ((event: CallEvent) => void) | undefined;
}

/** A call whose header is read. */
interface Request {
  readonly xid: number;
  readonly target: Target;
  readonly credential: Credential;
  readonly caller: Caller;
  /** The bytes behind the header. */
  readonly args: Buffer;
}

export class Dispatcher {
  readonly #programs: ProgramTable;
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#programs = new ProgramTable(options.services);
    this.#options = options;
  }

  /** The reply to one message; undefined when it isn't a call and there is nobody to answer, or a refusal is silent. Doesn't reject. */
  async dispatch(message: Buffer, caller: Caller): Promise<Reply | undefined> {
    const reader = new XdrReader(message);
    const start = decodeMessageStart(reader);
    if (start?.call !== true) return undefined;
    const { xid } = start;
    try {
      if (reader.u32() !== RPC_VERSION) {
        const mismatch_info = { low: RPC_VERSION, high: RPC_VERSION };
        return denied(xid, { stat: 'RPC_MISMATCH', mismatch_info });
      }
      const numbers = { prog: reader.u32(), vers: reader.u32(), proc: reader.u32() };
      const credential = decodeCredential(reader);
      const target = this.#programs.find(numbers.prog, numbers.vers, numbers.proc);
      if ('refusal' in target) return accepted(xid, target.refusal);
      const args = message.subarray(message.length - reader.remaining);
      const request: Request = { xid, target, credential, caller, args };
      if (target.procedure.nonIdempotent !== true) return (await this.#execute(request)).reply;
      const key = duplicateKey(caller.remoteAddress, xid, numbers, args);
      return await this.#options.replyCache.answer(key, () => this.#execute(request));
    } catch (error) {
      if (error instanceof RpcSilence) return undefined;
      if (error instanceof RpcAuthError) return denied(xid, { stat: 'AUTH_ERROR', auth_stat: error.stat });
      if (error instanceof XdrError) return accepted(xid, { stat: 'GARBAGE_ARGS' });
      this.#options.log.error(
        { ...describe(error), xid, remoteAddress: caller.remoteAddress },
        'call failed',
      );
      return accepted(xid, { stat: 'SYSTEM_ERR' });
    }
  }

  /** Runs the procedure. Rejects with RpcSilence only: any other failure is a reply. */
  async #execute(request: Request): Promise<Executed> {
    const { xid, target, credential, caller } = request;
    const source = target.procedure.nonIdempotent === true ? this.#options.shutdown : caller.gone;
    const call = new ActiveCall(xid, credential, caller, source);
    const startedAt = performance.now();
    let outcome: CallEvent['outcome'] = 'SUCCESS';
    try {
      const args = decodeArguments(target.procedure, request.args);
      const result = await target.handler(args, call);
      const reply = encodeReply(
        (writer) => {
          encodeSuccess(writer, xid);
          target.procedure.result.encode(writer, result);
        },
        () => this.#settle(call, request),
      );
      return { reply, keep: target.procedure.cacheable?.(result) ?? true };
    } catch (error) {
      // No reply refers to the call's buffers.
      this.#settle(call, request);
      if (error instanceof RpcSilence) {
        outcome = 'REFUSED';
        throw error;
      }
      const failure = this.#failure(error, request);
      outcome = failure.outcome;
      return { reply: failure.reply, keep: false };
    } finally {
      call.handled();
      this.#options.onCall?.({
        program: target.program,
        procedure: target.name,
        transport: caller.transport,
        outcome,
        durationMs: performance.now() - startedAt,
      });
    }
  }

  #failure(error: unknown, request: Request): { reply: Reply; outcome: CallEvent['outcome'] } {
    const { xid, target, caller } = request;
    if (error instanceof GarbageArguments) {
      return { reply: accepted(xid, { stat: 'GARBAGE_ARGS' }), outcome: 'GARBAGE_ARGS' };
    }
    if (error instanceof RpcAuthError) {
      return { reply: denied(xid, { stat: 'AUTH_ERROR', auth_stat: error.stat }), outcome: 'REFUSED' };
    }
    const stat = error instanceof RpcRefusal ? error.stat : 'SYSTEM_ERR';
    const outcome = error instanceof RpcRefusal ? 'REFUSED' : 'SYSTEM_ERR';
    // A handler that gave up because its caller left is no defect.
    const level = error instanceof RpcRefusal || caller.gone.aborted ? 'debug' : 'error';
    this.#options.log[level]({ ...describe(error), ...labels(request) }, `${target.name} failed`);
    return { reply: accepted(xid, { stat }), outcome };
  }

  /** Gives back what the reply referred to. A release that fails must not take the connection with it. */
  #settle(call: ActiveCall, request: Request): void {
    try {
      call.settle();
    } catch (error) {
      this.#options.log.error({ ...describe(error), ...labels(request) }, 'a release after the reply failed');
    }
  }
}

/** The arguments don't decode: told apart from an XdrError that a handler or a result throws, which is a defect here. */
class GarbageArguments extends Error {
  override readonly name = 'GarbageArguments';
}

function decodeArguments(procedure: Procedure, bytes: Buffer): unknown {
  const reader = new XdrReader(bytes);
  try {
    const args = procedure.args.decode(reader);
    reader.end();
    return args;
  } catch (cause) {
    if (cause instanceof XdrError) throw new GarbageArguments('undecodable arguments', { cause });
    throw cause;
  }
}

/** Reads credential and verifier. The verifier of both flavors says nothing and is not looked at. */
function decodeCredential(reader: XdrReader): Credential {
  let cred: opaque_auth;
  try {
    cred = opaque_auth.decode(reader);
    opaque_auth.decode(reader);
  } catch (error) {
    if (error instanceof XdrError) throw new RpcAuthError('AUTH_BADCRED');
    throw error;
  }
  return credentialOf(cred);
}

function accepted(xid: number, data: reply_data): Reply {
  return encodeReply((writer) => rpc_msg.encode(writer, acceptedReply(xid, data)));
}

function denied(xid: number, rejected: rejected_reply): Reply {
  return encodeReply((writer) => rpc_msg.encode(writer, deniedReply(xid, rejected)));
}

/** Name, message and stack only: whatever else hangs on an error may hold what a client sent. */
function describe(error: unknown): { error: string } {
  return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function labels({ xid, target, caller }: Request): Record<string, string | number> {
  return { program: target.program, procedure: target.name, xid, remoteAddress: caller.remoteAddress };
}
