import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import {
  differencesBySeed,
  errorOverSeeds,
  rangeOverSeeds,
  slopes,
  studentDifference,
  teacherDifference,
  verdict,
} from '../../bench/claims/analysis.js'
import {
  byQuestion,
  type ExplainedRow,
  inOneParagraph,
  oneOfEach,
  partitionsByRank,
  questionsOfAll,
  withoutExplanations,
} from '../../bench/claims/datasets.js'
import { document } from '../../bench/claims/document.js'
import { figures } from '../../bench/claims/figures.js'
import { type Judgement, judgeTeacher } from '../../bench/claims/judge.js'
import { type Measurement, measureStudent, turnOf } from '../../bench/claims/measure.js'
import type { Results, StudentResult } from '../../bench/claims/results.js'
import { Work } from '../../bench/claims/work.js'
import { explainKind, parseConfig } from '../../lib/config/index.js'
import { chatPrompt } from '../../lib/data/index.js'
import { Model } from '../../lib/engine/index.js'
import { tinyExplain } from '../stages/tiny-explain.js'
import { writeTinyModel } from '../stages/tiny-model.js'

function row(question: string, rank: number): ExplainedRow {
  return {
    ...{ question, solution: `${question} solved`, explanation: `${question} explained ${rank}` },
    ...{ reward: -rank, parts: {}, rank, tokens: 9 },
  }
}
const explained = byQuestion([row('a', 1), row('a', 2), row('b', 1), row('c', 2), row('c', 1), row('c', 3)])

test('partitions by rank have the same questions, each with the explanation of its rank', t => {
  const partitions = partitionsByRank(explained, 2)
  t.deepEqual(
    partitions.map(rows => rows.map(({ question, rank }) => `${question}${rank}`)),
    [
      ['a1', 'c1'],
      ['a2', 'c2'],
    ],
  )
})

test('questions of several data sets are those that are in all', t => {
  t.deepEqual(questionsOfAll([explained, byQuestion([row('c', 1), row('a', 1), row('d', 1)])]), ['a', 'c'])
})

test('one explanation of each question is taken by chance, whatever the other questions are', t => {
  const names = Array.from({ length: 400 }, (_, i) => `question ${i}`)
  const data = byQuestion(names.flatMap(name => [1, 2, 3, 4].map(rank => row(name, rank))))
  const all = oneOfEach(data, names)
  t.deepEqual(
    all.map(({ question }) => question),
    names,
  )
  t.deepEqual(oneOfEach(data, names.slice(7, 9)), all.slice(7, 9))
  t.notDeepEqual(oneOfEach(data, names, 1), all)
  // 100 expected of each rank, standard deviation 8.7: five of them.
  for (const rank of [1, 2, 3, 4])
    t.true(Math.abs(all.filter(one => one.rank === rank).length - 100) < 43, `${rank}`)
})

test('without explanations, questions and solutions are the same', t => {
  const rows = [row('a', 1), row('b', 1)]
  const without = withoutExplanations(rows)
  t.deepEqual(
    without.map(({ question, solution }) => ({ question, solution })),
    rows.map(({ question, solution }) => ({ question, solution })),
  )
  t.is(new Set(without.map(({ explanation }) => explanation)).size, 1)
})

test('an explanation has no empty line, and else stays as it is', t => {
  t.is(inOneParagraph('First.\n\n \n- Second.\n  Third.\n\n'), 'First.\n- Second.\n  Third.')
})

function measurement(...direct: number[]): Measurement {
  return { direct, afterThought: direct.map(value => 2 * value), thoughtTokens: direct.map(() => 10) }
}

test('students are compared question by question, by their means over seeds', t => {
  const first = [measurement(1, 2, 3), measurement(3, 4, 5)]
  const second = [measurement(0, 1, 2), measurement(2, 3, 4)]
  const { mean, low, high } = studentDifference(first, second, 'direct')
  t.deepEqual([mean, low, high], [1, 1, 1])
  t.deepEqual(differencesBySeed(first, second, 'afterThought'), [2, 2])
  t.is(rangeOverSeeds([first, [measurement(1), measurement(1)]], 'direct'), 1)
  t.is(errorOverSeeds([1, 3]), 1)
  t.is(errorOverSeeds([1]), undefined)
})

test('teachers are compared over the questions where both have a value', t => {
  const judgement = (understanding: (number | null)[]): Judgement => ({
    ...{ reward: [0, 0, 0], ended: [0, 0, 0], naturalness: [null, null, null], understanding },
  })
  const { mean, questions } = teacherDifference(
    judgement([3, null, 5]),
    judgement([1, 7, 2]),
    'understanding',
  )
  t.deepEqual([mean, questions], [2.5, 2])
})

test('an interval that holds 0 says nothing', t => {
  t.is(verdict({ low: 0.1, high: 0.2 }), 'higher')
  t.is(verdict({ low: -0.2, high: -0.1 }), 'lower')
  t.is(verdict({ low: -0.1, high: 0.1 }), 'no difference shown')
})

test("the slope over partitions is numpy's", t => {
  // np.polyfit([0, 1, 2, 3], [[1, 0], [3, 0], [2, 1], [5, 0]], 1)[0]
  const [first, second] = slopes([
    [1, 0],
    [3, 0],
    [2, 1],
    [5, 0],
  ])
  t.true(Math.abs(first! - 1.1) < 1e-12)
  t.true(Math.abs(second! - 0.1) < 1e-12)
})

test('a student is measured on the tokens of the solution alone', async t => {
  const folder = await writeTinyModel(await mkdtemp(join(tmpdir(), 'rlt-claims-')))
  const { format } = parseConfig(explainKind, {
    ...{ teacher: { model: folder }, students: [{ model: 'teacher' }], data: { path: 'none' } },
    format: { style: 'plain', studentAssistant: '{explanation}\n\n{solution}' },
  })
  const row = { question: '1+1', solution: 'it is 2.', answer: null, origin: '' }
  const measured = await measureStudent(folder, [row], format, 1)
  t.deepEqual(await measureStudent(folder, [row], format, 1), measured)
  t.true(measured.afterThought[0]! < 0)

  const model = await Model.load(folder)
  t.teardown(() => model.dispose())
  const prefix = model.tokenizer.encode(
    chatPrompt(model.tokenizer, '', format.studentUser.replace('{question}', row.question)),
  )
  const solution = model.tokenizer.encode(row.solution)
  const [[alone]] = (await model.logProbs([{ prefix, suffixes: [solution] }])) as [[Float32Array]]
  // The same tokens in another pack: the sums of a matrix product may be in another order.
  t.true(Math.abs(measured.direct[0]! - alone.reduce((a, b) => a + b, 0) / alone.length) < 1e-5)
})

test('behind a thought, the tokens of the solution are those at its end', async t => {
  const { tokenizer } = await Model.load(await writeTinyModel(await mkdtemp(join(tmpdir(), 'rlt-claims-'))))
  const format = { studentAssistant: '{explanation}\n\n{solution}' }
  for (const thought of ['so it is.', '']) {
    const { tokens, solutionStart } = turnOf(thought, 'it is 2.', format, tokenizer)
    t.is(tokenizer.decode(tokens.subarray(0, solutionStart)), `${thought}\n\n`)
    t.is(tokenizer.decode(tokens.subarray(solutionStart)), 'it is 2.')
  }
})

test("a teacher's reward is that of its explanations, ended or not", async t => {
  const config = await tinyExplain({ reward: { missingEnd: -8 } })
  const { reward, ended, understanding, naturalness } = await judgeTeacher(config)
  t.is(reward.length, 7)
  t.true(new Set(ended).size > 1, 'all of one kind: nothing would be tested')
  for (const [i, share] of ended.entries()) {
    t.is(understanding[i] === null, share === 0)
    // The reward's weights, and what stands in for it where the end is missing; both means are over the same four.
    const ofEnded = share === 0 ? 0 : understanding[i]! - 3 * naturalness[i]!
    t.true(Math.abs(reward[i]! - (share * ofEnded + (1 - share) * -8)) < 1e-9)
  }
})

test('results of other settings are not gone on with', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'rlt-claims-'))
  await Work.open(folder)
  await Work.open(folder)
  await writeFile(join(folder, 'settings.json'), '{}')
  await t.throwsAsync(Work.open(folder), { message: /holds results of other settings/ })
})

test('the report has every table, with the figures that it says', t => {
  const student = (...direct: number[]): StudentResult => ({
    ...{ rows: 5, reward: -2, tokens: 9, measurements: [measurement(...direct)] },
  })
  const judgement = (value: number): Judgement => {
    const values = [value, value, value]
    return { reward: values, ended: values, understanding: values, naturalness: values }
  }
  const teachers = { untrained: judgement(0.25), trained: judgement(0.75) }
  const evaluation = (step: number) => ({
    ...{ step, 'held_out/reward': -step, 'held_out/reward/understanding': -1 },
    'held_out/reward/naturalness': 0.5,
  })
  const results: Results = {
    ...{ settings: {}, seconds: { teacher: 60, rest: 60 }, training: [evaluation(0), evaluation(8)] },
    teachers: { gsm8k: teachers, countdown: teachers },
    undistilled: { gsm8k: measurement(-3, -3, -3), countdown: measurement(-3, -3, -3) },
    teacherStudents: {
      untrained: student(-2, -3, -4),
      trained: student(-1, -2, -3),
      none: student(-1, -2, -3),
    },
    rankStudents: [student(-4, -3, -2), student(-3, -2, -1)],
    countdownStudents: { untrained: student(-1, -2, -3), trained: student(-1, -2, -3) },
  }
  const text = document(results)
  t.regex(text, /trained - untrained, right behind the question \| \+1\.000 \[\+1\.000, \+1\.000\]/)
  t.regex(
    text,
    /right behind the question \*\*higher\*\* by 1\.000; behind its own thought \*\*higher\*\* by 2\.000/,
  )
  t.regex(text, /Students of the best explanations.*\*\*lower\*\* by 1\.000/)
  t.regex(text, /the teacher's reward on countdown is \*\*higher\*\* by 0\.500/)
  t.regex(text, /not shown to differ/)
  t.regex(text, /2 minutes in all/)
  t.false(/NaN|undefined/.test(text))
  for (const block of text.split('\n\n').filter(block => block.startsWith('|')))
    t.is(new Set(block.split('\n').map(line => line.split(' | ').length)).size, 1, block)
  for (const svg of Object.values(figures(results))) {
    t.regex(svg, /^<svg xmlns=/)
    t.false(/NaN|undefined/.test(svg))
  }
})
