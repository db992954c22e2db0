import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { loadInstaller } from '../../lib/cli/doctor/installer.js'
import { packageRoot } from '../../lib/packageRoot.js'

const run = promisify(execFile)
const { addonFile } = await loadInstaller()

/** The libraries that a process has mapped once the addon is loaded. */
async function mappedLibraries(): Promise<string[]> {
  const script = `
    process.dlopen({ exports: {} }, ${JSON.stringify(addonFile)})
    console.log(require('node:fs').readFileSync('/proc/self/maps', 'utf8'))`
  const { stdout } = await run(process.execPath, ['-e', script], { maxBuffer: 1 << 24 })
  const files = stdout.split('\n').map(line => line.split(/\s+/)[5] ?? '')
  return [...new Set(files.filter(file => file.includes('.so')))]
}

test('one OpenMP runtime is loaded: a second would start a second pool of threads on the same cores', async t => {
  const runtimes = (await mappedLibraries()).filter(file => /lib(gomp|omp|iomp5)\b/.test(file))
  t.is(runtimes.length, 1, runtimes.join())
})

test('a host without CUDA loads none of its large libraries', async t => {
  const libraries = await mappedLibraries()
  // Built with RLT_CUDA=ON they belong there.
  const withCuda = libraries.some(file => file.includes('libtorch_cuda'))
  t.deepEqual(
    libraries.filter(file => !withCuda && /libcublas|libcudnn|libnccl/.test(file)),
    [],
  )
})

test('kernels for wider registers share no function with the rest, which must run on any processor', async t => {
  const folder = path.join(packageRoot(), 'build/cmake/CMakeFiles/rlt.dir/native/kernels/cpu')
  const objects = (await readdir(folder)).filter(name => /\.avx\w+\.cpp\.o$/.test(name))
  t.is(objects.length > 0, process.arch === 'x64')
  for (const object of objects) {
    const { stdout } = await run('nm', ['--demangle', '--defined-only', path.join(folder, object)])
    // Weak symbols (W, V, u): of several copies the linker keeps one, and it could be this one.
    t.deepEqual(stdout.match(/^\S+ [WVu] .*$/gm) ?? [], [], object)
  }
})
