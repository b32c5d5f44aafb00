/**
 * The disk cache against what was put into it, while its files are changed, cut, swapped and removed, the disk fails, and it is stopped,
 * killed and started: what it reads is right or missing, and its limit holds.
 */
import t from 'tap';
import fc from '../../support/fast-check.js';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { KIB } from '../read-rig.js';
import { DiskRig, systemError, versionOf } from './disk-rig.js';

const LIMIT_BYTES = 768 * KIB;
const PAGE = 4 * KIB;
const SIZE = 600 * KIB + 321;
const PAUSE_MS = 30_000;

/** The same key with two ETags, the same ETag at two keys, and the same bytes under another name. */
const VERSIONS = [
  versionOf('a', 'e1', SIZE, 1),
  versionOf('a', 'e2', SIZE, 2),
  versionOf('b', 'e1', SIZE, 3),
  versionOf('c', 'e1', SIZE, 3),
];

/** Few enough that what is read was often offered, alike or overlapping. */
const range = fc.record({
  version: fc.integer({ min: 0, max: VERSIONS.length - 1 }),
  page: fc.oneof(fc.constantFrom(0, 16, 64, 128), fc.integer({ min: 0, max: Math.floor(SIZE / PAGE) })),
  pages: fc.constantFrom(1, 2, 16, 16, 64),
});
const offer = range.map((at) => ({ ...at, kind: 'offer' as const }));
const read = range.map((at) => ({ ...at, kind: 'read' as const }));
/** `file` and `other` choose among the files that are there. */
const harm = fc.record({
  kind: fc.constantFrom(
    'flip' as const,
    'cut' as const,
    'unlink' as const,
    'copy' as const,
    'scribble' as const,
  ),
  file: fc.nat(),
  other: fc.nat(),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
});
const fault = fc.record({
  kind: fc.constant('fault' as const),
  operation: fc.constantFrom(
    'read' as const,
    'write' as const,
    'create' as const,
    'remove' as const,
    'size' as const,
  ),
  code: fc.constantFrom('EIO', 'ENOSPC', 'EACCES'),
  times: fc.integer({ min: 1, max: 10 }),
});
const event = fc.record({
  kind: fc.constantFrom(
    ...Array<'settle'>(16).fill('settle'),
    'check' as const,
    'later' as const,
    'restart' as const,
    'crash' as const,
    'remove all' as const,
    'new key' as const,
    'chmod' as const,
  ),
});
type Step =
  | (typeof offer extends fc.Arbitrary<infer T> ? T : never)
  | (typeof read extends fc.Arbitrary<infer T> ? T : never)
  | (typeof harm extends fc.Arbitrary<infer T> ? T : never)
  | (typeof fault extends fc.Arbitrary<infer T> ? T : never)
  | (typeof event extends fc.Arbitrary<infer T> ? T : never);

/** The part of the range that a block may hold: within the object, and within 256 KiB. */
function blockOf({ page, pages }: { page: number; pages: number }): { offset: number; length: number } {
  const offset = page * PAGE;
  const end = Math.min(offset + pages * PAGE, SIZE, (Math.floor(offset / (256 * KIB)) + 1) * 256 * KIB);
  return { offset, length: end - offset };
}

function harmed(
  rig: DiskRig,
  step: Extract<Step, { kind: 'flip' | 'cut' | 'unlink' | 'copy' | 'scribble' }>,
): void {
  const names = rig.segmentFiles();
  const name = names[step.file % names.length];
  const other = names[step.other % names.length];
  if (name === undefined || other === undefined) return;
  const path = join(rig.folder, name);
  const { size } = statSync(path);
  const at = Math.floor(step.at * size);
  if (step.kind === 'cut') truncateSync(path, at);
  else if (step.kind === 'unlink') unlinkSync(path);
  else if (step.kind === 'copy') copyFileSync(join(rig.folder, other), path);
  else if (size > 0) {
    const count = step.kind === 'flip' ? 1 : Math.min(5000, size - at);
    const bytes = readFileSync(path).subarray(at, at + count);
    const file = openSync(path, 'r+');
    writeSync(
      file,
      bytes.map((byte) => byte ^ (1 << (step.file % 8))),
      0,
      bytes.length,
      at,
    );
    closeSync(file);
  }
}

/** As `rm -rf` again and again: the cache makes files meanwhile. */
function removeAll(directory: string): void {
  while (existsSync(directory)) {
    try {
      rmSync(directory, { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
    }
  }
}

async function run(rig: DiskRig, step: Step): Promise<number> {
  switch (step.kind) {
    case 'offer': {
      const { offset, length } = blockOf(step);
      const version = VERSIONS[step.version];
      if (version !== undefined && length > 0 && rig.blocksOf(version).wants(offset, length))
        rig.offer(version, offset, length);
      return 0;
    }
    case 'read': {
      const { offset, length } = blockOf(step);
      const version = VERSIONS[step.version];
      return version !== undefined && length > 0 && (await rig.reads(version, offset, length)) ? 1 : 0;
    }
    case 'fault': {
      let left = step.times;
      rig.files.before = (operation) => {
        if (operation !== step.operation || left === 0) return;
        left -= 1;
        throw systemError(step.code);
      };
      return 0;
    }
    case 'settle':
      await rig.cache.settled();
      return 0;
    case 'check':
      await rig.cache.check();
      return 0;
    case 'later':
      rig.nowMs += PAUSE_MS;
      return 0;
    case 'restart':
    case 'crash':
      rig.files.before = () => undefined;
      await (step.kind === 'restart' ? rig.restart() : rig.crash());
      return 0;
    case 'remove all':
      removeAll(rig.directory);
      return 0;
    case 'new key':
      rmSync(join(rig.folder, 'key'), { force: true });
      return 0;
    case 'chmod':
      if (existsSync(rig.folder)) chmodSync(rig.folder, 0o500);
      return 0;
    default:
      harmed(rig, step);
      return 0;
  }
}

await t.test(
  'whatever happens to its files, what is read is right or missing, and the limit holds',
  async (t) => {
    let hits = 0;
    let bad = 0;
    let failures = 0;
    let evicted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            { weight: 10, arbitrary: offer },
            { weight: 12, arbitrary: read },
            { weight: 2, arbitrary: harm },
            { weight: 1, arbitrary: fault },
            { weight: 5, arbitrary: event },
          ),
          { maxLength: 200, size: 'max' },
        ),
        async (steps) => {
          const rig = new DiskRig({ limitBytes: LIMIT_BYTES, segmentBytes: 128 * KIB });
          try {
            await rig.start();
            // What others write into its files isn't measured before the next start.
            let grown = false;
            for (const step of steps) {
              const before = rig.cache.counts;
              hits += await run(rig, step);
              const after = rig.cache.counts;
              bad += Math.max(0, after.bad - before.bad);
              failures += Math.max(0, after.failures - before.failures);
              evicted += Math.max(0, after.evicted - before.evicted);
              if (step.kind === 'restart' || step.kind === 'crash') grown = false;
              else grown ||= step.kind === 'copy';
              const taken = existsSync(rig.folder) ? rig.diskBytes() : 0;
              if (taken > LIMIT_BYTES && !grown) throw new Error(`${taken} bytes of disk`);
            }
          } finally {
            await rig.end();
          }
          if (rig.budget.usedBytes > 0) throw new Error(`${rig.budget.usedBytes} bytes leaked`);
        },
      ),
      { numRuns: 150 },
    );
    t.comment(`${hits} hits, ${bad} bad, ${failures} failures, ${evicted} evicted`);
    // Else this would show nothing.
    t.ok(hits > 100, 'reads hit');
    t.ok(bad > 10, 'bad blocks were found');
    t.ok(failures > 10, 'the disk failed');
    t.ok(evicted > 10, 'segments were evicted');
  },
);
