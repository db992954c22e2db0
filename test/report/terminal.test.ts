import { Writable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import test from 'ava'
import { createTerminalView, type TerminalStream } from '../../lib/report/index.js'

class Recorder extends Writable {
  text = ''
  constructor(
    readonly isTTY: boolean,
    readonly columns = 100,
  ) {
    super()
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk
    done()
  }
}

const row = {
  step: 3,
  reward: -1.2345,
  'reward/understanding': -1,
  'reward/naturalness': 0.05,
  kl_ref: 0.0002,
  sampler_trainer_gap: 2e-5,
  completion_tokens: 900,
  seconds: 75,
  'seconds/sample': 30,
  'seconds/score': 5.04,
  'seconds/train': 40,
  peak_memory_bytes: 3 * 2 ** 30,
}

test('where there is no terminal a step is one plain line, the reward first', t => {
  const stream = new Recorder(false)
  const view = createTerminalView(12, stream as TerminalStream)
  view.event({ type: 'phase', phase: 'sample', step: 3, done: 1, total: 8 })
  view.step(row)
  view.event({ type: 'checkpoint', step: 3, folder: 'runs/x/checkpoints/step-3' })
  view.event({ type: 'message', level: 'warning', text: 'careful' })
  view.close()
  t.is(
    stream.text,
    'step 3/12  reward -1.234  understanding -1  naturalness 0.05000  kl 2.0e-4  gap 2.0e-5  900 tokens  ' +
      '1:15 (sample 30 s, score 5.0 s, train 40 s)  3.0 GiB\n' +
      'step 3: saved runs/x/checkpoints/step-3\n' +
      'warning: careful\n',
  )
})

test('on a terminal the work in hand is drawn in place beneath the lines that stay', t => {
  const stream = new Recorder(true)
  const view = createTerminalView(12, stream as TerminalStream)
  view.event({ type: 'phase', phase: 'sample', step: 3, done: 2, total: 8 })
  view.step(row)
  view.close()
  t.not(stripVTControlCharacters(stream.text), stream.text)
  t.regex(stream.text, /step 3\/12 {2}reward -1\.234/)
  t.regex(stream.text, /step 3 of 12/)
  t.regex(stream.text, /sampling explanations 2 of 8/)
})

test('lines drawn in place are no wider than the terminal', t => {
  const stream = new Recorder(true, 30)
  const view = createTerminalView(12, stream as TerminalStream)
  view.event({ type: 'phase', phase: 'evaluate', step: 3, done: 2, total: 8 })
  view.event({ type: 'message', level: 'info', text: 'short' })
  view.close()
  const drawn = stripVTControlCharacters(stream.text).split('\n')
  t.true(
    drawn.every(line => line.length < 30),
    drawn.join('\n'),
  )
})

test('a metric that is missing is left out, one that is not a number is a dash', t => {
  const stream = new Recorder(false)
  createTerminalView(2, stream as TerminalStream).step({ step: 1, reward: null })
  t.is(stream.text, 'step 1/2  reward –\n')
})

test('explanations that were not ended are told, and what to do when none was', t => {
  const stream = new Recorder(false)
  const view = createTerminalView(2, stream as TerminalStream)
  view.step({ step: 1, reward: -1, missing_end_fraction: 0.256 })
  view.step({ step: 2, reward: -1, missing_end_fraction: 1 })
  t.is(
    stream.text,
    'step 1/2  reward -1  26% not ended\n' +
      'step 2/2  reward -1  no explanation was ended: raise sampling.maxNewTokens\n',
  )
})

test('where nothing is rewarded the loss comes first, and how many steps there are may be told later', t => {
  const stream = new Recorder(false)
  const view = createTerminalView(0, stream as TerminalStream)
  view.event({ type: 'begin', steps: 8 })
  view.step({ step: 2, loss: 1.2345, entropy: 2, lr: 1e-5, loss_tokens: 300, tokens: 900, seconds: 4 })
  view.close()
  t.is(stream.text, 'step 2/8  loss 1.234  lr 1.0e-5  900 tokens  4.0 s\n')
})
