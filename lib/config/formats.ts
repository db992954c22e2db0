/**
 * The texts of `format.style`. `{question}`, `{solution}` and `{explanation}` are replaced, nothing else is: other
 * braces (LaTeX) stand as they are.
 */
export interface FormatTexts {
  teacherSystem: string
  teacherUser: string
  teacherAssistant: string
  endOfExplanation: 'endOfTurn' | { tag: string }
  studentSystem: string
  studentUser: string
  studentAssistant: string
}

export const formatPlaceholders = ['question', 'solution', 'explanation'] as const

const teacherSystemTags =
  'You are a teacher. You are given a question and its solution, and you write the explanation that leads from the ' +
  'one to the other. First the solution stands between <|begin_of_solution|> and <|end_of_solution|>. Then, between ' +
  '<|begin_of_explanation|> and <|end_of_explanation|>, write the reasoning step by step, as one who works the ' +
  'answer out: analyse the question, recall what is needed, try, check, correct, and arrive at the solution. ' +
  'Separate steps with an empty line.'

const studentSystemTags =
  'Think the question through before you answer. First write your reasoning step by step between ' +
  '<|begin_of_thought|> and <|end_of_thought|>: analyse the question, recall what is needed, try, check, correct. ' +
  'Separate steps with an empty line. Then write the final solution, precise and concise, between ' +
  '<|begin_of_solution|> and <|end_of_solution|>.'

/** The paper's tags (arXiv 2506.08388, after Bespoke-Stratos). */
const tags: FormatTexts = {
  teacherSystem: teacherSystemTags,
  teacherUser: '{question}',
  teacherAssistant: '<|begin_of_solution|>{solution}<|end_of_solution|>\n\n<|begin_of_explanation|>\n\n',
  endOfExplanation: { tag: '<|end_of_explanation|>' },
  studentSystem: studentSystemTags,
  studentUser: '{question}',
  studentAssistant:
    '<|begin_of_thought|>\n\n{explanation}\n\n<|end_of_thought|>\n\n' +
    '<|begin_of_solution|>\n\n{solution}\n\n<|end_of_solution|>',
}

/** For students that think between <think> and </think>, as DeepSeek-R1 and Qwen3 do. */
const think: FormatTexts = {
  teacherSystem: teacherSystemTags
    .replaceAll(/<\|begin_of_(\w+)\|>/g, '<$1>')
    .replaceAll(/<\|end_of_(\w+)\|>/g, '</$1>'),
  teacherUser: '{question}',
  teacherAssistant: '<solution>{solution}</solution>\n\n<explanation>\n',
  endOfExplanation: { tag: '</explanation>' },
  studentSystem: '',
  studentUser: '{question}',
  studentAssistant: '<think>\n{explanation}\n</think>\n\n{solution}',
}

/** No tags at all, for small models that do not keep to them: the solution is in the user's message. */
const plain: FormatTexts = {
  teacherSystem: '',
  teacherUser:
    'Question: {question}\n\nSolution: {solution}\n\n' +
    'In one or two short sentences, explain how to get from the question to this solution.',
  teacherAssistant: '',
  endOfExplanation: 'endOfTurn',
  studentSystem: '',
  // Asked for the same kind of explanation, so that what is natural to the teacher can be natural to the student.
  studentUser:
    'Question: {question}\n\n' +
    'In one or two short sentences, explain how to get to the solution. Then give the solution.',
  studentAssistant: '{explanation}\n\n{solution}',
}

/**
 * No solution is shown: the model is to find it, as students do. For reinforcement learning of a student itself, with a
 * reward of its own such as correctness.
 */
const solve: FormatTexts = {
  ...tags,
  teacherSystem: studentSystemTags,
  teacherUser: '{question}',
  teacherAssistant: '<|begin_of_thought|>\n\n',
  endOfExplanation: { tag: '<|end_of_solution|>' },
}

export const formatStyles = { tags, think, plain, solve }
