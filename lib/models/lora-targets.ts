/** The linear projections of a block, which LoRA can adapt, as Hugging Face names them. */
export const loraTargets = [
  ...(['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const),
  ...(['gate_proj', 'up_proj', 'down_proj'] as const),
]
export type LoraTarget = (typeof loraTargets)[number]
