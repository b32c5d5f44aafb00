/**
 * Tells of most ids that nobody has them, without a search of the database: each new name of a listing has to be asked whether its id was given before, and
 * mostly it wasn't. A Bloom filter of some bits an id, in layers that grow with what comes. It is of use only while it has every id there is: whoever
 * makes one says so, or that it is not known any more what there is.
 */

/** Bits of an id in each layer: with three of them set, 0.5 % of other ids are taken for known when a layer is full, and searched for. */
const BITS_AN_ID = 16;
const FIRST_IDS = 65_536;
/** Each layer has so many times the ids of the one before, up to a million. */
const GROWTH = 4;
const LAYER_IDS_MAX = 2 ** 20;
/** 2,424,832 ids in all, by 4.6 MiB of bits. Of more nothing is told. */
const LAYERS_MAX = 4;
/** The second and third bit are told by others of the id's. */
const SECOND_SHIFT = 11;
const THIRD_SHIFT = 22;

interface Layer {
  readonly bits: Uint32Array;
  /** Number of bits, less one. */
  readonly mask: number;
  readonly idsMax: number;
  ids: number;
}

export class IdFilter {
  #layers: Layer[] | undefined = [];
  readonly #id = new BigUint64Array(1);
  readonly #halves = new Int32Array(this.#id.buffer);

  add(id: bigint): void {
    const layers = this.#layers;
    if (layers === undefined) return;
    if (!this.isNew(id)) return;
    let layer = layers.at(-1);
    if (layer === undefined || layer.ids === layer.idsMax) {
      if (layers.length === LAYERS_MAX) {
        this.forget();
        return;
      }
      layers.push((layer = newLayer(layers.length)));
    }
    layer.ids++;
    this.#id[0] = id;
    const low = this.#halves[0] ?? 0;
    const high = this.#halves[1] ?? 0;
    set(layer, low);
    set(layer, mixed(low, high, SECOND_SHIFT));
    set(layer, mixed(low, high, THIRD_SHIFT));
  }

  /** It isn't known any more which ids there are. */
  forget(): void {
    this.#layers = undefined;
  }

  /** Whether the id was certainly never added. */
  isNew(id: bigint): boolean {
    const layers = this.#layers;
    if (layers === undefined) return false;
    this.#id[0] = id;
    const low = this.#halves[0] ?? 0;
    const high = this.#halves[1] ?? 0;
    for (const layer of layers) {
      if (!has(layer, low) || !has(layer, mixed(low, high, SECOND_SHIFT))) continue;
      if (has(layer, mixed(low, high, THIRD_SHIFT))) return false;
    }
    return true;
  }
}

function newLayer(before: number): Layer {
  const idsMax = Math.min(LAYER_IDS_MAX, FIRST_IDS * GROWTH ** before);
  const bits = idsMax * BITS_AN_ID;
  return { bits: new Uint32Array(bits / 32), mask: bits - 1, idsMax, ids: 0 };
}

/** Ids are hashes: any bits of them will do. */
const mixed = (low: number, high: number, shift: number): number => high ^ ((low >>> shift) | (low << shift));

function set({ bits, mask }: Layer, bit: number): void {
  const at = bit & mask;
  bits[at >>> 5] = (bits[at >>> 5] ?? 0) | (1 << (at & 31));
}

function has({ bits, mask }: Layer, bit: number): boolean {
  const at = bit & mask;
  return ((bits[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
}
