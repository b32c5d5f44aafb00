/** The ways of reading. Each goes on until it is told to stop, over one connection of its own. */
import type { NfsClient } from '../support/nfs-client.js';
import type { SoakObject } from './content.js';
import type { Judge } from './judge-reads.js';

export interface Reading {
  readonly judge: Judge;
  readonly nfs: NfsClient;
  readonly root: Buffer;
  readonly objects: readonly SoakObject[];
  /** In [0, 1), from the seed. */
  readonly random: () => number;
  readonly stopped: () => boolean;
  /** A file was read through, or as much as it takes to say so. */
  readonly passed: () => void;
}

export type Way = (reading: Reading) => Promise<void>;

const KIB = 1024;
const MIB = 1024 * KIB;
const DEPTH = 8;

export const WAYS = {
  /** Front to back, as a kernel's readahead does: 1 MiB, several at a time. */
  sequential: async (reading) => {
    for (const object of endlessly(reading)) {
      const file = await open(reading, object);
      const size = await reading.judge.size(reading.nfs, file, object);
      const offsets = Array.from({ length: Math.ceil(size / MIB) }, (_, index) => index * MIB).values();
      await lanes(DEPTH, async () => {
        for (const offset of offsets) {
          if (reading.stopped()) return;
          await through(reading, file, object, offset, Math.min(MIB, size - offset));
        }
      });
      if (!reading.stopped()) reading.passed();
    }
  },

  /** Anywhere, at any offset, of any length up to 128 KiB; beyond the end as well. */
  random: async (reading) => {
    const { judge, nfs, random } = reading;
    for (const object of endlessly(reading)) {
      const file = await open(reading, object);
      const size = await judge.size(nfs, file, object);
      await lanes(DEPTH / 2, async () => {
        for (let round = 0; round < 8 && !reading.stopped(); round++) {
          const offset = Math.floor(random() * size * 1.02);
          await judge.read(nfs, file, object, offset, 1 + Math.floor(random() * 128 * KIB));
        }
      });
      if (!reading.stopped()) reading.passed();
    }
  },

  /** Pieces with gaps between them, forwards, as columns of a table are read. */
  strided: async (reading) => {
    const { judge, nfs, random } = reading;
    for (const object of endlessly(reading)) {
      const file = await open(reading, object);
      const size = await judge.size(nfs, file, object);
      const stride = Math.floor((64 + random() * 1024) * KIB);
      for (let offset = 0; offset < size && !reading.stopped(); offset += stride)
        await judge.read(nfs, file, object, offset, 48 * KIB);
      if (!reading.stopped()) reading.passed();
    }
  },

  /** Small files by their names, each as a whole; now and then the directory is listed. */
  small: async (reading) => {
    const { judge, nfs, objects, random } = reading;
    while (!reading.stopped()) {
      const [directory = ''] = objects[0]?.key.split('/') ?? [];
      const handle = await judge.patiently(() => nfs.lookupPath(reading.root, directory));
      if (random() < 0.3) await judge.patiently(() => nfs.readdirplus(handle));
      const left = shuffled(objects, random).values();
      await lanes(DEPTH / 2, async () => {
        for (const object of left) {
          if (reading.stopped()) return;
          await through(reading, await open(reading, object), object, 0, 256 * KIB);
        }
      });
      if (!reading.stopped()) reading.passed();
    }
  },
} satisfies Record<string, Way>;

/** Reads `count` bytes, or up to the end, however few a READ gives. */
export async function through(
  { judge, nfs }: Pick<Reading, 'judge' | 'nfs'>,
  file: Buffer,
  object: SoakObject,
  offset: number,
  count: number,
): Promise<void> {
  for (let done = 0; done < count;) {
    const got = await judge.read(nfs, file, object, offset + done, count - done);
    if (got.eof || got.count === 0) return;
    done += got.count;
  }
}

/** LOOKUP of the object's path. */
export async function open(
  { judge, nfs, root }: Pick<Reading, 'judge' | 'nfs' | 'root'>,
  object: SoakObject,
): Promise<Buffer> {
  return await judge.patiently(() => nfs.lookupPath(root, object.key));
}

function* endlessly({ objects, random, stopped }: Reading): Generator<SoakObject> {
  while (!stopped()) {
    const object = objects[Math.floor(random() * objects.length)];
    if (object !== undefined) yield object;
  }
}

async function lanes(count: number, lane: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, lane));
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
