"""What `transformers` makes of folders, to be compared with what this project makes of them.

    python hugging_face.py make KIND FOLDER     writes a random LLaMA: grouped, tied or sharded
    python hugging_face.py judge FOLDER FILE    answers the questions in the JSON file FILE, as JSON on standard output
    python hugging_face.py folders FILE         answers questions about many folders, in the JSON file FILE

The questions: `tokens`, a list of ids whose logits are asked for; `prompt`, ids to be continued greedily by `new` tokens;
`text`, whose ids are scored in windows of `window` tokens, each predicting all but the first of its `window + 1`; `sentence`,
which is to be encoded by the folder's tokenizer where it has one.

Questions about many folders are a list of objects with `folder` and any of: `texts`, to be encoded by its tokenizer; `ids`,
whose logits are asked for; `prompt`, a text to be continued greedily by at most `new` tokens; `documents`, texts whose mean
loss is asked for, each alone. An answer is `error` where transformers fails.
"""

import json
import math
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

# The least that differs in each: grouped keys and another base; a head that is the embedding; bf16 in several files.
KINDS = {
    "grouped": dict(num_key_value_heads=2, rope_theta=500000.0, tie_word_embeddings=False),
    "tied": dict(num_key_value_heads=8, rope_theta=10000.0, tie_word_embeddings=True),
    "sharded": dict(num_key_value_heads=4, rope_theta=10000.0, tie_word_embeddings=False),
}


def make(kind, folder):
    torch.manual_seed(11)
    settings = dict(KINDS[kind])
    theta = settings.pop("rope_theta")
    if int(transformers.__version__.split(".")[0]) >= 5:
        settings["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
    else:
        settings["rope_theta"] = theta
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=144,
        num_hidden_layers=3,
        num_attention_heads=8,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        # Large enough that the scores of two tokens are not the same to a rounding, and greedy choices are clear.
        initializer_range=0.15,
        bos_token_id=0,
        eos_token_id=4095,
        **settings,
    )
    model = LlamaForCausalLM(config)
    if kind == "sharded":
        model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True, max_shard_size="300KB")
    else:
        model.save_pretrained(folder, safe_serialization=True)


@torch.no_grad()
def judge(folder, file):
    with open(file) as opened:
        questions = json.load(opened)
    model = AutoModelForCausalLM.from_pretrained(folder).float().eval()
    logits = model(torch.tensor([questions["tokens"]])).logits[0]
    prompt = torch.tensor([questions["prompt"]])
    new = questions["new"]
    continued = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, min_new_tokens=new, do_sample=False
    )
    window, ids = questions["window"], questions["text"]
    losses = []
    for start in range(0, len(ids) - window, window):
        row = torch.tensor([ids[start : start + window + 1]])
        scores = model(row[:, :-1]).logits[0].double()
        losses.append(torch.nn.functional.cross_entropy(scores, row[0, 1:]).item())
    loss = sum(losses) / len(losses)
    encoded = None
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = tokenizer(questions["sentence"], add_special_tokens=False).input_ids
        assert tokenizer.decode(encoded) == questions["sentence"], tokenizer.decode(encoded)
        assert tokenizer.convert_tokens_to_ids(tokenizer.bos_token) == model.config.bos_token_id
    answers = {
        "version": transformers.__version__,
        "logits": logits.flatten().tolist(),
        "continued": continued[0, prompt.shape[1] :].tolist(),
        "perplexity": math.exp(loss),
        "encoded": encoded,
    }
    json.dump(answers, sys.stdout)


@torch.no_grad()
def answer(question):
    folder, answers = question["folder"], {}
    if "ids" in question or "prompt" in question or "documents" in question:
        model = AutoModelForCausalLM.from_pretrained(folder).float().eval()
    if "ids" in question:
        answers["logits"] = model(torch.tensor([question["ids"]])).logits[0].flatten().tolist()
    if "texts" in question or "prompt" in question or "documents" in question:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        answers["end"] = tokenizer.eos_token_id
        answers["template"] = tokenizer.chat_template
    if "texts" in question:
        answers["encoded"] = [tokenizer(text).input_ids for text in question["texts"]]
    if "prompt" in question:
        prompt = tokenizer(question["prompt"], return_tensors="pt")
        ids = model.generate(
            prompt.input_ids, attention_mask=prompt.attention_mask, max_new_tokens=question["new"], do_sample=False
        )
        answers["ids"] = ids[0, prompt.input_ids.shape[1] :].tolist()
    if "documents" in question:
        total, count = 0.0, 0
        for text in question["documents"]:
            ids = tokenizer(text, return_tensors="pt").input_ids
            if ids.shape[1] > 1:
                scores = model(ids).logits[0, :-1].double()
                total += torch.nn.functional.cross_entropy(scores, ids[0, 1:], reduction="sum").item()
                count += ids.shape[1] - 1
        answers["loss"] = total / count
    return answers


def folders(file):
    answers = []
    with open(file) as opened:
        questions = json.load(opened)
    for question in questions:
        try:
            answers.append(answer(question))
        except Exception as error:
            answers.append({"error": f"{type(error).__name__}: {error}"})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"make": make, "judge": judge, "folders": folders}[command](*arguments)
