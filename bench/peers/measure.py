"""What the peers' benchmarks have in common with rlt's: their work, their threads, their memory."""

import json
from importlib.metadata import version
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[2]


def read_workloads() -> dict:
    """The sizes and texts that rlt bench, bench/step.ts and bench/work.ts read too."""
    return json.loads((REPOSITORY / "lib" / "bench" / "workloads.json").read_text("utf-8"))


def limit_threads(threads: int) -> None:
    """OMP_NUM_THREADS, which the runner sets, covers what starts before this call."""
    torch.set_num_threads(threads)


def versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in ("torch", *packages)}


def peak_memory_bytes() -> int:
    """The most memory that this process has held: VmHWM."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no line VmHWM: the peers' memory is measured on Linux only.")


def print_result(**result: object) -> None:
    """The last line of a benchmark's output: one JSON object."""
    print(json.dumps(result), flush=True)
