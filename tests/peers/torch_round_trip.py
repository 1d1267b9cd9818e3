"""PyTorch -> secant -> PyTorch and secant -> ONNX -> onnxruntime, on networks with every kind of layer:

    torch_round_trip.py target/release/secant

Weights drawn by PyTorch go through `secant import` and come back as model.safetensors; `secant predict` says logits for the same
samples, and onnxruntime what `secant export` writes. Prints the largest difference of logits for each network and ends with 1
where one is above 1e-5 of the largest logit (or of 1). Needs the Python packages torch, safetensors, onnxruntime and numpy."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import nn

program = pathlib.Path(sys.argv[1]).resolve()
SAMPLES = 12


class Net(nn.Module):
    """Modules with names of their own, as people write them."""

    def __init__(self, **modules):
        super().__init__()
        self.order = list(modules)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        for name in self.order:
            x = getattr(self, name)(x)
        return x


NETWORKS = [
    ("conv8k3 relu pool2 conv16k3 relu pool2 linear10", (1, 20, 20), torch.float32, "",
     nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
                   nn.Flatten(), nn.Linear(144, 10))),
    ("conv6k5s2p2 leakyrelu0.1 depthwise3p1 relu avgpool2 conv4k1 globalavgpool", (3, 17, 14), torch.float64, "",
     nn.Sequential(nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.LeakyReLU(0.1), nn.Conv2d(6, 6, 3, padding=1, groups=6),
                   nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    ("conv6k3 groupnorm3 tanh pool3s2 linear9 layernorm sigmoid linear5", (2, 13, 13), torch.float32, "",
     nn.Sequential(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.Tanh(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(150, 9),
                   nn.LayerNorm(9), nn.Sigmoid(), nn.Linear(9, 5))),
    ("conv1d6k5s2p2 relu pool1d3 linear20 dropout0.3 relu linear4", (2, 1, 40), torch.float16, "",
     Net(first=nn.Conv1d(2, 6, 5, stride=2, padding=2), a=nn.ReLU(), b=nn.MaxPool1d(3), c=nn.Flatten(),
         fc1=nn.Linear(36, 20), d=nn.Dropout(0.3), e=nn.ReLU(), fc2=nn.Linear(20, 4))),
    ("linear16 tanh linear16 tanh linear16 sigmoid linear3", (1, 1, 16), torch.bfloat16, "0=inner,2=middle,4=outer",
     Net(flat=nn.Flatten(), inner=nn.Linear(16, 16), a=nn.Tanh(), middle=nn.Linear(16, 16, bias=False), b=nn.Tanh(),
         outer=nn.Linear(16, 16), c=nn.Sigmoid(), head=nn.Linear(16, 3))),
    ("conv4k3x5s1x2p1x0 tanh pool2x1 depthwise3s2 sigmoid avgpool1x2 groupnorm2 linear6", (1, 16, 21), torch.float32, "",
     nn.Sequential(nn.Conv2d(1, 4, (3, 5), stride=(1, 2), padding=(1, 0)), nn.Tanh(), nn.MaxPool2d((2, 1)),
                   nn.Conv2d(4, 4, 3, stride=2, groups=4), nn.Sigmoid(), nn.AvgPool2d((1, 2)), nn.GroupNorm(2, 4),
                   nn.Flatten(), nn.Linear(4 * 3 * 2, 6))),
]


def run(*words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"secant {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def widest(found, wanted):
    """The largest difference, and the largest logit or 1."""
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    return float(np.abs(found - wanted).max()), max(1.0, float(np.abs(wanted).max()))


worst = 0.0
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for number, (spec, shape, dtype, names, net) in enumerate(NETWORKS):
        torch.manual_seed(number)
        for module in net.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        net.eval()
        for parameter in net.parameters():
            parameter.data += 0.1 * (torch.rand_like(parameter) - 0.5)
        # The file has the weights rounded to its own width; so has the network.
        state = {name: tensor.to(dtype) for name, tensor in net.state_dict().items()}
        net.load_state_dict({name: tensor.to(torch.float32) for name, tensor in state.items()})
        save_file(state, folder / "net.safetensors")

        rng = np.random.default_rng(number)
        samples = rng.integers(0, 256, (SAMPLES, *shape), dtype=np.uint8)
        data = folder / f"data{number}"
        data.mkdir()
        with torch.no_grad():
            mean, deviation = 72.5, 90.25
            values = (torch.from_numpy(samples).float() - mean) / deviation
            given = values.squeeze(2) if isinstance(next(m for m in net.modules() if not list(m.children())), nn.Conv1d) else values
            wanted = net(given).numpy()
        classes = wanted.shape[1]
        for part in "train", "test":
            np.save(data / f"x_{part}.npy", samples)
            np.save(data / f"y_{part}.npy", np.arange(SAMPLES, dtype=np.int64) % classes)

        run_folder = folder / f"run{number}"
        words = ["--map", names] if names else []
        run("import", folder / "net.safetensors", "--out", run_folder, "--model", spec, "--data", data, "--mean", mean,
            "--deviation", deviation, *words)
        outputs = np.array([json.loads(run("predict", run_folder, "--index", i, "--json"))["outputs"] for i in range(SAMPLES)])
        there, size = widest(outputs, wanted)

        # The way back: the tensors under the names that they had.
        back = load_file(run_folder / "model.safetensors")
        own = sorted({int(name.split(".")[0]) for name in back})
        prefixes = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in net.state_dict()))
        again = {f"{prefix}.{what}": back[f"{layer}.{what}"].reshape(net.state_dict()[f"{prefix}.{what}"].shape)
                 for prefix, layer in zip(prefixes, own) for what in ("weight", "bias") if f"{prefix}.{what}" in net.state_dict()}
        net.load_state_dict(again)
        with torch.no_grad():
            back_again, _ = widest(net(given).numpy(), wanted)

        run("export", run_folder, "--format", "onnx", "--out", folder / "net.onnx")
        session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
        found = session.run(None, {"input": samples.astype(np.float32)})[0]
        onnx, _ = widest(found, outputs)

        # And ONNX back into a run, which says the same to the bit.
        run("import", folder / "net.onnx", "--out", folder / f"onnx{number}", "--data", data)
        same = json.loads(run("predict", folder / f"onnx{number}", "--index", 3, "--json"))["outputs"]
        if not np.array_equal(np.array(same), outputs[3]):
            sys.exit(f"{spec}: ONNX back into a run says {same}, not {outputs[3]}")

        # Who is how far from double precision.
        with torch.no_grad():
            exact = copy.deepcopy(net).double()((given.double())).numpy()
        apart = ", ".join(f"{name} {np.abs(logits - exact).max():.1e}"
                          for name, logits in (("PyTorch", wanted), ("secant", outputs), ("onnxruntime", found)))

        worst = max(worst, max(there, back_again, onnx) / size)
        print(f"{there:.1e} PyTorch -> secant, {back_again:.1e} and back, {onnx:.1e} secant -> onnxruntime; logits to {size:.1f}: {spec}\n"
              f"        from double precision: {apart}", flush=True)
print(f"largest difference, beside the largest logit or 1: {worst:.1e}")
sys.exit(worst > 1e-5)
