import { UNKNOWN_WCC } from './attributes.js';
import type { Handler } from './procedure.js';

/** LINK (RFC 1813 3.3.15). An object has one key: no hard links. Clients fall back to copying. */
export const link: Handler<'LINK'> = async () => ({
  status: 'NFS3ERR_NOTSUPP',
  resfail: { file_attributes: undefined, linkdir_wcc: UNKNOWN_WCC },
});
