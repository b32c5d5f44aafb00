/** When a file loses its set-user-ID bit, and the set-group-ID bit where its group may run it: Linux' client leaves both cases to the server. */
import type { AttributeChanges, Caller } from './file-system.js';
import type { FileNode } from './node.js';

/** Bits of a mode. */
const SET_USER_ID = 0o4000;
const SET_GROUP_ID = 0o2000;
const GROUP_RUNS = 0o010;

/** With a new owner or group, as chown(2) has it. A mode that is set besides stays as it is. */
export function withoutSetId(node: FileNode, changes: AttributeChanges): AttributeChanges {
  const isChown = changes.uid !== undefined || changes.gid !== undefined;
  return isChown ? { ...modeWithoutSetId(node), ...changes } : changes;
}

/** With bytes written or cut off by another than root, as write(2) and truncate(2) have it. Undefined where the mode stays. */
export function modeAfterWrite(node: FileNode, caller: Caller): { readonly mode: number } | undefined {
  return caller.uid === 0 ? undefined : modeWithoutSetId(node);
}

function modeWithoutSetId({ type, mode }: FileNode): { readonly mode: number } | undefined {
  // Files without a mode of their own have the export's, without these bits.
  if (type !== 'file' || mode === undefined) return undefined;
  const without = mode & ~((mode & GROUP_RUNS) === 0 ? SET_USER_ID : SET_USER_ID | SET_GROUP_ID);
  return without === mode ? undefined : { mode: without };
}
