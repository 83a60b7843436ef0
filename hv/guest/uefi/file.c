/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c: what a firmware's file says of itself. Pure; the file is distrusted. */
#include <hv/guest_uefi.h>
#include <string.h>

/* EFI_FIRMWARE_VOLUME_HEADER, UEFI PI 1.7 vol 3 §3.2.1. */
enum { FV_GUID = 16, FV_LENGTH = 32, FV_SIGNATURE = 40, FV_HEADER = 56 };
/* EFI_SYSTEM_NV_DATA_FV_GUID, fff12b8d-7696-4c8b-a985-2747075b4f50: of a volume with variables. */
static const uint8_t nv_data[16] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                     0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };

/* An ARM64 firmware begins with a branch (ARM ARM C6.2.26); its code's volume follows a page later.
 */
#define ARM64_CODE 0x1000u
#define ARM64_VARS (768 * KIB) /* its store: two of 256 KiB, and what an update needs */

static bool is_volume(const uint8_t *p, uint64_t len)
{
    return len >= FV_HEADER && memcmp(p + FV_SIGNATURE, "_FVH", 4) == 0;
}

static bool is_arm64_code(const uint8_t *p, uint64_t len)
{
    return len > ARM64_CODE && (p[3] & 0xfc) == 0x14 && is_volume(p + ARM64_CODE, len - ARM64_CODE);
}

const char *uefi_file_parts(const uint8_t *file, uint64_t len, struct uefi_file *out)
{
    uint64_t vars = 0;

    if (is_arm64_code(file, len) && len % PAGE_SIZE == 0 && len <= UEFI_FILE_MAX) {
        *out = (struct uefi_file){ NULL, file, ARM64_VARS, len };
        return NULL;
    }
    if (!is_volume(file, len))
        return "not UEFI firmware of edk2 (such as OVMF.fd); a riscv64 guest's needs `isa = "
               "riscv64`";
    if (memcmp(file + FV_GUID, nv_data, sizeof nv_data) != 0)
        return "no variable store is in it: give the whole firmware, which is "
               "`cat OVMF_VARS.fd OVMF_CODE.fd`";
    memcpy(&vars, file + FV_LENGTH, sizeof vars);
    if (len == vars)
        return "a variable store without code: give the whole firmware, which is "
               "`cat OVMF_VARS.fd OVMF_CODE.fd`";
    if (vars == 0 || vars % PAGE_SIZE || vars > len || len % PAGE_SIZE || len > UEFI_FILE_MAX)
        return "cut short or damaged: its length does not agree with its header";
    if (!is_volume(file + vars, len - vars))
        return "no code follows its variable store";
    *out = (struct uefi_file){ file, file + vars, vars, len - vars };
    return NULL;
}
