/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the test guest's C and its assembly. */
#pragma once
#define STACK 4096
#define HARTS 8
