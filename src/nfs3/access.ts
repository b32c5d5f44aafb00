import {
  ACCESS3_DELETE,
  ACCESS3_EXECUTE,
  ACCESS3_EXTEND,
  ACCESS3_LOOKUP,
  ACCESS3_MODIFY,
  ACCESS3_READ,
} from '../../protocol/nfs3/types.js';
import type { AccessRights } from '../fs/file-system.js';
import { toFattr3 } from './attributes.js';
import { answer, type Handler } from './procedure.js';

const BIT_OF_RIGHT: { readonly [R in keyof AccessRights]: number } = {
  read: ACCESS3_READ,
  lookup: ACCESS3_LOOKUP,
  modify: ACCESS3_MODIFY,
  extend: ACCESS3_EXTEND,
  delete: ACCESS3_DELETE,
  execute: ACCESS3_EXECUTE,
};

/** ACCESS (RFC 1813 3.3.4): of the rights asked about, those that the caller has. Bits that nobody knows are not granted. */
export const access: Handler<'ACCESS'> = (options, args, call) =>
  answer(
    'ACCESS',
    options,
    call,
    async (context) => {
      const { rights, attributes } = await options.fs.access(context, args.object);
      return {
        status: 'NFS3_OK',
        resok: { obj_attributes: toFattr3(attributes), access: args.access & bitsOf(rights) },
      };
    },
    (status) => ({ status, resfail: { obj_attributes: undefined } }),
  );

function bitsOf(rights: AccessRights): number {
  const names = Object.keys(BIT_OF_RIGHT) as (keyof AccessRights)[];
  return names.reduce((bits, name) => (rights[name] ? bits | BIT_OF_RIGHT[name] : bits), 0);
}
