/** Names, as they were answered: directories by the numbers of their nodes, which stay over renames. */

export const ROOT = 0;

export type NameChange =
  | { readonly change: 'make'; readonly dir: number; readonly name: string; readonly node: number }
  | { readonly change: 'remove'; readonly dir: number; readonly name: string; readonly node: number }
  | {
      readonly change: 'rename';
      readonly dir: number;
      readonly name: string;
      readonly toDir: number;
      readonly toName: string;
      readonly node: number;
    };

export interface Place {
  readonly dir: number;
  readonly name: string;
}

export class Tree {
  readonly #entries = new Map<number, Map<string, number>>([[ROOT, new Map()]]);
  readonly #places = new Map<number, Place>();

  copy(): Tree {
    const copy = new Tree();
    for (const [dir, entries] of this.#entries) copy.#entries.set(dir, new Map(entries));
    for (const [node, place] of this.#places) copy.#places.set(node, place);
    return copy;
  }

  apply(change: NameChange): void {
    const { dir, name, node } = change;
    switch (change.change) {
      case 'make':
        this.#put({ dir, name }, node);
        return;
      case 'remove':
        this.#take({ dir, name });
        return;
      case 'rename': {
        const to = { dir: change.toDir, name: change.toName };
        this.#take({ dir, name });
        this.#take(to);
        this.#put(to, node);
      }
    }
  }

  has(node: number): boolean {
    return node === ROOT || this.#places.has(node);
  }

  at(dir: number, name: string): number | undefined {
    return this.#entries.get(dir)?.get(name);
  }

  place(node: number): Place | undefined {
    return this.#places.get(node);
  }

  isEmpty(dir: number): boolean {
    return (this.#entries.get(dir)?.size ?? 0) === 0;
  }

  /** `dir` is `below` or lies above it. */
  isAbove(dir: number, below: number): boolean {
    for (let at: number | undefined = below; at !== undefined; at = this.#places.get(at)?.dir)
      if (at === dir) return true;
    return false;
  }

  path(node: number): string {
    const names: string[] = [];
    for (let place = this.#places.get(node); place !== undefined; place = this.#places.get(place.dir))
      names.unshift(place.name);
    return names.join('/');
  }

  /** Nodes by path, without the root. */
  paths(): Map<string, number> {
    return new Map([...this.#places.keys()].map((node) => [this.path(node), node]));
  }

  #put(place: Place, node: number): void {
    const entries = this.#entries.get(place.dir) ?? new Map<string, number>();
    entries.set(place.name, node);
    this.#entries.set(place.dir, entries);
    this.#places.set(node, place);
  }

  #take(place: Place): void {
    const node = this.#entries.get(place.dir)?.get(place.name);
    if (node === undefined) return;
    this.#entries.get(place.dir)?.delete(place.name);
    this.#places.delete(node);
  }
}
