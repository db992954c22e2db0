import type { Tokenizer } from '../../models/index.js'

/** The opening of an assistant's turn, in the model's own chat template. An empty system message is left out. */
export function chatPrompt(tokenizer: Tokenizer, system: string, user: string): string {
  const messages = [{ role: 'user', content: user }]
  if (system !== '') messages.unshift({ role: 'system', content: system })
  return tokenizer.renderChat(messages, { addGenerationPrompt: true })
}
