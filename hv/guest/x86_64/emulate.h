/* SPDX-License-Identifier: BSD-2-Clause */
/* One instruction being emulated: what emulate.c, string.c and simd.c share. */
#pragma once
#include "insn.h"

/*
 * What an operation says: done (step over the instruction), or leave the vCPU as it is: a fault is
 * queued, or it shall run the instruction again.
 */
enum emu_result { EMU_DONE, EMU_STOP };

struct emu {
    struct vcpu *v;
    const struct vcpu_exit *e;
    const struct x86_insn *in;
    struct x86_mode m;
    uint64_t lin;            /* linear address of the memory operand */
    uint64_t page, page_gpa; /* translation found already; page 1: none */
    uint32_t page_access;    /* PF_W: good for writes too */
    bool hint;               /* the exit's address may stand for the operand's */
    bool jump;
    uint64_t target;
    bool shadow; /* MOV SS: the next instruction is not interrupted */
    uint64_t dr7;
    uint32_t hits; /* breakpoints that were hit so far */
};

uint64_t emu_reg(const struct emu *m, unsigned reg, unsigned size);
void emu_set_reg(struct emu *m, unsigned reg, unsigned size, uint64_t val);
/* Segment and offset to linear; raises #GP or #SS. */
enum emu_result emu_linear(struct emu *m, unsigned seg, uint64_t off, unsigned size, bool write,
                           uint64_t *lin);
/*
 * Memory at a linear address, device or RAM, in up to two pages. size 1..32. rmw: a read that a
 * write will follow.
 */
enum emu_result emu_read(struct emu *m, uint64_t lin, unsigned size, bool rmw, void *buf);
enum emu_result emu_write(struct emu *m, uint64_t lin, unsigned size, const void *buf);
/* Raises what a write would raise. */
enum emu_result emu_probe_write(struct emu *m, uint64_t lin, unsigned size);
/* The ModRM operand, in memory or a register. rmw: a read that a write will follow. */
enum emu_result emu_rm_read(struct emu *m, unsigned size, bool rmw, uint64_t *val);
enum emu_result emu_rm_write(struct emu *m, unsigned size, uint64_t val);
/* The stack, in elements of the operand size; RSP moves only if there was no fault. */
enum emu_result emu_push(struct emu *m, uint64_t val);
enum emu_result emu_pop(struct emu *m, uint64_t *val);
unsigned emu_stack_width(const struct emu *m);
/*
 * An indirect or relative branch of the current code segment. Raises #GP for a target that the
 * segment or the address width forbids.
 */
enum emu_result emu_jump(struct emu *m, uint64_t target);
/* operands.c: what is rare on device memory, but legal. */
enum emu_result emu_bitscan(struct emu *m);
enum emu_result emu_popcnt(struct emu *m);
enum emu_result emu_crc32(struct emu *m);
enum emu_result emu_enter(struct emu *m);
enum emu_result emu_leave(struct emu *m);
enum emu_result emu_far(struct emu *m);
enum emu_result emu_store_sys(struct emu *m);
enum emu_result emu_load_seg(struct emu *m);
enum emu_result emu_string(struct emu *m);
enum emu_result emu_simd(struct emu *m);
/* An access to a device, by guest-physical address. */
void emu_device(struct vcpu *v, struct io_access *io);
/* x86_emulate() for all but what quick.c does. */
int must_check x86_emulate_decoded(struct vcpu *v, struct vcpu_exit *e);
/*
 * quick.c. The instruction at the pc was decoded, and is about to be emulated: keeps of it what
 * makes the next time quick, if it is one of those.
 */
void x86_quick_note(struct vcpu *v, const struct x86_mode *m, const struct vcpu_exit *e);
uint64_t emu_addr_mask(const struct emu *m);
