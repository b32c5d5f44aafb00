/**
 * The MOUNT service, versions 3 and 1 (RFC 1813 appendix I). What may be mounted, and by whom, is the file system's to say:
 * a handle is checked again at each NFS call, so MOUNT guards nothing.
 */
import { MOUNT1, MOUNT3, type mountres3 } from '../../protocol/mount3/program.js';
import type { Handlers } from '../../protocol/program.js';
import { FsError } from '../fs/errors.js';
import type { Context, FileSystem } from '../fs/file-system.js';
import { service, type Call, type Service } from '../rpc/service.js';
import type { Logger } from '../telemetry/log.js';
import { MountList } from './mount-list.js';
import { mountPath } from './mount-path.js';
import { statusOf } from './status.js';

export interface MountServiceOptions {
  readonly fs: FileSystem;
  readonly log: Logger;
  /** Shared by the versions, so that each shows what was mounted by the other. Default: one of its own. */
  readonly mounts?: MountList;
}

/** Flavors that NFS calls may carry, the preferred one first: AUTH_SYS, AUTH_NONE (RFC 5531 section 8.2). */
const AUTH_FLAVORS = [1, 0];
/** nobody and nogroup: who a caller without credentials is. */
const NOBODY = 65534;

/** MOUNT version 3, what NFSv3 clients mount with. */
export function mount3Service({
  fs,
  log,
  mounts = new MountList(),
}: MountServiceOptions): Service<typeof MOUNT3> {
  return service(MOUNT3, {
    ...commonHandlers(fs, mounts),
    MNT: (dirpath, call) => mnt(dirpath, call, { fs, log, mounts }),
  });
}

/** MOUNT version 1: all but MNT, whose handles are for NFSv2, which isn't served. */
export function mount1Service({
  fs,
  log,
  mounts = new MountList(),
}: MountServiceOptions): Service<typeof MOUNT1> {
  return service(MOUNT1, {
    ...commonHandlers(fs, mounts),
    MNT: (_dirpath, call) => {
      log.info({ client: call.remoteAddress }, 'refused a mount with NFSv2: mount with vers=3');
      return { status: 'EACCES' };
    },
  });
}

function commonHandlers(fs: FileSystem, mounts: MountList): Omit<Handlers<typeof MOUNT3, Call>, 'MNT'> {
  return {
    NULL: () => undefined,
    DUMP: () =>
      mounts.entries().map(({ address, path }) => ({
        ml_hostname: Buffer.from(address),
        ml_directory: Buffer.from(path),
      })),
    UMNT: (dirpath, { remoteAddress }) => {
      const path = pathIfValid(dirpath);
      if (path !== undefined) mounts.remove(remoteAddress, path);
      return undefined;
    },
    UMNTALL: (_args, { remoteAddress }) => {
      mounts.removeAll(remoteAddress);
      return undefined;
    },
    // libnfs calls this after MNT, and its failure fails the mount.
    EXPORT: (_args, call) =>
      fs.exports(contextOf(call)).map(({ path, allow }) => ({
        ex_dir: Buffer.from(path),
        ex_groups: allow.map((group) => Buffer.from(group)),
      })),
  };
}

/** MNT (RFC 1813 I.5.1). */
async function mnt(
  dirpath: Buffer,
  call: Call,
  { fs, log, mounts }: Required<MountServiceOptions>,
): Promise<mountres3> {
  const about = { client: call.remoteAddress, path: dirpath.toString('utf8', 0, 256) };
  try {
    const path = mountPath(dirpath);
    const fhandle = await fs.mount(contextOf(call), path);
    mounts.add(call.remoteAddress, path);
    log.info(about, 'mounted');
    return { fhs_status: 'MNT3_OK', mountinfo: { fhandle, auth_flavors: [...AUTH_FLAVORS] } };
  } catch (error) {
    if (error instanceof FsError) {
      const fhs_status = statusOf(error.code);
      log.info({ ...about, status: fhs_status, reason: error.message }, 'mount refused');
      return { fhs_status };
    }
    if (call.signal.aborted) {
      log.debug({ ...about, err: error }, 'call abandoned');
      return { fhs_status: 'MNT3ERR_IO' };
    }
    log.error({ ...about, err: error }, 'mount failed unexpectedly');
    return { fhs_status: 'MNT3ERR_SERVERFAULT' };
  }
}

/** UMNT has no failure: a path that can't have been mounted isn't in the list. */
function pathIfValid(dirpath: Buffer): string | undefined {
  try {
    return mountPath(dirpath);
  } catch (error) {
    if (error instanceof FsError) return undefined;
    throw error;
  }
}

/** The file system's view of a caller. AUTH_NONE, which is how many clients mount, is nobody. */
function contextOf({ credential, remoteAddress, signal }: Call): Context {
  const { uid = NOBODY, gid = NOBODY, gids = [] } = credential;
  return { caller: { uid, gid, gids, address: remoteAddress }, signal };
}
