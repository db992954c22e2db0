/** The report of `rlt doctor` for a terminal. */
import colors from 'picocolors'
import type { SystemInformation } from '../../engine/addon.js'
import type { Findings } from './findings.js'
import { describeGpus } from './gpu.js'
import type { Problem } from './installation.js'

export function describeFindings(findings: Findings): string {
  const width = Math.max(...rows(findings).map(([name]) => name.length))
  const lines = rows(findings).map(([name, value]) => `${colors.bold(name.padEnd(width))}  ${value}`)
  return `${[...lines, '', ...verdict(findings.problems)].join('\n')}\n`
}

function rows(findings: Findings): [name: string, value: string][] {
  const { processor, memory, addon, engine, libtorch, tools } = findings
  return [
    ['rlt', `${findings.version} on Node ${findings.node}`],
    ['Processor', `${processor.model}, ${processor.cores} cores (${processor.architecture})`],
    ['', processor.features.join(' ') || 'instruction sets unknown'],
    ['Memory', `${size(memory.availableBytes)} available of ${size(memory.totalBytes)}`],
    ...findings.disks.map(
      disk => ['Disk', `${size(disk.freeBytes)} free in ${disk.folder}`] as [string, string],
    ),
    ['GPU', describeGpus(findings.gpus, engine)],
    [
      'LibTorch',
      libtorch ? `${libtorch.version} from ${origins[libtorch.origin]}: ${libtorch.folder}` : 'not found',
    ],
    ['Addon', addon.built ? `${addon.loads ? 'loads' : 'does not load'}: ${addon.file}` : 'not built'],
    ['Engine', engine ? describeEngine(engine) : 'not available'],
    [
      'Compiler',
      [tools.compiler, tools.cmake && `CMake ${tools.cmake.version}`].filter(Boolean).join(', ') || 'none',
    ],
    [
      'Python',
      tools.python
        ? `${tools.python.version} with pip ${tools.python.pipVersion}: ${tools.python.file}`
        : 'none',
    ],
    ...findings.caches.map(
      cache => ['Cache', `${size(cache.bytes)} in ${cache.folder}  ${cache.name}`] as [string, string],
    ),
  ]
}

const origins = {
  LIBTORCH: 'the environment variable LIBTORCH',
  python: "Python's torch",
  cache: 'the cache',
}

function describeEngine(engine: SystemInformation): string {
  return [
    `${engine.threads} threads`,
    `${engine.cpuCapability} in LibTorch and ${engine.vectorInstructionSet} in rlt's kernels`,
    engine.bfloat16Fast ? 'bfloat16 in hardware' : 'no bfloat16 in hardware, so float32 is faster',
  ].join('; ')
}

function verdict(problems: Problem[]): string[] {
  if (problems.length === 0) return [colors.green('Everything that a run needs is there.')]
  return problems.flatMap(({ severity, what, fix }) => [
    severity === 'error' ? colors.red(`✗ ${what}`) : colors.yellow(`! ${what}`),
    ...fix.map(step => `    ${step}`),
  ])
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(0)} MB`
}
