/** The end of a file system: what is unpublished becomes objects as far as the store allows, or is kept for the next start; then all is closed. */
import type { Logger } from '../telemetry/log.js';
import type { FileNode } from './node.js';
import type { Recovery } from './recovery.js';
import type { Volume } from './volume.js';
import type { VolumeOperations } from './volume-operations.js';

/** Publishes and keeps before the end, and knows what is lost by it. */
export class Draining {
  readonly #volumes: readonly VolumeOperations[];
  readonly #recoveries: readonly Recovery[];
  readonly #log: Logger;
  /** Files whose bytes are all safe in the state directory, as of a moment (their epochs then). */
  readonly #kept = new Map<FileNode, number>();

  constructor(volumes: readonly VolumeOperations[], recoveries: readonly Recovery[], log: Logger) {
    this.#volumes = volumes;
    this.#recoveries = recoveries;
    this.#log = log;
  }

  /** The number of files that could not be published. */
  async run(): Promise<number> {
    const log = this.#log;
    await Promise.all(this.#recoveries.map((recovery) => recovery.stop()));
    const left = this.#recoveries.reduce((sum, recovery) => sum + recovery.left, 0);
    if (left > 0) log.error({ files: left }, 'files of an earlier run are left to the next start');
    const publications = this.#volumes.map(({ publishing }) => publishing.publishAll());
    const failures = (await Promise.all(publications)).flat();
    for (const error of failures) log.error({ err: error }, 'a file could not be published before the end');
    await Promise.all(this.#volumes.map(({ volume }) => this.#keepUnpublished(volume)));
    return failures.length + left;
  }

  /** Whether the end now loses bytes of the file that WRITEs were answered for. */
  isUnsafe(node: FileNode): boolean {
    return node.session?.dirty === true ? this.#kept.get(node) !== node.epoch : node.writers > 0;
  }

  /** What the store doesn't take before the end is the next start's, as bytes that a COMMIT was answered for are. */
  async #keepUnpublished(volume: Volume): Promise<void> {
    if (volume.commit.isStateEphemeral) return;
    const left = volume.nodes
      .busy()
      .filter(
        ({ id, session, gone }) =>
          !gone && session?.dirty === true && volume.table.volumeOf(id) === volume.name,
      );
    await Promise.all(
      left.map(async (node) => {
        const { epoch } = node;
        try {
          await volume.touching(node, async () => node.session?.keep());
          this.#kept.set(node, epoch);
        } catch (error) {
          this.#log.error(
            { err: error, file: String(node.id) },
            'what is not published of a file could not be kept for the next start',
          );
        }
      }),
    );
  }
}
