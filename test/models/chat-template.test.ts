import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { ModelError } from '../../lib/errors.js'
import { ChatTemplate } from '../../lib/models/chat-template.js'
import { type ChatMessage, Tokenizer } from '../../lib/models/index.js'
import { strftime } from '../../lib/models/strftime.js'
import { fixture, temporaryFolder } from './files.js'

/** What transformers' apply_chat_template makes of conversations: scripts/fixtures/tokenizers.py. */
interface Chats {
  name: string
  template: string
  specialTokens: Record<string, string>
  cases: {
    messages: ChatMessage[]
    tools?: unknown[]
    addGenerationPrompt?: boolean
    variables?: Record<string, unknown>
    rendered: string | { refused: string }
  }[]
}

const chats: Chats[] = JSON.parse(await readFile(fixture('tokenizers', 'chats.json'), 'utf8'))

for (const { name, template, specialTokens, cases } of chats) {
  test(`${name}: conversations become the text that transformers makes of them`, t => {
    const chat = new ChatTemplate(template, name)
    for (const { messages, tools, addGenerationPrompt, variables, rendered } of cases) {
      const render = () =>
        chat.render(messages, { ...variables, ...(tools && { tools }), addGenerationPrompt }, specialTokens)
      if (typeof rendered === 'string') t.is(render(), rendered)
      else t.throws(render, { instanceOf: ModelError, message: new RegExp(rendered.refused) })
    }
  })
}

test('the model’s own template is taken from GGUF and from a folder', async t => {
  const folder = await temporaryFolder(t)
  await cp(fixture('tokenizers', 'llama3'), folder, { recursive: true })
  await writeFile(
    join(folder, 'chat_template.jinja'),
    '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}',
  )
  const tokenizer = await Tokenizer.load({ kind: 'folder', folder })
  t.true(tokenizer.hasChatTemplate)
  t.is(tokenizer.renderChat([{ role: 'user', content: 'hi' }]), '<|begin_of_text|>hi<|eot_id|>')
})

test('of several templates, tools take tool_use', async t => {
  const folder = await temporaryFolder(t)
  await cp(fixture('tokenizers', 'llama3'), folder, { recursive: true })
  await mkdir(join(folder, 'additional_chat_templates'))
  await writeFile(join(folder, 'chat_template.jinja'), 'plain')
  await writeFile(join(folder, 'additional_chat_templates', 'tool_use.jinja'), '{{ tools | length }} tools')
  const tokenizer = await Tokenizer.load({ kind: 'folder', folder })
  t.is(tokenizer.renderChat([]), 'plain')
  t.is(tokenizer.renderChat([], { tools: [{}, {}] }), '2 tools')
})

test('without a template, a chat is refused with what to do', async t => {
  const tokenizer = await Tokenizer.load({ kind: 'folder', folder: fixture('tokenizers', 'qwen') })
  t.false(tokenizer.hasChatTemplate)
  t.throws(() => tokenizer.renderChat([{ role: 'user', content: 'hi' }]), {
    instanceOf: ModelError,
    message: /no chat template; give prompts as text/,
  })
})

test('a template that cannot be parsed is named', t => {
  t.throws(() => new ChatTemplate('{% if x %}', 'some/chat_template.jinja'), {
    instanceOf: ModelError,
    message: /^some\/chat_template\.jinja: the chat template cannot be parsed/,
  })
})

test('dates are written in English, as Python does', t => {
  const date = new Date(2026, 2, 7, 15, 4, 9)
  t.is(strftime(date, '%d %b %Y'), '07 Mar 2026')
  t.is(
    strftime(date, '%A, %B %d, %y %H:%M:%S %I %p 100%% %Q'),
    'Saturday, March 07, 26 15:04:09 03 PM 100% %Q',
  )
  const today = new ChatTemplate("{{ strftime_now('%Y-%m-%d') }}", 'x').render([], {}, {})
  t.regex(today, /^\d{4}-\d\d-\d\d$/)
})
