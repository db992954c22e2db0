/** Chat templates: Jinja, rendered as transformers' `apply_chat_template` does. */
import { Template } from '@huggingface/jinja'
import { ModelError } from '../errors.js'

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

export class ChatTemplate {
  private readonly template: Template

  /** @param place where the template comes from, for messages */
  constructor(
    source: string,
    private readonly place: string,
  ) {
    try {
      this.template = new Template(source)
    } catch (error) {
      throw new ModelError(`${place}: the chat template cannot be parsed: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  /** @param specialTokens bos_token, eos_token and the like, by the names that templates use */
  render(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = false, ...variables }: ChatVariables,
    specialTokens: Record<string, string>,
  ): string {
    try {
      return this.template.render({
        ...specialTokens,
        // transformers defines these two always: templates ask whether they are none.
        tools: null,
        documents: null,
        ...variables,
        messages,
        add_generation_prompt: addGenerationPrompt,
      })
    } catch (error) {
      throw new ModelError(
        `${this.place}: the chat template refused these messages: ${(error as Error).message}`,
        {
          cause: error,
        },
      )
    }
  }
}
