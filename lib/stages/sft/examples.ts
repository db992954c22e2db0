/** Traces in tokens, known to fit into the model's context before the first step rather than in its midst. */
import type { FormatConfig, SftConfig } from '../../config/index.js'
import { type Example, endOfTurn, type Split, type Trace } from '../../data/index.js'
import type { Model } from '../../engine/index.js'
import { DataError } from '../../errors.js'
import type { Tokenizer } from '../../models/index.js'
import type { TrainingRun } from '../shared/run.js'

/** @param end tokens that end an assistant's turn */
export type MakeExample = (
  trace: Trace,
  format: FormatConfig,
  tokenizer: Tokenizer,
  end: Int32Array,
) => Example

/**
 * @throws {DataError} naming the first row that is too long, with its length and what is allowed, if data.longRows is
 *   fail; or that no row is left
 */
export async function makeExamples(
  traces: Split<Trace>,
  makeExample: MakeExample,
  model: Model,
  config: SftConfig,
  run: TrainingRun,
): Promise<Split<Example>> {
  const { tokenizer } = model
  const end = endOfTurn(tokenizer)
  warnOfUnknownEnd(end, model, run)
  const limit = limitOf(model, config)
  const ofTraces = async (list: readonly Trace[]) => {
    const examples: Example[] = []
    const long: { trace: Trace; reason: string }[] = []
    let prompts = 0
    for (const [i, trace] of list.entries()) {
      // Tokenising a large data set takes seconds: the event loop gets its turn, and Ctrl-C is heard.
      if (i % 64 === 0) await new Promise(resolve => setImmediate(resolve))
      run.signal?.throwIfAborted()
      const example = makeExample(trace, config.format, tokenizer, end)
      const reason = whyTooLong(example, limit)
      if (reason === undefined) {
        examples.push(example)
        continue
      }
      if (config.data.longRows === 'fail')
        throw new DataError(
          `${trace.origin}: ${reason}.\nLeave such rows out with data.longRows: skip, or their ends with truncate`,
        )
      long.push({ trace, reason })
      if (config.data.longRows === 'skip') continue
      const kept = truncate(example, limit.tokens)
      if (kept === undefined) prompts++
      else examples.push(kept)
    }
    const [first] = long
    if (first !== undefined) {
      const fate = config.data.longRows === 'skip' ? 'left out' : `cut at their ends${leftOut(prompts)}`
      run.warn(
        `${long.length} of ${list.length} rows are ${fate}; the first, ${first.trace.origin}: ${first.reason}`,
      )
    }
    if (list.length > 0 && examples.length === 0)
      throw new DataError(`No row is short enough. The first, ${long[0]!.trace.origin}: ${long[0]!.reason}`)
    return examples
  }
  return { train: await ofTraces(traces.train), heldOut: await ofTraces(traces.heldOut) }
}

export const lengthOf = ({ prompt, completion }: Example): number => prompt.length + completion.length

interface Limit {
  tokens: number
  /** Where it comes from. */
  source: string
}

function limitOf(
  { configuration: { maxPositions } }: Model,
  { model, data: { maxTokens } }: SftConfig,
): Limit {
  return maxTokens !== null && maxTokens <= maxPositions
    ? { tokens: maxTokens, source: 'data.maxTokens' }
    : { tokens: maxPositions, source: `the context of ${model.model}` }
}

function whyTooLong(example: Example, { tokens, source }: Limit): string | undefined {
  const length = lengthOf(example)
  return length <= tokens
    ? undefined
    : `prompt and completion have ${example.prompt.length} + ${example.completion.length} tokens; expected at most ${tokens} (${source})`
}

/** Undefined where the prompt alone is too long: there would be nothing to learn. */
function truncate({ prompt, completion }: Example, tokens: number): Example | undefined {
  if (prompt.length >= tokens) return undefined
  return { prompt, completion: completion.slice(0, tokens - prompt.length) }
}

const leftOut = (prompts: number) =>
  prompts === 0 ? '' : ` (but for ${prompts} whose prompts alone are too long: they are left out)`

function warnOfUnknownEnd(end: Int32Array, { tokenizer, configuration }: Model, run: TrainingRun): void {
  const last = end.at(-1)
  if (last !== undefined && configuration.endOfSequenceTokens.includes(last)) return
  run.warn(
    last === undefined
      ? "the model's chat template and tokenizer name no token that ends a turn, so it does not learn to end one"
      : `the model learns to end its turn with ${tokenizer.decode(end)}, which is not among the end-of-sequence tokens of ` +
          'its configuration: who samples from it has to name it as a stop token',
  )
}
