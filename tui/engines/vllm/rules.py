"""The table of vLLM's failures. Texts by the source of 0.32 and by public issues for older releases.

The order matters: what names a cause stands above what names a consequence.
"""

from __future__ import annotations

from tui.engines.base import Change
from tui.engines.base import FailureClass as F
from tui.engines.parts.diagnosis_rules import Rule, rule

_LESS_MEMORY = Change("gpu-memory-utilization", by=-0.05, usual=0.9, least=0.1, most=0.95)
_MORE_MEMORY = Change("gpu-memory-utilization", by=0.05, usual=0.9, least=0.1, most=0.95)
_FREE_THE_GPU = "See who holds it (nvidia-smi) and end that, or choose other GPUs in `gpus`"

CUDA_OUT_OF_MEMORY = rule(
    r"(?:CUDA|HIP|XPU) out of memory(?:\. Tried to allocate (?P<asked>[\d.]+ [KMGT]iB))?|CUDA error: out of memory"
    r"|[Cc]uda failure '?out of memory'?|ncclUnhandledCudaError.*out of memory|CUBLAS_STATUS_ALLOC_FAILED",
    F.OOM_WEIGHTS,
    "The GPU's memory does not hold the model",
    "Use more GPUs (--tensor-parallel-size), a quantized model, or a larger card.",
)
MEMORY_AT_START = rule(
    r"",
    F.OOM_KV,
    "The GPU's memory gave out after the KV cache was reserved",
    "Lower --gpu-memory-utilization, so that CUDA graphs and work space fit beside it, or use --enforce-eager.",
    _LESS_MEMORY,
)
MEMORY_WHILE_RUNNING = rule(
    r"",
    F.OOM_RUNTIME,
    "The GPU's memory gave out while requests ran",
    "Lower --gpu-memory-utilization, --max-num-seqs or --max-num-batched-tokens, so that work space is left.",
    _LESS_MEMORY,
)

NO_BLOCKS = rule(
    r"No available memory for the cache blocks",
    F.OOM_KV,
    "No memory is left for the KV cache",
    "Raise --gpu-memory-utilization, quantize the weights, or use more GPUs (--tensor-parallel-size).",
    _MORE_MEMORY,
)
OTHERS_HOLD_MEMORY = rule(
    r"Free memory on device \S* ?\((?P<free>\d+(?:\.\d+)?)/(?P<total>\d+(?:\.\d+)?) GiB\) on startup is less than"
    r" desired GPU memory utilization \((?P<share>[\d.]+)",
    F.OOM_WEIGHTS,
    "Others hold the GPU's memory",
    _FREE_THE_GPU + "; or lower --gpu-memory-utilization from {share}: {free} of {total} GiB are free.",
)
_TOO_LONG_BY_HOW_MUCH = rule(
    r"To serve at least one request with the models?'s max seq len \((?P<asked>\d+)\)"
    r"(?:, \(?(?P<needed>[\d.]+) GiB KV cache is needed)?.*estimated maximum model length is (?P<fits>\d+)",
    F.OOM_KV,
    "The KV cache cannot hold one request of full length",
    "Lower --max-model-len from {asked} to {fits}, or raise --gpu-memory-utilization.",
    Change("max-model-len", "{fits}"),
)
_TOO_LONG = rule(
    r"To serve at least one request with the models?'s max seq len \((?P<asked>\d+)\)"
    r"|The model's max seq len \((?P<asked_before>\d+)\) is larger than the maximum number of tokens",
    F.OOM_KV,
    "The KV cache cannot hold one request of full length",
    "Lower --max-model-len, or raise --gpu-memory-utilization.",
)
# Where the KV cache is given in bytes, vLLM does not look at --gpu-memory-utilization.
BY_KV_CACHE_BYTES = {
    _TOO_LONG_BY_HOW_MUCH: (
        "Lower --max-model-len from {asked} to {fits}, or raise --kv-cache-memory-bytes to what one request needs"
        " ({needed} GiB) or leave it out."
    ),
    _TOO_LONG: "Lower --max-model-len, or raise --kv-cache-memory-bytes or leave it out.",
    NO_BLOCKS: "Raise --kv-cache-memory-bytes or leave it out.",
    MEMORY_AT_START: (
        "Lower --kv-cache-memory-bytes, so that CUDA graphs and work space fit beside it, or use --enforce-eager."
    ),
    MEMORY_WHILE_RUNNING: (
        "Lower --kv-cache-memory-bytes, --max-num-seqs or --max-num-batched-tokens, so that work space is left."
    ),
}

_ARGUMENTS = (
    rule(
        r"unrecognized arguments: (?P<flags>.{1,200})",
        F.BAD_FLAG,
        "vLLM does not know an argument",
        "This vLLM does not know: {flags}. Correct or remove it in [server.args] or extra_args"
        " (`vllm serve --help=all` lists what it knows).",
    ),
    rule(
        r"ambiguous option: (?P<flag>\S+)",
        F.BAD_FLAG,
        "An argument is ambiguous",
        "Write {flag} in full in [server.args].",
    ),
    rule(
        r"error: argument (?P<flag>\S+?):? (?P<why>(?:invalid|expected|not allowed)\b.{0,200})",
        F.BAD_VALUE,
        "An argument has a wrong value",
        "Correct {flag} in [server.args]: {why}",
    ),
    rule(
        r"error: the following arguments are required: (?P<flag>.{1,200})",
        F.BAD_VALUE,
        "An argument is missing",
        "Add to [server.args]: {flag}",
    ),
    rule(
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len"
        r" \([\w.]+=(?P<known>\d+)",
        F.BAD_VALUE,
        "max-model-len is larger than the model allows",
        "Lower --max-model-len from {asked} to {known} or less.",
        Change("max-model-len", "{known}"),
    ),
    rule(
        r"World size \((?P<asked>\d+)\) is larger than the number of available GPUs \((?P<there>\d+)\)",
        F.TOO_MANY_GPUS,
        "More GPUs are asked for than there are",
        "{asked} GPUs are asked for and {there} are there: lower --tensor-parallel-size (times"
        " --pipeline-parallel-size) to {there}, or add GPUs to `gpus`.",
    ),
    rule(
        r"[Tt]he number of required GPUs exceeds the total number of available GPUs|invalid device ordinal",
        F.TOO_MANY_GPUS,
        "More GPUs are asked for than there are",
        "Lower --tensor-parallel-size, or correct `gpus` in [server].",
    ),
    rule(
        r"\((?P<count>\d+)\) must be divisible by tensor parallel size \((?P<asked>\d+)\)",
        F.BAD_VALUE,
        "The model cannot be split into so many parts",
        "Choose a --tensor-parallel-size that divides {count}, not {asked}.",
    ),
    rule(
        r"[Bb]float16 is only supported on GPUs with compute capability",
        F.BAD_VALUE,
        "This GPU does not know bfloat16",
        'Set dtype = "half" in [server.args].',
        Change("dtype", "half"),
    ),
)

_QUANTIZATION = (
    rule(
        r"Unknown quantization method: (?P<method>[\w-]+)",
        F.QUANTIZATION,
        "This vLLM does not know the quantization",
        "Choose a --quantization that the log lists instead of {method}, or install the package that brings it.",
    ),
    rule(
        r"(?:The quantization method (?P<method>\S+)|Quantization scheme) is not supported for the current GPU",
        F.QUANTIZATION,
        "This GPU cannot run the quantization",
        "Use a model quantized in another way (AWQ and GPTQ need compute capability 7.5, FP8 8.9), or another GPU.",
    ),
    rule(
        r"is not supported for quantization method|Quantization method specified in the model config .* does not match"
        r"|Cannot find the config file for (?P<method>\w+)",
        F.QUANTIZATION,
        "The quantization does not fit the model",
        "Leave --quantization and --dtype to vLLM, which reads them from the model, or choose a model that is quantized"
        " this way.",
    ),
)

_MODEL = (
    rule(
        r"contains custom code which must be executed|trust_remote_code=True",
        F.BAD_VALUE,
        "The model brings code of its own, which vLLM does not run unasked",
        "If you trust its authors, set trust-remote-code = true in [server.args] (--trust-remote-code).",
    ),
    rule(
        r"model type `(?P<name>[^`]{1,80})` but Transformers does not recognize this architecture"
        r"|Model architectures \[(?P<names>[^\]]{1,200})\] (?:are|is) not supported"
        r"|(?P<only>\S{1,80}) has no (?:\w+ )?(?:vLLM|vllm) implementation"
        r"|Cannot find model module|KeyError: '(?P<key>\w*ForCausalLM)'",
        F.BAD_VALUE,
        "This vLLM does not know the model's architecture",
        "Install a newer vLLM, or a newer Transformers where that is what does not know it, or choose another model.",
    ),
    rule(
        r"GatedRepoError|gated repo|Access to model \S+ is restricted|awaiting a review from the repo authors",
        F.MODEL_GATED,
        "The model's licence has not been accepted",
        "Accept the licence on the model's page and set HF_TOKEN in the environment that vramp is started from.",
    ),
    rule(
        r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]",
        F.DISK_FULL,
        "A disk is full",
        "Make room where models and caches are kept (HF_HOME, ~/.cache/vllm, /tmp, /dev/shm), or move them.",
    ),
    rule(
        r"Repo id must be in the form .*?: '(?P<path>[^']{1,300})'",
        F.MODEL_MISSING,
        "The model's folder does not exist",
        "There is no folder {path}: correct `model` in [server].",
    ),
    rule(
        r"Invalid repository ID or local directory specified: '(?P<path>[^']{1,300})'",
        F.MODEL_MISSING,
        "The model's folder holds no model",
        "{path} holds no config.json: correct `model` in [server].",
    ),
    rule(
        r"LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled",
        F.MODEL_MISSING,
        "The model is not on this machine and may not be downloaded",
        "Download it first, or start vramp without HF_HUB_OFFLINE.",
    ),
    rule(
        r"RepositoryNotFoundError|RevisionNotFoundError|404 Client Error|is not a valid model identifier",
        F.MODEL_MISSING,
        "The model hub does not know this model",
        "Correct `model` in [server]; for a private one set HF_TOKEN in the environment that vramp is started from.",
    ),
    rule(
        r"Cannot find any model weights with|does not appear to have a file named|No such file or directory: .*"
        r"\.(?:safetensors|bin|gguf|json)'|SafetensorError|[Ii]ncomplete metadata, file not fully covered",
        F.MODEL_MISSING,
        "The model's files are not complete",
        "Download the model again, or correct `model` in [server].",
    ),
)

_MACHINE = (
    rule(
        r"nvcc fatal +: Unsupported gpu architecture '(?P<arch>\w+)'",
        F.DRIVER,
        "The CUDA toolkit is too old for this GPU",
        "vLLM compiles kernels at its start, and this nvcc does not know {arch}: install a newer CUDA toolkit (nvcc,"
        " ninja), or set CUDA_HOME in [server.env] to one.",
    ),
    rule(
        r"Could not find nvcc|nvcc: (?:command )?not found|No such file or directory: '[^']*\b(?:nvcc|ninja)'"
        r"|CUDA_HOME (?:environment variable )?is not set|Ninja is required|Ninja build failed"
        r"|Error (?:building|compiling) (?:extension|objects)",
        F.DRIVER,
        "The CUDA toolkit (nvcc, ninja) is missing or does not work",
        "vLLM compiles kernels at its start: install the CUDA toolkit (nvcc, ninja), or set CUDA_HOME in [server.env].",
    ),
    rule(
        r"\[Errno 98\].*[Aa]ddress already in use|error while attempting to bind on address|EADDRINUSE",
        F.PORT,
        "The port is in use",
        "Set port = 0 in [server] for a free one, or end what listens there.",
    ),
    rule(
        r"The NVIDIA driver on your system is too old \(found version (?P<found>\d+)\)",
        F.DRIVER,
        "The NVIDIA driver is too old",
        "Update the driver (it offers CUDA version {found}), or install a vLLM built for an older CUDA.",
    ),
    rule(
        r"CUDA driver version is insufficient|Failed to infer device type|No CUDA GPUs are available"
        r"|no kernel image is available|Found no NVIDIA driver|libcuda\.so\.1: cannot open|NVMLError"
        r"|no CUDA-capable device|Torch not compiled with CUDA|forward compatibility was attempted",
        F.DRIVER,
        "vLLM finds no GPU that it can use",
        "Run `vramp doctor`: the driver is missing, too old for this vLLM, or does not show its GPUs here.",
    ),
)

_MEMORY = (
    rule(
        r"max_num_seqs \((?P<asked>\d+)\) exceeds available Mamba cache blocks \((?P<fits>\d+)\)",
        F.OOM_KV,
        "The cache of the model's Mamba layers cannot hold so many sequences",
        "Lower --max-num-seqs from {asked} to {fits}, or raise --gpu-memory-utilization.",
        Change("max-num-seqs", "{fits}"),
    ),
    _TOO_LONG_BY_HOW_MUCH,
    _TOO_LONG,
    NO_BLOCKS,
    rule(
        r"Available memory on node \d+ \((?P<free>-?[\d.]+)/(?P<total>[\d.]+) GiB\) on kv cache allocation is less than"
        r" requested memory for kv \((?P<asked>[\d.]+) GiB\)",
        F.OOM_KV,
        "The KV cache asked for does not fit into memory",
        "{asked} GiB are asked for and {free} GiB are free: lower --kv-cache-memory-bytes or VLLM_CPU_KVCACHE_SPACE.",
    ),
    OTHERS_HOLD_MEMORY,
    rule(
        r"Available memory on node \d+ \((?P<free>-?[\d.]+)/(?P<total>[\d.]+) GiB\) on (?:startup|kv cache"
        r" allocation) is less than desired CPU memory utilization|Available memory on node \d+ .* is less than",
        F.OOM_WEIGHTS,
        "The memory that vLLM may use does not hold the model",
        "Free memory on this machine, or set --gpu-memory-utilization to what it can have.",
    ),
    rule(
        r"Failed to load model - not enough GPU memory|Failed to create unquantized linear weights",
        F.OOM_WEIGHTS,
        "The GPU's memory does not hold the weights",
        "Use more GPUs (--tensor-parallel-size), a quantized model, or a larger card.",
    ),
    rule(
        r"out of memory occurred when warming up \w+ with (?P<count>\d+) dummy requests",
        F.OOM_WEIGHTS,
        "The GPU's memory gave out while vLLM tried its largest batch",
        "Lower --max-num-seqs below {count}, or --gpu-memory-utilization.",
        _LESS_MEMORY,
    ),
    rule(
        r"can't allocate memory: you tried to allocate (?P<asked>\d+) bytes|std::bad_alloc|^MemoryError\b",
        F.OOM_HOST,
        "The machine's main memory gave out",
        "Free main memory, or run where there is more of it; the weights pass through it on their way to the GPU.",
    ),
)

REFUSED_VALUE = rule(
    r"validation errors? for (?P<config>\w+)|Input should be (?P<rule>(?:greater|less) than .{1,80})",
    F.BAD_VALUE,
    "An argument has a value that vLLM refuses",
    "Correct the value that the log names below this line.",
)

_VALUES = (
    rule(
        r"Error in memory profiling\. Initial free memory",
        F.CRASH,
        "Another process freed GPU memory while vLLM measured it",
        "Launch again once nothing else starts or stops on these GPUs.",
    ),
    REFUSED_VALUE,
    # Before what NCCL says of all that goes wrong: gloo's words, and NCCL's, of an end that is no longer there.
    rule(
        r"gloo/transport/tcp/pair\.cc:\d+\] Connection (?:closed|reset) by peer"
        r"|ncclRemoteError|remote process exited or there was a network error",
        F.CRASH,
        "A worker process of vLLM lost another",
        "The other one ended first: killed, by hand or by the kernel for lack of memory (dmesg), or its machine or the"
        " network between them was lost.",
    ),
    rule(
        r"NCCL error|ncclSystemError|ncclInternalError|ncclUnhandledCudaError|DistBackendError"
        r"|NCCL WARN Call to .* failed",
        F.NCCL,
        "The GPUs cannot talk to each other",
        "Set NCCL_DEBUG=INFO in [server.env] and launch again; often /dev/shm is too small, or NCCL_P2P_DISABLE=1"
        " helps.",
    ),
)

SPECIFIC: tuple[Rule, ...] = (
    *_ARGUMENTS,
    *_QUANTIZATION,
    *_MODEL,
    *_MACHINE,
    *_MEMORY,
    CUDA_OUT_OF_MEMORY,
    *_VALUES,
)

# What names a cause, though in general words.
TELLING: tuple[Rule, ...] = (
    rule(
        r"^KeyboardInterrupt$",
        F.CRASH,
        "vLLM was interrupted",
        "Somebody pressed Ctrl-C or sent the signal SIGINT; nothing else is wrong by this log.",
    ),
    rule(
        r"Timed out waiting for engine core processes to start",
        F.CRASH,
        "The engine did not get ready in time",
        "Set VLLM_ENGINE_READY_TIMEOUT_S in [server.env] to more than 600.",
    ),
)

# What only tells that another process has failed: the last resort.
CONSEQUENCES: tuple[Rule, ...] = (
    rule(
        r"Worker proc (?P<worker>\S+) died unexpectedly \(exit code: (?P<code>-?\d+)\)",
        F.CRASH,
        "A worker process of vLLM died",
        "{worker} ended with exit code {code}; -9 is a kill, by hand or by the kernel for lack of memory (dmesg).",
    ),
    rule(
        r"Failed core proc\(s\): \{'(?P<process>\w+)': (?P<code>-?\d+)",
        F.CRASH,
        "A process of vLLM died during the start",
        "{process} ended with exit code {code}; -9 is a kill, by hand or by the kernel for lack of memory (dmesg).",
    ),
    rule(
        r"WorkerProc failed to start",
        F.CRASH,
        "A worker process of vLLM failed during the start",
        "Read the traceback below this line; its last line is the cause.",
    ),
    rule(
        r"WorkerProc initialization failed due to an exception in a background process",
        F.CRASH,
        "A worker process of vLLM died during the start without a word",
        "It logged no error of its own, so it was most likely killed: by hand, by a job scheduler, or by the kernel for"
        " lack of memory (dmesg).",
    ),
    rule(
        r"Worker failed with error '(?P<why>[^']{1,600})', please check the stack trace",
        F.CRASH,
        "A worker process of vLLM failed",
        "{why}. Read the traceback above this line.",
    ),
    rule(
        r"EngineCore encountered a fatal error|EngineCore encountered an issue|EngineDeadError"
        r"|[Ee]ngine core (?:proc \S+ )?(?:exited|died) unexpectedly",
        F.CRASH,
        "vLLM's engine died",
        "Read the log around this line; when it says nothing the process was killed (dmesg).",
    ),
    rule(
        r"Engine core initialization failed|EngineCore failed to start",
        F.CRASH,
        "vLLM's engine did not start",
        "Read the log around this line; the first error in it is most often the cause.",
    ),
)
