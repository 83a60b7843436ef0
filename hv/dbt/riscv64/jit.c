/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiling engine's loop: <hv/rv_jit.h>.
 */
#include <string.h>
#include "hv/dbt/riscv64/jit.h"

#define COMPILE_MOST 6       /* regions in one rv_jit_run(): what else is hot waits */
#define MXCSR_MASKED 0x1f80u /* no exception traps, SDM volume 1, 10.2.3 */

size_t rv_jit_bytes(void) { return sizeof(struct rv_jit); }

static bool jit_offset(const void *base, const void *p, int32_t *offset)
{
    int64_t d = (int64_t)((uintptr_t)p - (uintptr_t)base);

    *offset = (int32_t)d;
    return d == (int32_t)d && d < INT32_MAX - (1 << 20) && d > INT32_MIN + (1 << 20);
}

int rv_jit_init(struct rv_jit *j, const struct rv_jit_setup *s)
{
    struct jit_layout *l = &j->s.layout;
    uint32_t used;

    memset(j, 0, sizeof *j);
    j->s = *s;
    if (!jit_host_ready())
        return -ENOTSUP;
    if (!jit_offset(s->cpu, &s->near->budget, &l->budget) ||
        !jit_offset(s->cpu, &s->near->mxcsr, &l->mxcsr) ||
        !jit_offset(s->cpu, s->near->jumps, &l->jumps))
        return -ERANGE;
    l->jump_entries = RV_JIT_JUMPS;
    used = jit_emit_stubs(j->s.code, l, rv_jit_call, j, &j->stubs);
    if (!used || s->code.room < REGIONS * (LEAST_ROOM + PAGE_SIZE))
        return -ENOSPC;
    j->s.code.w += (used + 63) & ~63u;
    j->s.code.room -= (used + 63) & ~63u;
    units_init(j);
    return 0;
}

uint32_t jit_state(const struct rv_cpu *c)
{
    bool floats = (c->mstatus & RV_MSTATUS_FS) == RV_MSTATUS_FS && c->frm <= 3;

    return (c->mode & 3) | (floats ? 4 | (c->frm & 3) << 3 : 0);
}

uint8_t *jit_lookup(struct rv_jit *j, uint64_t pc, uint32_t *unit)
{
    struct rv_cpu *c = j->s.cpu;
    uint64_t pa;
    uint32_t state = jit_state(c);

    if (!j->s.ops->code(j->s.machine, pc, &pa))
        return NULL;
    *unit = units_find(j, pa | (pc & (PAGE_SIZE - 1)), pc, state);
    if (!*unit)
        return NULL;
    units_jump(j, state & 3, pc, j->units[*unit].code);
    return j->units[*unit].code;
}

/* The jump table's entries are good for one state of floating point. */
static void jit_new_state(struct rv_jit *j)
{
    uint32_t state = jit_state(j->s.cpu);

    if ((state ^ j->state) & ~3u)
        units_forget_jumps(j);
    j->state = state;
}

static int jit_emit_unit(struct rv_jit *j, uint32_t n)
{
    struct unit *u = &j->units[n];
    struct jit_layout l = j->s.layout;
    struct jit_memory m = units_room(j, LEAST_ROOM);
    struct jit_memory made = { j->made, LEAST_ROOM, m.shift + (m.w - j->made) };
    struct jit_emit in = {
        &j->ir, &j->alloc, &l, &j->stubs, made, n, u->pc >> PAGE_SHIFT, j->work
    };
    struct jit_code code;
    int err;

    l.jumps += (int32_t)((u->state & 3) * sizeof j->s.near->jumps[0]);
    if ((err = jit_allocate(&j->alloc, &j->ir, &jit_host_regs)) || (err = jit_emit(&in, &code)))
        return err;
    memcpy(m.w, j->made, code.bytes);
    u->code = m.w;
    u->region = (uint8_t)j->region;
    u->bytes = code.bytes;
    u->pins = code.pins;
    memcpy(u->pin, code.pin, sizeof u->pin);
    units_used(j, code.bytes);
    return 0;
}

/* Ever smaller regions until one fits. */
static int jit_translate(struct rv_jit *j, uint64_t pc, const uint8_t *page, unsigned most)
{
    struct rv_source in = { .pc = pc, .page = j->copy, .most = most };
    uint32_t state = jit_state(j->s.cpu);

    memcpy(j->copy, page, PAGE_SIZE);
    in.floats = state & 4;
    in.frm = (uint8_t)(state >> 3);
    in.fma = jit_host_has_fma();
    int err = rv_translate(&j->ir, &j->region_work, &in);
    if (!err)
        ir_optimize(&j->ir, &j->passes);
    return err;
}

static bool jit_compile(struct rv_jit *j, uint64_t pc)
{
    uint64_t pa;
    const uint8_t *page = j->s.ops->code(j->s.machine, pc, &pa);

    if (!page)
        return false;
    uint32_t n = units_new(j, pa | (pc & (PAGE_SIZE - 1)), pc, jit_state(j->s.cpu));
    for (unsigned most = RV_REGION; most; most /= 2) {
        int err = jit_translate(j, pc, page, most);
        if (err == -ENOENT)
            break;
        if (!err && !jit_emit_unit(j, n)) {
            j->units[n].most = most;
            j->units[n].granules = j->region_work.granules;
            j->units[n].sum = units_sum(j->copy, j->region_work.granules);
            j->pages[j->units[n].page].granules |= j->region_work.granules;
            j->stats.units++;
            j->stats.insns += j->region_work.n;
            j->stats.live_bytes += j->units[n].bytes;
            return true;
        }
    }
    units_kill(j, n);
    return false;
}

/*
 * Where pc is counted; NULL: the others of its set are warmer, this time. Who finds no room takes
 * one visit from the coldest: what runs once never uses up what a loop has gathered, and of many
 * hot places some gather. Now and then all lose one: what was warm long ago makes room.
 */
static struct heat *jit_heat(struct rv_jit *j, uint64_t pc)
{
    struct heat *set = j->heat[jit_heat_set(pc)], *coldest = set;
    uint32_t name = (uint32_t)(pc >> 1);

    for (struct heat *h = set; h < set + HEAT_WAYS; h++) {
        if (h->visits && h->pc == name)
            return h;
        if (h->visits < coldest->visits)
            coldest = h;
    }
    j->dice = j->dice * 1664525 + 1013904223;
    for (struct heat *h = set; h < set + HEAT_WAYS && j->dice >> 26 == 0; h++)
        h->visits -= h != coldest && h->visits;
    if (coldest->visits && --coldest->visits)
        return NULL;
    *coldest = (struct heat){ name, 0 };
    return coldest;
}

/* Code that has been here often enough is compiled. */
static bool jit_hot(struct rv_jit *j, uint64_t pc)
{
    struct heat *h = jit_heat(j, pc);

    if (!h)
        return false;
    if (h->visits < j->s.hot) {
        h->visits++;
        return false;
    }
    if (!j->may_compile)
        return false;
    j->may_compile--;
    h->visits = 0;
    return true;
}

/* Until control goes elsewhere, or something may have changed that the caller looks at. */
static void jit_interpret(struct rv_jit *j, uint64_t most)
{
    struct rv_cpu *c = j->s.cpu;

    for (uint64_t k = 0; k < most; k++) {
        uint64_t pc = c->pc, mode = c->mode;
        j->s.ops->step(j->s.machine);
        j->stats.cold++;
        if ((c->pc != pc + 2 && c->pc != pc + 4) || c->mode != mode || c->waiting ||
            jit_is_to_leave(j))
            return;
    }
}

/* MXCSR.RC of frm: to nearest, towards zero, down, up. */
static uint32_t jit_rounding(uint32_t state)
{
    static const uint8_t rc[4] = { 0, 3, 1, 2 };

    return state & 4 ? rc[state >> 3 & 3] : 0;
}

/*
 * Chains that wait are patched here, where no compiled code runs and regions may be reused; a chain
 * stays within its page, so its target is good for whoever comes to the jump.
 */
static void jit_enter(struct rv_jit *j, uint8_t *code, uint32_t unit)
{
    struct rv_jit_near *near = j->s.near;

    if (j->chain)
        units_chain(j, j->chain, unit);
    j->chain = NULL;
    j->stats.entries++;
    uint64_t start = j->s.clock ? j->s.clock() : 0;
    near->mxcsr = MXCSR_MASKED | jit_rounding(j->state) << 13;
    union {
        uint64_t address;
        void (*fn)(void *state, uint64_t code);
    } enter = { j->stubs.enter };
    enter.fn(j->s.cpu, jit_runs_at(j, code));
    jit_flags(j->s.cpu, &near->mxcsr);
    if (j->s.clock)
        j->stats.cycles += j->s.clock() - start;
}

/* One stretch of compiled or interpreted code. */
static void jit_stretch(struct rv_jit *j, int64_t budget)
{
    struct rv_cpu *c = j->s.cpu;
    uint32_t unit;
    uint8_t *code;

    jit_new_state(j);
    j->left = RV_LEFT_INTERPRET;
    code = jit_lookup(j, c->pc, &unit);
    if (!code && jit_hot(j, c->pc) && jit_compile(j, c->pc))
        code = jit_lookup(j, c->pc, &unit);
    if (!code) {
        j->chain = NULL;
        jit_interpret(j, min_u64((uint64_t)budget, 64));
        return;
    }
    j->base = c->instret;
    j->given = j->s.near->budget = budget;
    jit_enter(j, code, unit);
    c->instret = j->base + (uint64_t)(j->given - j->s.near->budget);
}

/* Where nothing retires, as in a handler that traps for ever, each stretch counts as one. */
uint64_t rv_jit_run(struct rv_jit *j, uint64_t budget)
{
    struct rv_cpu *c = j->s.cpu;
    uint64_t start = c->instret, done = 0, before;

    j->chain = NULL;
    j->may_compile = COMPILE_MOST;
    j->summed = 0;
    budget = min_u64(budget, INT32_MAX);
    while (done < budget && !c->waiting && !jit_is_to_leave(j)) {
        j->left = RV_LEFT_GONE;
        before = c->instret;
        jit_stretch(j, (int64_t)(budget - done));
        done += c->instret - before;
        if (j->left == RV_LEFT_BUDGET || j->left == RV_LEFT_INTERPRET)
            break;
        done += c->instret == before;
    }
    if (done < budget && !c->waiting && !jit_is_to_leave(j))
        j->s.ops->step(j->s.machine);
    return c->instret - start;
}

bool rv_jit_unit(struct rv_jit *j, uint64_t pc, struct rv_jit_unit *unit)
{
    uint64_t pa;
    const uint8_t *page = j->s.ops->code(j->s.machine, pc, &pa);
    uint32_t n = page ? units_find(j, pa | (pc & (PAGE_SIZE - 1)), pc, jit_state(j->s.cpu)) : 0;

    if (!n || jit_translate(j, pc, page, j->units[n].most))
        return false;
    *unit = (struct rv_jit_unit){ &j->ir, j->units[n].code, j->units[n].bytes };
    return true;
}

void rv_jit_remapped(struct rv_jit *j) { units_forget_jumps(j); }
bool rv_jit_remapped_page(struct rv_jit *j, uint64_t va) { return units_forget_jumps_to(j, va); }
void rv_jit_stats(const struct rv_jit *j, struct rv_jit_stats *s) { *s = j->stats; }
