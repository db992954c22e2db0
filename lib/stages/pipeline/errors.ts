import { RltError } from '../../errors.js'

/** A stage of a pipeline failed; `cause` says of what. */
export class PipelineError extends RltError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PIPELINE', message, options)
  }
}

/** Which stage, what, and how to go on. */
export function stageFailure(name: string, kind: string, folder: string, error: unknown): PipelineError {
  const what = error instanceof Error ? error.message : String(error)
  return new PipelineError(
    `The stage ${name} (${kind}) failed: ${what}\n` +
      `What it had finished is kept in ${folder}, and so are the stages before it. Put right what is wrong, then give ` +
      'the same command: it goes on from there.',
    { cause: error },
  )
}
