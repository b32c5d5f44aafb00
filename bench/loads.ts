/** Loads that look for wrong bytes, stalls, and memory beyond its bound: each says what it saw, or fails. */
import {
  checkFile,
  makeFile,
  readPattern,
  writePattern,
  inFlight,
  randomSequence,
  TRANSFER_BYTES,
} from './transfers.js';
import { setTimeout as delay } from 'node:timers/promises';
import { parseFaultPlan } from '../src/store/faults/parse-plan.js';
import { startFaultProxy, type FaultProxy } from '../src/store/faults/proxy.js';
import type { LeanClient } from './lean-client.js';
import { checkPattern, fillPattern, MIB } from './pattern.js';
import { Rig, type Cost, type RigOptions } from './rig.js';

export interface Load {
  readonly name: string;
  /** One line. */
  readonly about: string;
  run(options: RigOptions): Promise<Record<string, unknown>>;
}

/** The longest time that passes between two answers to one of several clients. */
class Gaps {
  #longestMs = 0;

  /** To be called at each answer of one client. */
  watch(): () => void {
    let lastMs = performance.now();
    return () => {
      const nowMs = performance.now();
      this.#longestMs = Math.max(this.#longestMs, nowMs - lastMs);
      lastMs = nowMs;
    };
  }

  get longestMs(): number {
    return Math.round(this.#longestMs);
  }
}

function told(cost: Cost, bytes: number): Record<string, unknown> {
  const round = (value: number): number => Number(value.toPrecision(4));
  return {
    seconds: round(cost.seconds),
    mibPerSecond: round(bytes / MIB / cost.seconds),
    daemonCpuSecondsPerGiB: round(cost.daemonCpuSeconds / (bytes / MIB / 1024)),
    peakMiB: round(cost.peakMiB),
    requests: cost.requests,
  };
}

async function withRig<T>(options: RigOptions, work: (rig: Rig) => Promise<T>): Promise<T> {
  const rig = await Rig.start(options);
  try {
    return await work(rig);
  } finally {
    await rig.close();
  }
}

/** Throws unless the object in the store is the pattern. */
async function checkObject(rig: Rig, key: string, seed: number, bytes: number, firstPage = 0): Promise<void> {
  const store = rig.store();
  try {
    let at = 0;
    let held = Buffer.alloc(0);
    const result = await store.get(key, { offset: 0, length: bytes + 1 }, {}, (chunk) => {
      held = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk]);
      const whole = held.length - (held.length % 4096);
      for (let from = 0; from < whole; from += MIB) {
        const piece = held.subarray(from, Math.min(whole, from + MIB));
        checkFile(piece, seed, at + from, firstPage);
      }
      at += whole;
      held = Buffer.from(held.subarray(whole));
    });
    if (result.size !== bytes) throw new Error(`${key} has ${result.size} bytes in the store, not ${bytes}`);
  } finally {
    await store.close();
  }
}

const bigWrite: Load = {
  name: 'load-big-write',
  about: 'one file of 2 GiB, written front to back; then compared in the store',
  run: (options) =>
    withRig(options, async (rig) => {
      const bytes = 2048 * MIB;
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const client = await rig.client(gaps.watch());
      const handle = await makeFile(nfs, root, 'big');
      const cost = await rig.cost(() => writePattern(client, handle, 7, bytes));
      await checkObject(rig, 'big', 7, bytes);
      return { ...told(cost, bytes), longestGapMs: gaps.longestMs };
    }),
};

const writers: Load = {
  name: 'load-32-writers',
  about: '32 clients, each writes a file of 48 MiB; then compared in the store',
  run: (options) =>
    withRig(options, async (rig) => {
      const count = 32;
      const bytes = 48 * MIB;
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const files = await Promise.all(
        Array.from({ length: count }, async (_, index) => ({
          client: await rig.client(gaps.watch()),
          handle: await makeFile(nfs, root, `w${index}`),
        })),
      );
      const cost = await rig.cost(async () => {
        await Promise.all(
          files.map(({ client, handle }, index) => writePattern(client, handle, index, bytes)),
        );
      });
      for (let index = 0; index < count; index++) await checkObject(rig, `w${index}`, index, bytes);
      return { ...told(cost, bytes * count), longestGapMs: gaps.longestMs };
    }),
};

const readers: Load = {
  name: 'load-64-readers',
  about: '64 clients, each reads a file of 64 MiB front to back and compares it',
  run: (options) =>
    withRig(options, async (rig) => {
      const count = 64;
      const bytes = 64 * MIB;
      await fillStore(rig, count, bytes);
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const files: { readonly handle: Buffer }[] = [];
      for (let index = 0; index < count; index++) {
        files.push({ handle: (await nfs.lookup(root, `r${index}`)).handle });
      }
      const cost = await rig.cost(async () => {
        await Promise.all(
          files.map(async ({ handle }, index) => {
            const client = await rig.client(gaps.watch());
            await readPattern(client, handle, index, bytes, 2);
          }),
        );
      });
      return { ...told(cost, bytes * count), longestGapMs: gaps.longestMs };
    }),
};

/** Objects `r0`, `r1`, ... of the pattern, put beside the daemon. */
async function fillStore(rig: Rig, count: number, bytes: number): Promise<void> {
  const store = rig.store();
  const buffer = Buffer.allocUnsafeSlow(bytes);
  for (let index = 0; index < count; index++) {
    await store.put(`r${index}`, [fillPattern(buffer, index, 0)], { metadata: {} });
  }
  await store.close();
}

const randomWrite: Load = {
  name: 'load-random-write',
  about: 'one file of 500 MiB, its 1 MiB pieces written in random order; then compared in the store',
  run: (options) =>
    withRig(options, async (rig) => {
      const bytes = 500 * MIB;
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const client = await rig.client(gaps.watch());
      const handle = await makeFile(nfs, root, 'random');
      const order = shuffled(bytes / TRANSFER_BYTES, 5);
      const buffers = Array.from({ length: 8 }, () => Buffer.allocUnsafeSlow(TRANSFER_BYTES));
      const cost = await rig.cost(async () => {
        await inFlight(order.length, buffers.length, async (index, lane) => {
          const offset = (order[index] ?? 0) * TRANSFER_BYTES;
          await client.write(handle, offset, fillPattern(buffers[lane] ?? Buffer.alloc(0), 9, offset));
        });
        await client.commit(handle);
      });
      await checkObject(rig, 'random', 9, bytes);
      return { ...told(cost, bytes), longestGapMs: gaps.longestMs };
    }),
};

function shuffled(count: number, seed: number): number[] {
  const random = randomSequence(seed);
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
  }
  return order;
}

const mixed: Load = {
  name: 'load-mixed',
  about: '8 clients write and 16 read files of 64 MiB, while one lists and asks for attributes',
  run: (options) =>
    withRig(options, async (rig) => {
      const bytes = 64 * MIB;
      const [readerCount, writerCount] = [16, 8];
      await fillStore(rig, readerCount, bytes);
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const small = new Gaps();
      let busy = true;
      const cost = await rig.cost(async () => {
        const asks = (async () => {
          const client = await rig.client(small.watch());
          while (busy) {
            await nfs.readdirplus(root);
            await client.getattr(root);
          }
        })();
        const reads = Array.from({ length: readerCount }, async (_, index) => {
          const { handle } = await nfs.lookup(root, `r${index}`);
          await readPattern(await rig.client(gaps.watch()), handle, index, bytes, 4);
        });
        const writes = Array.from({ length: writerCount }, async (_, index) => {
          const handle = await makeFile(nfs, root, `w${index}`);
          await writePattern(await rig.client(gaps.watch()), handle, 100 + index, bytes);
        });
        await Promise.all([...reads, ...writes]);
        busy = false;
        await asks;
      });
      for (let index = 0; index < writerCount; index++)
        await checkObject(rig, `w${index}`, 100 + index, bytes);
      return {
        ...told(cost, bytes * (readerCount + writerCount)),
        longestGapMs: gaps.longestMs,
        longestSmallGapMs: small.longestMs,
      };
    }),
};

/** The store answers late; parts are cut off on their way up and answers on their way down, or lost. */
const BAD_ROAD = parseFaultPlan(`
seed: 11
rules:
  - latency time=3ms..6ms
  - reset in=request at=0..8MiB rate=20% operation=UploadPart,PutObject
  - reset rate=5% operation=UploadPart,CompleteMultipartUpload
  - reset at=0..8KiB rate=3% operation=GetObject
`);

const badRoad: Load = {
  name: 'load-bad-road',
  about:
    '4 clients write 96 MiB with COMMITs on the way and a header at the end, others read along; the store answers late and is cut off',
  run: async (options) => {
    const proxies: FaultProxy[] = [];
    const through = async (endpoint: string): Promise<string> => {
      const proxy = await startFaultProxy({ to: endpoint, host: '127.0.0.1', port: 0, plan: BAD_ROAD });
      proxies.push(proxy);
      return proxy.endpoint;
    };
    try {
      return await withRig({ ...options, through }, async (rig) => {
        const [count, bytes] = [4, 96 * MIB];
        const { nfs, root } = await rig.mount();
        const gaps = new Gaps();
        const cost = await rig.cost(async () => {
          await Promise.all(
            Array.from({ length: count }, async (_, index) => {
              const handle = await makeFile(nfs, root, `b${index}`);
              const done = { written: false };
              const following = follow(await rig.client(gaps.watch()), handle, index, bytes, done);
              const client = await rig.client(gaps.watch());
              await writePattern(client, handle, index, bytes, { commitEvery: 32 * MIB });
              done.written = true;
              await following;
              await client.write(handle, 0, fillPattern(Buffer.alloc(4096), index, 0, 1));
              await client.commit(handle);
            }),
          );
        });
        const clean = await rig.client();
        for (let index = 0; index < count; index++) {
          const { handle } = await nfs.lookup(root, `b${index}`);
          await clean.read(handle, 0, 4096, (data) => checkPattern(data, index, 0, 1));
          await readPattern(clean, handle, index, bytes, 4, 1);
          await checkObject(rig, `b${index}`, index, bytes, 1);
        }
        const faults = proxies.map((proxy) => proxy.faults.report().fired);
        return { ...told(cost, bytes * count), longestGapMs: gaps.longestMs, faults };
      });
    } finally {
      for (const proxy of proxies) await proxy.close();
    }
  },
};

/** Reads a file that grows under another client: what it holds at any time is the pattern or, before it was written, zeros. */
async function follow(
  client: LeanClient,
  handle: Buffer,
  seed: number,
  bytes: number,
  done: { readonly written: boolean },
): Promise<void> {
  const random = randomSequence(seed + 77);
  while (!done.written) {
    const offset = Math.floor(random() * (bytes / 4096)) * 4096;
    await client.read(handle, offset, 4096, (data) => {
      if (data.length === 4096 && !data.equals(ZEROS)) checkPattern(data, seed, offset);
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const ZEROS = Buffer.alloc(4096);

const storeKilled: Load = {
  name: 'load-store-killed',
  about: '3 clients write 160 MiB each; the store is killed on the way and comes back 6 s later',
  run: (options) =>
    withRig(options, async (rig) => {
      const [count, bytes] = [3, 160 * MIB];
      const { nfs, root } = await rig.mount();
      const gaps = new Gaps();
      const cost = await rig.cost(async () => {
        const writes = Array.from({ length: count }, async (_, index) => {
          const handle = await makeFile(nfs, root, `k${index}`);
          const client = await rig.client(gaps.watch());
          await writePattern(client, handle, index, bytes, { commitEvery: 64 * MIB });
        });
        const outage = (async () => {
          await delay(1500);
          await rig.killStore();
          await delay(6000);
          await rig.startStore();
        })();
        await Promise.all([...writes, outage]);
      });
      for (let index = 0; index < count; index++) await checkObject(rig, `k${index}`, index, bytes);
      return { ...told(cost, bytes * count), requests: 'unknown', longestGapMs: gaps.longestMs };
    }),
};

export const LOADS: readonly Load[] = [bigWrite, writers, readers, randomWrite, mixed, badRoad, storeKilled];
