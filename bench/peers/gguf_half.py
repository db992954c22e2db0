"""Writes a GGUF file's model once more with half-precision matrices, for a comparison of 16 bits with 16 bits.

    python bench/peers/gguf_half.py SOURCE.gguf RESULT.gguf

As llama.cpp's own converter does, vectors stay in fp32.
"""

import argparse

import gguf
import numpy as np


def copy_metadata(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    for name, field in reader.fields.items():
        # What the writer makes itself, and what is no longer so.
        if name == "general.architecture" or name == "general.file_type" or name.startswith("GGUF."):
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=element)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("result")
    options = parser.parse_args()

    reader = gguf.GGUFReader(options.source)
    writer = gguf.GGUFWriter(options.result, reader.get_field("general.architecture").contents())
    copy_metadata(reader, writer)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, values.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
