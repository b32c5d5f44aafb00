/** What the log of an earlier life tells of listed names: back to where names wait for LMDB (staged-names.ts). */
import { serialize } from 'node:v8';
import { isNewName } from './changes-form.js';
import { NodeChanges, type NodeRecord } from './node-changes.js';
import type { StagedNames } from './staged-names.js';

/**
 * Changes that LMDB has, but for listed names: of these it has those of which it knows the id. Whatever became of the others since is in LMDB as
 * well, under their id.
 */
export function replayListed(
  changes: readonly NodeChanges[],
  number: bigint,
  staged: StagedNames,
  isKnown: (id: bigint) => boolean,
): void {
  const shared = new SharedFacts();
  for (const each of changes)
    for (const record of newNamesOf(each))
      if (!staged.has(record.id) && !isKnown(record.id)) staged.addLogged(shared.of(record), number);
}

/** Changes behind those that LMDB has, as one, without new names, which are staged. The first are those of the number behind `committed`. */
export function replayed(
  changes: readonly NodeChanges[],
  committed: bigint,
  staged: StagedNames,
): NodeChanges {
  const before = new NodeChanges();
  const shared = new SharedFacts();
  let number = committed;
  for (const each of changes) {
    number++;
    for (const id of each.nodes.keys()) {
      const record = staged.take(id);
      if (record === undefined) continue;
      const { parent, name } = record;
      // It was no listing's, perhaps, and its name told once.
      if (each.children.get(parent)?.has(name) !== true) each.setChild(parent, name, id);
    }
    for (const record of newNamesOf(each)) {
      const { id, parent, name } = record;
      if (before.nodes.has(id) || before.children.get(parent)?.has(name) === true) continue;
      if (!staged.addLogged(shared.of(record), number)) continue;
      each.nodes.delete(id);
      const names = each.children.get(parent);
      names?.delete(name);
      if (names?.size === 0) each.children.delete(parent);
    }
    before.putOver(each);
  }
  return before;
}

/** New nodes, and where their names are told with them. */
const newNamesOf = ({ nodes, children }: NodeChanges): NodeRecord[] =>
  [...nodes.values()].filter(
    (change): change is NodeRecord =>
      typeof change === 'object' &&
      isNewName(change, change.parent, change.name) &&
      children.get(change.parent)?.get(change.name) === change.id,
  );

/** Equal facts as one object, which they were. */
class SharedFacts {
  readonly #known = new Map<string, unknown>();
  readonly #shared = new Map<unknown, unknown>();

  of(record: NodeRecord): NodeRecord {
    const { facts } = record;
    if (facts === undefined) return record;
    if (!this.#shared.has(facts)) {
      const key = serialize(facts).toString('latin1');
      if (!this.#known.has(key)) this.#known.set(key, facts);
      this.#shared.set(facts, this.#known.get(key));
    }
    return { ...record, facts: this.#shared.get(facts) };
  }
}
