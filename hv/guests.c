/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guests.c: two tables, the only places outside its own folder that name a guest ISA or an engine
 * that belongs to no host ISA (the engines of a host are in its arch_vcpu_backends).
 */
#include <hv/guest.h>
#include <hv/vcpu.h>

const struct guest_ops *const guest_isas[] = { &guest_x86, &guest_arm, &guest_riscv, NULL };
/* in order of preference, after the host's own */
const struct vcpu_ops *const portable_engines[] = { &dbt_riscv64, NULL };
