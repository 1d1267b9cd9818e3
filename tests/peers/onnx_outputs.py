"""Prints the outputs of an ONNX network, a number a line: onnx_outputs.py NETWORK INPUT

INPUT holds 32-bit floats, sample after sample. Needs the Python package onnxruntime."""
import sys

import numpy
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
values = numpy.fromfile(sys.argv[2], dtype="<f4").reshape([-1, *entry.shape[1:]])
outputs = session.run(None, {entry.name: values})[0]
assert outputs.ndim == 2, "a row for each sample"
for output in outputs.ravel():
    print(repr(float(output)))
