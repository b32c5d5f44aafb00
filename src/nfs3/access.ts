import {
  ACCESS3_DELETE,
  ACCESS3_EXECUTE,
  ACCESS3_EXTEND,
  ACCESS3_LOOKUP,
  ACCESS3_MODIFY,
  ACCESS3_READ,
} from '../../protocol/nfs3/types.js';
import type { AccessRights } from '../fs/file-system.js';
import { after } from '../fs/soon.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** ACCESS (RFC 1813 3.3.4): of the rights asked about, those that the caller has. Bits that nobody knows are not granted. */
export const access: Handler<'ACCESS'> = (options, args, call) =>
  answer(
    'ACCESS',
    options,
    call,
    (context) =>
      after(options.fs.access(context, args.object), ({ rights, attributes }) => ({
        status: 'NFS3_OK',
        resok: { obj_attributes: toFattr3(attributes), access: args.access & bitsOf(rights) },
      })),
    (status) => ({ status, resfail: { obj_attributes: undefined } }),
  );

function bitsOf(rights: AccessRights): number {
  return (
    (rights.read ? ACCESS3_READ : 0) |
    (rights.lookup ? ACCESS3_LOOKUP : 0) |
    (rights.modify ? ACCESS3_MODIFY : 0) |
    (rights.extend ? ACCESS3_EXTEND : 0) |
    (rights.delete ? ACCESS3_DELETE : 0) |
    (rights.execute ? ACCESS3_EXECUTE : 0)
  );
}
