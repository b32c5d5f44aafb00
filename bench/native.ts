/** The programs of bench/native: made by gcc where they are missing or older than their sources, and run to their end. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = join(ROOT, 'bench/native');
const MADE = join(ROOT, 'dist/bench/native');
const FLAGS = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];

/** Something that the machine lacks: the case is skipped and says so. */
export class Missing extends Error {
  override readonly name = 'Missing';
}

type ProgramName = 'far' | 'http-load' | 'http-load-tls' | 'nfs-load' | 'sink';

/** Path of the program, made if need be. Fails with Missing without a compiler, or without the library. */
export async function program(name: ProgramName): Promise<string> {
  const tls = name === 'http-load-tls';
  const made = join(MADE, name);
  const names = await readdir(SOURCES);
  const changed = await Promise.all(names.map(async (file) => (await stat(join(SOURCES, file))).mtimeMs));
  const madeMs = await stat(made).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  if (madeMs > Math.max(...changed)) return made;
  await mkdir(MADE, { recursive: true });
  const scratch = `${made}.${process.pid}`;
  const source = join(SOURCES, `${tls ? 'http-load' : name}.c`);
  const library = tls ? ['-DWITH_TLS', '-lssl', '-lcrypto'] : [];
  try {
    await run('gcc', [...FLAGS, '-o', scratch, source, ...library]);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (/ENOENT/.test(text)) throw new Missing('no gcc: install gcc and libc6-dev');
    if (/openssl\/\w+\.h: No such file|cannot find -lssl/.test(text))
      throw new Missing('no OpenSSL headers: install libssl-dev');
    if (/stdio\.h: No such file/.test(text)) throw new Missing('no C library headers: install libc6-dev');
    throw error;
  }
  await rename(scratch, made);
  return made;
}

/** Runs a program that reads `input` and prints one JSON object. Fails with what it wrote to its error output. */
export async function runJson(path: string, args: readonly string[], input = ''): Promise<unknown> {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  // A program that ended early closes its input: its exit status tells why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${path} ${args[1] ?? ''} ended with ${String(code)}: ${errors.trim()}`);
  return JSON.parse(output);
}
