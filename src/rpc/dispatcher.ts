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
  rpc_msg,
  RPC_VERSION,
  type reply_data,
  type rejected_reply,
} from '../../protocol/rpc.js';
import { XdrError, XdrReader } from '../../protocol/xdr-cursors.js';
import type { Logger } from '../telemetry/log.js';
import { ActiveCall, type Caller } from './active-call.js';
import { ProgramTable, type Target } from './program-table.js';
import { ReplyEncoder, type Reply } from './reply.js';
import { duplicateKey, type Executed, type ReplyCache } from './reply-cache.js';
import { RpcAuthError, RpcRefusal, RpcSilence, type Service } from './service.js';

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

/** A call whose procedure was found. */
interface Request {
  readonly xid: number;
  readonly target: Target;
  readonly caller: Caller;
  readonly call: ActiveCall;
  /** By performance.now(), where somebody wants to know. */
  readonly startedAtMs: number;
}

/** What a message is answered. */
type Answer = Reply | undefined;

export class Dispatcher {
  readonly #programs: ProgramTable;
  readonly #options: DispatcherOptions;
  readonly #encoder = new ReplyEncoder();

  constructor(options: DispatcherOptions) {
    this.#programs = new ProgramTable(options.services);
    this.#options = options;
  }

  /**
   * The reply to one message; undefined when it isn't a call and there is nobody to answer, or a refusal is silent. A value where the
   * handler gives its result at once, else a promise. Doesn't throw or reject.
   */
  dispatch(message: Buffer, caller: Caller): Answer | Promise<Answer> {
    const reader = new XdrReader(message);
    const start = decodeMessageStart(reader);
    if (start?.call !== true) return undefined;
    const { xid } = start;
    try {
      const answer = this.#answer(xid, reader, caller);
      if (!(answer instanceof Promise)) return answer;
      return answer.catch((error: unknown) => this.#refused(error, xid, caller));
    } catch (error) {
      return this.#refused(error, xid, caller);
    }
  }

  #answer(xid: number, reader: XdrReader, caller: Caller): Answer | Promise<Answer> {
    if (reader.u32() !== RPC_VERSION) {
      const mismatch_info = { low: RPC_VERSION, high: RPC_VERSION };
      return this.#denied(xid, { stat: 'RPC_MISMATCH', mismatch_info });
    }
    const prog = reader.u32();
    const vers = reader.u32();
    const proc = reader.u32();
    const credential = caller.credentials.read(reader);
    const target = this.#programs.find(prog, vers, proc);
    if ('refusal' in target) return this.#accepted(xid, target.refusal);
    if (target.procedure.nonIdempotent !== true) {
      const executed = this.#execute(
        xid,
        target,
        caller,
        new ActiveCall(xid, credential, caller, caller.gone),
        reader,
      );
      return executed instanceof Promise ? executed.then(({ reply }) => reply) : executed.reply;
    }
    const { remoteAddress: client } = caller;
    const key = duplicateKey(client, xid, { prog, vers, proc }, reader.rest());
    const isBulk = target.procedure.bulk === true;
    const call = new ActiveCall(xid, credential, caller, this.#options.shutdown);
    return this.#options.replyCache.answer({ client, key, isBulk }, async () =>
      this.#execute(xid, target, caller, call, reader),
    );
  }

  /** The answer to a call that ended before its procedure ran, or by RpcSilence. */
  #refused(error: unknown, xid: number, caller: Caller): Answer {
    if (error instanceof RpcSilence) return undefined;
    if (error instanceof RpcAuthError)
      return this.#denied(xid, { stat: 'AUTH_ERROR', auth_stat: error.stat });
    if (error instanceof XdrError) return this.#accepted(xid, { stat: 'GARBAGE_ARGS' });
    this.#options.log.error({ ...describe(error), xid, remoteAddress: caller.remoteAddress }, 'call failed');
    return this.#accepted(xid, { stat: 'SYSTEM_ERR' });
  }

  /** Runs the procedure. Throws or rejects with RpcSilence only: any other failure is a reply. */
  #execute(
    xid: number,
    target: Target,
    caller: Caller,
    call: ActiveCall,
    reader: XdrReader,
  ): Executed | Promise<Executed> {
    const startedAtMs = this.#options.onCall === undefined ? 0 : performance.now();
    const request: Request = { xid, target, caller, call, startedAtMs };
    try {
      const result = target.handler(decodeArguments(target.procedure, reader), call);
      return result instanceof Promise ? this.#succeedLater(request, result) : this.#succeed(request, result);
    } catch (error) {
      return this.#fail(request, error);
    }
  }

  async #succeedLater(request: Request, result: Promise<unknown>): Promise<Executed> {
    try {
      return this.#succeed(request, await result);
    } catch (error) {
      return this.#fail(request, error);
    }
  }

  #succeed(request: Request, result: unknown): Executed {
    const { xid, call } = request;
    const { procedure } = request.target;
    const reply = this.#encoder.encode(
      (writer) => {
        encodeSuccess(writer, xid);
        procedure.result.encode(writer, result);
      },
      call.hasReleases ? () => this.#settle(request) : undefined,
    );
    const keep = procedure.cacheable?.(result) ?? true;
    this.#ended(request, 'SUCCESS');
    return { reply, keep };
  }

  /** Throws RpcSilence again. */
  #fail(request: Request, error: unknown): Executed {
    // No reply refers to the call's buffers.
    this.#settle(request);
    if (error instanceof RpcSilence) {
      this.#ended(request, 'REFUSED');
      throw error;
    }
    const { reply, outcome } = this.#failure(error, request);
    this.#ended(request, outcome);
    return { reply, keep: false };
  }

  #ended({ call, target, caller, startedAtMs }: Request, outcome: CallEvent['outcome']): void {
    call.handled();
    this.#options.onCall?.({
      program: target.program,
      procedure: target.name,
      transport: caller.transport,
      outcome,
      durationMs: performance.now() - startedAtMs,
    });
  }

  #failure(error: unknown, request: Request): { reply: Reply; outcome: CallEvent['outcome'] } {
    const { xid, target, caller } = request;
    if (error instanceof GarbageArguments) {
      return { reply: this.#accepted(xid, { stat: 'GARBAGE_ARGS' }), outcome: 'GARBAGE_ARGS' };
    }
    if (error instanceof RpcAuthError) {
      return { reply: this.#denied(xid, { stat: 'AUTH_ERROR', auth_stat: error.stat }), outcome: 'REFUSED' };
    }
    const stat = error instanceof RpcRefusal ? error.stat : 'SYSTEM_ERR';
    const outcome = error instanceof RpcRefusal ? 'REFUSED' : 'SYSTEM_ERR';
    // A handler that gave up because its caller left is no defect.
    const level = error instanceof RpcRefusal || caller.gone.aborted ? 'debug' : 'error';
    this.#options.log[level]({ ...describe(error), ...labels(request) }, `${target.name} failed`);
    return { reply: this.#accepted(xid, { stat }), outcome };
  }

  /** Gives back what the reply referred to. A release that fails must not take the connection with it. */
  #settle(request: Request): void {
    try {
      request.call.settle();
    } catch (error) {
      this.#options.log.error({ ...describe(error), ...labels(request) }, 'a release after the reply failed');
    }
  }

  #accepted(xid: number, data: reply_data): Reply {
    return this.#encoder.encode((writer) => rpc_msg.encode(writer, acceptedReply(xid, data)));
  }

  #denied(xid: number, rejected: rejected_reply): Reply {
    return this.#encoder.encode((writer) => rpc_msg.encode(writer, deniedReply(xid, rejected)));
  }
}

/** The arguments don't decode: told apart from an XdrError that a handler or a result throws, which is a defect here. */
class GarbageArguments extends Error {
  override readonly name = 'GarbageArguments';
}

function decodeArguments(procedure: Procedure, reader: XdrReader): unknown {
  try {
    const args = procedure.args.decode(reader);
    reader.end();
    return args;
  } catch (cause) {
    if (cause instanceof XdrError) throw new GarbageArguments('undecodable arguments', { cause });
    throw cause;
  }
}

/** Name, message and stack only: whatever else hangs on an error may hold what a client sent. */
function describe(error: unknown): { error: string } {
  return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function labels({ xid, target, caller }: Request): Record<string, string | number> {
  return { program: target.program, procedure: target.name, xid, remoteAddress: caller.remoteAddress };
}
