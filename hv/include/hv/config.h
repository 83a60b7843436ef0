/*
 * trivet.conf, an INI file. Every error is reported at once, with line, value and what would be right; a guest with an error is
 * left out and the others start.
 *
 *   [host]
 *   log = err|warn|info|debug         ; what is shown on the console (default info)
 *   mitigations = auto|off|all        ; against attacks by speculation (default auto: what the CPU
 *                                     ; needs, see `cpus --mitigations`; all: also what it can do
 *                                     ; without needing it, for tests and measurements)
 *   smt = auto|off|core|on            ; threads of a core: off: only the first runs guests; core: they run
 *                                     ; one guest at a time; on: any guests. Default auto: core where the
 *                                     ; CPU leaks between them, else on
 *   [guest NAME]                      ; NAME: 1..31 of a-z A-Z 0-9 - _ .
 *   kernel = FILE                     ; required. Files are paths on the ESP, / or \, case as given; image files keep their names
 *   kind = auto|linux|pvh|multiboot|multiboot2|image|flat   ; default auto: from the file's header. image: an ARM64 Linux `Image`, also compressed; flat: ARM64 code, entered at its first byte with x0 = device tree
 *   initrd = FILE
 *   module = FILE [ARGS...]           ; repeatable (Multiboot, PVH), at most 16
 *   cmdline = TEXT                    ; at most 2047 bytes
 *   memory = 512M                     ; K, M, G; 1M .. host memory; default 256M
 *   vcpus = 1                         ; 1..32
 *   cpus = 0,2-3                      ; host CPUs that it may use; default all
 *   weight = 100                      ; 1..10000
 *   disk = FILE[,ro]                  ; repeatable, at most 8: virtio-blk over a RAM disk loaded from FILE, private to the guest
 *   disk-changes = 64M                ; most memory for what the guest changes on its disks; reserved at start.
 *                                     ; Default: the size of its writable disks, at most a quarter of `memory` (16M at least)
 *   overhead = 16M                    ; most memory for Trivet's own records of the guest; reserved at start. Default: from memory and vcpus
 *   rng = yes|no                      ; virtio-rng, default yes
 *   isa = auto|x86_64|aarch64|riscv64
 *   autostart = yes|no                ; default yes
 *   debug-exit = yes|no               ; port 0xf4, default no
 *   x2apic = yes|no                   ; default yes
 *   apicv = yes|no                    ; x86: the CPU keeps the guest's local APIC where it can (Intel APICv), default no
 *   acpi = yes|no                     ; ARM64: ACPI tables in place of the device tree, default no (x86 guests always have them)
 *   pv = yes|no                       ; the KVM paravirtual interface, default yes
 */
#pragma once
#include <hv/log.h>
#include <hv/sched.h>
#include <hv/types.h>
#define NAME_LEN 32
#define PATH_LEN 128
#define CMDLINE_LEN 2048
enum guest_kind { KIND_AUTO, KIND_LINUX, KIND_PVH, KIND_MULTIBOOT, KIND_MULTIBOOT2, KIND_IMAGE, KIND_FLAT };
extern const char *const guest_kind_names[], *const isa_names[];
struct guest_module { char path[PATH_LEN]; char args[256]; };
struct guest_disk { char path[PATH_LEN]; bool ro; };
struct guest_config {
    char name[NAME_LEN];
    unsigned line;                       /* of its section header */
    char kernel[PATH_LEN], initrd[PATH_LEN], cmdline[CMDLINE_LEN];
    enum guest_kind kind;
    enum isa isa;                        /* ISA_COUNT: auto */
    uint64_t memory;                     /* bytes, multiple of 4 KiB */
    uint64_t disk_changes, overhead;     /* bytes; UINT64_MAX and 0: not given, see charge.c */
    uint32_t vcpus, weight;
    uint64_t cpus;                       /* bit per host CPU; 0: any */
    struct guest_module module[16]; unsigned nmodules;
    struct guest_disk disk[8]; unsigned ndisks;
    bool rng, autostart, debug_exit, x2apic, pv, acpi, apicv;
    bool bad;                            /* it had an error: do not start */
    uint32_t keys_seen;                  /* private to config.c */
};
enum mitigations { MITIGATIONS_AUTO, MITIGATIONS_OFF, MITIGATIONS_ALL };
struct host_config { enum log_level log; enum mitigations mitigations; enum sched_smt smt; uint32_t keys_seen; };
struct parse_error { unsigned line; char text[200]; };   /* text: `memory = 12Q: not a size; give 1M to 64G, such as 512M` */
struct config { struct host_config host; struct guest_config *guest; unsigned nguests; struct parse_error *error; unsigned nerrors; };
/* Bounds that depend on the machine, for messages and checks. */
struct config_limits { uint64_t memory_max; uint32_t cpus; bool (*file_exists)(const char *path); };
/* Any errors are in out->error, sorted by line; returns their number, or -ENOMEM. Free with config_free. */
int must_check config_parse(const char *text, size_t len, const struct config_limits *, struct config *out);
void config_free(struct config *);
/* The configuration of this boot; valid after the boot step "configuration". */
extern struct config the_config;
extern const char *config_text; extern size_t config_text_len;
