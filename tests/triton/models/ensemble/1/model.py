"""A model with the tensors of TensorRT-LLM's ensemble: one event per token, and an end without a word."""

import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=answer, args=(request, request.get_response_sender()), daemon=True).start()


def answer(request, sender):
    tokens = int(pb_utils.get_input_tensor_by_name(request, "max_tokens").as_numpy().ravel()[0])
    for number in range(tokens):
        time.sleep(0.005)
        tensors = [
            pb_utils.Tensor("text_output", np.asarray([f" t{number}".encode()], dtype=object)),
            pb_utils.Tensor("cum_log_probs", np.zeros((1,), np.float32)),
            pb_utils.Tensor("batch_index", np.zeros((1,), np.int32)),
        ]
        sender.send(pb_utils.InferenceResponse(output_tensors=tensors))
    sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
