/** Chat templates: Jinja, rendered as transformers' `apply_chat_template` does. */
import { Environment, Interpreter, Template } from '@huggingface/jinja'
import { ModelError } from '../errors.js'
import { stripFunctions, useStripFunctions } from './jinja-strip.js'
import { strftime } from './strftime.js'

/** A message of a conversation. Which fields count is up to the model's template. */
export interface ChatMessage {
  role: string
  /** Text; some templates also take a list of parts. */
  content?: unknown
  /** The thoughts before an assistant's answer. */
  reasoning_content?: string
  tool_calls?: readonly unknown[]
  tool_call_id?: string
  name?: string
}

export interface ChatVariables {
  /** Ends with the opening of the assistant's turn. */
  addGenerationPrompt?: boolean
  tools?: readonly unknown[]
  documents?: readonly unknown[]
  /** Whatever else the template knows, under the template's own names, e.g. enable_thinking. */
  [variable: string]: unknown
}

/** What templates find defined. The library's own set has dates in the user's language, and cannot be changed. */
const globals = new Environment()
for (const [name, value] of Object.entries({
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  strftime_now: (format: string) => strftime(new Date(), format),
  raise_exception(message: string) {
    throw new Error(message)
  },
  ...stripFunctions,
}))
  globals.set(name, value)

function range(first: number, second?: number, step = 1): number[] {
  const [start, end] = second === undefined ? [0, first] : [first, second]
  return Array.from({ length: Math.max(0, Math.ceil((end - start) / step)) }, (_, i) => start + i * step)
}

export class ChatTemplate {
  private readonly template: Template

  /** @param place where the template comes from, for messages */
  constructor(
    source: string,
    private readonly place: string,
  ) {
    try {
      this.template = new Template(source)
      useStripFunctions(this.template.parsed)
    } catch (error) {
      throw new ModelError(`${place}: the chat template cannot be parsed: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  /**
   * @param specialTokens bos_token, eos_token and the like, by the names that templates use
   * @throws {ModelError} when the template refuses the messages
   */
  render(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = false, ...variables }: ChatVariables,
    specialTokens: Record<string, string>,
  ): string {
    const scope = new Environment(globals)
    const values = {
      ...specialTokens,
      // transformers defines these two always: templates ask whether they are none.
      tools: null,
      documents: null,
      ...variables,
      messages,
      add_generation_prompt: addGenerationPrompt,
    }
    try {
      for (const [name, value] of Object.entries(values)) if (value !== undefined) scope.set(name, value)
      return (new Interpreter(scope).run(this.template.parsed) as { value: string }).value
    } catch (error) {
      throw new ModelError(
        `${this.place}: the chat template refused these messages: ${(error as Error).message}`,
        { cause: error },
      )
    }
  }
}
