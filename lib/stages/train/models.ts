/** The models of a run. Weights that are the same and stay so are in memory once. */
import { join } from 'node:path'
import type { TrainConfig } from '../../config/index.js'
import { type LoadOptions, Model } from '../../engine/index.js'
import { ConfigurationError } from '../../errors.js'
import type { TrainingRun } from './run.js'

export interface Student {
  /** As the configuration calls it. */
  name: string
  model: Model
  weight: number
  /** Whether its tokens are the teacher's. If not, only its understanding can be measured. */
  sharesTokenizer: boolean
}

export interface Models {
  teacher: Model
  students: Student[]
  /** The policy that the teacher is tied to; undefined where nothing ties it. */
  reference: Model | undefined
  /** Each model once, for disposal. */
  all: Model[]
}

/** @param resumedDtype type of the teacher's weights in the checkpoint that the run goes on from */
export async function loadModels(
  config: TrainConfig,
  run: TrainingRun,
  resumedDtype: 'float32' | 'bfloat16' | undefined,
): Promise<Models> {
  const options: LoadOptions = {
    device: config.device,
    ...(config.threads > 0 ? { threads: config.threads } : {}),
    ...(run.signal ? { signal: run.signal } : {}),
  }
  const all: Model[] = []
  const keep = (model: Model) => {
    all.push(model)
    return model
  }
  try {
    const checkpoint = run.resumedFrom?.folder
    const teacher = keep(
      await Model.load(
        checkpoint === undefined ? config.teacher.model : { kind: 'folder', folder: checkpoint },
        {
          ...options,
          dtype: resumedDtype ?? config.teacher.dtype,
          trainable: true,
        },
      ),
    )

    let initial: Model | undefined
    /** The teacher before any training: one model for the reference and for the students that are to be it. */
    const initialTeacher = async () => {
      initial ??= keep(
        checkpoint === undefined
          ? await teacher.clone({ trainable: false })
          : await Model.load(config.teacher.model, { ...options, dtype: teacher.dtype }),
      )
      return initial
    }

    const students: Student[] = []
    for (const { model: name, dtype, weight } of config.students) {
      const isTeacher = name === 'teacher'
      const shared = isTeacher && (dtype === 'auto' || dtype === teacher.dtype)
      const model = shared
        ? await initialTeacher()
        : keep(await Model.load(isTeacher ? config.teacher.model : name, { ...options, dtype }))
      const sharesTokenizer = model.tokenizer.fingerprint === teacher.tokenizer.fingerprint
      if (!sharesTokenizer) refuseNaturalness(name, config)
      students.push({ name, model, weight, sharesTokenizer })
    }

    let reference: Model | undefined
    if (config.algorithm.beta > 0 && config.reference.kind === 'frozen') reference = await initialTeacher()
    if (config.algorithm.beta > 0 && config.reference.kind === 'blended')
      reference = keep(
        checkpoint === undefined
          ? await teacher.clone({ trainable: false })
          : await Model.load(
              { kind: 'folder', folder: join(checkpoint, 'training', 'reference') },
              { ...options, dtype: teacher.dtype },
            ),
      )
    return { teacher, students, reference, all }
  } catch (error) {
    for (const model of all) model.dispose()
    throw error
  }
}

function refuseNaturalness(student: string, config: TrainConfig): void {
  if (config.reward.naturalness.coefficient === 0) return
  throw new ConfigurationError(
    `The student ${student} has another tokenizer than the teacher ${config.teacher.model}.\n` +
      'What this allows: understanding, for the student reads the explanation as text and is scored on the tokens of ' +
      'the solution, which are its own.\n' +
      'What this forbids: naturalness, which compares the log-probabilities of teacher and student token by token; ' +
      'their tokens are not the same.\n' +
      'Either take a student with the same tokenizer (one of the same model family), or go without naturalness: ' +
      '--set reward.naturalness.coefficient=0',
  )
}
