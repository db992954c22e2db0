import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/** Where a program of this machine lies, so that a test can offer exactly that one. */
export function findOnPath(name: string): string {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`${name} is not on the PATH, and this test needs it`)
}
