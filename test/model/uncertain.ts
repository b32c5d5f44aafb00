/**
 * What a crash may leave of files: of bytes that were answered as safe, those; of what came after, any of the states that the file went
 * through, whole (docs/SEMANTICS.md, "Writing").
 */
import type { Command } from './commands.js';

export class Uncertain {
  /** Contents, as latin1, by the reference's fileid. Absent: the content is safe. */
  readonly #contents = new Map<bigint, Set<string>>();

  get ids(): readonly bigint[] {
    return [...this.#contents.keys()];
  }

  allows(fileid: bigint, content: string): boolean {
    return this.#contents.get(fileid)?.has(content) ?? false;
  }

  /** Everything is in the store now. */
  clear(): void {
    this.#contents.clear();
  }

  /** A command has succeeded on a file whose content was `before` and is `now`. */
  note(command: Command, fileid: bigint, before: string, now: string): void {
    switch (command.op) {
      case 'WRITE':
        if (command.stable !== 'UNSTABLE') this.#contents.set(fileid, new Set([now]));
        else this.#contents.set(fileid, new Set([...this.#allowed(fileid, before), now]));
        return;
      case 'COMMIT':
        this.#contents.delete(fileid);
        return;
      case 'SETATTR':
      case 'CREATE':
        if (command.set.size !== undefined) this.#resize(fileid, before, command.set.size);
        return;
      default:
    }
  }

  /** The new size is safe, whichever of its contents the file will have. */
  #resize(fileid: bigint, before: string, size: number): void {
    const resized = [...this.#allowed(fileid, before)].map((content) =>
      content.slice(0, size).padEnd(size, '\0'),
    );
    this.#contents.set(fileid, new Set(resized));
  }

  #allowed(fileid: bigint, now: string): Set<string> {
    return this.#contents.get(fileid) ?? new Set([now]);
  }
}
