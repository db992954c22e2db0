import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

let root: string | undefined

/** The folder of this package: where package.json, the addon and the files that are not TypeScript lie. */
export function packageRoot(): string {
  if (root === undefined) {
    let folder = dirname(fileURLToPath(import.meta.url))
    while (!existsSync(join(folder, 'package.json'))) {
      const parent = dirname(folder)
      if (parent === folder)
        throw new Error(
          `No package.json above ${fileURLToPath(import.meta.url)}: the installation is incomplete.`,
        )
      folder = parent
    }
    root = folder
  }
  return root
}
