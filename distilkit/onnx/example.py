"""The example in an ONNX folder's card: Python that scores with onnxruntime, and needs no distilkit."""

from collections.abc import Mapping

from distilkit.models.options import offset_of
from distilkit.models.ranker import Ranker

START = """\
import numpy as np
import onnxruntime
from transformers import AutoTokenizer

folder = "."
tokenizer = AutoTokenizer.from_pretrained(folder)
session = onnxruntime.InferenceSession(f"{folder}/onnx/model.onnx", providers=["CPUExecutionProvider"])
names = [one.name for one in session.get_inputs()]
query = "how do I cook rice"
passages = ["Boil the rice in water for ten minutes.", "Paris is the capital of France."]
"""

PAIRS = """
queries = [{query}] * len(passages)
tokens = tokenizer(queries, {documents}, truncation=True, max_length={max_length}, padding=True, return_tensors="np")
scores = session.run(None, {{name: tokens[name].astype(np.int64) for name in names}})[0][:, 0]
for place in np.argsort(-scores):
    print(f"{{scores[place]:.4f}}", passages[place])
"""

SIDES = """

def encode(texts, length):
    tokens = tokenizer(texts, truncation=True, max_length=length, padding=True, return_tensors="np")
    return session.run(None, {{name: tokens[name].astype(np.int64) for name in names}})[0]


documents = encode({documents}, {document_length})
scores = documents @ encode([{query}], {query_length})[0]{offset}
for place in np.argsort(-scores):
    print(f"{{scores[place]:.4f}}", passages[place])
"""

OURS = """\
import distilkit

ranker = distilkit.load(".")
for found in ranker.rank("how do I cook rice", ["Boil the rice in water.", "Paris is in France."]):
    print(f"{found.score:.4f}", found.passage)
"""


def example(ranker: Ranker, lengths: Mapping[str, int]) -> str:
    """Return the section of the card; a ranker of many vectors a text, whose markers matter, is shown in distilkit."""
    offset = offset_of(ranker.options)
    query, document = ranker.prefixes.query, ranker.prefixes.document
    before = {
        "query": f"{query!r} + query" if query else "query",
        "documents": f"[{document!r} + passage for passage in passages]" if document else "passages",
    }
    if ranker.reads_pairs:
        code = START + PAIRS.format(**before, **lengths)
    elif ranker.storage_unit == "|P|":
        code = START + SIDES.format(**before, **lengths, offset=f" + {offset:g}" if offset else "")
    else:
        code = OURS
    return f"## Use\n\nIn this folder:\n\n```python\n{code}```"
