/**
 * How far gradeAnswer and math-verify agree on pairs of answers that scripts/fixtures/grading.py has judged:
 *
 *     node dist/scripts/grading-agreement.js test/fixtures/grading/pairs.jsonl [--list]
 */
import { pathToFileURL } from 'node:url'
import { readLines } from '../lib/data/index.js'
import { gradeAnswer } from '../lib/grading/index.js'

export interface Pair {
  kind: string
  answer: string
  prediction: string
  /** Of math-verify. */
  verdict: boolean
}

export interface Agreement {
  pairs: number
  agreed: number
  disagreements: Pair[]
  slowestMilliseconds: number
}

export async function measureAgreement(file: string): Promise<Agreement> {
  const agreement: Agreement = { pairs: 0, agreed: 0, disagreements: [], slowestMilliseconds: 0 }
  for await (const { line } of readLines(file)) {
    const pair = JSON.parse(line) as Pair
    const started = performance.now()
    const { correct } = gradeAnswer(pair.prediction, pair.answer)
    agreement.slowestMilliseconds = Math.max(agreement.slowestMilliseconds, performance.now() - started)
    agreement.pairs++
    if (correct === pair.verdict) agreement.agreed++
    else agreement.disagreements.push(pair)
  }
  return agreement
}

async function main([file, option]: readonly string[]): Promise<void> {
  const { pairs, agreed, disagreements, slowestMilliseconds } = await measureAgreement(file!)
  for (const kind of new Set(disagreements.map(pair => pair.kind))) {
    const of = disagreements.filter(pair => pair.kind === kind)
    const tooStrict = of.filter(({ verdict }) => verdict).length
    console.log(`${kind}: ${of.length}, of which only math-verify accepts ${tooStrict}`)
    if (option === '--list')
      for (const { answer, prediction, verdict } of of)
        console.log(
          `  ${verdict ? 'right' : 'wrong'} to math-verify: ${answer}  <-  ${JSON.stringify(prediction.slice(-200))}`,
        )
  }
  const percentage = ((100 * agreed) / pairs).toFixed(2)
  console.log(`${agreed} of ${pairs} agree (${percentage} %); slowest ${slowestMilliseconds.toFixed(1)} ms`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))
