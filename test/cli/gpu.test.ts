/** What `rlt doctor` says of GPUs, on machines that there are none of here. */
import test from 'ava'
import { describeGpus, gpuProblems } from '../../lib/cli/doctor/gpu.js'

const listed = [{ name: 'NVIDIA H100', memoryBytes: 80e9, driver: '580.65.06' }]
const cuda = { runtime: '13.2', driver: '13.0', problem: '', devices: [] }
const h100 = { name: 'NVIDIA H100', memoryBytes: 80e9, computeCapability: '9.0' }

test('a GPU is named with its memory, driver and compute capability', t => {
  const engine = { cudaDevices: 1, cuda: { ...cuda, devices: [h100] } }
  t.is(
    describeGpus(listed, engine),
    'NVIDIA H100, 80.0 GB, compute capability 9.0; driver 580.65.06 for CUDA 13.0; CUDA 13.2 build',
  )
  t.regex(describeGpus([], engine), /compute capability 9\.0; a driver for CUDA 13\.0/) // without nvidia-smi
  t.deepEqual(gpuProblems(listed, engine, 8), [])
})

test('a CUDA build on a machine without a GPU says so, and that is no problem', t => {
  const engine = {
    cudaDevices: 0,
    cuda: { ...cuda, driver: '', problem: 'CUDA driver version is insufficient for CUDA runtime version' },
  }
  t.is(describeGpus([], engine), 'CUDA 13.2 build, no GPU found (no NVIDIA driver)')
  t.deepEqual(gpuProblems([], engine, 8), [])
})

test('a GPU that a build without CUDA leaves idle is a problem, and the remedy is named', t => {
  const engine = { cudaDevices: 0, cuda: null }
  t.is(describeGpus(listed, engine), 'NVIDIA H100, 80.0 GB, driver 580.65.06; a build without CUDA')
  const [problem, ...others] = gpuProblems(listed, engine, 8)
  t.deepEqual(others, [])
  t.regex(problem!.what, /NVIDIA H100.*built without CUDA/)
  t.deepEqual(problem!.fix, ['RLT_CUDA=ON npm run build:native'])
  t.is(describeGpus([], engine), 'none; a build without CUDA')
  t.deepEqual(gpuProblems([], engine, 8), [])
})

test('a driver that is too old for the build is named with both versions', t => {
  const engine = { cudaDevices: 0, cuda: { ...cuda, driver: '12.4', problem: 'driver too old' } }
  t.regex(
    describeGpus(listed, engine),
    /NVIDIA H100.*cannot be used \(the driver serves CUDA 12\.4: driver too old\)/,
  )
  t.regex(
    gpuProblems(listed, engine, 8)[0]!.what,
    /driver too old; the build is of CUDA 13\.2, its driver serves CUDA 12\.4/,
  )
})

test('a GPU older than what the kernels are compiled for is a problem', t => {
  const engine = {
    cudaDevices: 1,
    cuda: { ...cuda, devices: [{ ...h100, name: 'Tesla T4', computeCapability: '7.5' }] },
  }
  t.regex(gpuProblems(listed, engine, 8)[0]!.what, /Tesla T4 is of compute capability 7\.5; .*8\.0 and newer/)
})

test('an addon that does not load leaves what the driver lists', t => {
  t.is(describeGpus(listed, null), 'NVIDIA H100, 80.0 GB, driver 580.65.06')
  t.is(describeGpus([], null), 'none')
  t.deepEqual(gpuProblems(listed, null, 8), [])
})
