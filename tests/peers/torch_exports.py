"""Networks that PyTorch itself exports as ONNX, read by `secant import`:

    torch_exports.py target/release/secant [FOLDER]

Each network goes through both exporters of PyTorch (TorchScript's, and the newer one, which needs the Python package onnxscript),
with a fixed and with an open number of samples. `secant predict` must then say PyTorch's logits within 1e-5 of the largest (or
of 1), or `secant import` must refuse in one line that names the node: which is expected stands with the network. Ends with 1
where something else comes. With FOLDER, the files of the test `torch_exports_are_read` are written there. Needs the packages
torch, onnx and numpy."""
import importlib.util
import json
import logging
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import torch
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
program = pathlib.Path(sys.argv[1]).resolve()
SAMPLES = 10


class Both(nn.Module):
    """Two stages with a flattening of one's own between them."""

    def __init__(self, maps, flatten, rows):
        super().__init__()
        self.maps, self.flatten, self.rows = maps, flatten, rows

    def forward(self, x):
        return self.rows(self.flatten(self.maps(x)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(144, 3)

    def forward(self, x):
        return self.last(torch.flatten(x + self.first(x), 1))


def maps():
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4, bias=False),
                         nn.BatchNorm2d(4), nn.LeakyReLU(0.1), nn.AvgPool2d(2))


def rows(last):
    return nn.Sequential(nn.Linear(100, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.LayerNorm(6), nn.Dropout(0.3), nn.Linear(6, 3), *last)


IMAGE, SIGNAL = (1, 12, 12), (3, 40)
# Name, shape of a sample, network, and a part of the refusal where it cannot be read.
NETWORKS = [
    ("view", IMAGE, lambda: Both(maps(), lambda x: x.view(x.size(0), -1), rows([nn.LogSoftmax(1)])), None),
    ("reshape", IMAGE, lambda: Both(maps(), lambda x: x.reshape(x.shape[0], 4 * x.shape[2] * x.shape[3]), rows([])), None),
    ("flatten", IMAGE, lambda: Both(maps(), nn.Flatten(), rows([nn.Softmax(1)])), None),
    ("average", IMAGE, lambda: nn.Sequential(nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)), None),
    ("mean", IMAGE, lambda: Both(nn.Sequential(nn.Conv2d(1, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.Sigmoid()),
                                 lambda x: x.mean((2, 3)), nn.Linear(6, 5)), None),
    ("signal", SIGNAL, lambda: nn.Sequential(nn.Conv1d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3), nn.ReLU(),
                                             nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)), None),
    ("rows", (20,), lambda: nn.Sequential(nn.Linear(20, 16, bias=False), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)), None),
    ("relu6", IMAGE, lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(400, 3)), "(Clip): no layer here limits"),
    ("residual", IMAGE, Residual, "(Add): joins two branches"),
    ("gelu", (20,), lambda: nn.Sequential(nn.Linear(20, 8), nn.GELU(), nn.Linear(8, 3)), "): "),
    ("padded", IMAGE, lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(36, 3)), "without padding"),
]


def export(net, x, path, newer, is_open):
    if newer:
        shapes = ({0: torch.export.Dim("samples")},) if is_open else None
        torch.onnx.export(net, (x,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
    else:
        axes = {"x": {0: "samples"}} if is_open else None
        torch.onnx.export(net, (x,), path, dynamo=False, dynamic_axes=axes, input_names=["x"])


def run(*words):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True)


exporters = [(False, "TorchScript")]
if importlib.util.find_spec("onnxscript"):
    exporters.append((True, "torch.export"))
else:
    print("onnxscript is not installed: the newer exporter is left out")
wrong = 0
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for number, (name, shape, make, refusal) in enumerate(NETWORKS):
        torch.manual_seed(number)
        net = make().eval()
        for module in net.modules():
            if hasattr(module, "running_mean") and module.running_mean is not None:
                module.running_mean.normal_(0, 0.3), module.running_var.uniform_(0.5, 2)
        # Multiples of 1/64, which every program reads alike.
        count = int(np.prod(shape))
        values = (np.arange(SAMPLES * count) * 37 % 128 - 64).astype(np.float32).reshape(SAMPLES, *shape) / 64
        x = torch.from_numpy(values)
        with torch.no_grad():
            last = list(net.modules())[-1]
            wanted = net(x)
            if isinstance(last, (nn.Softmax, nn.LogSoftmax)):
                net_rows = net.rows[:-1]
                wanted = net_rows(net.flatten(net.maps(x)))
            wanted = wanted.numpy()
        data = folder / f"data{number}"
        data.mkdir()
        for part in "train", "test":
            np.save(data / f"x_{part}.npy", values if len(shape) == 3 else values.reshape(SAMPLES, -1, 1, shape[-1]))
            np.save(data / f"y_{part}.npy", np.arange(SAMPLES, dtype=np.int64) % wanted.shape[1])
        for newer, exporter in exporters:
            for is_open in False, True:
                kind = f"{name}, {exporter}, {'open' if is_open else 'fixed'} number of samples"
                path = folder / f"{name}-{'newer' if newer else 'older'}{'-open' if is_open else ''}.onnx"
                try:
                    with torch.no_grad():
                        export(net, x, path, newer, is_open)
                except Exception as error:
                    print(f"{kind}: PyTorch does not export it: {str(error).splitlines()[0][:80]}")
                    continue
                out = folder / f"{path.stem}-run"
                done = run("import", path, "--out", out, "--data", data)
                if refusal:
                    said = [line for line in done.stderr.splitlines() if line.startswith("secant: ")]
                    good = done.returncode == 2 and len(said) == 1 and done.stderr.endswith(said[0] + "\n") and refusal in said[0]
                    print(f"{kind}: {'refused' if good else 'WRONG'}: {done.stderr.strip().rpartition('.onnx: ')[2]}")
                    wrong += not good
                    continue
                if done.returncode:
                    print(f"{kind}: WRONG: {done.stderr.strip()}")
                    wrong += 1
                    continue
                found = np.array([json.loads(run("predict", out, "--index", i, "--json").stdout)["outputs"] for i in range(SAMPLES)])
                difference, size = float(np.abs(found - wanted).max()), max(1.0, float(np.abs(wanted).max()))
                good = difference <= 1e-5 * size
                wrong += not good
                print(f"{kind}: {difference:.1e}, logits to {size:.1f}{'' if good else ': WRONG'}", flush=True)
                if len(sys.argv) > 2 and (name, newer, is_open) in {("view", False, True), ("view", True, True), ("signal", True, False)}:
                    target = pathlib.Path(sys.argv[2])
                    # Without the notes of where in a program each node comes from.
                    model = onnx.load(path, load_external_data=False)
                    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output,
                                 *model.graph.value_info, *model.graph.initializer):
                        del part.metadata_props[:]
                    (target / path.name).write_bytes(model.SerializeToString())
                    beside = path.with_name(path.name + ".data")
                    if beside.exists():
                        (target / beside.name).write_bytes(beside.read_bytes())
                    (target / f"{path.stem}.txt").write_text("".join(f"{x!r}\n" for x in wanted.ravel().tolist()))
sys.exit(wrong > 0)
