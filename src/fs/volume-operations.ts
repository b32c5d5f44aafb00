/** A volume with everything that works on it, wired. */
import { Content } from './content.js';
import { Freshness } from './freshness.js';
import { Namespace } from './namespace.js';
import { recover } from './recovery.js';
import { Rename } from './rename.js';
import { Scans } from './scan.js';
import { Volume, type VolumeParts } from './volume.js';
import type { DirectoryNode } from './node.js';

export class VolumeOperations {
  readonly volume: Volume;
  readonly freshness: Freshness;
  readonly content: Content;
  readonly namespace: Namespace;
  readonly rename: Rename;
  readonly scans: Scans;

  constructor(parts: VolumeParts) {
    this.volume = new Volume(parts);
    this.freshness = new Freshness(this.volume);
    this.content = new Content(this.volume, this.freshness);
    this.namespace = new Namespace(this.volume, this.freshness, this.content);
    this.rename = new Rename(this.volume, this.freshness, this.content, this.namespace);
    this.scans = new Scans(this.volume, this.freshness);
  }

  /** Carries out what a crash interrupted. */
  async recover(): Promise<void> {
    await recover(this.volume, this.freshness, this.content, this.rename);
  }

  /** The directory at a key prefix, there whether or not a key lies under it: the root of an export. */
  rootAt(prefix: string): DirectoryNode {
    let directory = this.volume.root;
    for (const name of prefix.split('/').filter((segment) => segment !== '')) {
      directory = this.volume.nodes.entry(directory, name, 'directory');
    }
    directory.permanent = true;
    return directory;
  }
}
