"""One GRPO step with the teacher reward through TRL's GRPOTrainer, timed: the work of bench/step.ts.

    python bench/peers/trl_step.py --model FOLDER [--threads 2] [--prompts 4 --completions 8 --tokens 128]
        [--gradient-checkpointing]

The trainer is as its users find it: its defaults (8 sequences a device, gradients accumulated to the whole step, all
completions generated at once) but for bfloat16 weights, a reference model that it loads itself, and gradient
checkpointing: its default, on, is slower here and needs less memory, so that both ways are measured.

The reward is the reference system's (github.com/SakanaAI/RLT, trainers/teacher_rewards.py), with as many passes: the
frozen student reads the explanation with the solution (understanding) and again without it (naturalness), and the
teacher scores its own completion, since what the sampler gave it is not handed to reward functions. Batches are as
large as in training, and logits are computed only where they are needed.

Nothing is warmed up; models are loaded before the clock starts, and the optimizer's state is made after. Prints one
line of JSON.
"""

import argparse
import json
import math
import tempfile
import time

import torch
from datasets import Dataset
from measure import REPOSITORY, limit_threads, peak_memory_bytes, print_result, read_workloads, versions
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import selective_log_softmax

# TRL's default for per_device_train_batch_size.
SEQUENCES_A_BATCH = 8


class TimedTrainer(GRPOTrainer):
    """GRPOTrainer with a clock around its generation and its rewards."""

    generation_seconds = 0.0
    reward_seconds = 0.0

    def _generate(self, *arguments, **options):
        start = time.perf_counter()
        result = super()._generate(*arguments, **options)
        self.generation_seconds += time.perf_counter() - start
        return result

    def _calculate_rewards(self, *arguments, **options):
        start = time.perf_counter()
        result = super()._calculate_rewards(*arguments, **options)
        self.reward_seconds += time.perf_counter() - start
        return result


class StepClock(TrainerCallback):
    """Times the step itself: what the trainer sets up before it and tidies up after it is left out."""

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds = time.perf_counter() - self.start


class TeacherReward:
    """mean(s) + 0.01 min(s) - 3 (mean(KL) + 0.03 max(KL)): see lib/rewards/teacherReward.ts."""

    __name__ = "teacher_reward"

    def __init__(self, student, tokenizer, workload: dict, batch: int):
        self.student, self.tokenizer, self.workload, self.batch = student, tokenizer, workload, batch
        self.teacher = None  # the trainer's model, which is there once the trainer is
        self.student_tokens = 0
        self.completion_tokens = 0
        self.mean = math.nan

    def __call__(self, prompts, completion_ids, question, solution, **_):
        between = self.encode(self.workload["beforeSolution"])
        solutions = [self.encode(text) for text in solution]
        student_prompts = [
            self.encode(chat(self.tokenizer, self.workload["studentUser"], question=text)) for text in question
        ]
        explained = [prompt + ids for prompt, ids in zip(student_prompts, completion_ids, strict=True)]
        solved = [text + between + ids for text, ids in zip(explained, solutions, strict=True)]
        taught = [self.encode(prompt) + ids for prompt, ids in zip(prompts, completion_ids, strict=True)]
        self.student_tokens += sum(map(len, solved))
        self.completion_tokens += sum(map(len, completion_ids))

        lengths = [len(ids) for ids in completion_ids]
        understood = self.log_probs(self.student, solved, [len(ids) for ids in solutions])
        expected = self.log_probs(self.student, explained, lengths)
        said = self.log_probs(self.teacher, taught, lengths)
        rewards = []
        for solution_log_probs, student_log_probs, teacher_log_probs in zip(understood, expected, said, strict=True):
            kl = teacher_log_probs - student_log_probs
            understanding = solution_log_probs.mean() + 0.01 * solution_log_probs.min()
            rewards.append((understanding - 3 * (kl.mean() + 0.03 * kl.max())).item())
        self.mean = sum(rewards) / len(rewards)
        return rewards

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    @torch.no_grad()
    def log_probs(self, model, sequences: list[list[int]], counts: list[int]) -> list[torch.Tensor]:
        """Log-probabilities of the last `counts[i]` tokens of each sequence, at the step's temperature."""
        result = []
        for start in range(0, len(sequences), self.batch):
            rows, ends = sequences[start : start + self.batch], counts[start : start + self.batch]
            inputs = self.tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
            kept = max(ends)
            logits = model(**inputs, logits_to_keep=kept + 1).logits[:, :-1]
            values = selective_log_softmax(
                logits.float(), inputs["input_ids"][:, -kept:], temperature=self.workload["temperature"]
            )
            result += [row[kept - count :] for row, count in zip(values, ends, strict=True)]
        return result


def chat(tokenizer, template: str, **texts: str) -> str:
    for name, text in texts.items():
        template = template.replace("{" + name + "}", text, 1)
    message = {"role": "user", "content": template}
    return tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)


def read_rows(workload: dict, tokenizer) -> list[dict[str, str]]:
    rows = []
    with open(REPOSITORY / workload["data"], encoding="utf-8") as lines:
        for line, _ in zip(lines, range(workload["prompts"])):
            row = json.loads(line)
            question, solution = row["question"], row["solution"]
            prompt = chat(tokenizer, workload["teacherUser"], question=question, solution=solution)
            rows.append({"prompt": prompt, "question": question, "solution": solution})
    return rows


def configuration(model: str, workload: dict, folder: str, gradient_checkpointing: bool) -> GRPOConfig:
    completions = workload["prompts"] * workload["completions"]
    batch = math.gcd(SEQUENCES_A_BATCH, completions)
    return GRPOConfig(
        output_dir=folder,
        max_steps=1,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=completions // batch,
        num_generations=workload["completions"],
        max_completion_length=workload["tokens"],
        generation_kwargs={"min_new_tokens": workload["tokens"]},
        temperature=workload["temperature"],
        loss_type="grpo",
        beta=workload["beta"],
        epsilon=workload["clip"],
        learning_rate=workload["learningRate"],
        max_grad_norm=workload["maxGradNorm"],
        lr_scheduler_type="constant",
        model_init_kwargs={"dtype": "bfloat16"},
        use_cpu=True,
        gradient_checkpointing=gradient_checkpointing,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def main() -> None:
    workload = read_workloads()["step"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a Hugging Face folder, as `rlt convert` writes it")
    parser.add_argument("--threads", type=int, default=2)
    for size in ("prompts", "completions", "tokens"):
        parser.add_argument(f"--{size}", type=int, default=workload[size])
    parser.add_argument("--gradient-checkpointing", action="store_true", help="as TRL has it by default")
    options = parser.parse_args()
    workload |= {size: getattr(options, size) for size in ("prompts", "completions", "tokens")}
    limit_threads(options.threads)

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    student = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16).eval()
    rows = read_rows(workload, tokenizer)
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(options.model, workload, folder, options.gradient_checkpointing)
        reward = TeacherReward(student, tokenizer, workload, config.per_device_train_batch_size)
        trainer = TimedTrainer(
            model=options.model,
            args=config,
            reward_funcs=reward,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        reward.teacher = trainer.model
        trainer.train()

    generation, scoring = trainer.generation_seconds, trainer.reward_seconds
    print_result(
        program="trl with gradient checkpointing" if options.gradient_checkpointing else "trl",
        versions=versions("transformers", "trl"),
        prompt_tokens=workload["completions"] * sum(len(reward.encode(row["prompt"])) for row in rows),
        student_tokens=reward.student_tokens,
        completion_tokens=reward.completion_tokens,
        reward_mean=reward.mean,
        seconds=clock.seconds,
        phases={"generation": generation, "reward": scoring, "rest": clock.seconds - generation - scoring},
        tokens_per_second=reward.completion_tokens / clock.seconds,
        peak_memory_bytes=peak_memory_bytes(),
    )


if __name__ == "__main__":
    main()
