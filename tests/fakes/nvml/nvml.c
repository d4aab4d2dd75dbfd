/* A libnvidia-ml.so.1 without a GPU: the tests' own, so that the real pynvml runs its real calls.
 *
 * What it answers is what driver 580.159.04 answered for an H200 without MIG, each call raw, idle and under load, as far
 * as such a card can tell; where that says more than the type does, it stands beside the call. Cut cards, lost ones and
 * refusals are by nvml.h: no such card was at hand.
 *
 * FAKE_NVML names a file that holds the situation, as one word; it is read at every call, so that a test can change it
 * in mid run:
 *   eight, no-driver, mismatch, no-permission, gpu-denied, lost, hang, mig, mig-denied, empty, xid, full
 * In `mig` GPU 0 is cut into two slices, GPU 1 into none, and GPU 2 is not cut; in `mig-denied` GPU 0 has three slices, of
 * which only the first may be read, and may itself not be read. In `full` something holds 39 GiB of each GPU.
 * FAKE_NVML_PID is a process that holds 30 GiB on GPU 0, or 3 GiB on its first slice; numbers behind the word in the file
 * are processes that hold 30 GiB on GPU 0, 1 and so on in its place. With -DOLD_DRIVER the library lacks what drivers
 * before 510 lack, so that the fallbacks run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18
};

#define GIB (1ULL << 30)
#define GPUS 8
#define PLACES 4
#define CARD -1
#define MILLIWATT 287500

/* A card, or the slice of a card in one of its places. */
typedef struct { int index, place; } Gpu;
static Gpu gpus[GPUS] = {{0, CARD}, {1, CARD}, {2, CARD}, {3, CARD}, {4, CARD}, {5, CARD}, {6, CARD}, {7, CARD}};
static Gpu slices[PLACES] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}};

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

/* Of the process that holds most of a GPU; 0 = there is none. */
static unsigned holder(int index) {
    unsigned pid = 0, found = 0;
    int place = 0;
    const char *path = getenv("FAKE_NVML"), *given = getenv("FAKE_NVML_PID");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%*31s") == 0)
            for (; fscanf(file, "%u", &pid) == 1; place++) if (place == index) found = pid;
        fclose(file);
    }
    return place || index || !given ? found : (unsigned)atoi(given);
}

/* What every query of a GPU goes through. Hangs until the situation changes, or for a minute. */
static int reach(const Gpu *gpu) {
    for (int tenths = 0; situation("hang") && tenths < 600; tenths++) usleep(100000);
    if (situation("mismatch")) return LIB_RM_VERSION_MISMATCH;
    if (situation("lost") && gpu->index == 3) return GPU_IS_LOST;
    return SUCCESS;
}

static int cut(void) { return situation("mig") || situation("mig-denied"); }

/* What only a whole card tells. */
static int reach_card(const Gpu *gpu) { return gpu->place == CARD ? reach(gpu) : INVALID_ARGUMENT; }

static int reach_memory(const Gpu *gpu) {
    if (situation("mig-denied") && gpu->index == 0 && gpu->place != 0) return NO_PERMISSION;
    return reach(gpu);
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
    snprintf(version, length, "580.159.04");
    return SUCCESS;
}

int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length) {
    if (pid != 1) return 6; /* not found */
    snprintf(name, length, "/usr/lib/xorg/Xorg --token=hunter2");
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
    snprintf(name, length, "NVIDIA A100-SXM4-40GB\x1b[31m%s", gpu->place == CARD ? "" : " MIG 1g.5gb");
    return result;
}

int nvmlDeviceGetUUID(const Gpu *gpu, char *uuid, unsigned length) {
    /* 580.159.04: 40 characters. */
    if (gpu->place == CARD) snprintf(uuid, length, "GPU-00000000-0000-4000-8000-00000000000%d", gpu->index);
    else snprintf(uuid, length, "MIG-%d%d", gpu->index, gpu->place);
    return reach(gpu);
}

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;

/* 580.159.04: `used` is all but what is free, so that it includes what the driver reserves (644,939,776 bytes of an idle
 * H200, where the second version, below, says 0). */
int nvmlDeviceGetMemoryInfo(const Gpu *gpu, Memory *memory) {
    *memory = gpu->place == CARD ? (Memory){40 * GIB, 7 * GIB, 33 * GIB} : (Memory){5 * GIB, 1 * GIB, 4 * GIB};
    return reach_memory(gpu);
}

typedef struct { unsigned gpu, memory; } Utilization;

int nvmlDeviceGetUtilizationRates(const Gpu *gpu, Utilization *utilization) {
    if (cut()) return NOT_SUPPORTED; /* by nvml.h */
    *utilization = (Utilization){90u + gpu->index, 40};
    return reach_card(gpu);
}

int nvmlDeviceGetPowerUsage(const Gpu *gpu, unsigned *milliwatt) {
    *milliwatt = MILLIWATT;
    return reach_card(gpu);
}

int nvmlDeviceGetEnforcedPowerLimit(const Gpu *gpu, unsigned *milliwatt) {
    *milliwatt = 400000;
    return reach_card(gpu);
}

/* nvml.h: 1 = NVML_CLOCK_SM */
int nvmlDeviceGetClockInfo(const Gpu *gpu, unsigned kind, unsigned *megahertz) {
    *megahertz = kind == 1 ? 1410 : 210;
    return reach_card(gpu);
}

/* 580.159.04: since the driver was loaded, in steps of 100 ms, and 3 ms for the call, all of it CPU time. */
int nvmlDeviceGetTotalEnergyConsumption(const Gpu *gpu, unsigned long long *millijoule) {
    static struct timespec began;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!began.tv_sec) began = now;
    double seconds = (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
    *millijoule = 1000000 + (unsigned long long)(MILLIWATT * ((long)(seconds * 10) / 10.0));
    return reach_card(gpu);
}

typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } Process;
/* 580.159.04: in both instances of a process on a card that is not cut. */
#define NO_INSTANCE ~0u

static int processes(const Gpu *gpu, unsigned *count, Process *found) {
    unsigned room = *count, pid = holder(gpu->index);
    int result = reach(gpu);
    if (result) return result;
    *count = gpu->place <= 0 && pid ? gpu->index ? 1 : 2 : 0;
    if (room < *count) return INSUFFICIENT_SIZE;
    if (*count && gpu->place == 0) {
        found[0] = (Process){pid, 3 * GIB, 1, 0};
        found[1] = (Process){1, 1 * GIB, 1, 0};
    } else if (*count) {
        found[0] = (Process){pid, 30 * GIB, NO_INSTANCE, NO_INSTANCE};
        if (*count > 1) found[1] = (Process){1, situation("mig") ? ~0ULL : 1 * GIB, NO_INSTANCE, NO_INSTANCE};
    }
    return SUCCESS;
}

/* 580.159.04: a card that could be cut and is not says so, 0 now and 0 after the next reset. GPU 7 stands for those that
 * cannot be, which by nvml.h do not offer the question. */
int nvmlDeviceGetMigMode(const Gpu *gpu, unsigned *current, unsigned *pending) {
    if (gpu->index == 7 || gpu->place != CARD) return NOT_SUPPORTED;
    *current = *pending = cut() && gpu->index < 2;
    return reach(gpu);
}

/* 580.159.04: 0 for a card that is not cut now, however many slices it could have. */
int nvmlDeviceGetMaxMigDeviceCount(const Gpu *gpu, unsigned *count) {
    *count = cut() && gpu->index < 2 ? PLACES : 0;
    return reach_card(gpu);
}

/* The places of slices need not follow one another. 580.159.04: NOT_FOUND for each place of a card that is not cut. */
int nvmlDeviceGetMigDeviceHandleByIndex(const Gpu *gpu, unsigned place, Gpu **slice) {
    if (!cut()) return NOT_FOUND;
    if (place >= PLACES) return INVALID_ARGUMENT;
    if (gpu->index == 0 && place == 3 && situation("mig-denied")) return NO_PERMISSION;
    if (gpu->index != 0 || place == 1 || place == 3) return NOT_FOUND;
    *slice = &slices[place];
    return reach_card(gpu);
}

int nvmlDeviceGetGpuInstanceId(const Gpu *gpu, unsigned *id) {
    *id = 7 + gpu->place;
    return gpu->place == CARD ? NOT_SUPPORTED : reach(gpu);
}

int nvmlDeviceGetComputeInstanceId(const Gpu *gpu, unsigned *id) {
    *id = 0;
    return gpu->place == CARD ? NOT_SUPPORTED : reach(gpu);
}

#ifdef OLD_DRIVER

int nvmlDeviceGetComputeRunningProcesses_v2(const Gpu *gpu, unsigned *count, Process *found) {
    return processes(gpu, count, found);
}

int nvmlDeviceGetTemperature(const Gpu *gpu, unsigned sensor, unsigned *degrees) {
    (void)sensor;
    *degrees = 61;
    return reach_card(gpu);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const Gpu *gpu, unsigned long long *reasons) {
    *reasons = 0x40;
    return reach_card(gpu);
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

/* 580.159.04 on an H200. */
int nvmlDeviceGetSupportedEventTypes(const Gpu *gpu, unsigned long long *types) { *types = 0xff9f; return reach(gpu); }

int nvmlDeviceRegisterEvents(const Gpu *gpu, unsigned long long types, void *set) {
    if (types != (0x8 | 0x2) || set != &registered) return INVALID_ARGUMENT;
    registered++;
    return reach(gpu);
}

int nvmlDeviceGetIndex(const Gpu *gpu, unsigned *index) { *index = gpu->index; return reach(gpu); }

/* Tells of its errors, once, when all GPUs were registered. 580.159.04: with nothing to tell it waits out its time, 1.09 ms
 * for 1 ms asked, and says TIMEOUT. */
int nvmlEventSetWait_v2(void *set, Event *event, unsigned milliseconds) {
    static const Event events[] = {
        {&gpus[2], 0x8, 79, ~0u, ~0u}, {&gpus[4], 0x8, 9999, ~0u, ~0u}, {&gpus[5], 0x2, 0, ~0u, ~0u},
        {&gpus[0], 0x8, 31, 7, 0}, /* of one slice */
    };
    if (set != &registered || milliseconds > 10) return INVALID_ARGUMENT;
    if (!situation("xid") || registered < GPUS || told == 4) return TIMEOUT;
    *event = events[told++];
    return SUCCESS;
}

/* 580.159.04: used + reserved + free = total, so `used` is what nvidia-smi calls so, and 0 on an idle card. */
int nvmlDeviceGetMemoryInfo_v2(const Gpu *gpu, MemoryV2 *memory) {
    if (memory->version != 0x02000028) return INVALID_ARGUMENT;
    if (gpu->place != CARD) {
        *memory = (MemoryV2){memory->version, 5 * GIB, GIB / 8, 1 * GIB, 4 * GIB - GIB / 8};
    } else if (situation("full")) {
        *memory = (MemoryV2){memory->version, 40 * GIB, GIB / 2, 1 * GIB, 39 * GIB - GIB / 2};
    } else {
        *memory = (MemoryV2){memory->version, 40 * GIB, GIB / 2, 7 * GIB, 33 * GIB - GIB / 2};
    }
    return reach_memory(gpu);
}

int nvmlDeviceGetComputeRunningProcesses_v3(const Gpu *gpu, unsigned *count, Process *found) {
    return processes(gpu, count, found);
}

typedef struct { unsigned version; unsigned sensor; int degrees; } Temperature;

int nvmlDeviceGetTemperatureV(const Gpu *gpu, Temperature *temperature) {
    if (temperature->version != 0x100000C) return INVALID_ARGUMENT;
    temperature->degrees = 64;
    return reach_card(gpu);
}

int nvmlDeviceGetCurrentClocksEventReasons(const Gpu *gpu, unsigned long long *reasons) {
    /* Power cap and thermal; else idle. 580.159.04 says 0x1 of an idle card, 0 under load, 0x4 at its power limit. */
    *reasons = gpu->index == 1 ? 0x4 | 0x20 : 0x1;
    return reach_card(gpu);
}

#endif
