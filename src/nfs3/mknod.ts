import { unchangedDirectory } from './created-object.js';
import type { Handler } from './procedure.js';

/** MKNOD (RFC 1813 3.3.11). An object has no way to be a device, socket or fifo; the other types were never MKNOD's (BADTYPE). */
export const mknod: Handler<'MKNOD'> = async (_options, { what }) => {
  const special =
    what.type === 'NF3CHR' || what.type === 'NF3BLK' || what.type === 'NF3SOCK' || what.type === 'NF3FIFO';
  return unchangedDirectory(special ? 'NFS3ERR_NOTSUPP' : 'NFS3ERR_BADTYPE');
};
