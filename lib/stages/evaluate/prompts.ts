/** What a model is asked, in the style that the configuration names. */
import type { EvaluateConfig } from '../../config/index.js'
import { chatPrompt, splitAt } from '../../data/index.js'
import { ConfigurationError } from '../../errors.js'
import type { Tokenizer } from '../../models/index.js'
import { type Message, messagesOf } from '../shared/sampling-server.js'
import type { Question, Task } from './tasks.js'

interface Turns {
  system: string
  user: string
  /** Start of the turn that the model goes on with. */
  assistant: string
}

export function turnsOf({ question }: Question, task: Task, { prompt, format }: EvaluateConfig): Turns {
  const fill = (template: string) => template.replace('{question}', () => question)
  if (prompt.style !== 'student') return { system: prompt.system ?? '', user: fill(task.user), assistant: '' }
  const [opening] = splitAt(format.studentAssistant, 'explanation', 'solution')
  return {
    system: prompt.system ?? format.studentSystem,
    user: fill(task.isOwnUser ? task.user : format.studentUser),
    assistant: opening,
  }
}

/** @throws {ConfigurationError} the model has no chat template, and the style needs one */
export function promptTokens(turns: Turns, { prompt }: EvaluateConfig, tokenizer: Tokenizer): Int32Array {
  if (prompt.style === 'text') return tokenizer.encode(textPrompt(turns), { addSpecialTokens: true })
  try {
    return tokenizer.encode(chatPrompt(tokenizer, turns.system, turns.user) + turns.assistant)
  } catch (error) {
    throw new ConfigurationError(
      `prompt.style: ${prompt.style} needs the model's chat template: ${(error as Error).message}\n` +
        'A model without one is asked in plain text: --set prompt.style=text',
      { cause: error },
    )
  }
}

export function serverPrompt(turns: Turns, { prompt }: EvaluateConfig): string | Message[] {
  return prompt.style === 'text' ? textPrompt(turns) : messagesOf(turns)
}

/** What ends an answer beside the end of the turn: in the students' format, what stands behind the solution. */
export function stopTexts({ prompt, format }: EvaluateConfig): string[] {
  if (prompt.style !== 'student') return []
  const [, , after] = splitAt(format.studentAssistant, 'explanation', 'solution')
  return after.trim() === '' ? [] : [after.trim()]
}

const textPrompt = ({ system, user }: Turns) => (system === '' ? user : `${system}\n\n${user}`)
