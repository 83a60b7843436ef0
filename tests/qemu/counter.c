/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counter: a plugin of QEMU that counts what its CPU executes, guests and hypervisor together, and
 * not the time in which the CPU is halted, which -icount lets pass as if it executed. A program
 * marks where it is by `nopl 0x5452NNNN(%rax)`, which does nothing else: for each that is executed
 * a line `NNNN COUNT OWN` goes to the file `out=FILE`, NNNN in decimal, OWN what was executed at
 * the addresses `own=FIRST-END` (hexadecimal). One CPU only.
 *
 * Of programs that have no marks: `begin=NNNN:FIRST-END` marks each time that code there is jumped
 * to, and `first=NNNN:FIRST-END` the first time after that; `sti=NNNN` likewise the first STI below
 * 4 GiB.
 *
 * The declarations are those of QEMU's TCG plugin API, version 1, whose header Debian 12 has not.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 = 0, CB_NO_REGS = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
                                           void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *at,
                                                uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*cb)(unsigned cpu, void *data), int flags,
                                            void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
API int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);
API int qemu_plugin_version = 1;

enum { MARK_SIZE = 7, OP_STI = 0xfb, PLACES = 8 };
static const uint8_t mark_code[3] = { 0x0f, 0x1f, 0x80 }; /* nopl disp32(%rax) */
static uint64_t count, count_own, own_first, own_end;
static FILE *out;
static struct place {
    unsigned mark;
    uint64_t first, end;
    bool begins, sti, passed;
} places[PLACES];
static unsigned nplaces;

static void on_mark(unsigned cpu, void *data)
{
    (void)cpu;
    fprintf(out, "%u %" PRIu64 " %" PRIu64 "\n", (unsigned)(uintptr_t)data, count, count_own);
    fflush(out);
}

static void on_place(unsigned cpu, void *data)
{
    struct place *p = data;

    if (p->passed && !p->begins)
        return;
    for (unsigned i = 0; p->begins && i < nplaces; i++)
        places[i].passed = false;
    p->passed = true;
    on_mark(cpu, (void *)(uintptr_t)p->mark);
}

/* `start`: jumps come to the first instruction of a block. */
static void watch_places(struct qemu_plugin_insn *insn, bool start)
{
    uint64_t at = qemu_plugin_insn_vaddr(insn);
    const uint8_t *code = qemu_plugin_insn_data(insn);

    for (struct place *p = places; p < places + nplaces; p++)
        if (at >= p->first && at < p->end && (p->sti ? code[0] == OP_STI : start))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_place, CB_NO_REGS, p);
}

/* The mark's number, or -1. */
static int mark_of(const struct qemu_plugin_insn *insn)
{
    const uint8_t *code = qemu_plugin_insn_data(insn);
    uint32_t at;

    if (qemu_plugin_insn_size(insn) != MARK_SIZE || memcmp(code, mark_code, sizeof mark_code) != 0)
        return -1;
    memcpy(&at, code + sizeof mark_code, sizeof at);
    return at >> 16 == 0x5452 ? (int)(at & 0xffff) : -1;
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t at = qemu_plugin_insn_vaddr(insn);
        int mark = mark_of(insn);

        watch_places(insn, i == 0);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &count, 1);
        if (at >= own_first && at < own_end)
            qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &count_own, 1);
        if (mark >= 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, CB_NO_REGS,
                                                   (void *)(uintptr_t)mark);
    }
}

static bool add_place(const char *text)
{
    struct place *p = &places[nplaces];

    if (nplaces == PLACES)
        return false;
    p->begins = strncmp(text, "begin=", 6) == 0;
    p->sti = sscanf(text, "sti=%u", &p->mark) == 1;
    p->first = 0;
    p->end = 1ull << 32;
    nplaces++;
    return p->sti ||
           ((p->begins || strncmp(text, "first=", 6) == 0) &&
            sscanf(text + 6, "%u:%" SCNx64 "-%" SCNx64, &p->mark, &p->first, &p->end) == 3);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            out = fopen(argv[i] + 4, "we");
        else if (sscanf(argv[i], "own=%" SCNx64 "-%" SCNx64, &own_first, &own_end) != 2 &&
                 !add_place(argv[i]))
            return -1;
    }
    if (!out)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
