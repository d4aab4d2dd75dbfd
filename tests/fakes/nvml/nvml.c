/* A libnvidia-ml.so.1 without a GPU: the tests' own, so that the real pynvml runs its real calls.
 *
 * FAKE_NVML names a file that holds the situation, as one word; it is read at every call, so that a test can change it
 * in mid run:
 *   eight, no-driver, mismatch, no-permission, gpu-denied, lost, hang, mig, empty, xid
 * FAKE_NVML_PID is a process that holds 30 GiB on GPU 0. With -DOLD_DRIVER the library lacks what drivers before 510
 * lack, so that the fallbacks run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18
};

#define GIB (1ULL << 30)
#define GPUS 8

typedef struct { int index; } Gpu;
static Gpu gpus[GPUS] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};

static int situation(const char *word) {
    char read_word[32] = "eight";
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%31s", read_word) != 1) strcpy(read_word, "eight");
        fclose(file);
    }
    return strcmp(read_word, word) == 0;
}

/* What every query of a GPU goes through. Hangs until the situation changes, or for a minute. */
static int reach(const Gpu *gpu) {
    for (int tenths = 0; situation("hang") && tenths < 600; tenths++) usleep(100000);
    if (situation("mismatch")) return LIB_RM_VERSION_MISMATCH;
    if (situation("lost") && gpu->index == 3) return GPU_IS_LOST;
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (situation("no-driver")) return DRIVER_NOT_LOADED;
    if (situation("mismatch")) return LIB_RM_VERSION_MISMATCH;
    if (situation("no-permission")) return NO_PERMISSION;
    return SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int code) { (void)code; return "a fake error"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "580.65.06");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = situation("empty") ? 0 : GPUS; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    if (index >= GPUS) return INVALID_ARGUMENT;
    if (situation("gpu-denied") && index == 5) return NO_PERMISSION;
    *gpu = &gpus[index];
    return reach(*gpu);
}

int nvmlDeviceGetName(const Gpu *gpu, char *name, unsigned length) {
    int result = reach(gpu);
    snprintf(name, length, "NVIDIA A100-SXM4-40GB\x1b[31m");
    return result;
}

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;

int nvmlDeviceGetMemoryInfo(const Gpu *gpu, Memory *memory) {
    *memory = (Memory){40 * GIB, 8 * GIB, 32 * GIB};
    return reach(gpu);
}

typedef struct { unsigned gpu, memory; } Utilization;

int nvmlDeviceGetUtilizationRates(const Gpu *gpu, Utilization *utilization) {
    if (situation("mig")) return NOT_SUPPORTED;
    *utilization = (Utilization){90u + gpu->index, 40};
    return reach(gpu);
}

int nvmlDeviceGetPowerUsage(const Gpu *gpu, unsigned *milliwatt) {
    *milliwatt = 287500;
    return reach(gpu);
}

int nvmlDeviceGetTotalEnergyConsumption(const Gpu *gpu, unsigned long long *millijoule) {
    static unsigned long long asked = 0;
    *millijoule = 1000000 + 250 * asked++;
    return reach(gpu);
}

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;

static int processes(const Gpu *gpu, unsigned *count, Process *found) {
    const char *pid = getenv("FAKE_NVML_PID");
    unsigned room = *count;
    int result = reach(gpu);
    if (result) return result;
    *count = gpu->index == 0 && pid ? 2 : 0;
    if (room < *count) return INSUFFICIENT_SIZE;
    if (*count) {
        found[0] = (Process){(unsigned)atoi(pid), 30 * GIB, 0, 0};
        found[1] = (Process){1, situation("mig") ? ~0ULL : 1 * GIB, 0, 0};
    }
    return SUCCESS;
}

#ifdef OLD_DRIVER

int nvmlDeviceGetComputeRunningProcesses_v2(const Gpu *gpu, unsigned *count, Process *found) {
    return processes(gpu, count, found);
}

int nvmlDeviceGetTemperature(const Gpu *gpu, unsigned sensor, unsigned *degrees) {
    (void)sensor;
    *degrees = 61;
    return reach(gpu);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const Gpu *gpu, unsigned long long *reasons) {
    *reasons = 0x40;
    return reach(gpu);
}

#else

typedef struct {
    Gpu *gpu;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} Event;

static int registered, told;

int nvmlEventSetCreate(void **set) { *set = &registered; return SUCCESS; }
int nvmlEventSetFree(void *set) { return set == &registered ? SUCCESS : INVALID_ARGUMENT; }

int nvmlDeviceGetSupportedEventTypes(const Gpu *gpu, unsigned long long *types) { *types = 0xff; return reach(gpu); }

int nvmlDeviceRegisterEvents(const Gpu *gpu, unsigned long long types, void *set) {
    if (types != (0x8 | 0x2) || set != &registered) return INVALID_ARGUMENT;
    registered++;
    return reach(gpu);
}

int nvmlDeviceGetIndex(const Gpu *gpu, unsigned *index) { *index = gpu->index; return reach(gpu); }

/* Tells of three errors, once, when all GPUs were registered. */
int nvmlEventSetWait_v2(void *set, Event *event, unsigned milliseconds) {
    static const Event events[] = {{&gpus[2], 0x8, 79, 0, 0}, {&gpus[4], 0x8, 9999, 0, 0}, {&gpus[5], 0x2, 0, 0, 0}};
    if (set != &registered || milliseconds > 10) return INVALID_ARGUMENT;
    if (!situation("xid") || registered < GPUS || told == 3) return TIMEOUT;
    *event = events[told++];
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(const Gpu *gpu, MemoryV2 *memory) {
    if (memory->version != 0x02000028) return INVALID_ARGUMENT;
    *memory = (MemoryV2){memory->version, 40 * GIB, GIB / 2, 7 * GIB, 33 * GIB};
    return reach(gpu);
}

int nvmlDeviceGetComputeRunningProcesses_v3(const Gpu *gpu, unsigned *count, Process *found) {
    return processes(gpu, count, found);
}

typedef struct { unsigned version; unsigned sensor; int degrees; } Temperature;

int nvmlDeviceGetTemperatureV(const Gpu *gpu, Temperature *temperature) {
    if (temperature->version != 0x100000C) return INVALID_ARGUMENT;
    temperature->degrees = 64;
    return reach(gpu);
}

int nvmlDeviceGetCurrentClocksEventReasons(const Gpu *gpu, unsigned long long *reasons) {
    *reasons = gpu->index == 1 ? 0x4 | 0x20 : 0x1; /* power cap and thermal; else idle */
    return reach(gpu);
}

#endif
