"""Unpacks wheels into one folder: `unpack.py FOLDER WHEEL...`.

Of torch only what a C++ program needs is kept: headers, libraries and the licence. Other wheels are kept whole.
"""

import os
import sys
import zipfile

TORCH_PARTS = ("torch/include/", "torch/lib/", "torch/share/", "torch/version.py")
# Python's half of torch; nothing but Python loads it.
LEFT_OUT = ("torch/lib/libtorch_python.", "torch/lib/libshm_windows/")


def wanted(wheel: str, member: str) -> bool:
    if not os.path.basename(wheel).startswith("torch-"):
        return True
    if ".dist-info/" in member:
        return True
    return member.startswith(TORCH_PARTS) and not member.startswith(LEFT_OUT)


def unpack(wheel: str, folder: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir() or not wanted(wheel, info.filename):
                continue
            path = archive.extract(info, folder)
            mode = info.external_attr >> 16
            if mode & 0o111:  # extract() drops the permission bits, and nvcc must stay executable
                os.chmod(path, 0o755)


if __name__ == "__main__":
    for wheel in sys.argv[2:]:
        unpack(wheel, sys.argv[1])
