import type { createhow3 } from '../../protocol/nfs3/messages.js';
import type { CreateMode } from '../fs/file-system.js';
import { toAttributeChanges } from './attributes.js';
import { createdObject, unchangedDirectory } from './created-object.js';
import { answer, type Handler } from './procedure.js';

/** CREATE (RFC 1813 3.3.8). */
export const create: Handler<'CREATE'> = (options, { where, how }, call) =>
  answer(
    'CREATE',
    options,
    call,
    async (context) => createdObject(await options.fs.create(context, where.dir, where.name, modeOf(how))),
    unchangedDirectory,
  );

function modeOf(how: createhow3): CreateMode {
  switch (how.mode) {
    case 'UNCHECKED':
      return { how: 'unchecked', attributes: toAttributeChanges(how.obj_attributes) };
    case 'GUARDED':
      return { how: 'guarded', attributes: toAttributeChanges(how.obj_attributes) };
    case 'EXCLUSIVE':
      return { how: 'exclusive', verifier: how.verf };
  }
}
