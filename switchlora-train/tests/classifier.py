"""What `transformers` makes of classifiers, to be compared with what this project makes of them.

    python classifier.py make KIND FOLDER      writes a random LlamaForSequenceClassification: grouped, tied or regression
    python classifier.py judge FOLDER FILE     logits, loss and gradients of the batch in the JSON file FILE, as JSON
    python classifier.py predict FOLDER FILE   the labels of the texts in the JSON file FILE, each alone and all in one batch

A batch is `rows`, ids padded on the right, and `labels`. Texts are lists of ids.
"""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

KINDS = {
    "grouped": dict(num_key_value_heads=2, tie_word_embeddings=False, num_labels=3),
    "tied": dict(num_key_value_heads=4, tie_word_embeddings=True, num_labels=2),
    "regression": dict(num_key_value_heads=4, tie_word_embeddings=False, num_labels=1, problem_type="regression"),
}


def make(kind, folder):
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **KINDS[kind],
    )
    LlamaForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)


def judge(folder, file):
    with open(file) as opened:
        batch = json.load(opened)
    model = AutoModelForSequenceClassification.from_pretrained(folder).float()
    rows = torch.tensor(batch["rows"])
    kind = torch.float32 if model.config.num_labels == 1 else torch.long
    mask = (rows != model.config.pad_token_id).long()
    found = model(rows, attention_mask=mask, labels=torch.tensor(batch["labels"], dtype=kind))
    found.loss.backward()
    gradients = {name: p.grad.flatten().tolist() for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": found.logits.flatten().tolist(), "loss": found.loss.item(), "gradients": gradients}


@torch.no_grad()
def predict(folder, file):
    with open(file) as opened:
        texts = json.load(opened)
    model = AutoModelForSequenceClassification.from_pretrained(folder).float().eval()
    pad, longest = model.config.pad_token_id, max(map(len, texts))
    together = model(torch.tensor([text + [pad] * (longest - len(text)) for text in texts])).logits
    alone = torch.cat([model(torch.tensor([text])).logits for text in texts])
    name = lambda scores: [model.config.id2label[i.item()] for i in scores.argmax(-1)]
    return {"together": name(together), "alone": name(alone), "logits": alone.flatten().tolist()}


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    answer = {"make": make, "judge": judge, "predict": predict}[command](*arguments)
    print(json.dumps(answer))
