/**
 * WebAssembly modules assembled here (core specification, chapter 5): 64-bit words and vectors make CRCs and hashes two to eight times as fast as
 * JavaScript does, and no package has to bring a binary.
 */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const BLOCK = [0x02, 0x40];
export const LOOP = [0x03, 0x40];
export const END = 0x0b;
export const BREAK_OUT_IF = [0x0d, 1];
export const AGAIN = [0x0c, 0];
export const I32_ADD = 0x6a;
export const I32_SUB = 0x6b;

export const get = (local: number): number[] => [0x20, local];
export const set = (local: number): number[] => [0x21, local];
export const i32 = (value: number): number[] => [0x41, ...signed(value)];
export const i64 = (value: number): number[] => [0x42, ...signed(value)];

/** Runs its body until that breaks out. */
export const repeated = (body: readonly number[]): number[] => [...BLOCK, ...LOOP, ...body, END, END];

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  readonly results: readonly number[];
  /** Types of its locals behind the parameters. */
  readonly locals: readonly number[];
  readonly code: readonly number[];
}

/** What this uses of WebAssembly, which has no types without those of a browser. */
interface WasmRuntime {
  readonly validate: (code: Uint8Array) => boolean;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
}

/** Bytes of a page of memory. */
const PAGE_BYTES = 64 * 1024;

/**
 * An instance of these functions and of a memory of at least `memoryBytes`, which never grows; undefined where the processor lacks what
 * they use. `Functions` is what `functions` are in JavaScript.
 */
export function instantiated<Functions>(
  functions: readonly WasmFunction[],
  memoryBytes: number,
): (Functions & { readonly memory: { readonly buffer: ArrayBuffer } }) | undefined {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WasmRuntime };
  const code = assembled(functions, Math.ceil(memoryBytes / PAGE_BYTES));
  if (!WebAssembly.validate(code)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
  return exports as Functions & { readonly memory: { readonly buffer: ArrayBuffer } };
}

function assembled(functions: readonly WasmFunction[], pages: number): Uint8Array {
  const section = (id: number, content: readonly number[]): number[] => [
    id,
    ...unsigned(content.length),
    ...content,
  ];
  const list = (items: readonly (readonly number[])[]): number[] => [
    ...unsigned(items.length),
    ...items.flat(),
  ];
  const name = (text: string): number[] => [text.length, ...Buffer.from(text)];
  const types = functions.map(({ parameters, results }) => [
    ...[0x60, parameters.length, ...parameters],
    ...[results.length, ...results],
  ]);
  const exported = functions.map((each, at) => [...name(each.name), 0, at]);
  const bodies = functions.map(({ locals, code }) => {
    const body = [...list(locals.map((type) => [1, type])), ...code, END];
    return [...unsigned(body.length), ...body];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(3, list(functions.map((_, at) => [at]))),
    ...section(5, [1, 0, ...unsigned(pages)]),
    ...section(7, list([[...name('memory'), 2, 0], ...exported])),
    ...section(10, list(bodies)),
  ]);
}

/** LEB128. */
export function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value > 0x7f ? [low | 0x80, ...unsigned(value >>> 7)] : [low];
}

/** LEB128 of a number that isn't negative, with room for a sign. */
function signed(value: number): number[] {
  const low = value & 0x7f;
  return value > 0x3f ? [low | 0x80, ...signed(value >>> 7)] : [low];
}
