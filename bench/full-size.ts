/**
 * Loads in full size, over a store that drops the bytes (native/sink.c): what a stream of 20 GiB and COMMITs on its way cost in requests,
 * bytes and memory. The bytes are not compared: other loads and the tests do that.
 */
import { DaemonProcess } from './daemon.js';
import { LeanClient } from './lean-client.js';
import type { Load } from './loads.js';
import { GIB, MIB } from './pattern.js';
import type { RigOptions } from './rig.js';
import { Sink } from './stores/sink.js';
import { requestsBetween } from './stores/store.js';
import { inFlight, makeFile, TRANSFER_BYTES } from './transfers.js';
import { withPeak } from './usage.js';

/** Anonymous and shared memory of the daemon, above its limit. */
const BESIDE_MIB_MAX = 96;

interface Stream {
  readonly bytes: number;
  readonly commitEvery?: number;
  /** Nothing is written before a COMMIT is answered, as by a program that calls fsync; else WRITEs go on, as the kernel's do. */
  readonly waits?: boolean;
}

const CONTENT = Buffer.alloc(TRANSFER_BYTES, 0x5a);
const DEPTH = 8;

/** Writes front to back, with COMMITs on the way and one at the end. */
async function stream(
  client: LeanClient,
  handle: Buffer,
  { bytes, commitEvery = Infinity, waits = true }: Stream,
): Promise<number> {
  let commits = 0;
  let committing: Promise<void> = Promise.resolve();
  for (let from = 0; from < bytes;) {
    const began = from;
    const end = Math.min(bytes, began + commitEvery);
    await inFlight(Math.ceil((end - began) / TRANSFER_BYTES), DEPTH, async (index) => {
      const offset = began + index * TRANSFER_BYTES;
      await client.write(handle, offset, CONTENT.subarray(0, Math.min(TRANSFER_BYTES, end - offset)));
    });
    await committing;
    committing = client.commit(handle);
    commits += 1;
    if (waits || end === bytes) await committing;
    from = end;
  }
  return commits;
}

/** So many clients at the same time, each with a file of its own. */
async function fullSize(options: RigOptions, count: number, each: Stream): Promise<Record<string, unknown>> {
  const { memoryLimit = '256MiB', nodeArguments = [] } = options;
  const sink = await Sink.start();
  try {
    const daemon = await DaemonProcess.start({ storeUrl: sink.url, memoryLimit, nodeArguments });
    try {
      const { nfs, root } = await daemon.mount();
      const before = await sink.use();
      const cpuBefore = daemon.cpuSeconds();
      const beganMs = performance.now();
      const { result: commits, peakMiB } = await withPeak(daemon.pid, async () => {
        const files = Array.from({ length: count }, async (_, index) => {
          const handle = await makeFile(nfs, root, `full-${index}`);
          const client = await LeanClient.connect({ port: daemon.port });
          try {
            return await stream(client, handle, each);
          } finally {
            client.close();
          }
        });
        return (await Promise.all(files)).reduce((sum, commits) => sum + commits, 0);
      });
      const seconds = (performance.now() - beganMs) / 1000;
      const cpuSeconds = daemon.cpuSeconds() - cpuBefore;
      const { seconds: stored, asked } = await untilStored(sink, count, each.bytes);
      const bytes = count * each.bytes;
      const moved = await sink.moved();
      const { HeadObject = 0, ...requests } = requestsBetween(before, await sink.use());
      const limitMiB = Number.parseFloat(memoryLimit);
      return {
        gib: bytes / GIB,
        commits,
        seconds: rounded(seconds),
        secondsToTheEndInS3: rounded(seconds + stored),
        mibPerSecond: rounded(bytes / MIB / seconds),
        daemonCpuSecondsPerGiB: rounded(cpuSeconds / (bytes / GIB)),
        peakMiB: rounded(peakMiB),
        peakWithinLimitAnd96: peakMiB <= limitMiB + BESIDE_MIB_MAX,
        requests: { ...requests, HeadObject: HeadObject - asked },
        sentOverWritten: rounded(moved.in / bytes),
        fetchedOverWritten: rounded(moved.out / bytes),
        copiedOverWritten: rounded(moved.copied / bytes),
      };
    } finally {
      await daemon.close();
    }
  } finally {
    await sink.close();
  }
}

/** A file that is streamed is published after a rest: the seconds until the store has all files whole. */
async function untilStored(
  sink: Sink,
  count: number,
  bytes: number,
): Promise<{ readonly seconds: number; readonly asked: number }> {
  const beganMs = performance.now();
  let asked = 0;
  for (let index = 0; index < count; index += 1) {
    for (;;) {
      asked += 1;
      const head = await fetch(`${sink.url}/bench/full-${index}`, { method: 'HEAD' });
      if (Number(head.headers.get('content-length')) === bytes) break;
      if (performance.now() - beganMs > 120_000) throw new Error(`full-${index} is not whole after 120 s`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  return { seconds: (performance.now() - beganMs) / 1000, asked };
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function commits(name: string, bytes: number, commitEvery: number, every: string): readonly Load[] {
  const about = `one file of ${bytes / GIB} GiB, a COMMIT every ${every}`;
  return [
    {
      name: `load-commits-${name}`,
      about: `${about}; WRITEs go on meanwhile`,
      run: (options) => fullSize(options, 1, { bytes, commitEvery, waits: false }),
    },
    {
      name: `load-commits-${name}-waited`,
      about: `${about}, each waited for`,
      run: (options) => fullSize(options, 1, { bytes, commitEvery, waits: true }),
    },
  ];
}

export const FULL_SIZE_LOADS: readonly Load[] = [
  {
    name: 'load-stream-20gib',
    about: 'one file of 20 GiB, front to back, into a store that drops it',
    run: (options) => fullSize(options, 1, { bytes: 20 * GIB }),
  },
  {
    name: 'load-64-writers',
    about: '64 clients, each writes a file of 128 MiB into a store that drops it',
    run: (options) => fullSize(options, 64, { bytes: 128 * MIB }),
  },
  ...commits('256mib', 20 * GIB, 256 * MIB, '256 MiB'),
  ...commits('257mib', 20 * GIB, 257 * MIB + 1, '257 MiB and a byte'),
  ...commits('1mib', 2 * GIB, MIB, 'MiB'),
];
