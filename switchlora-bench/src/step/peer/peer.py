"""The same updates in plain PyTorch: LLaMA by transformers, LoRA by peft, SwitchLoRA written plainly.

Takes its configuration as one JSON argument, says in one line what it is, and then does one update of each method for each
line it reads, answering with one line of times in milliseconds. It ends when its input does, whatever it is doing.
"""

import json
import os
import queue
import sys
import threading
import time

import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

MAX_NORM, BETAS, EPS = 1.0, (0.9, 0.999), 1e-8
ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class SwitchLinear(nn.Module):
    """`x (W + s B A)` with a frozen W, and the spare vectors of both sides."""

    def __init__(self, linear, rank):
        super().__init__()
        out_features, in_features = linear.weight.shape
        self.weight = nn.Parameter(linear.weight.detach(), requires_grad=False)
        self.a = nn.Parameter(torch.rand(rank, in_features, device=self.weight.device) - 0.5)
        self.b = nn.Parameter(torch.rand(out_features, rank, device=self.weight.device) - 0.5)
        self.scale, self.rank = 1.0 / rank, rank
        spare = min(in_features, out_features) - rank
        self.spare_a = torch.rand(max(spare, 0), in_features, device=self.weight.device) - 0.5
        self.spare_b = torch.rand(max(spare, 0), out_features, device=self.weight.device) - 0.5
        self.at = 0

    def forward(self, x):
        return F.linear(x, self.weight) + F.linear(F.linear(x, self.a), self.b) * self.scale

    @torch.no_grad()
    def switch(self, count, moments):
        """Exchanges `count` vectors of each side; the weight absorbs the difference, the counterparts start anew."""
        count = min(count, self.spare_a.shape[0], self.rank // 2)
        rows = (torch.arange(count) + self.at) % self.rank
        other = (rows + self.rank // 2) % self.rank
        slots = (torch.arange(count) + self.at) % max(self.spare_a.shape[0], 1)
        self.at += count
        outgoing, incoming = self.a[rows].clone(), self.spare_a[slots]
        self.weight.addmm_(self.b[:, rows], outgoing - incoming, alpha=self.scale)
        self.a[rows], self.spare_a[slots] = incoming, outgoing
        outgoing, incoming = self.b[:, other].t().clone(), self.spare_b[slots]
        self.weight.addmm_((outgoing - incoming).t(), self.a[other], alpha=self.scale)
        self.b[:, other], self.spare_b[slots] = incoming.t(), outgoing
        moments[self.b].reset(rows, 1)
        moments[self.a].reset(other, 0)


class VectorMoments:
    """AdamW's state of one factor, with a step count and a freeze for each of its vectors."""

    def __init__(self, factor, dim):
        shape = [1, 1]
        shape[dim] = factor.shape[dim]
        self.factor, self.dim = factor, dim
        self.first, self.second = torch.zeros_like(factor), torch.zeros_like(factor)
        self.steps = torch.zeros(shape, device=factor.device)
        self.frozen = torch.zeros(shape, device=factor.device)

    def reset(self, vectors, dim):
        vectors = vectors.to(self.factor.device)
        for state in (self.first, self.second, self.steps):
            state.index_fill_(dim, vectors, 0)
        self.frozen.index_fill_(dim, vectors, 5)

    @torch.no_grad()
    def step(self, lr):
        gradient = self.factor.grad
        gradient.mul_(self.frozen == 0)
        self.frozen.sub_(1).clamp_(min=0)
        self.steps += 1
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        root = (1 - BETAS[1] ** self.steps).sqrt()
        rate = lr / (1 - BETAS[0] ** self.steps)
        self.factor.sub_(rate * self.first / (self.second.sqrt() / root + EPS))


class Lane:
    """One method: a model, its optimizer, and the time of each phase of an update."""

    def __init__(self, method, job, device):
        self.device, self.job, self.vectors, self.layers = device, job, {}, []
        torch.manual_seed(job["seed"])
        model = LlamaForCausalLM(LlamaConfig(**job["model"], use_cache=False)).to(device)
        if method == "lora":
            from peft import LoraConfig, get_peft_model

            settings = LoraConfig(r=job["rank"], lora_alpha=1, target_modules=ADAPTED)
            model = get_peft_model(model, settings)
            for name, parameter in model.named_parameters():
                if "lora_" in name or not any(adapted in name for adapted in ADAPTED):
                    parameter.requires_grad_(True)
        elif method == "switchlora":
            for module in list(model.modules()):
                for name, child in list(module.named_children()):
                    if name in ADAPTED:
                        layer = SwitchLinear(child, job["rank"])
                        setattr(module, name, layer)
                        self.layers.append(layer)
                        self.vectors[layer.a] = VectorMoments(layer.a, 0)
                        self.vectors[layer.b] = VectorMoments(layer.b, 1)
        self.model = model.train()
        if job["compile"]:
            self.model = torch.compile(self.model)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        rest = [p for p in self.trained if p not in self.vectors]
        self.optimizer = torch.optim.AdamW(rest, lr=job["lr"], betas=BETAS, eps=EPS, weight_decay=0.0, fused=True)
        self.owed = 0.0

    def now(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() * 1e3

    def update(self, inputs, targets):
        """Times of the phases; of the whole update in a second one on a GPU, which waits at its end alone."""
        times = self.phases(inputs, targets, self.now)
        times["update"] = sum(times.values())
        if self.device == "cuda":
            began = self.now()
            self.phases(inputs, targets, lambda: 0.0)
            times["update"] = self.now() - began
        return times

    def phases(self, inputs, targets, now):
        marks = [now()]
        with torch.autocast(self.device, torch.bfloat16, enabled=self.job["bf16"]):
            logits = self.model(inputs).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        marks.append(now())
        loss.backward()
        marks.append(now())
        torch.nn.utils.clip_grad_norm_(self.trained, MAX_NORM)
        marks.append(now())
        if self.layers:
            self.owed += self.job["rank"] / self.job["interval"]
            count, self.owed = int(self.owed), self.owed % 1.0
            for layer in self.layers if count else []:
                layer.switch(count, self.vectors)
        marks.append(now())
        self.optimizer.step()
        for moments in self.vectors.values():
            moments.step(self.job["lr"])
        self.optimizer.zero_grad()
        for factor in self.vectors:
            factor.grad = None
        marks.append(now())
        forward, backward, clip, switch, step = (b - a for a, b in zip(marks, marks[1:]))
        return {"forward": forward, "backward": backward, "optimizer": clip + step, "switch": switch}


def rate(device, job):
    """What a large matrix product reaches on a GPU, in words."""
    if device != "cuda":
        return ""
    size, dtype = 8192, torch.bfloat16 if job["bf16"] else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(8):
        torch.cuda.synchronize()
        began = time.perf_counter()
        a @ b
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return f", {2 * size**3 / min(seconds) / 1e12:.0f} TFLOP/s"


def read(rounds):
    """Passes on the lines of standard input. At their end the process ends at once: who started it may have been killed."""
    for line in sys.stdin:
        rounds.put(line)
    os._exit(0)


def main():
    rounds = queue.SimpleQueue()
    threading.Thread(target=read, args=(rounds,), daemon=True).start()
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job["threads"])
    device = "cuda" if job["cuda"] else "cpu"
    if device == "cuda":
        # Its usual fast settings. Without this, products in f32 do not use tensor cores.
        torch.set_float32_matmul_precision("high")
    lanes = [Lane(method, job, device) for method in job["methods"]]
    import transformers

    threads = torch.get_num_threads()
    compiled = ", torch.compile" if job["compile"] else ""
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{versions}, {device}, {threads} threads{compiled}{rate(device, job)}", flush=True)
    shape = (job["batch_size"], job["sequence_length"])
    while rounds.get():
        inputs, targets = (torch.randint(job["model"]["vocab_size"], shape, device=device) for _ in range(2))
        print(json.dumps([lane.update(inputs, targets) for lane in lanes]), flush=True)


main()
