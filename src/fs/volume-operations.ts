/** A volume with everything that works on it, wired. */
import { Committing } from './committing.js';
import { Content } from './content.js';
import { Directories } from './directories.js';
import { EntryChanges } from './entry-changes.js';
import { FilesAhead } from './files-ahead.js';
import { Freshness } from './freshness.js';
import { Markers } from './markers.js';
import { Namespace } from './namespace.js';
import { Publishing } from './publishing.js';
import { Reading } from './reading.js';
import { Rename } from './rename.js';
import { Scans } from './scan.js';
import { Settling } from './settling.js';
import { SillyNames } from './silly-names.js';
import { Volume, type VolumeParts } from './volume.js';
import type { DirectoryNode } from './node.js';
import { WholeGets } from './whole-gets.js';

export class VolumeOperations {
  readonly volume: Volume;
  readonly freshness: Freshness;
  readonly publishing: Publishing;
  readonly committing: Committing;
  readonly reading: Reading;
  readonly content: Content;
  readonly directories: Directories;
  readonly namespace: Namespace;
  readonly rename: Rename;
  readonly scans: Scans;
  readonly silly: SillyNames;
  readonly markers: Markers;
  /** By prefix. Held for good: a root that was let go would come back from the database as any directory. */
  readonly #roots = new Map<string, DirectoryNode>();

  constructor(parts: VolumeParts, { smallFilesAhead = true }: { readonly smallFilesAhead?: boolean } = {}) {
    this.volume = new Volume(parts);
    const gets = smallFilesAhead ? new WholeGets(this.volume) : undefined;
    this.freshness = new Freshness(this.volume, gets);
    this.publishing = new Publishing(this.volume);
    this.silly = new SillyNames(this.volume, this.publishing);
    this.committing = new Committing(this.volume, this.publishing, this.silly);
    this.scans = new Scans(this.volume, this.freshness);
    const small = gets && { gets, ahead: new FilesAhead(this.volume, this.freshness, this.scans, gets) };
    const { freshness, publishing } = this;
    const settling = new Settling(freshness, publishing);
    this.reading = new Reading(this.volume, { freshness, publishing, settling }, small);
    this.content = new Content(this.volume, publishing, settling);
    this.markers = new Markers(this.volume);
    const entries = new EntryChanges(this.volume, this.freshness);
    this.directories = new Directories(this.volume, {
      freshness: this.freshness,
      markers: this.markers,
      entries,
    });
    this.namespace = new Namespace(this.volume, {
      freshness: this.freshness,
      content: this.content,
      publishing: this.publishing,
      silly: this.silly,
      markers: this.markers,
      entries,
    });
    this.rename = new Rename({
      volume: this.volume,
      freshness: this.freshness,
      publishing: this.publishing,
      directories: this.directories,
      markers: this.markers,
      silly: this.silly,
    });
  }

  /** The directory at a key prefix, there whether or not a key lies under it: the root of an export. */
  rootAt(prefix: string): DirectoryNode {
    const known = this.#roots.get(prefix);
    if (known !== undefined) return known;
    let directory = this.volume.root;
    for (const name of prefix.split('/').filter((segment) => segment !== '')) {
      directory = this.volume.nodes.entry(directory, name, 'directory');
      directory.permanent = true;
    }
    this.#roots.set(prefix, directory);
    return directory;
  }
}
