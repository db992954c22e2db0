import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const packageRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** The pinned versions; CMake reads the same file. */
export const versions = JSON.parse(readFileSync(path.join(packageRoot, 'cmake/versions.json'), 'utf8'))

/** The key of a wheel in versions.json for a machine, e.g. 'linux-x64'. */
export function platformKey(platform = process.platform, architecture = process.arch) {
  return `${platform}-${architecture}`
}

/** The pinned wheels of some groups for a machine, or undefined when LibTorch is not pinned for it. */
export function pinnedWheels(groups, key = platformKey()) {
  const packages = groups.flatMap(group => versions.groups[group])
  const wheels = packages
    .filter(entry => entry.wheels[key])
    .map(entry => ({ name: entry.name, version: entry.version, ...entry.wheels[key] }))
  return wheels.some(wheel => wheel.name === 'torch') ? wheels : undefined
}

/** Whether a LibTorch version such as '2.12.1+cu130' is in the range that this release is built and tested with. */
export function isSupported(version) {
  const number = minor(version)
  return (
    number >= minor(versions.libtorch.supported.minimum) &&
    number <= minor(versions.libtorch.supported.maximum)
  )
}

function minor(version) {
  const match = /^(\d+)\.(\d+)/.exec(version)
  return match ? Number(match[1]) * 1000 + Number(match[2]) : Number.NaN
}

/** The range in words, for messages. */
export function supportedRange() {
  return `${versions.libtorch.supported.minimum} to ${versions.libtorch.supported.maximum}`
}
