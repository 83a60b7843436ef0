/* SPDX-License-Identifier: BSD-2-Clause */
/* An interpreter of bytecode: a loop with a switch. */
#include "work.h"

enum { PUSH, ADD, SUB, MUL, DUP, SWAP, LOAD, STORE, DEC, JNZ, XOR, HALT };
static const uint8_t program[] = { PUSH, 1, STORE, 0,   PUSH,  200,  STORE, 1,   LOAD,  0,
                                   LOAD, 1, ADD,   DUP, MUL,   PUSH, 7,     XOR, STORE, 0,
                                   LOAD, 1, DEC,   DUP, STORE, 1,    JNZ,   8,   HALT };

static uint64_t run(const volatile uint8_t *pc0)
{
    uint64_t stack[16], var[4] = { 0 };
    uint64_t *sp = stack, t;
    const volatile uint8_t *pc = pc0;

    for (;;) {
        switch (*pc++) {
        case PUSH: *sp++ = *pc++; break;
        case ADD: sp--, sp[-1] += *sp; break;
        case SUB: sp--, sp[-1] -= *sp; break;
        case MUL: sp--, sp[-1] *= *sp; break;
        case DUP: *sp = sp[-1], sp++; break;
        case SWAP: t = sp[-1], sp[-1] = sp[-2], sp[-2] = t; break;
        case LOAD: *sp++ = var[*pc++ & 3]; break;
        case STORE: var[*pc++ & 3] = *--sp; break;
        case DEC: sp[-1]--; break;
        case XOR: sp--, sp[-1] ^= *sp; break;
        case JNZ: pc = *--sp ? pc0 + *pc : pc + 1; break;
        default: return var[0];
        }
    }
}

int main(void)
{
    uint64_t sum = 0;

    for (int n = 0; n < 20000 * ROUNDS; n++)
        sum += run(program);
    return digest(sum);
}
