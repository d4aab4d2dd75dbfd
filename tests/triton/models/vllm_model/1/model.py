"""A model with the tensors of Triton's vLLM backend: a word of the text is a token, an answer is of made-up words.

As vLLM's, its engine is a process of its own: once that is dead, each request is answered with an error, for ever, and
all the health checks go on being well.
"""

import json
import subprocess
import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


def text(value):
    return np.asarray([value.encode()], dtype=object)


class TritonPythonModel:
    def initialize(self, args):
        self.engine = subprocess.Popen(["sleep", "infinity"])

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            threading.Thread(target=answer, args=(request, sender, self.engine), daemon=True).start()

    def finalize(self):
        self.engine.kill()
        self.engine.wait()


def answer(request, sender, engine):
    def given(name):
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        return tensor.as_numpy().ravel()[0] if tensor is not None else None

    prompt = given("text_input").decode()
    tokens = int(json.loads(request.parameters() or "{}").get("max_tokens", 16))
    words = prompt.split()
    if len(words) + tokens > 512:
        why = f"Error generating stream: This model's maximum context length is 512 tokens, not {len(words) + tokens}."
        sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(why)), flags=FINAL)
        return

    def response(said, count, reason):
        tensors = [pb_utils.Tensor("text_output", text(said))]
        if given("return_finish_reason"):
            tensors.append(pb_utils.Tensor("finish_reason", text(reason)))
        if given("return_num_input_tokens"):
            tensors.append(pb_utils.Tensor("num_input_tokens", np.asarray([len(words)], dtype=np.uint32)))
        if given("return_num_output_tokens"):
            tensors.append(pb_utils.Tensor("num_output_tokens", np.asarray([count], dtype=np.uint32)))
        return pb_utils.InferenceResponse(output_tensors=tensors)

    if not given("stream") and engine.poll() is None:
        sender.send(response(" tok" * tokens, tokens, "length"), flags=FINAL)
        return
    for number in range(1, tokens + 1):
        time.sleep(0.005)
        if engine.poll() is not None:
            why = (
                "Error generating stream: EngineCore encountered an issue. See stack trace (above) for the root cause."
            )
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(why)), flags=FINAL)
            return
        last = number == tokens
        sender.send(response(f" tok{number}", 1, "length" if last else "None"), flags=FINAL if last else 0)
