/** Tokens that the engine has worked on in this process, for saying what a stage cost. */
export interface TokensWorked {
  /** Drawn by `sample`, prompts not counted. */
  sampled: number
  /** That went through `logProbs`, prompts among them, each as often as it was computed. */
  scored: number
  /** That went through `backward`, likewise. */
  trained: number
}

const worked: TokensWorked = { sampled: 0, scored: 0, trained: 0 }

export function tokensWorked(): TokensWorked {
  return { ...worked }
}

export function countTokens(kind: keyof TokensWorked, tokens: number): void {
  worked[kind] += tokens
}
