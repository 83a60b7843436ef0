/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any syndrome: what comes out is an exit that the rest of the hypervisor can take, and says what
 * the manual says.
 */
#include <hv/arm.h>
#include <hv/pt.h>
#include <stdlib.h>
#include <string.h>

#include "arch/aarch64/el2_esr.h"
#include "arch/aarch64/el2_sysregs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_mem(const struct vcpu_exit *e, uint64_t esr, uint64_t far, uint64_t hpfar)
{
    uint64_t page = (hpfar >> 4 & 0xffffffffff) << 12;

    check(e->reason == EXIT_MEM);
    check(e->mem.prot == PROT_R || e->mem.prot == PROT_W || e->mem.prot == PROT_X);
    check((e->mem.gpa.v & ~0xfffull) == page);
    check(e->mem.gva == far);
    check(e->insn_bytes_len == 0 && (e->insn_len == 2 || e->insn_len == 4));
    if (!e->mem.decoded)
        return;
    check(ESR_EC(esr) == EC_DABT_LOW && !(esr & ESR_ABT_S1PTW));
    check(e->mem.io.addr == e->mem.gpa.v && (e->mem.gpa.v & 0xfff) == (far & 0xfff));
    check(e->mem.io.size == 1 || e->mem.io.size == 2 || e->mem.io.size == 4 || e->mem.io.size == 8);
    check(e->mem.io.write == (e->mem.prot == PROT_W) && e->mem.reg < 32);
    check(e->mem.io.size == 8 || !(e->mem.io.val >> (8 * e->mem.io.size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* on the heap: an access beyond X30 is caught */
    uint64_t w[3], *gpr = malloc(31 * sizeof *gpr);
    struct vcpu_exit e;

    check(gpr != NULL);
    for (unsigned i = 0; i < 31; i++)
        gpr[i] = ~0ull << i;
    for (; size >= sizeof w; data += sizeof w, size -= sizeof w) {
        memcpy(w, data, sizeof w);
        memset(&e, 0xa5, sizeof e);
        /* Mostly the two classes that the engine gives it. */
        if (w[0] >> 63)
            w[0] = (w[0] & 0x3ffffff) |
                   (w[0] >> 62 & 1 ? (uint64_t)EC_DABT_LOW : (uint64_t)EC_IABT_LOW) << 26;
        enum esr_abort a = esr_abort(w[0], w[1], w[2], gpr, &e);
        check(a <= ABORT_OTHER);
        if (a == ABORT_MEM || a == ABORT_MEM_NO_IPA)
            check_mem(&e, w[0], w[1], w[2]);
        if (esr_is_plain(w[0])) { /* the short way says the same */
            struct vcpu_exit plain;

            memset(&plain, 0xa5, sizeof plain);
            plain.syndrome = w[0];
            esr_plain(w[0], w[1], w[2], gpr, &plain);
            check(a == ABORT_MEM && memcmp(&plain, &e, sizeof e) == 0);
        }
        unsigned ec = ESR_EC(esr_for_el1(w[0], w[1] & 1, (unsigned)w[2] & 63));
        check(ec == EC_IABT_LOW || ec == EC_IABT_SAME || ec == EC_DABT_LOW || ec == EC_DABT_SAME);
        esr_sysreg(w[0], gpr, &e);
        check(e.sysreg.id < 0x10000 && e.sysreg.reg < 32);
        check(sysreg_trap_act(e.sysreg.id) < TRAP_ACTS &&
              sysreg_trap_act((uint32_t)w[1]) < TRAP_ACTS);
    }
    free(gpr);
    return 0;
}
