/** Sampling, scoring, training and the whole GRPO step with a real model. */
import type { Model } from '../engine/index.js'
import { watched } from './disturbance.js'
import { grpoStep, type Row, readRows, type StepTimes } from './grpo-step.js'
import { type DonePiece, doPiece } from './pieces.js'
import type { BenchRow } from './report.js'
import { type Peak, rates, type Work } from './roofline.js'
import type { BenchSetting } from './setting.js'
import { quartiles } from './statistics.js'
import { timed } from './timed.js'
import { type PieceOfWork, readWorkloads, shrunk } from './workloads.js'

const stageOf = { generate: 'sample', logprobs: 'score', backward: 'train' } as const

/** Sampling with memory for two fifths of what it would take: no peer's work. */
const scarceSampling: PieceOfWork = {
  ...{ kind: 'generate', prompts: 2, samples: 16, promptTokens: 128, newTokens: 192 },
  cachePercent: 40,
}

/** Every piece of workloads.json and the one above, each after one in small as warm-up. */
export async function* benchStages(
  model: Model,
  setting: BenchSetting,
  peak: Peak,
): AsyncGenerator<BenchRow> {
  const { work } = await readWorkloads()
  for (const full of [...Object.values(work), scarceSampling]) {
    const piece = setting.quick ? shrunk(full, 16) : full
    await doPiece(model, shrunk(piece, 8), setting.signal)
    const { kind, ...sizes } = piece
    const seconds: number[] = []
    let done: DonePiece = { tokens: 0 }
    const { others } = await watched(async () => {
      for (let i = 0; i < (setting.quick ? 1 : 3); i++) {
        const repetition = await timed(() => doPiece(model, piece, setting.signal))
        seconds.push(repetition.seconds)
        done = repetition.result
      }
    })
    const median = quartiles(seconds).median
    yield {
      ...commonOf(setting, seconds, others),
      ...{ section: 'stages', name: stageOf[kind], sizes },
      ...rates(workOf(piece, sizeOf(model)), median, peak),
      tokensPerSecond: done.tokens / median,
      ...(done.sampling && {
        peakCacheBytes: done.sampling.peakCacheBytes,
        preemptions: done.sampling.preemptions,
      }),
    }
  }
  await model.zeroGradients()
}

export async function benchStep(
  teacher: Model,
  frozen: Model,
  setting: BenchSetting,
  peak: Peak,
): Promise<BenchRow> {
  const { step } = await readWorkloads()
  const work = setting.quick ? { ...step, prompts: 1, completions: 2, tokens: 8 } : step
  const rows: Row[] = await readRows(work)
  const run = (of: typeof work) => grpoStep(teacher, frozen, rows.slice(0, of.prompts), of, setting.signal)
  await run({ ...work, prompts: 1, completions: 2, tokens: 8 })
  const steps: StepTimes[] = []
  const { others } = await watched(async () => {
    for (let i = 0; i < (setting.quick ? 1 : 3); i++) steps.push(await run(work))
  })
  const seconds = steps.map(each => each.seconds)
  const median = quartiles(seconds).median
  const phase = (name: keyof StepTimes['phases']) => quartiles(steps.map(each => each.phases[name])).median
  return {
    ...commonOf(setting, seconds, others),
    section: 'step',
    name: 'grpo',
    sizes: { prompts: work.prompts, completions: work.completions, tokens: work.tokens },
    ...rates(workOfStep(work, steps[0]!, sizeOf(teacher)), median, peak),
    tokensPerSecond: steps[0]!.completionTokens / median,
    phases: { sample: phase('sample'), score: phase('score'), train: phase('train') },
  }
}

function commonOf({ dtype, device, threads }: BenchSetting, seconds: number[], others: number | undefined) {
  return {
    ...{ dtype, device, threads, seconds: quartiles(seconds), repetitions: seconds.length },
    ...(others !== undefined && { otherCpuShare: others }),
  }
}

/** Weights that every token is multiplied with, and their bytes. */
interface ModelSize {
  multiplied: number
  bytes: number
}

function sizeOf(model: Model): ModelSize {
  const { vocabularySize, hiddenSize, tiedEmbeddings } = model.configuration
  const looked = tiedEmbeddings ? 0 : vocabularySize * hiddenSize
  const multiplied = model.parameterCount - looked
  return { multiplied, bytes: multiplied * (model.dtype === 'bfloat16' ? 2 : 4) }
}

/**
 * The least that has to be computed: 2 operations a weight and token forward, 4 more backward, shared prefixes once,
 * attention left out; every weight read once a pass, gradients read and written in fp32.
 */
function forward(tokens: number, { multiplied, bytes }: ModelSize): Work {
  return { operations: 2 * multiplied * tokens, bytes }
}

function forwardBackward(tokens: number, { multiplied, bytes }: ModelSize): Work {
  return { operations: 6 * multiplied * tokens, bytes: 2 * bytes + 8 * multiplied }
}

/** One pass a token. */
function decoding(samples: number, tokens: number, size: ModelSize): Work {
  return { operations: 2 * size.multiplied * samples * tokens, bytes: size.bytes * tokens }
}

function workOf(piece: PieceOfWork, size: ModelSize): Work[] {
  if (piece.kind === 'generate') {
    const { prompts, samples, promptTokens, newTokens } = piece
    return [forward(prompts * promptTokens, size), decoding(prompts * samples, newTokens, size)]
  }
  if (piece.kind === 'logprobs')
    return [forward(piece.sharedTokens + piece.sequences * piece.ownTokens, size)]
  return [forwardBackward(piece.sequences * piece.sequenceTokens, size)]
}

function workOfStep(
  { prompts, completions, tokens }: { prompts: number; completions: number; tokens: number },
  { computedTokens }: StepTimes,
  size: ModelSize,
): Work[] {
  return [
    forward(computedTokens.prompts, size),
    decoding(prompts * completions, tokens, size),
    forward(computedTokens.student, size),
    forward(computedTokens.teacher, size), // of the reference
    forwardBackward(computedTokens.teacher, size),
  ]
}
