/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * riscv64 harts in one memory, in M-mode, interpreted or compiled, a thread each. And the encodings
 * that their code is written in.
 */
#pragma once
#include <hv/rv_engine.h>

#define HARTS_BASE 0x80000000ull
#define HARTS_RAM (32u << 20)
#define HARTS_MOST 3

extern uint8_t harts_ram[HARTS_RAM];

/* A doubleword of it. */
static inline uint64_t *harts_word(size_t at) { return (uint64_t *)(void *)(harts_ram + at); }

/* Hart n, at HARTS_BASE with its number in a0. What compiles does so at once. */
struct rv_engine *hart_new(unsigned n, bool compiles);
void hart_free(struct rv_engine *e);
/* All run, each until its code waits for an interrupt. */
void harts_run(struct rv_engine **harts, unsigned n);

#define AMO(f5, width, rd, rs2, rs1) \
    ((uint32_t)(f5) << 27 | (rs2) << 20 | (rs1) << 15 | (width) << 12 | (rd) << 7 | 0x2fu)
#define ADDI(rd, rs1, imm) ((uint32_t)(imm) << 20 | (rs1) << 15 | (rd) << 7 | 0x13u)
#define WFI 0x10500073u
#define FENCE_RW_RW 0x0330000fu
enum { ADD = 0, SWAP = 1, LR = 2, SC = 3, XOR = 4, MAXU = 28, W = 2, D = 3 };
