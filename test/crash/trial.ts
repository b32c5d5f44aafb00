/**
 * One trial: clients change files, somebody dies at a moment that the seed names, everything is started again and looked at.
 *
 *   work -> kill -> the bucket as it is -> start (killed again, perhaps) -> the mount -> rest -> bucket and mount are one -> the next life
 */
import { patternBytes, type Ends } from '../end-to-end/fixture.js';
import { NfsClient } from '../support/nfs-client.js';
import { Dice } from './dice.js';
import { FileHistory } from './history.js';
import { judgeBucket } from './judge-bucket.js';
import { judgeMount } from './judge-mount.js';
import { FOREIGN, judgeRest } from './judge-rest.js';
import { Lane, SHARED_BYTES } from './lane.js';
import type { Patterns } from './pattern.js';
import { planText, type Kill, type Life, type Plan } from './plan.js';
import { Rig, type Elsewhere } from './rig.js';
import { changeInPlace, streamNew } from './streams.js';
import { ROOT } from './tree.js';
import { Trigger } from './trigger.js';
import { UnderWay } from './under-way.js';
import { Refused, World, type Finding } from './world.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const EXPORT = '/data';
/** After JUKEBOX. */
const RETRY_MS = 50;
/** A trial that takes longer hangs: the rest alone may take 60 s a life. */
const TRIAL_MS_MAX = 240_000;
/** Somebody else's objects, which are changed in place. */
const LARGE_BYTES = 11 * MIB + 4321;
const SMALL_BYTES = 70_001;

export interface TrialReport {
  readonly plan: Plan;
  /** By whom and when: `daemon at request`. */
  readonly kills: Readonly<Record<string, number>>;
  /** Calls that were answered. */
  readonly calls: number;
  readonly durableBytes: number;
  /** Crashes after which the write verifier was another one, and of these those with acknowledged UNSTABLE bytes gone. */
  readonly verifiersChanged: number;
  readonly unstableLost: number;
  /** Files of bytes that no one moment explains, though each byte may be there. */
  readonly mixed: number;
  /** Unfinished uploads that nobody but the store has heard of. */
  readonly orphans: number;
  readonly findings: readonly Finding[];
  /** For a person: what was found, with the calls that led there. */
  readonly story: readonly string[];
}

/** `ends` ends what is left, should nobody wait for the trial. */
export async function runTrial(
  plan: Plan,
  patterns: Patterns,
  ends: Ends,
  elsewhere?: Elsewhere,
): Promise<TrialReport> {
  const args = [
    ...['--commit-policy', plan.policy, '--part-size', String(plan.partBytes), '--uid', '0', '--gid', '0'],
    ...['--memory-limit', plan.memoryLimit, '--journal-rest', plan.journalRest],
    ...(plan.isEphemeral ? ['--state-ephemeral'] : []),
  ];
  const rig = await Rig.start(args, elsewhere);
  ends.teardown(() => rig.close());
  try {
    return await new Trial(plan, rig, patterns).run(TRIAL_MS_MAX * (elsewhere?.slowness ?? 1));
  } finally {
    await rig.close();
  }
}

class Trial {
  readonly #plan: Plan;
  readonly #rig: Rig;
  readonly #trigger: Trigger;
  readonly #world: World;
  readonly #kills: Record<string, number> = {};
  #durableBytes = 0;
  #verifiersChanged = 0;
  #unstableLost = 0;
  #mixed = 0;
  #orphans = 0;

  constructor(plan: Plan, rig: Rig, patterns: Patterns) {
    this.#plan = plan;
    this.#rig = rig;
    this.#trigger = new Trigger(rig, (kill) => this.#noteKill(kill));
    this.#world = new World(patterns, () => this.#trigger.happens('call'));
  }

  async run(limitMs: number): Promise<TrialReport> {
    const world = this.#world;
    let timer: NodeJS.Timeout | undefined;
    const hung = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        world.found('other', `not over after ${limitMs / 1000} s`);
        resolve();
      }, limitMs);
    });
    const lives = this.#lives();
    // Whoever is told of a trial that hangs has no use for how it ends.
    lives.catch(() => undefined);
    await Promise.race([lives, hung]);
    clearTimeout(timer);
    for (const defect of this.#rig.defects) world.found('other', defect);
    return {
      plan: this.#plan,
      kills: this.#kills,
      calls: world.calls,
      durableBytes: this.#durableBytes,
      verifiersChanged: this.#verifiersChanged,
      unstableLost: this.#unstableLost,
      mixed: this.#mixed,
      orphans: this.#orphans,
      findings: world.findings,
      story: this.#story(),
    };
  }

  async #lives(): Promise<void> {
    const world = this.#world;
    await this.#seed();
    await this.#rig.startDaemon();
    await this.#meet();
    for (const [index, life] of this.#plan.lives.entries()) {
      await this.#live(index, life);
      if (world.findings.length > 0) break;
    }
    if (world.findings.length === 0) await this.#rig.drain();
  }

  /** Objects of somebody else: a large one and a small one for each client, and one for all. */
  async #seed(): Promise<void> {
    const bucket = this.#rig.bucket();
    const world = this.#world;
    const add = async (dir: number, name: string, bytes: Buffer): Promise<number> => {
      const isForeign = true;
      const history = new FileHistory(bytes, world.patterns);
      const node = world.node('file', { history, isForeign });
      world.tree.apply({ change: 'make', dir, name, node: node.id });
      await bucket.put(world.tree.path(node.id), bytes, FOREIGN.metadata, FOREIGN.contentType);
      return node.id;
    };
    const directory = async (name: string): Promise<number> => {
      const node = world.node('directory', { attributes: { mode: 0o755, uid: 0, gid: 0 } });
      world.tree.apply({ change: 'make', dir: ROOT, name, node: node.id });
      // One without a marker may go with its last file when the daemon is killed (docs/SEMANTICS.md).
      await bucket.put(`${name}/`, Buffer.alloc(0), {}, 'application/x-directory');
      return node.id;
    };
    for (let lane = 0; lane < this.#plan.lanes; lane++) {
      const home = await directory(`lane${lane}`);
      await add(home, 'small', patternBytes(SMALL_BYTES, lane + 1));
      if (lane === 0) await add(home, 'large', patternBytes(LARGE_BYTES, 77));
    }
    await add(await directory('shared'), 'common', patternBytes(SHARED_BYTES * this.#plan.lanes, 99));
    bucket.close();
  }

  /** Handles and ids of what there is. */
  async #meet(): Promise<void> {
    const world = this.#world;
    const nfs = await this.#connect();
    world.get(ROOT).handle = await nfs.mnt(EXPORT);
    for (const [path, id] of world.tree.paths()) {
      const node = world.get(id);
      node.handle = await nfs.lookupPath(world.handle(ROOT), path);
      node.fileid = (await nfs.getattr(node.handle)).fileid;
    }
    this.#atRest();
    await nfs.close();
  }

  async #live(index: number, life: Life): Promise<void> {
    const world = this.#world;
    const { kill } = life;
    world.note(`-- life ${index + 1}`);
    world.verifier = undefined;
    this.#trigger.arm(kill);
    await this.#work(index, life.steps);
    this.#trigger.pull();
    await this.#trigger.done();
    world.note('-- killed');
    const isCrashed = kill.who.includes('daemon');
    await this.#rig.relay.quiet();
    if (isCrashed) {
      const bucket = this.#rig.bucket();
      await judgeBucket(world, bucket, this.#plan);
      bucket.close();
      if (world.findings.length > 0) return;
      await this.#start(life.again);
    }
    const nfs = await this.#connect();
    const judged = await judgeMount(world, nfs, isCrashed);
    this.#durableBytes += judged.durableBytes;
    this.#mixed += judged.mixed;
    await this.#judgeVerifier(nfs, judged.isUnstableLost, isCrashed);
    const bucket = this.#rig.bucket();
    if (world.findings.length === 0) this.#orphans += await judgeRest(world, this.#rig, bucket);
    bucket.close();
    await nfs.close();
    this.#atRest();
  }

  /** The clients at work, until they have done their steps or lost their daemon. */
  async #work(life: number, steps: number): Promise<void> {
    const world = this.#world;
    const { seed, lanes } = this.#plan;
    const common = world.tree.at(world.tree.at(ROOT, 'shared') ?? ROOT, 'common') ?? ROOT;
    const clients: NfsClient[] = [];
    const work = new UnderWay();
    const begin = (work: UnderWay, thread: () => Promise<void>): void => {
      work.add(
        thread().catch((error: unknown) => {
          // Told already, or the end of the connection that the kill brings.
          if (error instanceof Refused || this.#trigger.hasKilled('daemon')) return;
          throw error;
        }),
      );
    };
    // All before any of them works: a kill may come with the first call.
    begin(work, async () => {
      while (clients.length < lanes) clients.push(await this.#connect());
    });
    await work.ended();
    for (let index = 0; index < lanes; index++) {
      const nfs = clients[index];
      if (nfs === undefined) break;
      const home = world.tree.at(ROOT, `lane${index}`) ?? ROOT;
      const dice = new Dice(seed, 1, life, index, 0);
      const lane = new Lane({ world, nfs, dice, index, home, shared: common, life });
      const large = [...world.nodes.values()].find(
        ({ id, isForeign, history }) =>
          isForeign && history.base.length > MIB && world.tree.has(id) && world.tree.isAbove(home, id),
      );
      const besides = new Dice(seed, 1, life, index, 1);
      if (large !== undefined && besides.chance(0.5)) {
        lane.streamed.add(large.id);
        begin(work, () => changeInPlace(lane, besides, large));
      } else if (besides.chance(0.7)) begin(work, () => streamNew(lane, besides, `stream${life}`));
      begin(work, () => lane.run(steps));
    }
    await work.ended();
    for (const client of clients) await client.close();
  }

  /** The daemon, killed again at the moments given as long as it starts; a moment that doesn't come kills nobody. */
  async #start(again: readonly Kill[]): Promise<void> {
    for (const kill of again) {
      this.#trigger.arm(kill);
      const served = await this.#rig.startDaemon().then(
        () => true,
        (error: unknown) => {
          if (this.#trigger.hasKilled('daemon')) return false;
          throw error;
        },
      );
      this.#trigger.disarm();
      // It may have said that it serves just before.
      if (served && !this.#trigger.hasKilled('daemon')) return;
      await this.#trigger.done();
      await this.#rig.relay.quiet();
      this.#world.note('-- killed while it started');
    }
    await this.#rig.startDaemon();
  }

  async #judgeVerifier(nfs: NfsClient, isUnstableLost: boolean, isCrashed: boolean): Promise<void> {
    const world = this.#world;
    const before = world.verifier;
    const file = [...world.tree.paths().values()].find((id) => world.get(id).kind === 'file');
    if (before === undefined || file === undefined) return;
    const now = (await nfs.commit(world.handle(file))).verf.toString('hex');
    if (isUnstableLost) this.#unstableLost++;
    if (now !== before) this.#verifiersChanged++;
    if (isUnstableLost && now === before)
      world.found('lost', 'acknowledged UNSTABLE bytes are gone, and the write verifier is as before');
    if (!isCrashed && now !== before)
      world.found('other', 'the write verifier changed, though the daemon lives');
  }

  #atRest(): void {
    const world = this.#world;
    world.keyed = new Map();
    world.noteKeys(world.tree);
    for (const node of world.nodes.values()) node.wasAtRest = world.tree.has(node.id);
  }

  async #connect(): Promise<NfsClient> {
    return await NfsClient.connect({ ...this.#rig.address, jukeboxRetryMs: RETRY_MS });
  }

  #noteKill({ who, at }: Kill): void {
    const name = `${who.join('+')} at ${at}`;
    this.#kills[name] = (this.#kills[name] ?? 0) + 1;
  }

  #story(): string[] {
    const world = this.#world;
    if (world.findings.length === 0) return [];
    const nodes = [...new Set(world.findings.map(({ node }) => node))].slice(0, 3);
    return [
      planText(this.#plan),
      ...world.findings.slice(0, 10).map(({ kind, what }) => `${kind}: ${what}`),
      ...nodes.flatMap((node) => [
        node === undefined ? 'the last calls:' : `the last calls on ${node}:`,
        ...world.lines(node, 25),
      ]),
      'all of the last calls:',
      ...world.lines(undefined, 15),
    ];
  }
}
