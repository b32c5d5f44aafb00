/** The NFSv3 service: the 22 procedures of RFC 1813 over a FileSystem. */
import { NFS3 } from '../../protocol/nfs3/program.js';
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';
import type { Soon } from '../fs/soon.js';
import { service, type Call, type Service } from '../rpc/service.js';
import { access } from './access.js';
import { commit } from './commit.js';
import { create } from './create.js';
import { RunEncoder } from './encoded-run.js';
import { fsinfo } from './fsinfo.js';
import { fsstat } from './fsstat.js';
import { getattr } from './getattr.js';
import { link } from './link.js';
import { lookup } from './lookup.js';
import { mkdir } from './mkdir.js';
import { mknod } from './mknod.js';
import { pathconf } from './pathconf.js';
import type { Handler, Handling, ProcedureOptions } from './procedure.js';
import { read } from './read.js';
import { readdir } from './readdir.js';
import { readdirplus } from './readdirplus.js';
import { readlink } from './readlink.js';
import { remove } from './remove.js';
import { rename } from './rename.js';
import { rmdir } from './rmdir.js';
import { setattr } from './setattr.js';
import { symlink } from './symlink.js';
import { write } from './write.js';

/** NFSv3 over `fs`. The handlers never throw for a failed operation: each answers in its own failure arm. */
export function nfs3Service(options: ProcedureOptions): Service<typeof NFS3> {
  type Name = ProcedureName<typeof NFS3>;
  const runs = { names: new RunEncoder('names'), attributes: new RunEncoder('handles') };
  const handling: Handling = { ...options, runs };
  const bind =
    <N extends Name>(handler: Handler<N>) =>
    (args: ArgsOf<typeof NFS3, N>, call: Call): Soon<ResultOf<typeof NFS3, N>> =>
      handler(handling, args, call);
  return service(NFS3, {
    NULL: () => undefined,
    GETATTR: bind<'GETATTR'>(getattr),
    SETATTR: bind<'SETATTR'>(setattr),
    LOOKUP: bind<'LOOKUP'>(lookup),
    ACCESS: bind<'ACCESS'>(access),
    READLINK: bind<'READLINK'>(readlink),
    READ: bind<'READ'>(read),
    WRITE: bind<'WRITE'>(write),
    CREATE: bind<'CREATE'>(create),
    MKDIR: bind<'MKDIR'>(mkdir),
    SYMLINK: bind<'SYMLINK'>(symlink),
    MKNOD: bind<'MKNOD'>(mknod),
    REMOVE: bind<'REMOVE'>(remove),
    RMDIR: bind<'RMDIR'>(rmdir),
    RENAME: bind<'RENAME'>(rename),
    LINK: bind<'LINK'>(link),
    READDIR: bind<'READDIR'>(readdir),
    READDIRPLUS: bind<'READDIRPLUS'>(readdirplus),
    FSSTAT: bind<'FSSTAT'>(fsstat),
    FSINFO: bind<'FSINFO'>(fsinfo),
    PATHCONF: bind<'PATHCONF'>(pathconf),
    COMMIT: bind<'COMMIT'>(commit),
  });
}
