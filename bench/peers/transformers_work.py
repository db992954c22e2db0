"""One piece of the engine's work through transformers, timed: the work of bench/work.ts.

    python bench/peers/transformers_work.py --work generate-16 --model FOLDER [--threads 2] [--shrink 16]

Tokens are random. The work is done once in small before it is timed. Logits are computed only where they are needed.
Tokens a second count the tokens that are generated, and all tokens of all sequences that are scored or trained on.
Prints one line of JSON.
"""

import argparse
import time

import torch
from measure import limit_threads, peak_memory_bytes, print_result, read_workloads, versions
from transformers import AutoModelForCausalLM


def generate(model, prompts: int, samples: int, promptTokens: int, newTokens: int) -> int:
    tokens = random_tokens(model, prompts, promptTokens)
    result = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        num_return_sequences=samples,
        min_new_tokens=newTokens,
        max_new_tokens=newTokens,
        pad_token_id=0,
    )
    return result[:, promptTokens:].numel()


@torch.no_grad()
def score(model, sequences: int, sharedTokens: int, ownTokens: int) -> int:
    """Log-probabilities of each sequence's own tokens."""
    shared = random_tokens(model, 1, sharedTokens).expand(sequences, -1)
    own = random_tokens(model, sequences, ownTokens)
    tokens = torch.cat([shared, own], dim=1)
    logits = model(tokens, logits_to_keep=ownTokens + 1, use_cache=False).logits[:, :-1]
    logits.float().log_softmax(-1).gather(-1, own.unsqueeze(-1))
    return tokens.numel()


def backward(model, sequences: int, sequenceTokens: int) -> int:
    """Of the mean of -log p over all tokens but each sequence's first, which nothing predicts."""
    tokens = random_tokens(model, sequences, sequenceTokens)
    model(tokens, labels=tokens, use_cache=False).loss.backward()
    return tokens.numel()


KINDS = {"generate": generate, "logprobs": score, "backward": backward}


def random_tokens(model, sequences: int, length: int) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, (sequences, length))


def shrunk(sizes: dict[str, int], times: int) -> dict[str, int]:
    """The same work on sequences that are `times` shorter, of at least 2 tokens."""
    return {name: max(2, size // times) if name.endswith("Tokens") else size for name, size in sizes.items()}


def main() -> None:
    pieces = read_workloads()["work"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, choices=pieces)
    parser.add_argument("--model", required=True, help="a Hugging Face folder, as `rlt convert` writes it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shrink", type=int, default=1, help="divides the lengths, to try things out")
    options = parser.parse_args()
    limit_threads(options.threads)

    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.bfloat16)
    sizes = dict(pieces[options.work])
    run = KINDS[sizes.pop("kind")]
    sizes = shrunk(sizes, options.shrink)
    run(model, **shrunk(sizes, 8))
    model.zero_grad(set_to_none=False)

    start = time.perf_counter()
    tokens = run(model, **sizes)
    seconds = time.perf_counter() - start
    print_result(
        program="transformers",
        versions=versions("transformers"),
        work=options.work,
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds,
        peak_memory_bytes=peak_memory_bytes(),
    )


if __name__ == "__main__":
    main()
