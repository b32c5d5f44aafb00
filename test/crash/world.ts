/** What the clients of one trial have been answered: names, attributes and bytes, what is under way, and what was found wrong. */
import type { nfstime3 } from '../../protocol/nfs3/types.js';
import { NfsStatusError } from '../support/nfs-client.js';
import { FileHistory } from './history.js';
import type { Patterns } from './pattern.js';
import { ROOT, Tree, type NameChange } from './tree.js';

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** As a client set it; absent where the server's clock tells. */
  readonly mtime?: nfstime3;
}

export interface WorldNode {
  readonly id: number;
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Unknown until it was told. */
  handle: Buffer | undefined;
  fileid: bigint | undefined;
  attributes: Attributes;
  /** What a SETATTR under way makes of them. */
  attributesToBe: Attributes | undefined;
  history: FileHistory;
  /** Of a symlink. */
  readonly target: string;
  /** It was there, published, when this life began. */
  wasAtRest: boolean;
  /** Somebody else made it, with metadata of their own. */
  readonly isForeign: boolean;
}

/** `lost`: something acknowledged as durable is not there. `torn`: bytes that no moment of the file explains. `other`: anything else. */
export interface Finding {
  readonly kind: 'lost' | 'torn' | 'other';
  readonly what: string;
  readonly node?: number;
}

/** A call was answered with a status that nothing explains: the lane ends. */
export class Refused extends Error {}

interface Line {
  readonly sent: number;
  readonly text: string;
  readonly node: number | undefined;
  answer: string;
}

export class World {
  readonly patterns: Patterns;
  readonly nodes = new Map<number, WorldNode>();
  tree = new Tree();
  /** By thread: the change of names that it has under way. */
  readonly pending = new Map<string, NameChange>();
  /** Nodes that were ever at a path since all was at rest, by path. */
  keyed = new Map<string, Set<number>>();
  /** Handles of what was removed. */
  readonly removed: { readonly handle: Buffer; readonly what: string }[] = [];
  readonly findings: Finding[] = [];
  /** Of the running daemon, in hexadecimal, once it was told. */
  verifier: string | undefined;
  /** Calls that were answered. */
  calls = 0;
  readonly #lines: Line[] = [];
  readonly #onAnswer: () => void;
  #moment = 0;
  #ids = 0;

  /** `onAnswer` is told of every answer at once. */
  constructor(patterns: Patterns, onAnswer: () => void) {
    this.patterns = patterns;
    this.#onAnswer = onAnswer;
    this.node('directory', { id: ROOT });
  }

  tick(): number {
    return ++this.#moment;
  }

  node(kind: WorldNode['kind'], known: Partial<WorldNode> = {}): WorldNode {
    const node: WorldNode = {
      id: known.id ?? ++this.#ids,
      kind,
      handle: undefined,
      fileid: undefined,
      attributes: { mode: 0o644, uid: 0, gid: 0 },
      attributesToBe: undefined,
      history: new FileHistory(Buffer.alloc(0), this.patterns),
      target: '',
      wasAtRest: false,
      isForeign: false,
      ...known,
    };
    this.nodes.set(node.id, node);
    return node;
  }

  get(id: number): WorldNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  handle(id: number): Buffer {
    const { handle } = this.get(id);
    if (handle === undefined) throw new Error(`node ${id} has no handle yet`);
    return handle;
  }

  found(kind: Finding['kind'], what: string, node?: number): void {
    this.findings.push({ kind, what, ...(node !== undefined && { node }) });
  }

  /** Makes a call. Rejects with Refused after a status that is not NFS3_OK, with anything else when the connection ended. */
  async call<T>(text: string, node: number | undefined, send: () => Promise<T>): Promise<T> {
    const line: Line = { sent: this.tick(), text, node, answer: '(no answer)' };
    this.#lines.push(line);
    try {
      const answer = await send();
      line.answer = `@${this.tick()}`;
      this.#answered();
      return answer;
    } catch (error) {
      if (!(error instanceof NfsStatusError)) throw error;
      line.answer = error.status;
      this.found('other', `${text} was answered with ${error.status}`, node);
      throw new Refused(`${text}: ${error.status}`);
    }
  }

  /** Makes a call that changes names. */
  async rename<T>(thread: string, change: NameChange, text: string, send: () => Promise<T>): Promise<T> {
    this.pending.set(thread, change);
    const after = this.tree.copy();
    after.apply(change);
    this.noteKeys(after);
    const answer = await this.call(text, change.node, async () => {
      const answered = await send();
      // With the answer, before anybody can be killed for it.
      this.settle(thread, change);
      return answered;
    });
    return answer;
  }

  /** The change was made. */
  settle(thread: string, change: NameChange): void {
    const replaced = change.change === 'rename' ? this.tree.at(change.toDir, change.toName) : undefined;
    const gone = change.change === 'remove' ? change.node : replaced;
    this.pending.delete(thread);
    if (gone !== undefined) this.#remember(gone);
    this.tree.apply(change);
    this.noteKeys(this.tree);
  }

  /** Which nodes have which paths in a tree, for the bucket's keys. */
  noteKeys(tree: Tree): void {
    for (const [path, node] of tree.paths()) {
      const known = this.keyed.get(path) ?? new Set();
      known.add(node);
      this.keyed.set(path, known);
    }
  }

  told(verifier: Buffer): void {
    const hex = verifier.toString('hex');
    this.verifier ??= hex;
    if (this.verifier !== hex)
      this.found('other', `the write verifier is ${hex}, and was ${this.verifier} before`);
  }

  /** The last calls that had to do with a node, or all. */
  lines(node: number | undefined, max: number): string[] {
    return this.#lines
      .filter((line) => node === undefined || line.node === node)
      .slice(-max)
      .map(({ sent, text, answer }) => `  ${sent} ${text} ${answer}`);
  }

  note(text: string): void {
    this.#lines.push({ sent: this.tick(), text, node: undefined, answer: '' });
  }

  #remember(id: number): void {
    const { handle } = this.get(id);
    if (handle !== undefined) this.removed.push({ handle, what: this.tree.path(id) });
  }

  #answered(): void {
    this.calls++;
    this.#onAnswer();
  }
}
