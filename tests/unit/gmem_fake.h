/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM whose engine has a page-table format that no hardware has. Included once. */
#pragma once
#include "fake_stage2.h"
#include <hv/gmem.h>
#include <hv/vcpu.h>
#include <hv/vm.h>

static const struct vcpu_ops ops = { .name = "t", .s2 = &format };
static struct vm vm;
static unsigned flushes;

void vm_tlb_flush(struct vm *v, gpa_t at, uint64_t len)
{
    (void)v, (void)at, (void)len;
    flushes++;
}
