/** What a client writes beside its calls on names: large files front to back, and a large object in place. */
import type { Dice } from './dice.js';
import type { Lane } from './lane.js';
import { UnderWay } from './under-way.js';
import type { WorldNode } from './world.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A new file of up to three parts, with COMMITs in between and here and there a step back. */
export async function streamNew(lane: Lane, dice: Dice, name: string): Promise<void> {
  const node = await lane.create(`${lane.index} stream`, lane.home, name, dice, { streamed: true });
  const length = dice.between(2 * MIB, 13 * MIB);
  const piece = dice.pick([128 * KIB, 256 * KIB, 512 * KIB, MIB, 300_001]);
  const commitEvery = dice.pick([MIB, 2 * MIB, 5 * MIB, Infinity]);
  const waits = dice.chance(0.5);
  const window = dice.between(1, 6);
  const writes = new UnderWay();
  const commits = new UnderWay();
  let sinceCommit = 0;
  for (let at = 0; at < length; at += piece) {
    writes.add(lane.calls.write(node, at, Math.min(piece, length - at), 'UNSTABLE'));
    sinceCommit += piece;
    if (writes.count >= window) await writes.ended();
    if (sinceCommit < commitEvery) continue;
    sinceCommit = 0;
    commits.add(lane.calls.commit(node));
    if (waits) await commits.ended();
    if (!dice.chance(0.2)) continue;
    await writes.ended();
    await lane.calls.write(node, dice.between(0, at), dice.scale(1, 64 * KIB), 'UNSTABLE');
  }
  await writes.ended();
  await commits.ended();
  if (dice.chance(0.7)) await lane.calls.commit(node);
  lane.streamed.delete(node.id);
}

/** WRITEs all over a large object, and COMMITs. */
export async function changeInPlace(lane: Lane, dice: Dice, node: WorldNode): Promise<void> {
  lane.streamed.add(node.id);
  const { size } = node.history;
  for (let round = dice.between(1, 4); round > 0; round--) {
    for (let count = dice.between(1, 8); count > 0; count--) {
      const start = dice.between(0, size - 1);
      await lane.calls.write(node, start, dice.scale(1, 256 * KIB), 'UNSTABLE');
    }
    if (dice.chance(0.7)) await lane.calls.commit(node);
  }
  lane.streamed.delete(node.id);
}
