"""A model that fails to load as one does whose weights do not fit."""


class TritonPythonModel:
    def initialize(self, args):
        raise RuntimeError(
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB of which"
            " 12.00 MiB is free."
        )
