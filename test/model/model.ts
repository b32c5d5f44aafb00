/**
 * The daemon and the reference side by side, from a directory of the bucket's own.
 *
 *   one command       every answer is compared whole
 *   several at a time some order of them explains the answers and what is there afterwards: all orders are tried, on a reference that
 *                     is played from the start for each
 *   restart, kill     handles, ids, listings and bytes go on; after kill -9 a file has what was promised, or what it once was
 *   the end           tree, handles and bucket are compared
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Attributes } from '../../src/fs/file-system.js';
import { describe, type Answer } from './answer.js';
import { ModelClient } from './client.js';
import type { Command } from './commands.js';
import { Ledger } from './ledger.js';
import { observe, type Observation, type Visit } from './observation.js';
import { Reference, ROOT, type Adopted, type Played } from './reference.js';
import type { Rig } from './rig.js';
import { Scans } from './scans.js';
import { Uncertain } from './uncertain.js';

export interface Figures {
  commands: number;
  /** Answers, by command and status. */
  readonly answers: Map<string, number>;
  jukeboxes: number;
}

export class Model {
  readonly #rig: Rig;
  readonly #name: string;
  readonly #figures: Figures;
  readonly #handles = new Map<number, Buffer>();
  readonly #history: (Played | Adopted)[] = [];
  readonly #ledger = new Ledger();
  readonly #uncertain = new Uncertain();
  readonly #scans = new Scans();
  #reference: Reference;
  #clients: ModelClient[] = [];
  #step = 0;
  #verifier: string | undefined;

  private constructor(rig: Rig, name: string, reference: Reference, figures: Figures) {
    this.#rig = rig;
    this.#name = name;
    this.#reference = reference;
    this.#figures = figures;
  }

  static async start(rig: Rig, clients: number, figures: Figures): Promise<Model> {
    const { name, handle } = await rig.directory();
    const model = new Model(rig, name, await Reference.after([]), figures);
    model.#handles.set(ROOT, handle);
    await model.#connect(clients);
    return model;
  }

  async close(): Promise<void> {
    const clients = this.#clients.splice(0);
    for (const client of clients) this.#figures.jukeboxes += client.jukeboxes;
    await Promise.all(clients.map((client) => client.close()));
  }

  /** One command by one client, while nothing else runs. */
  async one(command: Command, by = 0): Promise<void> {
    const played = this.#plan(command);
    const what = `step ${played.step}: ${JSON.stringify(command)}`;
    const before = await this.#target(played);
    const cookie = command.op === 'PAGE' ? await this.#cookie(played) : 0n;
    const actual = await this.#client(by).run(played, cookie);
    const expected = await this.#reference.play(played);
    this.#history.push(played);
    this.#count(command, actual);
    try {
      assert.deepEqual(comparable(actual), comparable(expected));
      // What lies above the model's root is no part of it.
      if (actual.told === undefined || expected.told !== undefined) this.#ledger.check(actual, expected);
      this.#checkVerifier(actual);
      if (actual.found !== undefined && expected.found !== undefined)
        this.#handles.set(played.step, actual.found);
      await this.#note(played, before, expected);
      await this.#look(played, actual);
    } catch (error) {
      throw new Error(`${what}: answered ${describe(actual)}, expected ${describe(expected)}`, {
        cause: error,
      });
    }
  }

  /** Commands at the same time, each by another client. */
  async together(commands: readonly Command[]): Promise<void> {
    const played = commands.map((command) => this.#plan(inOneCall(command)));
    const answers = await Promise.all(played.map((each, by) => this.#client(by).run(each)));
    played.forEach(({ command }, at) => this.#count(command, answers[at] ?? { status: 'none' }));
    for (const answer of answers) this.#checkVerifier(answer);
    // What they found is part of what is looked at afterwards.
    played.forEach(({ step }, at) => {
      const found = answers[at]?.found;
      if (found !== undefined) this.#handles.set(step, found);
    });
    const slots = this.#slots();
    const shown = await this.#observe(this.#client(0), slots);
    const tried: string[] = [];
    for (const order of permutations(played.map((_, at) => at))) {
      const reference = await Reference.after(this.#history);
      const expected = new Map<number, Answer>();
      for (const at of order) {
        const each = played[at];
        if (each !== undefined) expected.set(at, await reference.play(each));
      }
      const differing = order.filter((at) => !this.#explains(expected.get(at), answers[at]));
      const known = slots.filter((slot) => reference.handles.has(slot));
      const tree = await observe(
        viewerOf(reference),
        reference.handleIn(ROOT),
        known.map((slot) => reference.handleIn(slot)),
      );
      if (differing.length === 0 && known.length === slots.length && isDeepStrictEqual(shown, tree)) {
        this.#adopt(order, played, answers, expected, reference);
        return;
      }
      const wanted = order.map((at) => `${at}: ${describe(expected.get(at) ?? { status: 'none' })}`);
      tried.push(
        `order ${order.join()}: ${wanted.join(', ')}${differing.length === 0 ? `; ${JSON.stringify(tree)}` : ''}`,
      );
    }
    const asked = played.map(
      ({ command }, at) => `${JSON.stringify(command)} -> ${describe(answers[at] ?? { status: 'none' })}`,
    );
    assert.fail(
      `no order explains\n${asked.join('\n')}\nshown: ${JSON.stringify(shown)}\n${tried.join('\n')}`,
    );
  }

  /** The daemon ends and begins again, and is found as it must be. */
  async restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    // Of calls at the same time it isn't known which states a file went through.
    if (signal === 'SIGKILL' && this.#clients.length > 1) await this.#commitAll();
    const clients = this.#clients.length;
    await this.close();
    await this.#rig.restart(signal);
    await this.#connect(clients);
    if (signal === 'SIGKILL') {
      this.#ledger.forgetCtimes();
      await this.#adoptSurvivors();
      this.#verifier = this.#verifier === undefined ? undefined : `not ${this.#verifier}`;
    }
    this.#uncertain.clear();
    await this.compare();
  }

  /** What is shown is what the reference shows, to the attributes of every file. */
  async compare(): Promise<void> {
    const slots = this.#slots();
    const seen: Parameters<Visit>[] = [];
    const shown = await this.#observe(this.#client(0), slots, (...visit) => seen.push(visit));
    const theirs = new Map<string, Attributes>();
    const handles = slots.map((slot) => this.#reference.handleIn(slot));
    const expected = await observe(
      viewerOf(this.#reference),
      this.#reference.handleIn(ROOT),
      handles,
      (path, attributes) => theirs.set(path, attributes),
    );
    assert.deepEqual(shown, expected, 'the tree, and what became of the files found');
    for (const [path, attributes, handle] of seen) {
      const reference = theirs.get(path);
      assert.ok(reference);
      this.#ledger.told({ role: path, attributes, handle }, { role: path, attributes: reference });
    }
  }

  /** Everything is committed, and the bucket holds the tree and nothing else. */
  async finish(): Promise<void> {
    await this.compare();
    await this.#commitAll();
    const { bucket } = this.#rig;
    const prefix = `${this.#name}/`;
    const { tree } = await observe(viewerOf(this.#reference), this.#reference.handleIn(ROOT), []);
    const entries = Object.entries(tree);
    // Every directory was made by MKDIR, and has its marker.
    const expected = entries.map(([path, { type }]) => {
      if (path === '') return prefix;
      return type === 'directory' ? `${prefix}${path}/` : `${prefix}${path}`;
    });
    assert.deepEqual((await bucket.keys(prefix)).sort(), expected.sort(), 'the keys of the bucket');
    for (const [path, { type, mode, uid, gid }] of entries) {
      if (type !== 'file') continue;
      const bytes = await this.#reference.content(await this.#reference.walk(path));
      assert.ok((await bucket.get(prefix + path)).equals(bytes), `the bytes of ${path} in the bucket`);
      const { Metadata = {} } = await bucket.head(prefix + path);
      const kept = [Metadata['file-permissions'], Metadata['file-owner'], Metadata['file-group']];
      const wanted = [`0${(0o100000 | mode).toString(8)}`, String(uid), String(gid)];
      assert.deepEqual(kept, wanted, `mode and owner of ${path} in the bucket`);
    }
  }

  #client(by: number): ModelClient {
    const client = this.#clients[by % this.#clients.length];
    if (client === undefined) throw new Error('expected a client');
    return client;
  }

  async #connect(clients: number): Promise<void> {
    const { host, port } = this.#rig;
    const options = { host, port, handles: this.#handles };
    this.#clients = await Promise.all(Array.from({ length: clients }, () => ModelClient.connect(options)));
  }

  #slots(): readonly number[] {
    return [...this.#handles.keys()];
  }

  #plan(command: Command): Played {
    return { step: this.#step++, command, slots: this.#slots() };
  }

  #count({ op }: Command, { status }: Answer): void {
    const key = `${op} ${status}`;
    this.#figures.commands++;
    this.#figures.answers.set(key, (this.#figures.answers.get(key) ?? 0) + 1);
  }

  async #observe(client: ModelClient, slots: readonly number[], visit?: Visit): Promise<Observation> {
    const handles = slots.map((slot) => this.#handles.get(slot) ?? Buffer.alloc(0));
    return await observe(client, this.#handles.get(ROOT) ?? Buffer.alloc(0), handles, visit);
  }

  /** The verifier is one for all files, and another after a crash. */
  #checkVerifier({ verifier }: Answer): void {
    if (verifier === undefined) return;
    assert.notEqual(`not ${verifier}`, this.#verifier, 'the write verifier is that of before the crash');
    if (this.#verifier?.startsWith('not ') !== true)
      assert.equal(verifier, this.#verifier ?? verifier, 'the write verifier changed');
    this.#verifier = verifier;
  }

  /** Where a command's file was before it: for what a crash may leave. */
  async #target({ command, slots }: Played): Promise<string> {
    const reference = this.#reference;
    const handle =
      command.op === 'CREATE'
        ? await reference.find(command.dir, slots, command.name)
        : 'file' in command
          ? reference.slot(command.file, slots)
          : undefined;
    return handle === undefined ? '' : await reference.text(handle);
  }

  async #note({ command, slots }: Played, before: string, expected: Answer): Promise<void> {
    if (expected.status !== 'NFS3_OK') return;
    const handle =
      expected.found ?? ('file' in command ? this.#reference.slot(command.file, slots) : undefined);
    if (handle === undefined) return;
    this.#uncertain.note(command, handle.readBigUInt64BE(8), before, await this.#reference.text(handle));
  }

  async #cookie({ command, slots }: Played): Promise<bigint> {
    const handle = command.op === 'PAGE' ? this.#reference.slot(command.dir, slots) : undefined;
    if (handle === undefined) return 0n;
    const entries = await this.#reference.entriesOf(handle);
    return entries === undefined ? 0n : this.#scans.cookie(handle.readBigUInt64BE(8), entries);
  }

  /** Listings that are open see what a command has changed, and their own pages. */
  async #look({ command, slots }: Played, actual: Answer): Promise<void> {
    for (const directory of this.#scans.directories) {
      this.#scans.seen(directory, await this.#reference.entriesOf(this.#reference.handleOf(directory)));
    }
    if (command.op !== 'PAGE') return;
    const handle = this.#reference.slot(command.dir, slots);
    if (handle === undefined || actual.page === undefined) return;
    const told = (actual.entries ?? []).filter(({ name }) => name !== '.' && name !== '..');
    const entries = told.map((entry) => ({ ...entry, fileid: this.#ledger.referenceId(entry.fileid) }));
    this.#scans.page(handle.readBigUInt64BE(8), entries, actual.page);
  }

  #explains(expected: Answer | undefined, actual: Answer | undefined): boolean {
    if (expected === undefined || actual === undefined) return false;
    if (!isDeepStrictEqual(comparable(expected), comparable(actual))) return false;
    const names = ({ entries }: Answer): string[] | undefined => entries?.map(({ name }) => name).sort();
    if (!isDeepStrictEqual(names(expected), names(actual))) return false;
    const [ours, theirs] = [actual.told?.[0], expected.told?.[0]];
    if (ours === undefined || theirs === undefined) return true;
    return this.#ledger.couldBe(ours.attributes.fileid, theirs.attributes.fileid);
  }

  #adopt(
    order: readonly number[],
    played: readonly Played[],
    answers: readonly Answer[],
    expected: ReadonlyMap<number, Answer>,
    reference: Reference,
  ): void {
    this.#reference = reference;
    // Attributes in the answers may show what ran at the same time, and the order may be another one with the same result.
    this.#ledger.forgetTimes();
    for (const at of order) {
      const each = played[at];
      if (each !== undefined) this.#history.push(each);
      const [ours, theirs] = [answers[at]?.told?.[0], expected.get(at)?.told?.[0]];
      if (ours !== undefined && theirs !== undefined)
        this.#ledger.identify(ours.attributes.fileid, theirs.attributes.fileid, ours.role);
    }
  }

  async #commitAll(): Promise<void> {
    const files: Buffer[] = [];
    await this.#observe(this.#client(0), [], (_path, { type }, handle) => {
      if (type === 'file') files.push(handle);
    });
    for (const file of files) await this.#client(0).commit(file);
    this.#uncertain.clear();
  }

  /** Of bytes that were never promised, the reference takes what the crash has left. */
  async #adoptSurvivors(): Promise<void> {
    for (const fileid of this.#uncertain.ids) {
      const handle = this.#ledger.handleOf(fileid);
      const theirs = this.#reference.handleOf(fileid);
      if (handle === undefined || (await this.#reference.attributes(theirs)) === undefined) continue;
      const content = (await this.#client(0).content(handle)).toString('latin1');
      assert.ok(
        this.#uncertain.allows(fileid, content),
        `after the crash a file has ${content.length} bytes that it never had: ${JSON.stringify(content.slice(0, 60))}`,
      );
      this.#ledger.forgetTimes(fileid);
      if ((await this.#reference.content(theirs)).toString('latin1') === content) continue;
      const adopted = { adopt: fileid, content };
      await this.#reference.adopt(adopted);
      this.#history.push(adopted);
    }
  }
}

const comparable = ({ status, data, bytes }: Answer): unknown => ({
  status,
  data,
  bytes: bytes?.toString('latin1'),
});

const viewerOf = (reference: Reference) => ({
  getattr: async (handle: Buffer) => reference.attributes(handle),
  entries: async (directory: Buffer) => reference.entries(directory),
  content: async (file: Buffer) => reference.content(file),
  readlink: async (symlink: Buffer) => reference.target(symlink),
});

/** What takes two calls has no place in an order of calls. */
function inOneCall(command: Command): Command {
  switch (command.op) {
    case 'SETATTR': {
      const { guard: _guard, ...unguarded } = command;
      return unguarded;
    }
    case 'LOOKUP':
      // What lies above the model's root is no part of it.
      return command.name === '..' ? { ...command, name: '.' } : command;
    case 'PAGE':
    case 'READDIR':
    case 'READDIRPLUS':
      return { ...command, op: 'READDIRPLUS', count: 65_536 };
    default:
      return command;
  }
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}
