/**
 * What the server under test has told of files so far, held against the reference: which file is which, and what its times must be.
 *
 *   ids, handles    one of the server's for one of the reference's, for ever
 *   mtime           a client's: exact. The server's own: the same as long as the reference's is, and never earlier than before
 *   ctime           moves strictly where the reference's does; elsewhere it may move, but never back
 *   atime           what was set, if it was
 */
import assert from 'node:assert/strict';
import type { Attributes } from '../../src/fs/file-system.js';
import type { Answer, Told } from './answer.js';
import { SERVER_TIMES_NS } from './reference.js';

interface Known {
  readonly fileid: bigint;
  handle: string | undefined;
  /** Of the last look: the reference's time, and the server's. */
  mtime: { readonly reference: bigint; readonly server: bigint } | undefined;
  ctime: { readonly reference: bigint; readonly server: bigint } | undefined;
}

export class Ledger {
  /** By the reference's fileid. */
  readonly #known = new Map<bigint, Known>();
  /** The reference's fileid by the server's. */
  readonly #reverse = new Map<bigint, bigint>();

  /** All that an answer tells, held against the reference's. */
  check(actual: Answer, expected: Answer): void {
    for (const each of actual.told ?? []) {
      const theirs = expected.told?.find(({ role }) => role === each.role);
      assert.ok(theirs, `expected nothing of ${each.role}`);
      this.told(each, theirs);
    }
    for (const { role, before, after } of actual.changes ?? []) {
      const theirs = expected.changes?.find((change) => change.role === role);
      assert.ok(theirs?.after, `expected no change of ${role}`);
      if (before !== undefined && theirs.before !== undefined) {
        const { size, mtimeNs, ctimeNs } = theirs.before;
        const last = this.#known.get(theirs.after.fileid);
        assert.equal(before.size, size, `wcc: size of ${role} before`);
        if (last?.mtime?.reference === mtimeNs)
          assert.equal(before.mtimeNs, last.mtime.server, `wcc: mtime of ${role} before`);
        if (last?.ctime?.reference === ctimeNs)
          assert.equal(before.ctimeNs, last.ctime.server, `wcc: ctime of ${role} before`);
        if (theirs.after.ctimeNs !== ctimeNs && after !== undefined)
          assert.ok(after.ctimeNs > before.ctimeNs, `wcc: ctime of ${role} stood still`);
      }
      if (after !== undefined) this.told({ role, attributes: after }, { role, attributes: theirs.after });
    }
    if (actual.entries !== undefined && expected.entries !== undefined && actual.page === undefined) {
      this.#listed(actual, expected);
    }
  }

  /** One file as both tell of it. */
  told(actual: Told, expected: Told): void {
    const { role, attributes } = actual;
    const theirs = expected.attributes;
    const known = this.identify(attributes.fileid, theirs.fileid, role);
    if (actual.handle !== undefined) {
      const handle = actual.handle.toString('hex');
      assert.equal(handle, (known.handle ??= handle), `the handle of ${role} changed`);
    }
    assert.deepEqual(plain(attributes), plain(theirs), `attributes of ${role}`);
    if (theirs.atimeNs < SERVER_TIMES_NS)
      assert.equal(attributes.atimeNs, theirs.atimeNs, `atime of ${role}`);
    this.#mtime(known, attributes.mtimeNs, theirs.mtimeNs, role);
    this.#ctime(known, attributes.ctimeNs, theirs.ctimeNs, role);
  }

  /** A file is one file: its id is the same whenever it is told, and no other's. */
  identify(server: bigint, reference: bigint, role: string): Known {
    const known = this.#known.get(reference) ?? {
      fileid: server,
      handle: undefined,
      mtime: undefined,
      ctime: undefined,
    };
    assert.equal(server, known.fileid, `the fileid of ${role} changed`);
    assert.equal(
      this.#reverse.get(server) ?? reference,
      reference,
      `the fileid of ${role} is another file's`,
    );
    this.#known.set(reference, known);
    this.#reverse.set(server, reference);
    return known;
  }

  /** The reference's id of a file that the server has told of. */
  referenceId(server: bigint): bigint {
    const reference = this.#reverse.get(server);
    assert.ok(reference !== undefined, `file ${server} was never told of`);
    return reference;
  }

  /** The server's handle of a file, once it was told. */
  handleOf(reference: bigint): Buffer | undefined {
    const handle = this.#known.get(reference)?.handle;
    return handle === undefined ? undefined : Buffer.from(handle, 'hex');
  }

  /** True where the two may be one file: known as such, or both new. */
  couldBe(server: bigint, reference: bigint): boolean {
    return this.#reverse.get(server) === (this.#known.has(reference) ? reference : undefined);
  }

  /** Times begin anew: after a crash for what was lost, after calls at the same time for everything. */
  forgetTimes(fileid?: bigint): void {
    for (const [id, known] of this.#known) {
      if (fileid === undefined || id === fileid) known.mtime = known.ctime = undefined;
    }
  }

  /** A crash may lose the ctime of the last writes (docs/SEMANTICS.md). */
  forgetCtimes(): void {
    for (const known of this.#known.values()) known.ctime = undefined;
  }

  #listed(actual: Answer, expected: Answer): void {
    const names = (answer: Answer): string[] => (answer.entries ?? []).map(({ name }) => name).sort();
    assert.deepEqual(names(actual), names(expected), 'the names of a directory');
    for (const entry of actual.entries ?? []) {
      const theirs = expected.entries?.find(({ name }) => name === entry.name);
      assert.ok(theirs);
      this.identify(entry.fileid, theirs.fileid, entry.name);
      const { attributes, handle } = entry;
      if (attributes === undefined || theirs.attributes === undefined) continue;
      const told = { role: entry.name, attributes, ...(handle !== undefined && { handle }) };
      this.told(told, { role: entry.name, attributes: theirs.attributes });
    }
  }

  #mtime(known: Known, server: bigint, reference: bigint, role: string): void {
    const last = known.mtime;
    if (reference < SERVER_TIMES_NS) assert.equal(server, reference, `mtime of ${role}, as it was set`);
    else if (last?.reference === reference)
      assert.equal(server, last.server, `mtime of ${role}: nothing changed it`);
    else if (last !== undefined && last.reference >= SERVER_TIMES_NS && reference > last.reference)
      assert.ok(server >= last.server, `mtime of ${role} went back`);
    known.mtime = { reference, server };
  }

  #ctime(known: Known, server: bigint, reference: bigint, role: string): void {
    const last = known.ctime;
    if (last !== undefined && reference > last.reference)
      assert.ok(server > last.server, `ctime of ${role} stood still: ${server}, it was ${last.server}`);
    else if (last !== undefined)
      assert.ok(server >= last.server, `ctime of ${role} went back: ${server}, it was ${last.server}`);
    known.ctime = { reference, server };
  }
}

/** What must be equal as it is. Links of a directory, and the mode of a symlink, differ by right. */
function plain({ type, mode, uid, gid, size, used, nlink }: Attributes): unknown {
  return {
    type,
    mode: type === 'symlink' ? 0o777 : mode,
    uid,
    gid,
    size,
    used,
    ...(type !== 'directory' && { nlink }),
  };
}
