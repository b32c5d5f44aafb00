/** The NFS client of the cases (native/nfs-load.c): its modes, typed. */
import { program, runJson } from '../native.js';

export interface NfsLoad {
  /** Answers, JUKEBOX included. */
  readonly calls: number;
  /** File bytes. */
  readonly bytes: number;
  /** Directory entries, without `.` and `..`. */
  readonly entries: number;
  /** Answers that asked to come back later. */
  readonly jukebox: number;
  readonly seconds: number;
  /** Of the client, comparing included. */
  readonly cpuSeconds: number;
  /** CPU of comparing the bytes read. */
  readonly checkSeconds: number;
  /** From a READ's call to its reply; 0 where nothing was read. */
  readonly readMedianMs: number;
  readonly readP99Ms: number;
}

/** Sizes in bytes; `depth` is calls in flight, or files at a time. */
export type NfsWork =
  | { readonly mode: 'null'; readonly count: number; readonly depth: number }
  | {
      readonly mode: 'getattr' | 'access' | 'lookup';
      /** Of `lookup`: the directory with the file f-0. */
      readonly handle: Buffer;
      readonly count: number;
      readonly depth: number;
    }
  | {
      readonly mode: 'read' | 'write';
      readonly handle: Buffer;
      readonly seed: number;
      readonly size: number;
      readonly transfer: number;
      readonly depth: number;
    }
  | {
      readonly mode: 'random';
      readonly handle: Buffer;
      readonly seed: number;
      readonly size: number;
      readonly count: number;
      readonly depth: number;
      readonly order: number;
    }
  | { readonly mode: 'remove'; readonly directory: Buffer; readonly count: number; readonly depth: number }
  | {
      readonly mode: 'create' | 'files';
      readonly directory: Buffer;
      readonly count: number;
      readonly size: number;
      readonly depth: number;
    }
  | {
      /** File after file; `depth` READs at a time. */
      readonly mode: 'turns';
      readonly directory: Buffer;
      readonly count: number;
      readonly size: number;
      readonly transfer: number;
      readonly depth: number;
    }
  | {
      readonly mode: 'walk';
      readonly directory: Buffer;
      readonly count: number;
      readonly size: number;
      readonly depth: number;
      /** Seeds the order; 0: that of the listing. */
      readonly order: number;
    }
  | {
      /** READDIRPLUS, or READDIR. */
      readonly mode: 'list' | 'names';
      readonly directory: Buffer;
    }
  | { readonly mode: 'stream'; readonly size: number };

/** Does the work over one connection. Fails on a wrong byte and on a call that failed. */
export async function nfsLoad(port: number, work: NfsWork): Promise<NfsLoad> {
  const path = await program('nfs-load');
  return (await runJson(path, [String(port), work.mode, ...argumentsOf(work).map(String)])) as NfsLoad;
}

function argumentsOf(work: NfsWork): readonly (string | number)[] {
  switch (work.mode) {
    case 'null':
      return [work.count, work.depth];
    case 'getattr':
    case 'access':
    case 'lookup':
      return [work.handle.toString('hex'), work.count, work.depth];
    case 'read':
    case 'write':
      return [work.handle.toString('hex'), work.seed, work.size, work.transfer, work.depth];
    case 'random':
      return [work.handle.toString('hex'), work.seed, work.size, work.count, work.depth, work.order];
    case 'create':
    case 'files':
      return [work.directory.toString('hex'), work.count, work.size, work.depth];
    case 'remove':
      return [work.directory.toString('hex'), work.count, work.depth];
    case 'turns':
      return [work.directory.toString('hex'), work.count, work.size, work.transfer, work.depth];
    case 'walk':
      return [work.directory.toString('hex'), work.count, work.size, work.depth, work.order];
    case 'list':
    case 'names':
      return [work.directory.toString('hex')];
    case 'stream':
      return [work.size];
  }
}
