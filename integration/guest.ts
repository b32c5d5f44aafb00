/**
 * A guest with a Linux kernel of its own, and with that an NFS client: User Mode Linux, an ordinary process on the host's root
 * file system, which it sees read-only (guest-init.sh). Scripts go in and results come out by one shared directory
 * (guest-loop.sh).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Network } from './network.js';

export interface GuestResult {
  /** Exit status of the script. */
  readonly status: number;
  /** What it wrote to both streams. */
  readonly output: string;
}

export interface BootOptions {
  /** Which of the network's places it takes. Default: the first. */
  readonly place?: number;
  /** As User Mode Linux takes it. */
  readonly memory?: string;
  /** A file that is the guest's disk, /dev/ubda. */
  readonly disk?: string;
}

export interface RunOptions {
  /** Default: two minutes. */
  readonly timeoutMs?: number;
}

/** All of these are for what hangs: two files run at a time, on a machine that may have other work. Booting takes about 5 s on an idle one. */
const BOOT_TIMEOUT_MS = 240_000;
const SCRIPT_TIMEOUT_MS = 120_000;
const HALT_TIMEOUT_MS = 40_000;
/** Of the console, kept for messages about failures. */
const CONSOLE_TAIL_CHARS = 4000;

const SCRIPTS = resolve('integration');
const SHIM = resolve('dist/uml-xstate.so');

/** Why no guest can be run here; undefined when one can. */
export function noGuestReason(): string | undefined {
  if (process.getuid?.() !== 0) return 'a guest needs root, for its network';
  if (!existsSync('/usr/bin/linux.uml')) return 'User Mode Linux is not installed (integration/prepare.sh)';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  return undefined;
}

export class Guest {
  /** Is /out in the guest. */
  readonly directory: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #console = '';
  #scripts = 0;

  private constructor(directory: string, child: ChildProcess) {
    this.directory = directory;
    this.#child = child;
    this.#ended = once(child, 'close');
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#console = (this.#console + chunk.toString('latin1')).slice(-CONSOLE_TAIL_CHARS);
      });
    }
  }

  /** Resolves when the guest takes scripts. */
  static async boot(
    network: Network,
    { place = 0, memory = '1024M', disk }: BootOptions = {},
  ): Promise<Guest> {
    const { tap, address } = network.places[place] ?? {};
    if (tap === undefined) throw new Error(`the network has no place ${place}`);
    const directory = await mkdtemp(join(network.directory, 'guest-'));
    await copyFile(join(SCRIPTS, 'guest-loop.sh'), join(directory, 'guest-loop.sh'));
    const [command = '', ...prefix] = network.prefix;
    const args = [
      ...prefix,
      'linux.uml',
      `mem=${memory}`,
      `umid=${basename(directory)}`,
      // Not beside the directory of that name: the kernel would take it for an older one of its own, and remove it.
      `uml_dir=${network.directory}/uml/`,
      'root=/dev/root rootfstype=hostfs rootflags=/ ro con=null con0=null,fd:1 con1=fd:0,fd:1',
      `init=${join(SCRIPTS, 'guest-init.sh')}`,
      `vec0:transport=tap,ifname=${tap},depth=128,gro=1`,
      `guest.out=${directory}`,
      `guest.project=${resolve('.')}`,
      `guest.address=${address}`,
      ...(disk === undefined ? [] : [`ubd0=${disk}`]),
    ].flatMap((argument) => argument.split(' '));
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(existsSync(SHIM) ? { LD_PRELOAD: SHIM } : {}) },
      // A group of its own: the kernel's threads and the guest's processes are processes here, and end with it.
      detached: true,
    });
    const guest = new Guest(directory, child);
    try {
      await guest.mark('ready', BOOT_TIMEOUT_MS);
    } catch (error) {
      await guest.halt();
      throw error;
    }
    return guest;
  }

  /** Runs a shell script in the guest. Fails, with the end of the console, when the guest dies or the time is over. */
  async run(script: string, { timeoutMs = SCRIPT_TIMEOUT_MS }: RunOptions = {}): Promise<GuestResult> {
    const number = ++this.#scripts;
    await writeFile(join(this.directory, `${number}.sh`), script);
    await writeFile(join(this.directory, `${number}.go`), '');
    try {
      await this.mark(`${number}.rc`, timeoutMs);
    } catch (error) {
      throw new Error(
        `${(error as Error).message}\nscript:\n${script}\noutput: ${await this.#output(number)}`,
        {
          cause: error,
        },
      );
    }
    const status = Number(await readFile(join(this.directory, `${number}.rc`), 'utf8'));
    return { status, output: await this.#output(number) };
  }

  /** Ends the guest, by force if it doesn't by itself, and removes its directory. Repeatable. */
  async halt(): Promise<void> {
    if (this.#running) {
      await writeFile(join(this.directory, 'halt'), '');
      const timer = setTimeout(
        () => this.cutPower(),
        existsSync(join(this.directory, 'ready')) ? HALT_TIMEOUT_MS : 0,
      );
      await this.#ended;
      clearTimeout(timer);
    }
    await rm(this.directory, { recursive: true, force: true });
  }

  get #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Ends the guest at this moment: what its kernel had not written to the disk by then is gone. `halt` waits for the end. */
  cutPower(): void {
    const { pid } = this.#child;
    if (pid !== undefined && this.#running) process.kill(-pid, 'SIGKILL');
  }

  async #output(number: number): Promise<string> {
    return await readFile(join(this.directory, `${number}.out`), 'utf8');
  }

  /** Lets a script go on that waits for /out/`name`. */
  async tell(name: string): Promise<void> {
    await writeFile(join(this.directory, name), '');
  }

  /** Resolves when the guest has made the file /out/`name`. */
  async mark(name: string, timeoutMs = SCRIPT_TIMEOUT_MS): Promise<void> {
    const path = join(this.directory, name);
    const over = AbortSignal.timeout(timeoutMs);
    await new Promise<void>((resolve, reject) => {
      const watcher = watch(dirname(path));
      const settle = (outcome: () => void): void => {
        watcher.close();
        outcome();
      };
      const fail = (reason: string): void =>
        settle(() => reject(new Error(`${reason}; its console ends with:\n${this.#console}`)));
      const look = (): void => {
        if (existsSync(path)) settle(resolve);
      };
      watcher.on('change', look);
      over.addEventListener('abort', () => fail(`the guest made no ${name} within ${timeoutMs} ms`));
      void this.#ended.then(() => fail(`the guest ended before it made ${name}`));
      // It may have been made before the watcher was there.
      look();
    });
  }
}
