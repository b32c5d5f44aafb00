/** What all procedures share: their dependencies, the context of a call, and how a failure becomes the failure arm. */
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';
import type { NFS3 } from '../../protocol/nfs3/program.js';
import type { NfsFailure } from '../../protocol/nfs3/types.js';
import { FsError } from '../fs/errors.js';
import type { Caller, Context, FileSystem } from '../fs/file-system.js';
import type { Soon } from '../fs/soon.js';
import { RpcAuthError, RpcRefusal, type Call } from '../rpc/service.js';
import type { Logger } from '../telemetry/log.js';
import type { RunEncoder } from './encoded-run.js';
import { statusOf } from './status.js';

export interface ProcedureOptions {
  readonly fs: FileSystem;
  readonly log: Logger;
}

type Name = ProcedureName<typeof NFS3>;
export type Args<N extends Name> = ArgsOf<typeof NFS3, N>;
export type Result<N extends Name> = ResultOf<typeof NFS3, N>;

/** What the handlers of a service share. */
export interface Handling extends ProcedureOptions {
  /** Runs of entries as READDIR and READDIRPLUS send them. */
  readonly runs: { readonly names: RunEncoder; readonly attributes: RunEncoder };
}

/** One procedure before it is bound to a file system. */
export type Handler<N extends Name> = (options: Handling, args: Args<N>, call: Call) => Soon<Result<N>>;

/** nobody and nogroup: who a caller without credentials is. */
const NOBODY = 65534;

/** The file system's view of a call. AUTH_NONE is nobody. */
class CallContext implements Context {
  readonly caller: Caller;
  readonly #call: Call;

  constructor(call: Call) {
    const { flavor, uid = NOBODY, gid = NOBODY, gids = [] } = call.credential;
    const address = call.remoteAddress;
    this.caller =
      flavor === 'AUTH_NONE' ? { uid: NOBODY, gid: NOBODY, gids: [], address } : { uid, gid, gids, address };
    this.#call = call;
  }

  /** Asked for only when needed: the RPC layer makes the signal then, and most calls are answered from memory without it. */
  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

/**
 * Runs a procedure and turns whatever it throws into the procedure's own failure arm, except what the RPC layer is to
 * answer (RpcAuthError, RpcRefusal). At once where `run` has the result at once.
 */
export function answer<N extends Name>(
  name: N,
  { log }: ProcedureOptions,
  call: Call,
  run: (context: Context) => Soon<Result<N>>,
  failed: (status: NfsFailure) => Result<N>,
): Soon<Result<N>> {
  const onFailure = (error: unknown): Result<N> => {
    if (error instanceof RpcAuthError || error instanceof RpcRefusal) throw error;
    return failed(statusOfFailure(error, name, log, call));
  };
  try {
    const result = run(new CallContext(call));
    return result instanceof Promise ? result.catch(onFailure) : result;
  } catch (error) {
    return onFailure(error);
  }
}

function statusOfFailure(error: unknown, procedure: Name, log: Logger, call: Call): NfsFailure {
  const about = { procedure, xid: call.xid, client: call.remoteAddress };
  if (error instanceof FsError) {
    const status = statusOf(error.code);
    // A missing name is everyday business; a failing store or program, or a full disk, is for somebody to look into, with stack and cause.
    if (error.code === 'EIO' || error.code === 'EFAULT' || error.code === 'ENOSPC')
      log.warn({ ...about, status, err: error }, error.message);
    else log.debug({ ...about, status, code: error.code }, error.message);
    return status;
  }
  if (call.signal.aborted) {
    // The caller is gone or the server is stopping: nobody reads this answer, and if somebody does, the call may be repeated.
    log.debug({ ...about, err: error }, 'call abandoned');
    return 'NFS3ERR_JUKEBOX';
  }
  log.error({ ...about, err: error }, 'procedure failed unexpectedly');
  return 'NFS3ERR_SERVERFAULT';
}
