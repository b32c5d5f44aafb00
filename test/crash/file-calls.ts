/** Calls on one file, with what each makes durable. */
import type { stable_how } from '../../protocol/nfs3/types.js';
import type { NfsClient } from '../support/nfs-client.js';
import type { Attributes, World, WorldNode } from './world.js';

export class FileCalls {
  readonly #world: World;
  readonly #nfs: NfsClient;
  readonly #lane: number;
  readonly #life: number;
  #writes = 0;

  constructor(world: World, nfs: NfsClient, lane: number, life: number) {
    this.#life = life;
    this.#world = world;
    this.#nfs = nfs;
    this.#lane = lane;
  }

  async write(node: WorldNode, start: number, length: number, stable: stable_how): Promise<void> {
    const world = this.#world;
    const end = start + length;
    const { mtime: _set, ...attributes } = node.attributes;
    node.attributes = attributes;
    const text = `lane ${this.#lane}: WRITE ${node.id} ${start}..${end} ${stable}`;
    const op = node.history.write(this.#nextId(), start, end, world.tick());
    await world.call(text, node.id, async () => {
      const data = world.patterns.bytes(op.id, 0, length);
      const { verf, committed } = await this.#nfs.write(world.handle(node.id), start, data, stable);
      op.answered = world.tick();
      if (committed !== 'UNSTABLE') node.history.committed(op.sent, op);
      world.told(verf);
    });
  }

  async commit(node: WorldNode): Promise<void> {
    const world = this.#world;
    const sent = world.tick();
    await world.call(`lane ${this.#lane}: COMMIT ${node.id}`, node.id, async () => {
      const { verf } = await this.#nfs.commit(world.handle(node.id));
      node.history.committed(sent);
      world.told(verf);
    });
  }

  async truncate(node: WorldNode, size: number): Promise<void> {
    const world = this.#world;
    const { mtime: _set, ...attributes } = node.attributes;
    node.attributes = attributes;
    const op = node.history.resize(size, world.tick());
    await world.call(`lane ${this.#lane}: SETATTR ${node.id} size ${size}`, node.id, async () => {
      await this.#nfs.setattr(world.handle(node.id), { size });
      op.answered = world.tick();
    });
  }

  async setattr(node: WorldNode, changes: Partial<Attributes>): Promise<void> {
    const world = this.#world;
    const attributesToBe = { ...node.attributes, ...changes };
    node.attributesToBe = attributesToBe;
    const text = `lane ${this.#lane}: SETATTR ${node.id} ${JSON.stringify(changes)}`;
    await world.call(text, node.id, async () => {
      await this.#nfs.setattr(world.handle(node.id), changes);
      node.attributes = attributesToBe;
      node.attributesToBe = undefined;
    });
  }

  /** The file must hold what was written to it; for files that nobody else writes to. */
  async read(node: WorldNode): Promise<void> {
    const world = this.#world;
    const expected = node.history.now();
    await world.call(`lane ${this.#lane}: READ ${node.id}`, node.id, async () => {
      const bytes = await this.#nfs.readFile(world.handle(node.id));
      if (!bytes.equals(expected))
        world.found('torn', `a READ of ${node.id} gave other bytes than were written`, node.id);
    });
  }

  /** Numbers of WRITEs are those of the lane, whatever the others do meanwhile. */
  #nextId(): number {
    return (this.#life * 16 + this.#lane) * 1_000_000 + ++this.#writes;
  }
}
