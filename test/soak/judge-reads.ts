/** Every READ of the soak goes through here: sent, asked again after JUKEBOX as a kernel does, and judged. */
import { setTimeout as delay } from 'node:timers/promises';
import { NfsStatusError, type NfsClient } from '../support/nfs-client.js';
import { judge, sizeOf, type SoakObject } from './content.js';
import type { Versions } from './versions.js';

/** What went wrong, by kind. */
export interface Findings {
  /** Bytes that no version has there; of two versions; single bits. In READs. */
  wrong: number;
  mixed: number;
  flipped: number;
  /** Older than what was read before, or than the time to live allows; or of a version that isn't there yet. */
  stale: number;
  early: number;
  /** Attributes, eof or count that aren't those of the version whose bytes came. */
  unlike: number;
  /** Another status than NFS3_OK and JUKEBOX. */
  refused: number;
}

/** A kernel waits 5 s. */
const JUKEBOX_RETRY_MS = 200;
/** A version in which bits were found flipped is refused for 5 s. */
const EIO_MS_MAX = 20_000;
/** Files up to this size are checked before they are given out (READ_DEFAULTS.smallFileBytes). */
const CHECKED_BYTES_MAX = 2 * 1024 * 1024;
const TOLD_MAX = 20;

export class Judge {
  readonly versions: Versions;
  readonly findings: Findings = {
    ...{ wrong: 0, mixed: 0, flipped: 0, stale: 0, early: 0, unlike: 0, refused: 0 },
  };
  /** The first findings, in words. */
  readonly told: string[] = [];
  reads = 0;
  bytes = 0;
  jukebox = 0;
  /** Longest time to an answer, whichever it was. */
  slowestMs = 0;
  /** READs of single bits that S3's checksums can't find before they are given out: of files larger than what is fetched whole. */
  flippedUnchecked = 0;
  /** Calls answered with EIO, and made again: wrong bytes were noticed. */
  eio = 0;
  /** Files are checked at all. */
  readonly #verifying: boolean;

  constructor(versions: Versions, verifying: boolean) {
    this.versions = versions;
    this.#verifying = verifying;
  }

  /** One READ; its bytes and eof, and the version they are of. Undefined where it went wrong; then it was noted. */
  async read(
    nfs: NfsClient,
    file: Buffer,
    object: SoakObject,
    offset: number,
    count: number,
  ): Promise<{ readonly count: number; readonly eof: boolean; readonly version: number | undefined }> {
    const floor = this.versions.floor(object);
    const { data, eof, attributes } = await this.patiently(() => nfs.read(file, offset, count));
    this.reads++;
    this.bytes += data.length;
    const about = `${object.key} ${offset}+${count}`;
    const size = attributes === undefined ? undefined : Number(attributes.size);
    if (data.length === 0) {
      this.#judgeEnd(object, floor, offset, size, eof, about);
      return { count: 0, eof, version: undefined };
    }
    const verdict = judge(object, offset, data, () => this.versions.since(object, floor));
    if ('fault' in verdict && verdict.fault === 'flipped' && !this.#isChecked(object, verdict.version))
      this.flippedUnchecked++;
    else if ('fault' in verdict)
      this.note(
        verdict.fault,
        `${about}: version ${String(verdict.version)}, floor ${floor}, ${verdict.about}`,
      );
    const { version } = verdict;
    if (version === undefined) return { count: data.length, eof, version };
    this.#judgeVersion(object, floor, version, about);
    const whole = sizeOf(object, version);
    const wanted = Math.min(count, whole - offset);
    if (data.length !== wanted)
      this.note('unlike', `${about}: ${data.length} bytes of version ${version}, which has ${wanted} there`);
    if (eof !== offset + data.length >= whole)
      this.note('unlike', `${about}: eof is ${String(eof)} at ${offset + data.length} of ${whole}`);
    if (size !== undefined && size !== whole)
      this.note(
        'unlike',
        `${about}: bytes of version ${version} (${whole} bytes) with attributes of ${size} bytes`,
      );
    return { count: data.length, eof, version };
  }

  /** GETATTR, as at open: the size. */
  async size(nfs: NfsClient, file: Buffer, object: SoakObject): Promise<number> {
    const floor = this.versions.floor(object);
    const { size } = await this.patiently(() => nfs.getattr(file));
    const version = this.versions.ofSize(object, floor, Number(size));
    if (version === undefined)
      this.note('stale', `${object.key}: GETATTR tells ${size} bytes, floor ${floor}`);
    else this.versions.saw(object, version);
    return Number(size);
  }

  /** Makes the call again after JUKEBOX, and for a while after EIO. Any other status is a finding, and thrown. */
  async patiently<T>(call: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    for (;;) {
      const sentMs = performance.now();
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof NfsStatusError)) throw error;
        const noticed = error.status === 'NFS3ERR_IO' && performance.now() - beganMs < EIO_MS_MAX;
        if (error.status !== 'NFS3ERR_JUKEBOX' && !noticed) {
          this.note('refused', error.message);
          throw error;
        }
        if (noticed) this.eio++;
        else this.jukebox++;
        await delay(JUKEBOX_RETRY_MS);
      } finally {
        this.slowestMs = Math.max(this.slowestMs, performance.now() - sentMs);
      }
    }
  }

  note(finding: keyof Findings, about: string): void {
    this.findings[finding]++;
    if (this.told.length < TOLD_MAX) this.told.push(`${finding}: ${about}`);
  }

  /** What is wrong is there in no run. */
  get clean(): boolean {
    return Object.values(this.findings).every((count) => count === 0);
  }

  #isChecked(object: SoakObject, version: number | undefined): boolean {
    return this.#verifying && version !== undefined && sizeOf(object, version) <= CHECKED_BYTES_MAX;
  }

  #judgeVersion(object: SoakObject, floor: number, version: number, about: string): void {
    if (version < floor) this.note('stale', `${about}: version ${version}, floor ${floor}`);
    if (version > this.versions.newest(object)) this.note('early', `${about}: version ${version}`);
    this.versions.saw(object, version);
  }

  /** No bytes: right beyond the end of a version that may be the one. */
  #judgeEnd(
    object: SoakObject,
    floor: number,
    offset: number,
    size: number | undefined,
    eof: boolean,
    about: string,
  ): void {
    if (!eof) this.note('unlike', `${about}: no bytes and no eof`);
    const possible = [...this.versions.since(object, floor)].some((version) => {
      const whole = sizeOf(object, version);
      return whole <= offset && (size === undefined || size === whole);
    });
    if (!possible)
      this.note('unlike', `${about}: no bytes, attributes of ${String(size)} bytes, floor ${floor}`);
  }
}
