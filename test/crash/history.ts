/**
 * What was done to the bytes of one file since it was last at rest, and what a crash may leave of it.
 *
 * No two calls that are under way at a time touch the same bytes, so the order of sending is the order of effect. A cut is a moment: what
 * was answered by then is there, what was sent later is not, what was under way may be there or not, byte by byte.
 *
 *   an object       the whole file as of some cut, not before what it was last published for
 *   after a crash   what is durable, and of all that came after it anything, byte by byte; sizes that SETATTR answered are durable
 */
import { PartialView } from './partial-view.js';
import type { Patterns } from './pattern.js';

export interface WriteOp {
  readonly kind: 'write';
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly sent: number;
  /** Infinity: not yet. */
  answered: number;
}

export interface SizeOp {
  readonly kind: 'size';
  readonly size: number;
  readonly sent: number;
  answered: number;
}

export type Op = WriteOp | SizeOp;

/** What was found wrong: where the bytes differ, or how. */
export interface Difference {
  readonly what: string;
}

export class FileHistory {
  readonly #patterns: Patterns;
  /** The bytes at the beginning. */
  readonly base: Buffer;
  readonly ops: Op[] = [];
  /** What was answered before this moment is durable. */
  floor = -Infinity;
  /** Durable by themselves: WRITEs that were answered as FILE_SYNC or DATA_SYNC. */
  readonly #synced = new Set<Op>();
  /** Largest size it had. */
  sizeMax: number;

  constructor(base: Buffer, patterns: Patterns) {
    this.base = base;
    this.#patterns = patterns;
    this.sizeMax = base.length;
  }

  write(id: number, start: number, end: number, sent: number): WriteOp {
    const op: WriteOp = { kind: 'write', id, start, end, sent, answered: Infinity };
    this.ops.push(op);
    this.sizeMax = Math.max(this.sizeMax, end);
    return op;
  }

  resize(size: number, sent: number): SizeOp {
    const op: SizeOp = { kind: 'size', size, sent, answered: Infinity };
    this.ops.push(op);
    this.sizeMax = Math.max(this.sizeMax, size);
    return op;
  }

  /** A COMMIT that was sent then was answered; or a WRITE that is safe with all that was answered before it was sent. */
  committed(sent: number, op?: Op): void {
    this.floor = Math.max(this.floor, sent);
    if (op !== undefined) this.#synced.add(op);
  }

  /** As it is when nothing is under way. */
  now(): Buffer {
    return this.#view(
      () => true,
      () => false,
    ).bytes();
  }

  /** Size as of all that was sent. */
  get size(): number {
    return this.#view(
      () => true,
      () => false,
    ).size;
  }

  /** Bytes that a crash may not take. */
  get durableBytes(): number {
    return this.#durable().size;
  }

  /** Undefined when `found` is what a crash now may leave. */
  afterCrash(found: Buffer): Difference | undefined {
    const { unanswered } = this;
    const first = this.#durable().differs(found);
    if (first === undefined || unanswered?.kind !== 'size') return first;
    return this.#durable(unanswered).differs(found) === undefined ? undefined : first;
  }

  /** Undefined when `found` is the file as of one moment since `floor`. */
  whole(found: Buffer, floor: number): Difference | undefined {
    let nearest: Difference | undefined;
    for (const cut of this.#cuts(floor)) {
      for (const keepsSizes of [false, true]) {
        const view = this.#view(
          (op) => op.answered <= cut || (op.kind === 'size' && keepsSizes && op.answered < Infinity),
          (op) => op.sent <= cut,
        );
        const difference = view.differs(found);
        if (difference === undefined) return undefined;
        nearest ??= difference;
      }
    }
    const { unanswered } = this;
    if (unanswered?.kind !== 'size') return nearest;
    const view = this.#view(
      () => true,
      () => false,
    );
    return view.differs(found) === undefined ? undefined : nearest;
  }

  /** Undefined when everything that was answered is there. */
  lacks(found: Buffer): Difference | undefined {
    const { unanswered } = this;
    const isSizeTaken = [false, ...(unanswered?.kind === 'size' ? [true] : [])];
    const differences = isSizeTaken.map((taken) =>
      this.#view(
        (op) => op.answered < Infinity || (taken && op === unanswered),
        () => true,
      ).differs(found),
    );
    return differences.includes(undefined) ? undefined : differences[0];
  }

  /** The last call that was not answered: a change of size has nothing beside it. */
  get unanswered(): Op | undefined {
    return this.ops.findLast((op) => op.answered === Infinity);
  }

  #durable(taken?: Op): PartialView {
    return this.#view(
      (op) =>
        op.answered <= this.floor ||
        this.#synced.has(op) ||
        op === taken ||
        (op.kind === 'size' && op.answered < Infinity),
      () => true,
    );
  }

  /** Moments that can differ in what they allow, the latest first: just before each answer, and the end. */
  #cuts(floor: number): number[] {
    const answers = this.ops.map((op) => op.answered).filter((at) => at < Infinity && at > floor);
    return [Number.MAX_SAFE_INTEGER, ...answers.map((at) => at - 0.5).sort((a, b) => b - a)];
  }

  #view(isThere: (op: Op) => boolean, mayBeThere: (op: Op) => boolean): PartialView {
    const view = new PartialView(this.base, this.#patterns);
    for (const op of this.ops) {
      if (isThere(op)) {
        if (op.kind === 'write') view.write(op);
        else view.resize(op.size);
      } else if (op.kind === 'write' && mayBeThere(op)) view.mayWrite(op);
    }
    return view;
  }
}
