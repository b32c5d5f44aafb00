/** The results that CREATE, MKDIR and SYMLINK share. */
import type { NfsFailure } from '../../protocol/nfs3/types.js';
import type { CreatedFile } from '../fs/file-system.js';
import { toFattr3, toWccData, UNKNOWN_WCC } from './attributes.js';

export const createdObject = ({ handle, attributes, parent }: CreatedFile) =>
  ({
    status: 'NFS3_OK',
    resok: { obj: handle, obj_attributes: toFattr3(attributes), dir_wcc: toWccData(parent) },
  }) as const;

/** The failure arm of every call that changes one directory. */
export const unchangedDirectory = (status: NfsFailure) =>
  ({ status, resfail: { dir_wcc: UNKNOWN_WCC } }) as const;
